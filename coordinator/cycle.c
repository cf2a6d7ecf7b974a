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
#include "coordinator/retire.h"
#include "coordinator/snapshot.h"

#define WINDOW_NODES  100 /* keeps other users' waits below 1 ms (docs/performance.md) */
#define WINDOW_WHOLE  20
#define WINDOW_GAP_MS 1

enum cycle_state { CYCLE_NAMES, CYCLE_PREPARE, CYCLE_COPIES, CYCLE_READ };

struct cycle {
	struct coordinator *c;
	enum cycle_state state;
	struct cycle_hooks hooks;
	struct cycle_result *result;
	struct mono began;
	struct event *gap;

	char **nodes;
	size_t count, next;
	const char **whole; /* nodes of the present window that must be read whole; borrowed */
	size_t whole_count, whole_next;
	const char *const *window; /* what is being read */
	size_t window_count;
	int64_t *cutoffs;

	struct pins pins;
	int64_t now_ms; /* Redis' clock when it began */
	struct policy_budget budget;
	bool need_copies;
	struct copies *copies; /* NULL: not counted; a draft, owned, when nothing is issued */
	size_t batches;	       /* being issued */
	bool reading;	       /* an answer is awaited */
};

static void step(struct cycle *cy);

static bool issues(const struct cycle *cy)
{
	return cy->result->act && !cy->result->dry_run;
}

/* ---- the end of the reading ---- */

void cycle_free(struct cycle *cy)
{
	if (cy->copies != cy->c->copies)
		copies_free(cy->copies);
	for (size_t i = 0; i < cy->count; i++)
		free(cy->nodes[i]);
	free(cy->nodes);
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

/* True when the cycle may not go on. */
static bool must_stop(struct cycle *cy)
{
	const char *why = NULL;

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
		if (cy->c->copies != NULL)
			copies_give_back(cy->c->copies, batch->node, item->model);
		log_info("-evict-not-sent", LOG_STR("node", batch->node),
			 LOG_STR("model", item->model), LOG_STR("outcome", item->outcome));
	}
	cy->batches--;
	if (cy->batches == 0 && !cy->reading)
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

			model->deferred =
				ledger_deferred(cy->c->ledger, node->name, model->name, now);
			model->pending |= ledger_open(cy->c->ledger, node->name, model->name);
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

static void on_expired(struct cluster *read, const char *why, void *arg)
{
	struct cycle *cy = arg;
	struct cluster cluster;
	struct limits *limits;

	cy->reading = false;
	if (read == NULL) {
		cycle_stop(cy, why);
		return;
	}
	cluster = *read;
	limits = limits_of(cy, &cluster);
	cy->whole_count = cy->whole_next = 0;
	for (size_t i = 0; i < cluster.count; i++) {
		cy->result->nodes++;
		cy->result->live += cluster.nodes[i].live;
		if (issues(cy))
			retire_if_gone(cy->c, &cluster.nodes[i], cy->now_ms);
		if (!read_whole(cy, &limits[i], &cluster.nodes[i]))
			continue;
		/* Decided later, when all of it is there. */
		cy->whole[cy->whole_count++] = cy->window[i];
		cluster.nodes[i].known = false;
	}
	mark_deferred(cy, &cluster);
	if (cy->result->act)
		decide(cy, &cluster, limits);
	free(limits);
	cluster_free(&cluster);
	evtimer_add(cy->gap, &(struct timeval){.tv_usec = WINDOW_GAP_MS * 1000});
}

static void pretend_deleting(struct cluster *cluster)
{
	for (size_t i = 0; i < cluster->count; i++) {
		for (size_t j = 0; j < cluster->nodes[i].root_count; j++)
			cluster->nodes[i].roots[j].deletes = true;
	}
}

static void on_whole(struct cluster *read, const char *why, void *arg)
{
	struct cycle *cy = arg;
	struct cluster cluster;
	struct limits *limits;

	cy->reading = false;
	if (read == NULL) {
		cycle_stop(cy, why);
		return;
	}
	cluster = *read;
	limits = limits_of(cy, &cluster);
	mark_deferred(cy, &cluster);
	if (cy->result->as_if_deleting)
		pretend_deleting(&cluster);
	decide(cy, &cluster, limits);
	free(limits);
	cluster_free(&cluster);
	evtimer_add(cy->gap, &(struct timeval){.tv_usec = WINDOW_GAP_MS * 1000});
}

static void read_window(struct cycle *cy, enum snapshot_depth depth,
			void (*done)(struct cluster *, const char *, void *))
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
		.done = done,
		.arg = cy,
	};

	cy->reading = true;
	snapshot_read(&snapshot);
}

static void next_window(struct cycle *cy, size_t most)
{
	size_t left = cy->count - cy->next;

	cy->window = (const char *const *)cy->nodes + cy->next;
	cy->window_count = left < most ? left : most;
	cy->next += cy->window_count;
}

static void read_next(struct cycle *cy)
{
	if (cy->whole_next < cy->whole_count) {
		size_t left = cy->whole_count - cy->whole_next;

		cy->window = cy->whole + cy->whole_next;
		cy->window_count = left < WINDOW_WHOLE ? left : WINDOW_WHOLE;
		cy->whole_next += cy->window_count;
		read_window(cy, SNAPSHOT_ALL, on_whole);
	} else if (cy->next < cy->count) {
		next_window(cy, WINDOW_NODES);
		for (size_t i = 0; i < cy->window_count; i++) {
			struct limits limits;

			coordinator_limits(cy->c, cy->window[i], &limits);
			cy->cutoffs[i] = policy_cutoff_ms(&limits, cy->now_ms);
		}
		read_window(cy, SNAPSHOT_EXPIRED, on_expired);
	} else if (cy->batches == 0) {
		end_reading(cy, NULL);
	}
}

