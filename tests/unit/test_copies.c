/* How many live nodes hold each model. */
#include "coordinator/copies.h"

#include <stdio.h>

#include "common/model_name.h"
#include "coordinator/cluster.h"
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

static void test_keep(void **state)
{
	struct copies *c = copies_new();
	const char *const names[] = {"n0", "n1", "n3"};

	(void)state;
	SET(c, "n1", 1, "hf:a@1");
	SET(c, "n2", 1, "hf:a@1");
	SET(c, "n3", 1, "hf:a@1");
	copies_keep(c, names, 3);
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	assert_true(copies_current(c, "n1", 1));
	assert_false(copies_current(c, "n2", 1));
	copies_keep(c, names, 2); /* each time anew */
	assert_int_equal(copies_count(c, "hf:a@1"), 1);
	assert_true(copies_current(c, "n1", 1));
	/* What was taken is not remembered of one that was dropped. */
	copies_take(c, "n1", "hf:a@1");
	copies_keep(c, NULL, 0);
	SET(c, "n1", 1, "hf:a@1");
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

/* As it was read: what is going does not count, and nothing of one that is not live or known. */
static void test_node(void **state)
{
	struct cluster_model models[] = {{.name = "hf:a@1"},
					 {.name = "hf:b@1", .going = true},
					 {.name = "hf:c@1", .going = true, .pending = true},
					 {.name = "hf:d@1", .pending = true}};
	struct cluster_node node = {.name = "n1",
				    .known = true,
				    .live = true,
				    .inventory = 7,
				    .models = models,
				    .model_total = 4};
	struct copies *c = copies_new();

	(void)state;
	copies_set_node(c, &node);
	assert_true(copies_current(c, "n1", 7));
	assert_int_equal(copies_count(c, "hf:a@1"), 1);
	for (size_t i = 1; i < 4; i++)
		assert_int_equal(copies_count(c, models[i].name), 0);
	copies_give_back(c, "n1", "hf:b@1");
	assert_int_equal(copies_count(c, "hf:b@1"), 1);
	for (int i = 0; i < 2; i++) {
		node.known = i == 0;
		node.live = i != 0;
		copies_set_node(c, &node);
		assert_int_equal(copies_count(c, "hf:a@1"), 0);
		assert_false(copies_current(c, "n1", 7));
		SET(c, "n1", 7, "hf:a@1");
	}
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
	/* What it has not taken it cannot give back. */
	copies_give_back(draft, "n3", "hf:a@1");
	copies_give_back(draft, "n4", "hf:a@1");
	copies_give_back(draft, "n2", "hf:a@1");
	assert_int_equal(copies_count(draft, "hf:a@1"), 1);
	copies_take(draft, "n1", "hf:a@1");
	assert_int_equal(copies_count(draft, "hf:a@1"), 1);
	copies_give_back(draft, "n1", "hf:a@1");
	assert_int_equal(copies_count(draft, "hf:a@1"), 2);
	copies_give_back(draft, "n1", "hf:a@1");
	assert_int_equal(copies_count(draft, "hf:a@1"), 2);
	copies_free(draft);
	assert_int_equal(copies_count(c, "hf:a@1"), 2);
	copies_free(c);
}

enum { NODES = 6, MODELS = 8 };

/* A plain table of the same. */
struct table {
	bool holds[NODES][MODELS], taken[NODES][MODELS];
};

static void table_set(struct table *t, int node, const bool holds[MODELS])
{
	for (int m = 0; m < MODELS; m++) {
		t->holds[node][m] = holds[m];
		t->taken[node][m] &= holds[m];
	}
}

static void list_anew(struct rng *rng, struct copies *c, struct table *t, int node, int round)
{
	char node_name[8], names[2 * MODELS][32];
	const char *list[2 * MODELS];
	bool holds[MODELS] = {false};
	size_t count = 0;

	snprintf(node_name, sizeof(node_name), "n%d", node);
	for (int i = 0; i < 2 * MODELS; i++) {
		if (!rng_chance(rng, 40))
			continue;
		snprintf(names[count], sizeof(names[0]), "hf%s:m%d@1", i % 2 == 0 ? "" : "+r",
			 i / 2);
		list[count] = names[count];
		count++;
		holds[i / 2] = true;
	}
	copies_set(c, node_name, round, list, count);
	table_set(t, node, holds);
}

static void take_or_not(struct rng *rng, struct copies *c, struct table *t, int node)
{
	int m = (int)rng_below(rng, MODELS);
	char node_name[8], model[32];

	snprintf(node_name, sizeof(node_name), "n%d", node);
	snprintf(model, sizeof(model), "hf:m%d@1", m);
	switch (rng_below(rng, 4)) {
	case 0:
	case 1:
		copies_take(c, node_name, model);
		t->taken[node][m] = t->holds[node][m];
		break;
	case 2:
		copies_give_back(c, node_name, model);
		t->taken[node][m] = false;
		break;
	default:
		copies_gone(c, node_name, model);
		t->holds[node][m] &= !t->taken[node][m];
		t->taken[node][m] = false;
		break;
	}
}

/* Against the table: nodes come, change and go, and give copies up. */
static void test_property(void **state)
{
	struct rng rng = rng_start("copies");
	struct copies *c = copies_new();
	struct table t = {.holds = {{false}}};

	(void)state;
	for (int round = 0; round < 10000; round++) {
		int node = (int)rng_below(&rng, NODES);
		char name[32];

		if (rng_chance(&rng, 20)) {
			list_anew(&rng, c, &t, node, round);
		} else if (rng_chance(&rng, 5)) {
			snprintf(name, sizeof(name), "n%d", node);
			copies_drop(c, name);
			table_set(&t, node, (const bool[MODELS]){false});
		} else {
			take_or_not(&rng, c, &t, node);
		}
		for (int m = 0; m < MODELS; m++) {
			size_t expected = 0;

			for (int n = 0; n < NODES; n++)
				expected += t.holds[n][m] && !t.taken[n][m];
			snprintf(name, sizeof(name), "hf:m%d@1", m);
			assert_int_equal(copies_count(c, name), expected);
		}
	}
	copies_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_count),	 cmocka_unit_test(test_roots),
		cmocka_unit_test(test_replace),	 cmocka_unit_test(test_drop),
		cmocka_unit_test(test_take),	 cmocka_unit_test(test_taken_and_gone),
		cmocka_unit_test(test_draft),	 cmocka_unit_test(test_keep),
		cmocka_unit_test(test_property), cmocka_unit_test(test_node),
	};

	return RUN_TESTS(tests);
}
