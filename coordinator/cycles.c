/*
 * When passes run, and what they came to: the regular ones by check_interval, one for a node at
 * once when its disk is filling, one on demand, and any number that only plan.
 */
#include "coordinator/cycles.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/log.h"
#include "common/saturate.h"
#include "common/xmem.h"
#include "coordinator/coordinator.h"
#include "coordinator/copies.h"
#include "coordinator/leader.h"
#include "coordinator/trail.h"

#define RESULTS_KEPT   32
#define JITTER_PERCENT 10
/* After a cycle that did not go through, the next one comes at the latest. */
#define RETRY_MS 30000
/* What a disk that fills asks for more than once is answered once in this time. */
#define PRESSURE_PAUSE_MS 2000
#define PRESSED_MAX	  1000

struct running {
	struct cycle *cycle;
	struct cycle_plan_hooks plan; /* of one that only plans */
	struct cycles *owner;
	struct running *prev, *next;
};

struct cycles {
	struct coordinator *c;
	struct running *running;
	struct running *acting; /* the one that issues, if any */
	struct mono due;
	bool demanded;
	char **pressed; /* nodes that asked */
	size_t pressed_count, pressed_capacity;
	struct mono pressed_due;
	uint64_t next_id;
	struct cycle_result *results[RESULTS_KEPT]; /* newest first */
};

/* ---- results ---- */

static size_t total(const size_t *counts, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += counts[i];
	return sum;
}

/* One line in the log and one entry in the audit trail. */
static void end_result(struct cycles *cs, struct cycle_result *r)
{
	struct coordinator *c = cs->c;
	size_t evicted = total(r->evicted, REASON_COUNT);
	struct redis_args args = {0};

	r->ended = true;
	if (r->stopped != NULL)
		log_warn("-cycle", LOG_INT("id", r->id), LOG_STR("reason", r->stopped));
	log_info("+cycle", LOG_INT("id", r->id), LOG_STR("trigger", r->trigger),
		 LOG_STR("stopped", r->stopped), LOG_INT("nodes", r->nodes),
		 LOG_INT("live", r->live), LOG_INT("read_ms", r->read_ms),
		 LOG_INT("planned", total(r->planned, REASON_COUNT)), LOG_INT("evicted", evicted),
		 LOG_INT("freed_bytes", r->freed_bytes), LOG_INT("refused", r->refused),
		 LOG_INT("failed", r->failed), LOG_INT("expired", r->expired),
		 LOG_INT("not_issued", r->not_issued), LOG_INT("shortfalls", r->shortfalls));
	if (r->issued == 0)
		return;
	trail_start(c, &args, "cycle");
	redis_args_add(&args, "trigger");
	redis_args_add(&args, r->trigger);
	redis_args_add(&args, "evicted");
	redis_args_add_int(&args, (int64_t)evicted);
	redis_args_add(&args, "bytes");
	redis_args_add_int(&args, r->freed_bytes);
	redis_args_add(&args, "refused");
	redis_args_add_int(&args, (int64_t)r->refused);
	redis_args_add(&args, "failed");
	redis_args_add_int(&args, (int64_t)(r->failed + r->expired));
	trail_send(c, &args);
}

/* Ends it once none of its commands is open any more. */
static void close_result(struct cycles *cs, struct cycle_result *r)
{
	if (!r->ended && ledger_count_cycle(cs->c->ledger, r->id) == 0)
		end_result(cs, r);
}

/* One that still waits for its commands makes no room, unless all do. */
static void keep_result(struct cycles *cs, struct cycle_result *result)
{
	size_t at = RESULTS_KEPT - 1;

	while (at > 0 && cs->results[at] != NULL && !cs->results[at]->ended)
		at--;
	if (cs->results[at] != NULL && !cs->results[at]->ended) {
		at = RESULTS_KEPT - 1;
		end_result(cs, cs->results[at]);
	}
	free(cs->results[at]);
	memmove(&cs->results[1], &cs->results[0], at * sizeof(struct cycle_result *));
	cs->results[0] = result;
}

/* ---- starting and ending ---- */

