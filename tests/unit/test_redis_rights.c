/* The commands that a program must be allowed, spelled with keys. */
#include "common/redis_rights.h"

#include <string.h>

#include "tests/unit/kit.h"

static void test_texts(void **state)
{
	const struct redis_right rights[] = {
		{"TIME", "", REDIS_RIGHT_NO_KEY, 0},
		{"HSET", "x x", REDIS_RIGHT_OF_NODE, KEY_STATE},
		{"ZCARD", "", REDIS_RIGHT_OF_NODE, KEY_LRU},
		{"GET", "", REDIS_RIGHT_OF_CLUSTER, KEY_POLICY},
		{NULL, NULL, REDIS_RIGHT_NO_KEY, 0},
	};
	char buf[REDIS_RIGHT_SIZE];

	(void)state;
	assert_string_equal(redis_right_text(rights, 0, "l:", "n1", buf), "TIME");
	assert_string_equal(redis_right_text(rights, 1, "l:", "n1", buf), "HSET l:{n1} x x");
	assert_string_equal(redis_right_text(rights, 2, "l:", "n1", buf), "ZCARD l:{n1}:lru");
	assert_string_equal(redis_right_text(rights, 3, "l:", "n1", buf), "GET l:policy");
	assert_null(redis_right_text(rights, 4, "l:", "n1", buf));
}

/* The longest prefix and node fit, and both lists end. */
static void test_longest(void **state)
{
	const struct redis_right *const lists[] = {redis_rights_agent, redis_rights_coordinator};
	char prefix[KEY_PREFIX_MAX + 1], node[NODE_NAME_MAX + 1], buf[REDIS_RIGHT_SIZE];

	(void)state;
	memset(prefix, 'p', KEY_PREFIX_MAX);
	memset(node, 'n', NODE_NAME_MAX);
	prefix[KEY_PREFIX_MAX] = node[NODE_NAME_MAX] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		size_t j = 0;

		while (redis_right_text(lists[i], j, prefix, node, buf) != NULL) {
			assert_true(strlen(buf) < sizeof(buf) - 1);
			j++;
		}
		assert_true(j > 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_longest),
	};

	return RUN_TESTS(tests);
}
