/* The names of keys and channels. */
#include "common/keys.h"

#include <string.h>

#include "tests/unit/kit.h"

static void test_node_keys(void **state)
{
	static const char *const names[] = {
		[KEY_STATE] = "larder:{gpu-0}",
		[KEY_LRU] = "larder:{gpu-0}:lru",
		[KEY_LRU_BEFORE] = "larder:{gpu-0}:lru:before",
		[KEY_SIZE_GEN] = "larder:{gpu-0}:size",
		[KEY_STATUS] = "larder:{gpu-0}:state",
		[KEY_HOLD] = "larder:{gpu-0}:hold",
		[KEY_HOLDERS] = "larder:{gpu-0}:holders",
		[KEY_CMD] = "larder:{gpu-0}:cmd",
		[KEY_RECEIPTS] = "larder:{gpu-0}:receipts",
		[KEY_WAKE] = "larder:{gpu-0}:wake",
	};
	char buf[KEY_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(key_node(buf, "larder:", "gpu-0", (enum node_key)i), names[i]);
}

static void test_cluster_keys(void **state)
{
	static const char *const names[] = {
		[KEY_NODES] = "larder:nodes",	    [KEY_PINS] = "larder:pins",
		[KEY_LOG] = "larder:log",	    [KEY_LEADER] = "larder:leader",
		[KEY_EPOCH] = "larder:epoch",	    [KEY_POLICY] = "larder:policy",
		[KEY_PRESSURE] = "larder:pressure", [KEY_DONE] = "larder:done",
		[KEY_CHANGED] = "larder:changed",
	};
	char buf[KEY_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(key_cluster(buf, "larder:", (enum cluster_key)i), names[i]);
}

/* The longest prefix and node still give whole and different names. */
static void test_longest(void **state)
{
	char prefix[KEY_PREFIX_MAX + 1], node[NODE_NAME_MAX + 1];
	char keys[KEY_WAKE + 1][KEY_SIZE];

	(void)state;
	memset(prefix, 'p', KEY_PREFIX_MAX);
	prefix[KEY_PREFIX_MAX] = '\0';
	memset(node, 'n', NODE_NAME_MAX);
	node[NODE_NAME_MAX] = '\0';
	assert_int_equal(key_prefix_valid(prefix, NULL), 0);
	for (int i = KEY_STATE; i <= KEY_WAKE; i++) {
		key_node(keys[i], prefix, node, (enum node_key)i);
		for (int j = KEY_STATE; j < i; j++)
			assert_string_not_equal(keys[i], keys[j]);
	}
	assert_contains(keys[KEY_LRU_BEFORE], ":lru:before");
	assert_contains(keys[KEY_RECEIPTS], ":receipts");
}

static void test_prefix(void **state)
{
	static const char *const valid[] = {"larder:", "a", "A.b_c-d:0", ":"};
	static const char *const invalid[] = {
		"",    "a b",	   "a{b}", "a*",
		"a/b", "\xc3\xa9", "a\n",  "012345678901234567890123456789012"};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(valid); i++)
		assert_int_equal(key_prefix_valid(valid[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(invalid); i++) {
		assert_int_equal(key_prefix_valid(invalid[i], &err), -1);
		assert_contains(err.text, "1 to 32");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node_keys),
		cmocka_unit_test(test_cluster_keys),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_prefix),
	};

	return RUN_TESTS(tests);
}