static void due_within(struct cycles *cs, int64_t ms)
{
	int64_t latest = clock_mono().ms + ms;

	if (cs->due.ms > latest)
		cs->due.ms = latest;
}

static void on_part(const struct cluster *cluster, const struct limits *limits,
		    const struct plan *plan, void *arg)
{
	struct running *run = arg;

	if (run->plan.part != NULL)
		run->plan.part(cluster, limits, plan, run->plan.arg);
}

static void on_done(struct cycle *cycle, void *arg)
{
	struct running *run = arg;
	struct cycles *cs = run->owner;
	struct cycle_result *result = cycle_result(cycle);

	DL_DELETE(cs->running, run);
	if (cs->acting == run)
		cs->acting = NULL;
	if (run->plan.done != NULL)
		run->plan.done(result, run->plan.arg);
	if (result->act) {
		if (result->stopped != NULL)
			due_within(cs, RETRY_MS);
		keep_result(cs, result);
		close_result(cs, result);
	} else {
		free(result);
	}
	free(run);
}

/* Takes `nodes` over; NULL: all. `how` has the trigger and what kind of pass it is. */
static void start(struct cycles *cs, struct cycle_result how, char **nodes, size_t count,
		  const struct cycle_plan_hooks *plan)
{
	struct running *run = xcalloc(1, sizeof(*run));
	struct cycle_hooks hooks = {.part = on_part, .done = on_done, .arg = run};
	struct cycle_result *result = xcalloc(1, sizeof(*result));

	run->owner = cs;
	if (plan != NULL)
		run->plan = *plan;
	*result = how;
	result->id = cycles_next_id(cs);
	result->dry_run = how.act && cs->c->options.dry_run;
	run->cycle = cycle_new(cs->c, result, nodes, count, &hooks);
	DL_APPEND(cs->running, run);
	if (how.act)
		cs->acting = run;
	cycle_begin(run->cycle);
}

static void schedule(struct cycles *cs)
{
	int64_t interval = cs->c->options.check_interval_ms;
	int64_t jitter = interval * JITTER_PERCENT / 100;

	cs->due.ms = clock_mono().ms + interval -
		     clock_random(jitter < UINT32_MAX ? (uint32_t)jitter + 1 : UINT32_MAX);
}

static void drop_pressed(struct cycles *cs)
{
	for (size_t i = 0; i < cs->pressed_count; i++)
		free(cs->pressed[i]);
	free(cs->pressed);
	cs->pressed = NULL;
	cs->pressed_count = cs->pressed_capacity = 0;
}

static void start_for_pressed(struct cycles *cs)
{
	const struct cycle_result how = {.trigger = "pressure", .act = true};
	char **nodes = cs->pressed;
	size_t count = cs->pressed_count;

	cs->pressed_due.ms = clock_mono().ms + PRESSURE_PAUSE_MS;
	cs->pressed = NULL;
	cs->pressed_count = cs->pressed_capacity = 0;
	start(cs, how, nodes, count, NULL);
}

void cycles_tick(struct cycles *cs)
{
	struct coordinator *c = cs->c;
	struct mono now = clock_mono();

	if (cs->acting != NULL || !c->options.enabled || !redis_link_is_up(c->link) ||
	    !leader_leads(c->leader) ||
	    (!c->options.dry_run && !caution_may_act(&c->caution, now, NULL)))
		return;
	if (cs->pressed_count > 0 && mono_since(cs->pressed_due, now) >= 0) {
		start_for_pressed(cs);
	} else if (cs->demanded || mono_since(cs->due, now) >= 0) {
		const struct cycle_result how = {.trigger = cs->demanded ? "demand" : "interval",
						 .act = true};

		cs->demanded = false;
		schedule(cs);
		coordinator_publish_policy(c);
		start(cs, how, NULL, 0, NULL);
	}
}

