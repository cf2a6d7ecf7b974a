/*
 * Small clusters for tests of the policy: made from choices (random numbers, or a fuzzer's bytes),
 * planned by the product, and checked against what must hold for every plan.
 */
#ifndef LARDER_TESTS_POLICY_WORLD_H
#define LARDER_TESTS_POLICY_WORLD_H

#include "coordinator/policy.h"

struct world {
	struct cluster cluster;
	struct limits *limits; /* one per node */
	struct pins pins;
	int64_t now_ms;
	bool counts_copies;
	bool capped;
	struct policy_budget budget; /* of the whole cycle, when capped */
};

/* 0 .. bound - 1 */
typedef uint64_t (*choose_fn)(void *arg, uint64_t bound);

void world_make(struct world *world, choose_fn choose, void *arg);
void world_free(struct world *world);

/* What the product plans for it. */
void world_plan(const struct world *world, struct plan *plan);

/* What the plan does that it may not, or where it differs from the oracle's; NULL when all is well.
 */
const char *world_check(const struct world *world, const struct plan *plan,
			const struct plan *oracle);

/* For messages: the world and the plan, on standard error. */
void world_print(const struct world *world, const struct plan *plan);

/*
 * What the same world's victims are by a second, slow and literal reading of the rules. Writes them
 * to `plan` (victims only), in the product's order.
 */
void oracle_plan(const struct world *world, struct plan *plan);

#endif
