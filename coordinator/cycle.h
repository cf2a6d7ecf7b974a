/*
 * One pass over the nodes: LEAD, READ, DECIDE, ISSUE, FOLLOW. Alone orders the steps. A pass that
 * only plans takes the same way and issues nothing. When passes run is in cycles.h.
 */
#ifndef LARDER_CYCLE_H
#define LARDER_CYCLE_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/policy.h"

struct coordinator;
struct cycle;

/* What a cycle came to. Counts by reason are indexed by enum evict_reason or spare_reason. */
struct cycle_result {
	uint64_t id;
	const char *trigger; /* "interval", "pressure", "demand", "plan" */
	const char *stopped; /* why it did not go through, or NULL */
	bool act;	     /* false: only planned, for somebody to look at */
	bool dry_run;	     /* acts, but is not allowed to issue */
	bool as_if_deleting; /* only planned: roots that only report count as if they deleted */
	int64_t began_redis_ms;
	int64_t read_ms; /* until everything was decided and issued */
	size_t nodes, live;
	size_t planned[REASON_COUNT];
	size_t spared[SPARE_COUNT];
	size_t shortfalls;
	size_t issued, not_issued;
	/* as receipts come */
	size_t evicted[REASON_COUNT];
	size_t gone, refused, failed, expired;
	int64_t freed_bytes;
	bool ended; /* every command has its receipt or has passed its deadline */
};

struct cycle_hooks {
	/* A part of the cluster and what is done there; borrowed. */
	void (*part)(const struct cluster *cluster, const struct limits *limits,
		     const struct plan *plan, void *arg);
	/* All is read and issued; the cycle is freed when this returns, its result is not. */
	void (*done)(struct cycle *cycle, void *arg);
	void *arg;
};

/* Takes `nodes` over (NULL: all nodes); `result` says how, and is filled. */
struct cycle *cycle_new(struct coordinator *c, struct cycle_result *result, char **nodes,
			size_t count, const struct cycle_hooks *hooks);
void cycle_begin(struct cycle *cycle);

/* Nothing more is issued; ends when no answer is awaited any more. `why` is a constant. */
void cycle_stop(struct cycle *cycle, const char *why);

struct cycle_result *cycle_result(const struct cycle *cycle);

/* Only after the link is gone: no answer may come any more. */
void cycle_free(struct cycle *cycle);

#endif
