/* What the coordinator knows of the nodes: names and fields as they come from Redis. */
#include "coordinator/cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit.h"

static bool add(struct cluster *c, const char *name, int64_t last_used_ms)
{
	return cluster_add_model(c, &c->nodes[0], name, strlen(name), last_used_ms);
}

static void test_models(void **state)
{
	struct cluster c;
	const struct cluster_model *model;

	(void)state;
	cluster_init(&c, 1);
	assert_true(add(&c, "hf:org/a@1", 1000));
	assert_int_equal(c.nodes[0].model_total, 1);
	model = &c.nodes[0].models[0];
	assert_string_equal(model->name, "hf:org/a@1");
	assert_int_equal(model->last_used_ms, 1000);
	assert_int_equal(model->bytes, CLUSTER_UNKNOWN);
	assert_int_equal(model->root, -1);
	assert_false(model->held || model->pending || model->deferred);
	cluster_free(&c);
}

/* Nothing that is not understood becomes a model. */
static void test_bad_models(void **state)
{
	static const char *const names[] = {
		"",	  "x",	       "hf:a",	    "dir:../a@-", "dir:/a@-",
		"HF:a@1", "dir:a b@-", "dir:%41@-", "dir:a*@-",	  "hf+default:a@1"};
	struct cluster c;

	(void)state;
	cluster_init(&c, 1);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_false(add(&c, names[i], 1));
	assert_false(add(&c, "hf:a@1", -1));
	/* a NUL inside */
	assert_false(cluster_add_model(&c, &c.nodes[0], "hf:a@1\0x", 8, 1));
	assert_int_equal(c.nodes[0].model_total, 0);
	assert_true(add(&c, "hf:a@1", 0));
	cluster_free(&c);
}

