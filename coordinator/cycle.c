/*
 * One pass over the nodes.
 *
 *   NAMES --> PREPARE (clock, pins) --> [COPIES] --> READ <--> ISSUE, window by window
 *                                                      |
 *                                                      v
 *                                                   FOLLOW (receipts, see follow.c)
 *
 * Most nodes have nothing to do: a window reads their state and the models beyond the threshold.
 * Only nodes for which that is not enough are read whole.
 */
#include "coordinator/cycle.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/xmem.h"
#include "coordinator/coordinator.h"
#include "coordinator/copies.h"
#include "coordinator/issue.h"
#include "coordinator/leader.h"
#include "coordinator/lookup.h"
#include "coordinator/retire.h"
#include "coordinator/snapshot.h"

enum cycle_state { CYCLE_NAMES, CYCLE_PREPARE, CYCLE_COPIES, CYCLE_READ };

struct cycle {
	struct coordinator *c;
	enum cycle_state state;
	struct cycle_hooks hooks;
	struct cycle_result *result;
	struct mono began;
	struct event *gap;

	char **all; /* the names of all nodes; NULL: not asked for */
	size_t all_count;
	char **nodes; /* that are planned for: `all`, or others */
	size_t count, next;
	const char **whole; /* nodes of the present window that must be read whole; borrowed */
	size_t whole_count, whole_next;
	const char *const *window; /* what is being read */
	size_t window_count;
	void (*take)(struct cycle *cycle, struct cluster *window); /* what was read */
	int64_t *cutoffs;

	struct pins pins;
	int64_t now_ms; /* Redis' clock when it began */
	struct policy_budget budget;
	bool need_copies;
	struct copies *counted; /* the coordinator's if it leads, else owned; NULL: none */
	struct copies *copies;	/* the same, or a draft of it, owned, when nothing is issued */
	size_t batches;		/* being issued */
	bool reading;		/* an answer is awaited */
};

static void step(struct cycle *cy);

static bool issues(const struct cycle *cy)
{
	return cy->result->act && !cy->result->dry_run;
}

/* ---- the end of the reading ---- */

