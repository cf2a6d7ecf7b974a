/* The list of sources of use, strongest first, and what is asked of all of them. */
#include "agent/sources.h"

#include <stddef.h>
#include <stdlib.h>

#include "agent/source.h"
#include "agent/use_watch.h"
#include "common/xmem.h"

static const struct source *const list[] = {
	&source_watch,
	NULL,
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

const char *sources_wait(const struct sources *sources)
{
	const char *why = NULL;

	for (size_t i = 0; list[i] != NULL && why == NULL; i++) {
		if (sources->states[i] != NULL && list[i]->waits != NULL)
			why = list[i]->waits(sources->states[i]);
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

cJSON *sources_json(const struct sources *sources)
{
	cJSON *all = cJSON_CreateObject();

	for (size_t i = 0; list[i] != NULL; i++) {
		cJSON *one;

		if (sources->states[i] == NULL)
			continue;
		one = cJSON_AddObjectToObject(all, list[i]->name);
		if (list[i]->describe != NULL)
			list[i]->describe(sources->states[i], one);
	}
	return all;
}