static void test_order(void **state)
{
	static const struct {
		const char *name;
		int64_t last_used_ms;
	} rows[] = {
		{"hf:c@1", 300}, {"hf:b@1", 100},	{"hf+x:a@1", 200},
		{"hf:a@1", 100}, {"hf:d@1", INT64_MAX}, {"hf:e@1", 0},
	};
	static const char *const order[] = {"hf:e@1",	"hf:a@1", "hf:b@1",
					    "hf+x:a@1", "hf:c@1", "hf:d@1"};
	struct cluster c;

	(void)state;
	cluster_init(&c, 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_true(add(&c, rows[i].name, rows[i].last_used_ms));
	cluster_finish_node(&c.nodes[0]);
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		assert_string_equal(c.nodes[0].models[i].name, order[i]);
	cluster_free(&c);
}

#define ROOT "layout=huggingface disk=8:1 total_bytes=1000 available_bytes=100 leftover_bytes=7 "

static void test_root(void **state)
{
	struct cluster c;
	const struct cluster_root *root;

	(void)state;
	cluster_init(&c, 1);
	assert_true(cluster_add_root(&c.nodes[0], "nvme",
				     ROOT "floor_bytes=5 mode=delete note=all = well"));
	root = &c.nodes[0].roots[0];
	assert_string_equal(root->name, "nvme");
	assert_string_equal(root->layout, "huggingface");
	assert_string_equal(root->disk, "8:1");
	assert_int_equal(root->total_bytes, 1000);
	assert_int_equal(root->available_bytes, 100);
	assert_int_equal(root->leftover_bytes, 7);
	assert_true(root->deletes);
	assert_true(root->available);
	assert_string_equal(root->note, "all = well");
	cluster_free(&c);
}

/* What is missing or unknown never means that something may be deleted. */
static void test_root_modes(void **state)
{
	static const struct {
		const char *text;
		bool deletes, available;
	} rows[] = {
		{"mode=delete", true, true},
		{"mode=report", false, true},
		{"mode=unavailable", false, false},
		{"mode=", false, true},
		{"mode=DELETE", false, true},
		{"mode=deleted", false, true},
		{"mode=delet", false, true},
		{"note=mode=delete", false, false},
		{"disk=1", false, false},
		{"", false, false},
		{"future=1 mode=delete later=2", true, true},
		{"xmode=delete", false, false},
		{"amode=1 mod=delete", false, false},
		{"mode=delete note=", true, true},
		{"mode=delete ", true, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cluster c;

		cluster_init(&c, 1);
		assert_true(cluster_add_root(&c.nodes[0], "a", rows[i].text));
		if (c.nodes[0].roots[0].deletes != rows[i].deletes ||
		    c.nodes[0].roots[0].available != rows[i].available)
			fail_msg("\"%s\"", rows[i].text);
		cluster_free(&c);
	}
}

static void test_bad_roots(void **state)
{
	static const char *const texts[] = {
		"x",
		"mode",
		"mode=delete x",
		" ",
		"total_bytes=",
		"total_bytes=x",
		"total_bytes=-1",
		"total_bytes=1.5",
		"total_bytes=1e9",
		"total_bytes=0x10",
		"total_bytes=12345678901234567890",
		"total_bytes=9999999999999999999",
		"total_bytes=9223372036854775808",
		"available_bytes=99999999999999999999999",
		"available_bytes= mode=delete",
		"leftover_bytes=1k",
	};
	static const char *const names[] = {"",	   "A",	 "a b", "0123456789abcdefg",
					    "a/b", "..", "a:b"};
	struct cluster c;

	(void)state;
	cluster_init(&c, 1);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (cluster_add_root(&c.nodes[0], "a", texts[i]))
			fail_msg("\"%s\" was accepted", texts[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_false(cluster_add_root(&c.nodes[0], names[i], ROOT "mode=delete"));
	cluster_free(&c);
}

/* Texts that are too long are cut off, and run over nothing. */
static void test_long_root(void **state)
{
	struct cluster c;
	char text[2000];
	const struct cluster_root *root;

	(void)state;
	cluster_init(&c, 1);
	snprintf(text, sizeof(text), "disk=%0300d layout=%0300d mode=delete note=%0500d", 1, 2, 3);
	assert_true(cluster_add_root(&c.nodes[0], "a", text));
	root = &c.nodes[0].roots[0];
	assert_int_equal(strlen(root->disk), sizeof(root->disk) - 1);
	assert_int_equal(strlen(root->layout), sizeof(root->layout) - 1);
	assert_int_equal(strlen(root->note), sizeof(root->note) - 1);
	assert_true(root->deletes);
	cluster_free(&c);
}

static void test_models_find_roots(void **state)
{
	struct cluster c;

	(void)state;
	cluster_init(&c, 1);
	assert_true(add(&c, "hf:a@1", 1));
	assert_true(add(&c, "hf+nvme:a@1", 2));
	assert_true(add(&c, "hf+other:a@1", 3));
	assert_true(cluster_add_root(&c.nodes[0], "nvme", ROOT "mode=delete"));
	assert_true(cluster_add_root(&c.nodes[0], "default", ROOT "mode=delete"));
	cluster_finish_node(&c.nodes[0]);
	assert_string_equal(c.nodes[0].roots[0].name, "default");
	assert_int_equal(c.nodes[0].models[0].root, 0);
	assert_int_equal(c.nodes[0].models[1].root, 1);
	assert_int_equal(c.nodes[0].models[2].root, -1);
	cluster_free(&c);
}

static void test_strings(void **state)
{
	struct cluster c;
	const char *kept[3000];
	char *large = calloc(1, 200001);

	(void)state;
	assert_non_null(large);
	memset(large, 'x', 200000);
	cluster_init(&c, 0);
	for (int i = 0; i < 3000; i++) {
		char text[64];
		int len = snprintf(text, sizeof(text), "string %d of many and then more", i);

		kept[i] = cluster_string(&c, text, (size_t)len - 5);
	}
	assert_string_equal(cluster_string(&c, large, 200000), large);
	assert_string_equal(cluster_string(&c, "", 0), "");
	for (int i = 0; i < 3000; i++) {
		char text[64];

		snprintf(text, sizeof(text), "string %d of many and then", i);
		assert_string_equal(kept[i], text);
	}
	free(large);
	cluster_free(&c);
}

/* Whatever stands in the hash: an answer, and nothing out of bounds. */
static void test_hostile(void **state)
{
	static const char *const bits[] = {"mode=",  "delete",		 "disk=",    "=",  " ",
					   "note=",  "total_bytes=",	 "99999999", "a",  "\xff",
					   "layout", "available_bytes=", "-",	     "\n", "{}"};
	struct rng rng = rng_start("cluster");

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct cluster c;
		char text[256] = "";
		int parts = (int)rng_below(&rng, 12);
		size_t used = 0;

		for (int j = 0; j < parts; j++)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s",
						 bits[rng_below(&rng, ARRAY_SIZE(bits))]);
		cluster_init(&c, 1);
		if (cluster_add_root(&c.nodes[0], "a", text)) {
			const struct cluster_root *root = &c.nodes[0].roots[0];

			assert_true(root->total_bytes >= 0 && root->available_bytes >= 0);
			if (root->deletes)
				assert_contains(text, "mode=delete");
		}
		cluster_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_models),	   cmocka_unit_test(test_bad_models),
		cmocka_unit_test(test_order),	   cmocka_unit_test(test_root),
		cmocka_unit_test(test_root_modes), cmocka_unit_test(test_bad_roots),
		cmocka_unit_test(test_long_root),  cmocka_unit_test(test_models_find_roots),
		cmocka_unit_test(test_strings),	   cmocka_unit_test(test_hostile),
	};

	return RUN_TESTS(tests);
}
