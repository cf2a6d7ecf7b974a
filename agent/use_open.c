/*
 * A source of use: files that are open or mapped now. Models that may soon become victims are
 * looked at before, so that one in use is held and others are chosen; what is to be deleted is
 * tested again on its way (removal.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/orders.h"
#include "agent/source.h"
#include "agent/use_open.h"
#include "common/json_doc.h"
#include "common/log.h"
#include "common/xmem.h"

/* One look at a time and so often at most, each model once in a while. */
#define PAUSE_MS 1000
#define AGAIN_MS 60000
/* A model is looked at when this part of the threshold, at most so much time, is left. */
#define SOON_PART   10
#define SOON_MAX_MS 600000

struct use_open {
	struct agent *agent;
	struct mono due;
	bool looking;
	int64_t looks, found;
	char unknown[128]; /* why the last look could not tell; "" when it could */
};

/* Does a rule other than the time rule want something gone? Then the oldest go first. */
static bool others_want(const struct agent *agent)
{
	int64_t downloaded = 0;

	if (agent_wanted_bytes(agent) > 0)
		return true;
	if (agent->limits.max_models == SETTING_UNSET)
		return false;
	for (const struct model *m = agent->inventory.models; m != NULL; m = m->hh.next)
		downloaded += !m->gone && m->report.status == MODEL_DOWNLOADED;
	return downloaded > agent->limits.max_models;
}

static bool may_be_looked_at(const struct agent *agent, const struct model *m, struct mono now)
{
	return !m->gone && m->report.status == MODEL_DOWNLOADED && m->removal == NULL &&
	       mono_since(now, m->hold_until) <= 0 && agent->views[m->root].leases &&
	       (m->looked_at.ms == 0 || mono_since(m->looked_at, now) >= AGAIN_MS);
}

static struct model *next_candidate(const struct use_open *u, struct mono now)
{
	const struct agent *agent = u->agent;
	int64_t threshold = agent->limits.unused_threshold_ms;
	int64_t soon = threshold / SOON_PART < SOON_MAX_MS ? threshold / SOON_PART : SOON_MAX_MS;
	struct model *model, *next, *oldest = NULL;

	HASH_ITER (hh, agent->inventory.models, model, next) {
		if (may_be_looked_at(agent, model, now) &&
		    (oldest == NULL || model->use.last.ms < oldest->use.last.ms))
			oldest = model;
	}
	if (oldest == NULL || mono_since(oldest->use.last, now) >= threshold - soon)
		return oldest;
	return others_want(agent) ? oldest : NULL;
}

static void looked(struct look *look, void *arg)
{
	struct use_open *u = arg;
	struct model *model = inventory_find(&u->agent->inventory, look->model);

	bool unknown = strncmp(look->why, "unknown", 7) == 0;

	u->looking = false;
	u->looks++;
	if (unknown && u->unknown[0] == '\0')
		log_warn("-look", LOG_STR("model", look->model), LOG_STR("reason", look->why));
	snprintf(u->unknown, sizeof(u->unknown), "%s", unknown ? look->why : "");
	if (model != NULL && strncmp(look->why, "busy", 4) == 0) {
		u->found++;
		orders_found_open(u->agent, model, look->why);
	}
	look_free(look);
}

static void tick(void *state, struct mono now)
{
	struct use_open *u = state;
	struct model *model;
	struct look *look;

	if (u->looking || !u->agent->limits_known || mono_since(u->due, now) < 0)
		return;
	u->due.ms = now.ms + PAUSE_MS;
	model = next_candidate(u, now);
	if (model == NULL)
		return;
	model->looked_at = now;
	look = look_new(model->name, model->report.locator);
	look->done = looked;
	look->arg = u;
	u->looking = true;
	worker_look(u->agent->workers[model->root], look);
}

static int start(struct agent *agent, void **state, struct err *err)
{
	struct use_open *u = xcalloc(1, sizeof(*u));

	(void)err;
	u->agent = agent;
	*state = u;
	return 0;
}

static void describe(void *state, cJSON *out)
{
	const struct use_open *u = state;

	json_doc_add_int64(out, "looks", u->looks);
	json_doc_add_int64(out, "found", u->found);
}

static const char *problem(void *state)
{
	const struct use_open *u = state;

	for (int i = 0; i < u->agent->root_count; i++) {
		if (u->agent->views[i].opened && !u->agent->views[i].leases)
			return "a root's file system cannot tell whether a file is open";
	}
	/* Leases on files of others need CAP_LEASE: without it nothing is deleted. */
	return u->unknown[0] != '\0' ? u->unknown : NULL;
}

const struct source source_open = {
	.name = "open",
	.start = start,
	.stop = free,
	.tick = tick,
	.problem = problem,
	.describe = describe,
};