/* ---- copies ---- */

static void count_copies(struct cycle *cy, const struct cluster_node *node)
{
	const char **names = xcalloc(node->model_total + 1, sizeof(*names));
	size_t count = 0;

	for (size_t i = 0; i < node->model_total; i++)
		names[count++] = node->models[i].name;
	copies_set(cy->c->copies, node->name, node->inventory, names, count);
	for (size_t i = 0; i < node->model_total; i++) {
		if (node->models[i].pending)
			copies_take(cy->c->copies, node->name, node->models[i].name);
	}
	free(names);
}

static void on_names_read(struct cluster *read, const char *why, void *arg)
{
	struct cycle *cy = arg;
	struct cluster cluster;

	cy->reading = false;
	if (read == NULL) {
		cycle_stop(cy, why);
		return;
	}
	cluster = *read;
	mark_deferred(cy, &cluster);
	for (size_t i = 0; i < cluster.count; i++)
		count_copies(cy, &cluster.nodes[i]);
	cluster_free(&cluster);
	evtimer_add(cy->gap, &(struct timeval){.tv_usec = WINDOW_GAP_MS * 1000});
}

static void on_states_read(struct cluster *read, const char *why, void *arg)
{
	struct cycle *cy = arg;
	struct cluster cluster;

	cy->reading = false;
	if (read == NULL) {
		cycle_stop(cy, why);
		return;
	}
	cluster = *read;
	cy->whole_count = cy->whole_next = 0;
	for (size_t i = 0; i < cluster.count; i++) {
		const struct cluster_node *node = &cluster.nodes[i];

		if (!node->known || !node->live)
			copies_drop(cy->c->copies, node->name);
		else if (!copies_current(cy->c->copies, node->name, node->inventory))
			cy->whole[cy->whole_count++] = cy->window[i];
	}
	cluster_free(&cluster);
	evtimer_add(cy->gap, &(struct timeval){.tv_usec = WINDOW_GAP_MS * 1000});
}

static void read_copies(struct cycle *cy)
{
	if (cy->whole_next < cy->whole_count) {
		cy->window = cy->whole + cy->whole_next;
		cy->window_count = cy->whole_count - cy->whole_next;
		cy->whole_next = cy->whole_count;
		/* Whole, not names alone: commands under way tell which copies are going. */
		read_window(cy, SNAPSHOT_ALL, on_names_read);
	} else if (cy->next < cy->count) {
		next_window(cy, WINDOW_NODES);
		read_window(cy, SNAPSHOT_STATE, on_states_read);
	} else {
		cy->state = CYCLE_READ;
		cy->next = cy->whole_count = cy->whole_next = 0;
		step(cy);
	}
}

/* ---- preparing ---- */

static void on_pins(const redisReply *reply, const char *why, void *arg)
{
	struct cycle *cy = arg;
	struct err err;

	cy->reading = false;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		cycle_stop(cy, reply == NULL ? why : "the pins cannot be read");
		return;
	}
	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		if (pins_add(&cy->pins, reply->element[i]->str, reply->element[i + 1]->str, &err) !=
		    0)
			log_warn("-pin", LOG_STR("glob", reply->element[i]->str),
				 LOG_STR("reason", err.text));
	}
	cy->state = cy->need_copies ? CYCLE_COPIES : CYCLE_READ;
	step(cy);
}

static void on_time(const redisReply *reply, const char *why, void *arg)
{
	struct cycle *cy = arg;
	struct redis_args args = {0};
	char key[KEY_SIZE];

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
		cy->reading = false;
		cycle_stop(cy, reply == NULL ? why : "Redis' clock cannot be read");
		return;
	}
	cy->began = clock_mono();
	cy->now_ms = strtoll(reply->element[0]->str, NULL, 10) * 1000 +
		     strtoll(reply->element[1]->str, NULL, 10) / 1000;
	cy->result->began_redis_ms = cy->now_ms;
	caution_clock(&cy->c->caution, cy->now_ms, cy->began);
	redis_args_start(&args, "HGETALL");
	redis_args_add(&args, coordinator_key(cy->c, key, KEY_PINS));
	redis_link_command(cy->c->link, &args, on_pins, cy);
	redis_args_free(&args);
}

static void prepare(struct cycle *cy)
{
	struct redis_args args = {0};

	cy->cutoffs = xcalloc(cy->count + 1, sizeof(*cy->cutoffs));
	cy->whole = xcalloc(cy->count + 1, sizeof(*cy->whole));
	for (size_t i = 0; i < cy->count && !cy->need_copies; i++) {
		struct limits limits;

		coordinator_limits(cy->c, cy->nodes[i], &limits);
		cy->need_copies = limits.min_copies > 0;
	}
	if (cy->need_copies && cy->c->copies == NULL)
		cy->c->copies = copies_new();
	if (cy->c->copies != NULL)
		cy->copies = issues(cy) ? cy->c->copies : copies_draft(cy->c->copies);
	cy->reading = true;
	redis_args_start(&args, "TIME");
	redis_link_command(cy->c->link, &args, on_time, cy);
	redis_args_free(&args);
}

static void on_names(char **names, size_t count, const char *why, void *arg)
{
	struct cycle *cy = arg;

	cy->reading = false;
	if (why != NULL) {
		cycle_stop(cy, why);
		return;
	}
	cy->nodes = names;
	cy->count = count;
	cy->state = CYCLE_PREPARE;
	step(cy);
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
	case CYCLE_NAMES:
		cy->reading = true;
		snapshot_node_names(cy->c->link, cy->c->options.redis.prefix, on_names, cy);
		break;
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
	cy->state = nodes != NULL ? CYCLE_PREPARE : CYCLE_NAMES;
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
