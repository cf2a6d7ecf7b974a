/*
 * Engines that are asked what they serve: the list of them, and who is asked when. Rounds are
 * started by ticks, a few at a time; their ends come from the loop.
 */
#include "agent/use_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/agent.h"
#include "agent/engine_options.h"
#include "agent/probe_target.h"
#include "common/json_doc.h"
#include "common/xmem.h"

#define IN_FLIGHT_MAX 8

struct use_probe {
	struct agent *agent;
	struct http_client *client;
	struct probe_target *targets;
	size_t in_flight;
	char why[300];	   /* of objects() */
	char problem[300]; /* of problem() */
};

static void drop(struct use_probe *probe, struct probe_target *target)
{
	DL_DELETE(probe->targets, target);
	probe_target_free(target);
}

static void on_round(struct probe_result *result, void *arg)
{
	struct probe_target *target = arg;
	struct use_probe *probe = target->agent->probe;

	target->asking = false;
	if (result->outcome == PROBE_STOPPED)
		return;
	probe->in_flight--;
	if (target->gone)
		drop(probe, target);
	else
		probe_target_take(target, result, clock_mono());
}

static void ask(struct use_probe *probe, struct probe_target *target, struct mono now)
{
	struct err err;

	if (probe_round_start(probe->client, &target->spec, on_round, target, &err) == 0) {
		target->asking = true;
		probe->in_flight++;
	} else {
		struct probe_result failed = {.outcome = PROBE_UNREACHABLE, .why = err.text};

		probe_target_take(target, &failed, now);
	}
}

/* The one that has waited longest of those that are due, so that no one starves another. */
static struct probe_target *most_due(const struct use_probe *probe, struct mono now)
{
	struct probe_target *target, *most = NULL;

	DL_FOREACH (probe->targets, target) {
		if (!target->asking && mono_since(target->due, now) >= 0 &&
		    (most == NULL || target->due.ms < most->due.ms))
			most = target;
	}
	return most;
}

static void tick(void *state, struct mono now)
{
	struct use_probe *probe = state;
	struct probe_target *target;

	DL_FOREACH (probe->targets, target)
		probe_target_tick(target);
	while (probe->in_flight < IN_FLIGHT_MAX && (target = most_due(probe, now)) != NULL)
		ask(probe, target, now);
}

/* ---- the list ---- */

static struct probe_target *find(const struct use_probe *probe, const char *owner,
				 const struct probe_spec *spec)
{
	struct probe_target *target;

	DL_FOREACH (probe->targets, target) {
		if (!target->gone && strcmp(target->owner, owner) == 0 &&
		    probe_spec_equal(&target->spec, spec))
			return target;
	}
	return NULL;
}

static bool keeps(const struct probe_target *target, struct probe_target *const *kept, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (kept[i] == target)
			return true;
	}
	return false;
}

static void remove_target(struct use_probe *probe, struct probe_target *target)
{
	probe_target_drop_claims(target);
	target->gone = true;
	if (!target->asking)
		drop(probe, target);
}

static void remove_others(struct use_probe *probe, const char *owner,
			  struct probe_target *const *kept, size_t count)
{
	struct probe_target *target, *next;

	DL_FOREACH_SAFE (probe->targets, target, next) {
		if (!target->gone && strcmp(target->owner, owner) == 0 &&
		    !keeps(target, kept, count))
			remove_target(probe, target);
	}
}

void use_probe_set(struct agent *agent, const char *owner, struct probe_spec *specs, size_t count)
{
	struct use_probe *probe = agent->probe;
	struct probe_target **kept = xcalloc(count + 1, sizeof(struct probe_target *));

	for (size_t i = 0; i < count && probe != NULL; i++)
		kept[i] = find(probe, owner, &specs[i]);
	if (probe != NULL)
		remove_others(probe, owner, kept, count);
	for (size_t i = 0; i < count; i++) {
		if (probe != NULL && kept[i] == NULL) {
			struct probe_target *target = probe_target_new(agent, owner, &specs[i]);

			DL_APPEND(probe->targets, target);
		} else {
			probe_spec_free(&specs[i]);
		}
	}
	free(kept);
}

/* ---- the source ---- */

static int start(struct agent *agent, void **state, struct err *err)
{
	struct use_probe *probe = xcalloc(1, sizeof(*probe));
	int count = cJSON_GetArraySize(agent->options.engines), rc = 0;
	struct probe_spec *specs = xcalloc((size_t)count + 1, sizeof(*specs));

	probe->agent = agent;
	probe->client = http_client_new(daemon_base(agent->daemon));
	agent->probe = probe;
	*state = probe;
	for (int i = 0; i < count && rc == 0; i++)
		rc = engine_options_spec(agent->options.engines, i, &specs[i], err);
	if (rc == 0)
		use_probe_set(agent, "", specs, (size_t)count);
	for (int i = 0; i < count; i++)
		probe_spec_free(&specs[i]);
	free(specs);
	return rc;
}

static void stop(void *state)
{
	struct use_probe *probe = state;

	http_client_free(probe->client);
	while (probe->targets != NULL)
		drop(probe, probe->targets);
	probe->agent->probe = NULL;
	free(probe);
}

static void models_changed(void *state)
{
	struct use_probe *probe = state;
	struct probe_target *target;

	DL_FOREACH (probe->targets, target)
		probe_target_map(target);
}

static const char *waits(void *state, struct mono heard)
{
	const struct use_probe *probe = state;
	const struct probe_target *target;

	(void)heard;
	DL_FOREACH (probe->targets, target) {
		if (!target->asked && !target->gone)
			return "engines have not been asked yet";
	}
	return NULL;
}

static const char *objects(void *state)
{
	struct use_probe *probe = state;
	const struct probe_target *target;

	if (!probe->agent->options.strict_unmapped)
		return NULL;
	DL_FOREACH (probe->targets, target) {
		const char *why =
			target->gone ? NULL
				     : probe_target_doubt(target, probe->why, sizeof(probe->why));

		if (why != NULL)
			return why;
	}
	return NULL;
}

static const char *problem(void *state)
{
	struct use_probe *probe = state;
	const struct probe_target *target, *first = NULL;
	size_t bad = 0, all = 0;

	DL_FOREACH (probe->targets, target) {
		if (target->gone)
			continue;
		all++;
		if (target->state == TARGET_NEW || target->state == TARGET_FRESH)
			continue;
		bad++;
		if (first == NULL)
			first = target;
	}
	if (first == NULL)
		return NULL;
	snprintf(probe->problem, sizeof(probe->problem), "%zu of %zu engines: %s is %s", bad, all,
		 first->who, probe_target_state(first));
	return probe->problem;
}

static void describe(void *state, cJSON *out)
{
	const struct use_probe *probe = state;
	cJSON *list = cJSON_AddArrayToObject(out, "engines");
	const struct probe_target *target;
	struct mono now = clock_mono();

	cJSON_AddBoolToObject(out, "strict_unmapped", probe->agent->options.strict_unmapped);
	DL_FOREACH (probe->targets, target) {
		cJSON *one;

		if (target->gone)
			continue;
		one = cJSON_CreateObject();
		probe_target_describe(target, now, one);
		cJSON_AddItemToArray(list, one);
	}
}

const struct source source_probe = {
	.name = "probe",
	.start = start,
	.stop = stop,
	.tick = tick,
	.models_changed = models_changed,
	.waits = waits,
	.objects = objects,
	.problem = problem,
	.describe = describe,
};