static void free_names(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

void cycle_free(struct cycle *cy)
{
	if (cy->copies != cy->counted)
		copies_free(cy->copies);
	if (cy->counted != cy->c->copies)
		copies_free(cy->counted);
	if (cy->nodes != cy->all)
		free_names(cy->nodes, cy->count);
	free_names(cy->all, cy->all_count);
	free(cy->whole);
	free(cy->cutoffs);
	pins_free(&cy->pins);
	event_free(cy->gap);
	free(cy);
}

static void end_reading(struct cycle *cy, const char *stopped)
{
	cy->result->stopped = stopped;
	cy->result->read_ms = mono_since(cy->began, clock_mono());
	cy->hooks.done(cy, cy->hooks.arg);
	cycle_free(cy);
}

/* Ends when nothing is awaited any more: answers hold pointers to the cycle. */
void cycle_stop(struct cycle *cy, const char *why)
{
	if (cy->result->stopped == NULL)
		cy->result->stopped = why;
	if (!cy->reading && cy->batches == 0)
		end_reading(cy, cy->result->stopped);
}

/* True when the cycle may not go on; it may be freed then. */
static bool must_stop(struct cycle *cy)
{
	const char *why = NULL;

	/* After a freeze an answer that has waited comes before the next tick. */
	caution_alive(&cy->c->caution, clock_mono());
	if (cy->result->stopped != NULL)
		why = cy->result->stopped;
	else if (cy->result->act && !leader_leads(cy->c->leader))
		why = "not the leader any more";
	else if (issues(cy) && !caution_may_act(&cy->c->caution, clock_mono(), &why))
		why = why != NULL ? why : "caution";
	if (why == NULL)
		return false;
	cycle_stop(cy, why);
	return true;
}

/* ---- deciding and issuing ---- */

static void on_batch_done(struct issue_batch *batch, void *arg)
{
	struct cycle *cy = arg;

	for (size_t i = 0; i < batch->count; i++) {
		const struct issue_item *item = &batch->items[i];

		if (strcmp(item->outcome, "issued") == 0) {
			cy->result->issued++;
			continue;
		}
		cy->result->not_issued++;
		log_info("-evict-not-sent", LOG_STR("node", batch->node),
			 LOG_STR("model", item->model), LOG_STR("outcome", item->outcome));
	}
	issue_settle_copies(batch);
	cy->batches--;
	/* Otherwise it goes on when the answer is there, or the gap is over. */
	if (cy->batches == 0 && !cy->reading && !evtimer_pending(cy->gap, NULL))
		step(cy);
}

static void issue_plan(struct cycle *cy, const struct cluster *cluster, const struct plan *plan)
{
	struct issue_batch *batch = NULL;
	size_t last = SIZE_MAX;

	for (size_t i = 0; i < plan->victim_count; i++) {
		const struct plan_victim *victim = &plan->victims[i];
		const struct cluster_node *node = &cluster->nodes[victim->node];
		const struct cluster_model *model = &node->models[victim->model];

		if (victim->node != last) {
			if (batch != NULL)
				issue_send(batch);
			batch = issue_batch_new(cy->c, node->name, node->incarnation,
						cy->result->id);
			batch->done = on_batch_done;
			batch->arg = cy;
			cy->batches++;
			last = victim->node;
		}
		issue_batch_add(batch, model->name, model->last_used_ms, victim->reason, false);
	}
	if (batch != NULL)
		issue_send(batch);
}

static void log_shortfalls(const struct cluster *cluster, const struct plan *plan)
{
	for (size_t i = 0; i < plan->shortfall_count; i++) {
		const struct plan_shortfall *s = &plan->shortfalls[i];
		enum spare_reason most = SPARE_NONE;

		for (int why = 0; why < SPARE_COUNT; why++) {
			if (s->blocked[why] > s->blocked[most])
				most = (enum spare_reason)why;
		}
		log_warn("-target-not-reached", LOG_STR("node", cluster->nodes[s->node].name),
			 LOG_STR("rule", command_reason_name(s->rule)),
			 LOG_INT("wanted", s->wanted), LOG_INT("reached", s->reached),
			 LOG_STR("blocked_most_by", s->impossible ? "the floor exceeds the disk"
								  : policy_spare_name(most)));
	}
}

static void count_plan(struct cycle *cy, const struct plan *plan)
{
	for (size_t i = 0; i < plan->victim_count; i++)
		cy->result->planned[plan->victims[i].reason]++;
	for (size_t i = 0; i < plan->spared_count; i++)
		cy->result->spared[plan->spared[i].why]++;
	cy->result->shortfalls += plan->shortfall_count;
}

static void decide(struct cycle *cy, struct cluster *cluster, const struct limits *limits)
{
	struct policy_input in = {
		.cluster = cluster,
		.limits = limits,
		.pins = &cy->pins,
		.now_ms = cy->now_ms + mono_since(cy->began, clock_mono()),
		.copies = cy->copies,
		.budget = &cy->budget,
	};
	struct plan plan;

	policy_plan(&in, &plan);
	count_plan(cy, &plan);
	if (cy->hooks.part != NULL)
		cy->hooks.part(cluster, limits, &plan, cy->hooks.arg);
	if (cy->result->act)
		log_shortfalls(cluster, &plan);
	if (issues(cy))
		issue_plan(cy, cluster, &plan);
	policy_plan_free(&plan);
}

static void mark_deferred(struct cycle *cy, struct cluster *cluster)
{
	struct mono now = clock_mono();

	for (size_t i = 0; i < cluster->count; i++) {
		struct cluster_node *node = &cluster->nodes[i];

		for (size_t j = 0; j < node->model_total; j++) {
			struct cluster_model *model = &node->models[j];
			enum ledger_state state =
				ledger_state(cy->c->ledger, node->name, model->name, now);

			model->deferred = state == LEDGER_DEFERRED;
			model->pending |= state == LEDGER_OPEN;
		}
	}
}

/* ---- reading ---- */

static struct limits *limits_of(const struct cycle *cy, const struct cluster *cluster)
{
	struct limits *limits = xcalloc(cluster->count, sizeof(*limits));

	for (size_t i = 0; i < cluster->count; i++)
		coordinator_limits(cy->c, cluster->nodes[i].name, &limits[i]);
	return limits;
}

/* Is what was read of a node not enough to decide? */
static bool read_whole(const struct cycle *cy, const struct limits *limits,
		       const struct cluster_node *node)
{
	if (!node->known || !node->live)
		return false;
	if (policy_needs_all(limits, node))
		return true;
	if (node->model_total == 0)
		return false;
	/* Sizes and holds are shown, copies are looked for, bytes are counted. */
	return !cy->result->act || limits->min_copies > 0 || cy->budget.bytes != INT64_MAX;
}

static void take_expired(struct cycle *cy, struct cluster *cluster)
{
	struct limits *limits = limits_of(cy, cluster);

	cy->whole_count = cy->whole_next = 0;
	for (size_t i = 0; i < cluster->count; i++) {
		cy->result->nodes++;
		cy->result->live += cluster->nodes[i].live;
		if (issues(cy))
			retire_if_gone(cy->c, &cluster->nodes[i], cy->now_ms);
		if (!read_whole(cy, &limits[i], &cluster->nodes[i]))
			continue;
		/* Decided later, when all of it is there. */
		cy->whole[cy->whole_count++] = cy->window[i];
		cluster->nodes[i].known = false;
	}
	mark_deferred(cy, cluster);
	if (cy->result->act)
		decide(cy, cluster, limits);
	free(limits);
}

static void pretend_deleting(struct cluster *cluster)
{
	for (size_t i = 0; i < cluster->count; i++) {
		for (size_t j = 0; j < cluster->nodes[i].root_count; j++)
			cluster->nodes[i].roots[j].deletes = true;
	}
}

static void take_whole(struct cycle *cy, struct cluster *cluster)
{
	struct limits *limits = limits_of(cy, cluster);

	mark_deferred(cy, cluster);
	if (cy->result->as_if_deleting)
		pretend_deleting(cluster);
	decide(cy, cluster, limits);
	free(limits);
}

/* The one place at which a pass goes on, or not, after it has waited for a window. */
static void on_window(struct cluster *read, const char *why, void *arg)
{
	struct cycle *cy = arg;
	struct cluster cluster;

	cy->reading = false;
	if (read == NULL) {
		cycle_stop(cy, why);
		return;
	}
	cluster = *read;
	if (!must_stop(cy)) {
		cy->take(cy, &cluster);
		evtimer_add(cy->gap, &(struct timeval){.tv_usec = SNAPSHOT_GAP_US});
	}
	cluster_free(&cluster);
}

static void read_window(struct cycle *cy, enum snapshot_depth depth,
			void (*take)(struct cycle *, struct cluster *))
{
	struct snapshot snapshot = {
		.link = cy->c->link,
		.prefix = cy->c->options.redis.prefix,
		.nodes = cy->window,
		.count = cy->window_count,
		.depth = depth,
		.explain = !cy->result->act,
		.cutoffs_ms = cy->cutoffs,
		.now_ms = cy->now_ms + mono_since(cy->began, clock_mono()),
		.node_timeout_ms = cy->c->options.node_timeout_ms,
		.done = on_window,
		.arg = cy,
	};

	cy->take = take;
	cy->reading = true;
	snapshot_read(&snapshot);
}

static void next_window(struct cycle *cy, char **nodes, size_t count)
{
	size_t left = count - cy->next;

	cy->window = (const char *const *)nodes + cy->next;
	cy->window_count = left < SNAPSHOT_WINDOW ? left : SNAPSHOT_WINDOW;
	cy->next += cy->window_count;
}

static void read_some_whole(struct cycle *cy, void (*take)(struct cycle *, struct cluster *))
{
	size_t left = cy->whole_count - cy->whole_next;

	cy->window = cy->whole + cy->whole_next;
	cy->window_count = left < SNAPSHOT_WINDOW_WHOLE ? left : SNAPSHOT_WINDOW_WHOLE;
	cy->whole_next += cy->window_count;
	read_window(cy, SNAPSHOT_ALL, take);
}

static void read_next(struct cycle *cy)
{
	if (cy->whole_next < cy->whole_count) {
		read_some_whole(cy, take_whole);
	} else if (cy->next < cy->count) {
		next_window(cy, cy->nodes, cy->count);
		for (size_t i = 0; i < cy->window_count; i++) {
			struct limits limits;

			coordinator_limits(cy->c, cy->window[i], &limits);
			cy->cutoffs[i] = policy_cutoff_ms(&limits, cy->now_ms);
		}
		read_window(cy, SNAPSHOT_EXPIRED, take_expired);
	} else if (cy->batches == 0) {
		end_reading(cy, NULL);
	}
}

/* ---- copies ---- */

static void take_names(struct cycle *cy, struct cluster *cluster)
{
	mark_deferred(cy, cluster);
	for (size_t i = 0; i < cluster->count; i++)
		copies_set_node(cy->counted, &cluster->nodes[i]);
}

static void take_states(struct cycle *cy, struct cluster *cluster)
{
	cy->whole_count = cy->whole_next = 0;
	for (size_t i = 0; i < cluster->count; i++) {
		const struct cluster_node *node = &cluster->nodes[i];

		if (!node->known || !node->live)
			copies_drop(cy->counted, node->name);
		else if (!copies_current(cy->counted, node->name, node->inventory))
			cy->whole[cy->whole_count++] = cy->window[i];
	}
}

static void read_copies(struct cycle *cy)
{
	if (cy->whole_next < cy->whole_count) {
		/* Whole, not names alone: commands under way tell which copies are going. */
		read_some_whole(cy, take_names);
	} else if (cy->next < cy->all_count) {
		next_window(cy, cy->all, cy->all_count);
		read_window(cy, SNAPSHOT_STATE, take_states);
	} else {
		cy->state = CYCLE_READ;
		cy->next = cy->whole_count = cy->whole_next = 0;
		step(cy);
	}
}

/* ---- preparing ---- */

static void on_pins(const char *why, void *arg)
{
	struct cycle *cy = arg;

	cy->reading = false;
	if (why != NULL) {
		cycle_stop(cy, why);
		return;
	}
	cy->state = cy->need_copies ? CYCLE_COPIES : CYCLE_READ;
	step(cy);
}

static void on_clock(int64_t now_ms, const char *why, void *arg)
{
	struct cycle *cy = arg;

	if (why != NULL) {
		cy->reading = false;
		cycle_stop(cy, why);
		return;
	}
	cy->began = clock_mono();
	cy->now_ms = now_ms;
	cy->result->began_redis_ms = now_ms;
	caution_clock(&cy->c->caution, now_ms, cy->began);
	lookup_pins(cy->c->link, cy->c->options.redis.prefix, &cy->pins, on_pins, cy);
}

static void prepare_copies(struct cycle *cy)
{
	struct coordinator *c = cy->c;

	if (!leader_leads(c->leader)) {
		/* How commands end is heard by the leader alone: what others count is not kept. */
		cy->counted = cy->need_copies ? copies_new() : NULL;
	} else {
		if (cy->need_copies && c->copies == NULL)
			c->copies = copies_new();
		cy->counted = c->copies;
	}
	if (cy->counted == NULL)
		return;
	if (cy->need_copies || cy->all != NULL)
		copies_keep(cy->counted, (const char *const *)cy->all, cy->all_count);
	cy->copies = issues(cy) ? cy->counted : copies_draft(cy->counted);
}

static void prepare(struct cycle *cy)
{
	cy->cutoffs = xcalloc(SNAPSHOT_WINDOW, sizeof(*cy->cutoffs));
	cy->whole = xcalloc(SNAPSHOT_WINDOW, sizeof(*cy->whole));
	prepare_copies(cy);
	cy->reading = true;
	lookup_clock(cy->c->link, on_clock, cy);
}

static bool wants_copies(const struct cycle *cy)
{
	for (size_t i = 0; i < cy->count; i++) {
		struct limits limits;

		coordinator_limits(cy->c, cy->nodes[i], &limits);
		if (limits.min_copies > 0)
			return true;
	}
	return false;
}

static void on_names(char **names, size_t count, const char *why, void *arg)
{
	struct cycle *cy = arg;

	cy->reading = false;
	if (why != NULL) {
		cycle_stop(cy, why);
		return;
	}
	cy->all = names;
	cy->all_count = count;
	if (cy->nodes == NULL) {
		cy->nodes = names;
		cy->count = count;
		cy->need_copies = wants_copies(cy);
	}
	cy->state = CYCLE_PREPARE;
	step(cy);
}

/* The copies on all nodes count, whichever are planned for. */
static void read_names(struct cycle *cy)
{
	cy->need_copies = wants_copies(cy);
	if (cy->nodes != NULL && !cy->need_copies) {
		cy->state = CYCLE_PREPARE;
		step(cy);
		return;
	}
	cy->reading = true;
	lookup_nodes(cy->c->link, cy->c->options.redis.prefix, on_names, cy);
}

static void on_gap(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	step(arg);
}

/* Goes on from where it is. */
static void step(struct cycle *cy)
{
	if (cy->reading || must_stop(cy))
		return;
	switch (cy->state) {
	case CYCLE_NAMES: read_names(cy); break;
	case CYCLE_PREPARE: prepare(cy); break;
	case CYCLE_COPIES: read_copies(cy); break;
	case CYCLE_READ: read_next(cy); break;
	}
}

static int64_t cap(int64_t setting)
{
	return setting == SETTING_UNSET ? INT64_MAX : setting;
}

struct cycle *cycle_new(struct coordinator *c, struct cycle_result *result, char **nodes,
			size_t count, const struct cycle_hooks *hooks)
{
	struct cycle *cy = xcalloc(1, sizeof(*cy));

	cy->c = c;
	cy->result = result;
	cy->hooks = *hooks;
	cy->began = clock_mono();
	cy->gap = evtimer_new(daemon_base(c->daemon), on_gap, cy);
	cy->budget.evictions = cap(c->options.max_evictions_per_cycle);
	cy->budget.bytes = cy->budget.bytes_cap = cap(c->options.max_bytes_per_cycle);
	cy->nodes = nodes;
	cy->count = count;
	return cy;
}

void cycle_begin(struct cycle *cy)
{
	step(cy);
}

struct cycle_result *cycle_result(const struct cycle *cy)
{
	return cy->result;
}
