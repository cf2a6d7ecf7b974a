/* The list of sources of use, strongest first, and what is asked of all of them. */
#include "agent/sources.h"

#include <stddef.h>
#include <stdlib.h>

#include "agent/source.h"
#include "agent/use_open.h"
#include "agent/use_pods.h"
#include "agent/use_probe.h"
#include "agent/use_watch.h"
#include "common/metrics.h"
#include "common/xmem.h"

/* The pods name engines to the probes, which are therefore there first and longer. */
static const struct source *const list[] = {
	&source_probe, &source_pods, &source_open, &source_watch, NULL,
};

struct sources {
	void *states[ARRAY_SIZE(list)];
};

struct sources *sources_start(struct agent *agent, struct err *err)
{
	struct sources *sources = xcalloc(1, sizeof(*sources));

	for (size_t i = 0; list[i] != NULL; i++) {
		if (list[i]->start(agent, &sources->states[i], err) != 0) {
			err_prefix(err, "%s", list[i]->name);
			sources_free(sources);
			return NULL;
		}
	}
	return sources;
}

void sources_free(struct sources *sources)
{
	if (sources == NULL)
		return;
	for (size_t i = 0; list[i] != NULL; i++) {
		if (sources->states[i] != NULL)
			list[i]->stop(sources->states[i]);
	}
	free(sources);
}

void sources_tick(struct sources *sources, struct mono now)
{
	for (size_t i = 0; list[i] != NULL; i++) {
		if (sources->states[i] != NULL && list[i]->tick != NULL)
			list[i]->tick(sources->states[i], now);
	}
}

void sources_models_changed(struct sources *sources)
{
	for (size_t i = 0; list[i] != NULL; i++) {
		if (sources->states[i] != NULL && list[i]->models_changed != NULL)
			list[i]->models_changed(sources->states[i]);
	}
}

void sources_settle(struct sources *sources)
{
	for (size_t i = 0; list[i] != NULL; i++) {
		if (sources->states[i] != NULL && list[i]->settle != NULL)
			list[i]->settle(sources->states[i]);
	}
}

const char *sources_wait(const struct sources *sources, struct mono heard)
{
	const char *why = NULL;

	for (size_t i = 0; list[i] != NULL && why == NULL; i++) {
		if (sources->states[i] != NULL && list[i]->waits != NULL)
			why = list[i]->waits(sources->states[i], heard);
	}
	return why;
}

const char *sources_object(const struct sources *sources)
{
	const char *why = NULL;

	for (size_t i = 0; list[i] != NULL && why == NULL; i++) {
		if (sources->states[i] != NULL && list[i]->objects != NULL)
			why = list[i]->objects(sources->states[i]);
	}
	return why;
}

static const char *problem_of(const struct sources *sources, size_t i)
{
	return list[i]->problem != NULL ? list[i]->problem(sources->states[i]) : NULL;
}

void sources_metrics(const struct sources *sources, struct metrics *metrics)
{
	metrics_family(metrics, "larder_source_degraded", METRICS_GAUGE,
		       "1: a source of what is in use does not see all that it should.");
	for (size_t i = 0; list[i] != NULL; i++) {
		if (sources->states[i] != NULL)
			metrics_int(metrics, problem_of(sources, i) != NULL,
				    METRICS_LABEL("source", list[i]->name));
	}
}

cJSON *sources_json(const struct sources *sources)
{
	cJSON *all = cJSON_CreateObject();

	for (size_t i = 0; list[i] != NULL; i++) {
		const char *problem;
		cJSON *one;

		if (sources->states[i] == NULL)
			continue;
		one = cJSON_AddObjectToObject(all, list[i]->name);
		problem = problem_of(sources, i);
		cJSON_AddStringToObject(one, "problem", problem != NULL ? problem : "");
		if (list[i]->describe != NULL)
			list[i]->describe(sources->states[i], one);
	}
	return all;
}
