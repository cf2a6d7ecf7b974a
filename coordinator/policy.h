/*
 * The eviction policy: a snapshot of the cluster, limits and a time go in, a plan comes out (pure).
 * It reads no clock, socket, file or global, so that it can be tested by tables, fuzzed, and shown
 * without acting.
 */
#ifndef LARDER_POLICY_H
#define LARDER_POLICY_H

#include "common/command.h"
#include "common/limits.h"
#include "common/pins.h"
#include "coordinator/cluster.h"

struct copies;

/* What spares a model that a rule wanted gone. */
enum spare_reason {
	SPARE_NONE,
	SPARE_PINNED,
	SPARE_HELD,	   /* somebody uses it */
	SPARE_PENDING,	   /* a delete command is under way */
	SPARE_TOO_YOUNG,   /* used within min_age */
	SPARE_LAST_COPY,   /* fewer than min_copies live nodes would hold it */
	SPARE_REPORT_ONLY, /* nothing is deleted in its root */
	SPARE_DEFERRED,	   /* could not be deleted lately */
	SPARE_CAP,	   /* enough for this cycle, or too large for any */
	SPARE_SHARED,	   /* frees nothing: all its bytes belong to others too */
	SPARE_COUNT
};

struct plan_victim {
	size_t node, model; /* indices in the cluster */
	enum evict_reason reason;
};

struct plan_spared {
	size_t node, model;
	enum evict_reason rule; /* which rule wanted it */
	enum spare_reason why;
};

/* A target that the plan does not reach. */
struct plan_shortfall {
	size_t node;
	enum evict_reason rule;	      /* REASON_COUNT_LIMIT or REASON_DISK_SPACE */
	const char *disk;	      /* space: which; NULL for the count */
	int64_t wanted, reached;      /* bytes available, or models */
	bool impossible;	      /* the floor is larger than the disk */
	int64_t blocked[SPARE_COUNT]; /* bytes, or models, that each reason keeps */
};

struct plan {
	struct plan_victim *victims;
	size_t victim_count, victim_capacity;
	struct plan_spared *spared;
	size_t spared_count, spared_capacity;
	struct plan_shortfall *shortfalls;
	size_t shortfall_count, shortfall_capacity;
};

/* What one cycle may still do; counts down. INT64_MAX: no cap. */
struct policy_budget {
	int64_t evictions;
	int64_t bytes;
	int64_t bytes_cap; /* what `bytes` was at first: a larger model fits into no cycle */
};

struct policy_input {
	const struct cluster *cluster;
	const struct limits *limits; /* one per node, overrides applied */
	const struct pins *pins;
	int64_t now_ms;		      /* Redis' clock */
	struct copies *copies;	      /* what is planned is taken from it; NULL: not counted */
	struct policy_budget *budget; /* NULL: no cap */
};

/*
 * Plans for every node that is known, live and complete; others are left alone. The caller frees
 * the plan. Victims of one node stand together, oldest first.
 */
void policy_plan(const struct policy_input *input, struct plan *plan);
void policy_plan_free(struct plan *plan);

/*
 * Must all of a node's models be read to plan for it? False when the time rule alone can want
 * something, so that the models beyond the threshold are enough.
 */
bool policy_needs_all(const struct limits *limits, const struct cluster_node *node);

/* Scores below this are unused for longer than the threshold. */
int64_t policy_cutoff_ms(const struct limits *limits, int64_t now_ms);

/* "pinned", "held", "pending", "too_young", ... */
const char *policy_spare_name(enum spare_reason reason);

#endif
