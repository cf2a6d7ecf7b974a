/* The policy on clusters made from the input: what must hold holds, and the oracle agrees. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/policy_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_choices choices = {data, size};
	struct world world;
	struct plan plan, oracle;
	const char *why;

	world_make(&world, fuzz_choose, &choices);
	world_plan(&world, &plan);
	oracle_plan(&world, &oracle);
	why = world_check(&world, &plan, &oracle);
	if (why != NULL) {
		world_print(&world, &plan);
		fuzz_broken(why, __FILE__, __LINE__);
	}
	policy_plan_free(&plan);
	policy_plan_free(&oracle);
	world_free(&world);
	return 0;
}
