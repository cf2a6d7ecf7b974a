/*
 * One source of what is in use: engines, pods, opened files. Each is a file of its own behind this
 * table of functions and tells what it learns by agent_use and holds_set; sources.c has the list.
 * All functions run on the loop's thread. A source that breaks says so and goes on: it never makes
 * a model look idle.
 */
#ifndef LARDER_SOURCE_H
#define LARDER_SOURCE_H

#include <cjson/cJSON.h>

#include "common/clock.h"
#include "common/err.h"

struct agent;

struct source {
	const char *name; /* as in GET /v1/sources */

	/*
	 * `*state` gets what the other functions are called with; NULL: the settings do not ask for
	 * this source, and it is not called again. -1 with a sentence stops the agent's start.
	 */
	int (*start)(struct agent *agent, void **state, struct err *err);
	void (*stop)(void *state);

	/* The rest may be NULL. */
	void (*tick)(void *state, struct mono now);
	/* A scan has been taken over: models may have come, gone or moved. */
	void (*models_changed)(void *state);
	/* A command is about to be judged: tells all that was seen up to now. */
	void (*settle)(void *state);
	/* Why it does not see all that it should, or NULL: shown in a metric. */
	const char *(*problem)(void *state);
	/* Why a command that was heard then may not be judged yet (this source has not looked yet),
	 * or NULL. */
	const char *(*waits)(void *state, struct mono heard);
	/* Why no model may be deleted automatically on this node now, or NULL. */
	const char *(*objects)(void *state);
	/* Adds what an operator wants to see to `out`. */
	void (*describe)(void *state, cJSON *out);
};

#endif
