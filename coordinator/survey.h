/*
 * Reads all nodes, or some, window by window, to show something: what the API answers with. It is
 * as polite to Redis as a cycle.
 */
#ifndef LARDER_SURVEY_H
#define LARDER_SURVEY_H

#include <stdint.h>

#include "coordinator/snapshot.h"

struct coordinator;

struct survey {
	struct coordinator *c;
	enum snapshot_depth depth;
	const char *nodes; /* a glob over node names; NULL: all. Borrowed until `done` */
	/* One window; borrowed. `now_ms` is Redis' clock. */
	void (*part)(struct cluster *cluster, int64_t now_ms, void *arg);
	/* The end, `why` is NULL if all went well. Called once, never from inside survey_start. */
	void (*done)(const char *why, void *arg);
	void *arg;
};

/* `survey` is copied. */
void survey_start(const struct survey *survey);

#endif