void cycles_pressure(struct cycles *cs, const char *node)
{
	for (size_t i = 0; i < cs->pressed_count; i++) {
		if (strcmp(cs->pressed[i], node) == 0)
			return;
	}
	/* So many ask, or somebody makes names up: a look at all of them costs less. */
	if (cs->pressed_count == PRESSED_MAX) {
		cs->demanded = true;
		return;
	}
	cs->pressed =
		xgrow(cs->pressed, cs->pressed_count, &cs->pressed_capacity, sizeof(*cs->pressed));
	cs->pressed[cs->pressed_count++] = xstrdup(node);
}

void cycles_demand(struct cycles *cs)
{
	cs->demanded = true;
}

void cycles_settings_changed(struct cycles *cs)
{
	due_within(cs, cs->c->options.check_interval_ms);
	/* One cycle has one policy; it begins anew with the one of now. */
	if (cs->acting != NULL) {
		cs->demanded = true;
		cycles_stop(cs, "the settings have changed");
	}
}

void cycles_plan(struct cycles *cs, const char *node, bool as_if_deleting,
		 const struct cycle_plan_hooks *hooks)
{
	const struct cycle_result how = {.trigger = "plan", .as_if_deleting = as_if_deleting};
	char **nodes = NULL;

	if (node != NULL) {
		nodes = xcalloc(1, sizeof(*nodes));
		nodes[0] = xstrdup(node);
	}
	start(cs, how, nodes, node != NULL, hooks);
}

void cycles_command_ended(struct cycles *cs, const struct ledger_entry *entry, const char *outcome,
			  int64_t freed_bytes)
{
	struct cycle_result *r = NULL;

	for (size_t i = 0; i < RESULTS_KEPT && cs->results[i] != NULL; i++) {
		if (cs->results[i]->id == entry->cycle)
			r = cs->results[i];
	}
	if (r == NULL && cs->acting != NULL && cycle_result(cs->acting->cycle)->id == entry->cycle)
		r = cycle_result(cs->acting->cycle);
	if (r == NULL)
		return;
	if (strcmp(outcome, "deleted") == 0)
		r->evicted[entry->reason]++;
	else if (strcmp(outcome, "gone") == 0)
		r->gone++;
	else if (strcmp(outcome, "refused") == 0)
		r->refused++;
	else if (strcmp(outcome, "failed") == 0)
		r->failed++;
	else
		r->expired++;
	r->freed_bytes = saturate_add(r->freed_bytes, freed_bytes);
	if (cs->acting == NULL || cycle_result(cs->acting->cycle) != r)
		close_result(cs, r);
}

void cycles_ledger_cleared(struct cycles *cs)
{
	for (size_t i = 0; i < RESULTS_KEPT && cs->results[i] != NULL; i++)
		close_result(cs, cs->results[i]);
}

void cycles_stop(struct cycles *cs, const char *why)
{
	struct running *run, *next;

	drop_pressed(cs);
	DL_FOREACH_SAFE (cs->running, run, next) {
		if (cycle_result(run->cycle)->act)
			cycle_stop(run->cycle, why);
	}
}

uint64_t cycles_next_id(struct cycles *cs)
{
	return ++cs->next_id;
}

const struct cycle_result *cycles_result(const struct cycles *cs, size_t index)
{
	return index < RESULTS_KEPT ? cs->results[index] : NULL;
}

int64_t cycles_due_ms(const struct cycles *cs)
{
	return mono_since(clock_mono(), cs->due);
}

struct cycles *cycles_new(struct coordinator *c)
{
	struct cycles *cs = xcalloc(1, sizeof(*cs));

	cs->c = c;
	cs->due = clock_mono(); /* the first one as soon as the hold-off ends */
	return cs;
}

void cycles_free(struct cycles *cs)
{
	struct running *run, *next;

	if (cs == NULL)
		return;
	DL_FOREACH_SAFE (cs->running, run, next) {
		cycle_result(run->cycle)->stopped = "the coordinator is stopping";
		if (run->plan.done != NULL)
			run->plan.done(cycle_result(run->cycle), run->plan.arg);
		free(cycle_result(run->cycle));
		cycle_free(run->cycle);
		free(run);
	}
	drop_pressed(cs);
	for (size_t i = 0; i < RESULTS_KEPT; i++)
		free(cs->results[i]);
	free(cs);
}
