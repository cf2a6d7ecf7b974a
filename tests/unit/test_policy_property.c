/* The eviction policy on random clusters: what must hold for every plan, and an oracle. */
#include "tests/unit/kit.h"
#include "tests/unit/policy_world.h"

static uint64_t choose_random(void *arg, uint64_t bound)
{
	return rng_below(arg, bound);
}

/* What must hold for every plan does, and a literal reading of the rules takes the same models. */
static void test_property(void **state)
{
	struct rng rng = rng_start("policy");
	size_t victims = 0, reasons[REASON_COUNT] = {0};

	(void)state;
	for (int round = 0; round < 20000; round++) {
		struct world world;
		struct plan product, oracle;
		const char *why;

		world_make(&world, choose_random, &rng);
		world_plan(&world, &product);
		oracle_plan(&world, &oracle);
		why = world_check(&world, &product, &oracle);
		if (why != NULL) {
			world_print(&world, &product);
			fail_msg("%s", why);
		}
		for (size_t i = 0; i < product.victim_count; i++)
			reasons[product.victims[i].reason]++;
		victims += product.victim_count;
		policy_plan_free(&product);
		policy_plan_free(&oracle);
		world_free(&world);
	}
	/* The random clusters are such that every rule has something to do. */
	assert_true(victims > 5000);
	for (int i = REASON_TIME_THRESHOLD; i <= REASON_DISK_SPACE; i++)
		assert_true(reasons[i] > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_property)};

	return RUN_TESTS(tests);
}
