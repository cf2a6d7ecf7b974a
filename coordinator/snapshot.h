/*
 * Reads the nodes' keys from Redis into a struct cluster: the only reader of them. One call reads
 * one window of nodes; how many at a time, and how fast, is the caller's.
 */
#ifndef LARDER_SNAPSHOT_H
#define LARDER_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/redis_link.h"
#include "coordinator/cluster.h"

/* Windows of so many nodes, with a pause after each, keep other users' waits below 1 ms
 * (docs/performance.md): for depths that read a node whole, and for the others. */
#define SNAPSHOT_WINDOW_WHOLE 20
#define SNAPSHOT_WINDOW	      100
#define SNAPSHOT_GAP_US	      1000

enum snapshot_depth {
	/* State fields, and the models with a score below the node's cutoff. */
	SNAPSHOT_EXPIRED,
	/* Everything to decide on: all models with sizes, holds, commands under way, roots. */
	SNAPSHOT_ALL,
	/* The same, and the models that are not DOWNLOADED. */
	SNAPSHOT_SHOW,
	/* All state fields, and the models with the lowest and the highest score. */
	SNAPSHOT_SUMMARY,
	/* State fields that tell whether something has changed. */
	SNAPSHOT_STATE,
};

struct snapshot {
	struct redis_link *link;
	const char *prefix;
	const char *const *nodes; /* names, borrowed until `done` */
	size_t count;		  /* at least 1 */
	enum snapshot_depth depth;
	bool explain; /* SNAPSHOT_ALL: also who holds a model; SNAPSHOT_SHOW has it always */
	const int64_t *cutoffs_ms; /* SNAPSHOT_EXPIRED: one per node */
	int64_t now_ms;		   /* Redis' clock, for holds and heartbeats */
	int64_t node_timeout_ms;
	/*
	 * Called once. `cluster` has the nodes in their order; its content becomes the callee's,
	 * who copies the struct and ends with cluster_free. NULL when something could not be read,
	 * with the reason in `why`.
	 */
	void (*done)(struct cluster *cluster, const char *why, void *arg);
	void *arg;
};

/* Starts reading; `snapshot` is copied. */
void snapshot_read(const struct snapshot *snapshot);

#endif
