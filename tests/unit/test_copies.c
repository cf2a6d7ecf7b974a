/* How many live nodes hold each model. */
#include "coordinator/copies.h"

#include <stdio.h>

#include "common/model_name.h"
#include "tests/unit/kit.h"

#define SET(copies, node, number, ...)                                             \
	copies_set(copies, node, number, (const char *const[]){__VA_ARGS__, NULL}, \
		   sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void test_count(void **state)
{
	struct copies *c = copies_new();

	(void)state;
	assert_int_equal(copies_count(c, "hf:a@1"), 0);
	SET(c, "n1", 1, "hf:a@1", "hf:b@1");
	SET(c, "n2", 1, "hf:a@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	assert_int_equal(copies_count(c, "hf:b@1"), 1);
	assert_int_equal(copies_count(c, "hf:a@2"), 0);
	assert_int_equal(copies_count(c, "dir:a@1"), 0);
	copies_free(c);
	copies_free(NULL);
}

/* The root's name does not matter, and two roots of one node hold one copy. */
static void test_roots(void **state)
{
	struct copies *c = copies_new();

	(void)state;
	SET(c, "n1", 1, "hf:a@1", "hf+nvme:a@1", "hf+b:a@1");
	SET(c, "n2", 1, "hf+other:a@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	assert_int_equal(copies_count(c, "hf+third:a@1"), 2);
	copies_drop(c, "n1");
	assert_int_equal(copies_count(c, "hf:a@1"), 1);
	copies_free(c);
}

static void test_replace(void **state)
{
	struct copies *c = copies_new();

	(void)state;
	assert_false(copies_current(c, "n1", 1));
	SET(c, "n1", 1, "hf:a@1", "hf:b@1");
	assert_true(copies_current(c, "n1", 1));
	assert_false(copies_current(c, "n1", 2));
	assert_false(copies_current(c, "n2", 1));
	SET(c, "n1", 2, "hf:b@1", "hf:c@1");
	assert_true(copies_current(c, "n1", 2));
	assert_int_equal(copies_count(c, "hf:a@1"), 0);
	assert_int_equal(copies_count(c, "hf:b@1"), 1);
	assert_int_equal(copies_count(c, "hf:c@1"), 1);
	copies_set(c, "n1", 3, NULL, 0);
	assert_int_equal(copies_count(c, "hf:b@1"), 0);
	assert_true(copies_current(c, "n1", 3));
	copies_free(c);
}

static void test_drop(void **state)
{
	struct copies *c = copies_new();

	(void)state;
	SET(c, "n1", 1, "hf:a@1");
	SET(c, "n2", 1, "hf:a@1");
	copies_drop(c, "n1");
	assert_int_equal(copies_count(c, "hf:a@1"), 1);
	assert_false(copies_current(c, "n1", 1));
	copies_drop(c, "n1");
	copies_drop(c, "nobody");
	assert_int_equal(copies_count(c, "hf:a@1"), 1);
	copies_free(c);
}

static void test_take(void **state)
{
	struct copies *c = copies_new();

	(void)state;
	SET(c, "n1", 1, "hf:a@1");
	SET(c, "n2", 1, "hf+x:a@1");
	copies_take(c, "n1", "hf:a@1");
	copies_take(c, "n1", "hf:a@1");
	assert_int_equal(copies_count(c, "hf+y:a@1"), 1);
	copies_take(c, "n2", "hf+x:a@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 0);
	copies_give_back(c, "n1", "hf:a@1");
	copies_give_back(c, "n1", "hf:a@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 1);
	copies_give_back(c, "n2", "hf:a@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	/* Of nobody, or of one that does not have it. */
	copies_take(c, "n3", "hf:a@1");
	copies_take(c, "n1", "hf:unknown@1");
	copies_give_back(c, "n1", "hf:unknown@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	assert_int_equal(copies_count(c, "hf:unknown@1"), 0);
	copies_free(c);
}

/* When the node that gave it up lists its models anew, the others still count in full. */
static void test_taken_and_gone(void **state)
{
	struct copies *c = copies_new();

	(void)state;
	SET(c, "n1", 1, "hf:a@1", "hf:b@1");
	SET(c, "n2", 1, "hf:a@1");
	SET(c, "n3", 1, "hf:a@1");
	copies_take(c, "n1", "hf:a@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	SET(c, "n1", 2, "hf:b@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	/* The taken one stays taken while it is listed, and is new when it was gone in between. */
	copies_take(c, "n2", "hf:a@1");
	SET(c, "n2", 2, "hf:a@1", "hf:b@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 1);
	copies_gone(c, "n2", "hf:a@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 1);
	SET(c, "n2", 3, "hf:a@1", "hf:b@1");
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	copies_gone(c, "n2", "hf:a@1"); /* not taken: nothing is known to have gone */
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	copies_free(c);
}

/* A pass that only plans takes copies from its draft alone. */
static void test_draft(void **state)
{
	struct copies *c = copies_new(), *draft = copies_draft(c);

	(void)state;
	SET(c, "n1", 1, "hf:a@1");
	SET(c, "n2", 1, "hf:a@1");
	SET(c, "n3", 1, "hf:a@1");
	copies_take(c, "n3", "hf:a@1");
	assert_int_equal(copies_count(draft, "hf:a@1"), 2);
	copies_take(draft, "n1", "hf+x:a@1");
	copies_take(draft, "n3", "hf:a@1"); /* on its way already */
	copies_take(draft, "n4", "hf:a@1");
	assert_int_equal(copies_count(draft, "hf:a@1"), 1);
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	copies_give_back(draft, "n1", "hf:a@1");
	assert_int_equal(copies_count(draft, "hf:a@1"), 2);
	copies_free(draft);
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	copies_free(c);
}

/* Against a plain table: nodes come, change and go. */
static void test_property(void **state)
{
	enum { NODES = 6, MODELS = 8 };
	struct rng rng = rng_start("copies");
	struct copies *c = copies_new();
	bool holds[NODES][MODELS] = {{false}};

	(void)state;
	for (int round = 0; round < 3000; round++) {
		int node = (int)rng_below(&rng, NODES);
		char node_name[8], names[2 * MODELS][32];
		const char *list[2 * MODELS];
		size_t count = 0;

		snprintf(node_name, sizeof(node_name), "n%d", node);
		for (int m = 0; m < MODELS; m++) {
			holds[node][m] = false;
			for (int root = 0; root < 2; root++) {
				if (!rng_chance(&rng, 40))
					continue;
				snprintf(names[count], sizeof(names[0]), "hf%s:m%d@1",
					 root == 0 ? "" : "+r", m);
				list[count] = names[count];
				count++;
				holds[node][m] = true;
			}
		}
		if (rng_chance(&rng, 20)) {
			copies_drop(c, node_name);
			for (int m = 0; m < MODELS; m++)
				holds[node][m] = false;
		} else {
			copies_set(c, node_name, round, list, count);
		}
		for (int m = 0; m < MODELS; m++) {
			size_t expected = 0;
			char name[32];

			for (int n = 0; n < NODES; n++)
				expected += holds[n][m];
			snprintf(name, sizeof(name), "hf:m%d@1", m);
			assert_int_equal(copies_count(c, name), expected);
		}
	}
	copies_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count),	cmocka_unit_test(test_roots),
		cmocka_unit_test(test_replace), cmocka_unit_test(test_drop),
		cmocka_unit_test(test_take),	cmocka_unit_test(test_taken_and_gone),
		cmocka_unit_test(test_draft),	cmocka_unit_test(test_property),
	};

	return RUN_TESTS(tests);
}
