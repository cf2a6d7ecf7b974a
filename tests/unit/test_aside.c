/* Names of what was moved aside: read back exactly, and nothing else is taken for one. */
#include "agent/aside.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/kit.h"

#define TXN "0123456789abcdef"

static void test_names(void **state)
{
	char buf[ASIDE_NAME_SIZE];

	(void)state;
	assert_int_equal(aside_name(buf, ASIDE_WHOLE, TXN, "llama"), 0);
	assert_string_equal(buf, ".larder-trash-" TXN ".llama");
	assert_int_equal(aside_name(buf, ASIDE_REF, TXN, "pr/1%"), 0);
	assert_string_equal(buf, ".larder-ref-" TXN ".pr%2F1%25");
	assert_int_equal(aside_name(buf, ASIDE_DONE, TXN, NULL), 0);
	assert_string_equal(buf, ".larder-done-" TXN);
}

static void test_others(void **state)
{
	static const char *const names[] = {
		"",
		".",
		"..",
		".larder-",
		".larder-trash-",
		".larder-trash-" TXN,
		".larder-trash-" TXN ".",
		".larder-trash-" TXN "..",
		".larder-trash-" TXN "...",
		".larder-trash-" TXN ".a%2Fb",
		".larder-trash-" TXN ".a/b",
		".larder-trash-" TXN "0.a",
		".larder-trash-0123456789abcde.a",
		".larder-trash-0123456789ABCDEF.a",
		".larder-trash-" TXN "a",
		".larder-trash-" TXN ".a%",
		".larder-trash-" TXN ".a%2",
		".larder-trash-" TXN ".a%2f",
		".larder-trash-" TXN ".a%41",
		".larder-ref-" TXN ".",
		".larder-ref-" TXN "..",
		".larder-ref-" TXN ".%2Fa",
		".larder-ref-" TXN ".a%2F",
		".larder-ref-" TXN ".a%2F%2Fb",
		".larder-ref-" TXN ".a%2F..%2Fb",
		".larder-ref-" TXN "...%2Fa",
		".larder-ref-" TXN ".a%2F.",
		".larder-done-" TXN ".",
		".larder-done-" TXN ".a",
		".larder-done-0123456789abcde",
		".larder-selftest",
		"larder-done-" TXN,
		"x.larder-done-" TXN,
		".Larder-done-" TXN,
	};
	struct aside out;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (aside_parse(names[i], &out))
			fail_msg("%s was taken for \"%s\"", names[i], out.rest);
	}
}

static void test_too_long(void **state)
{
	char rest[400], buf[ASIDE_NAME_SIZE];
	struct aside out;

	(void)state;
	memset(rest, 'a', sizeof(rest));
	for (size_t len = 1; len < sizeof(rest); len++) {
		rest[len] = '\0';
		if (aside_name(buf, ASIDE_WHOLE, TXN, rest) == 0) {
			assert_in_range(strlen(buf), 1, 255);
			assert_true(aside_parse(buf, &out));
			assert_string_equal(out.rest, rest);
		} else {
			/* More than a directory can hold, or nearly. */
			assert_in_range(len, 255 - 31 - 4, sizeof(rest));
		}
		rest[len] = 'a';
	}
	memset(rest, '/', sizeof(rest));
	rest[100] = '\0';
	assert_int_equal(aside_name(buf, ASIDE_REF, TXN, rest), -1);
	memset(rest, 'a', sizeof(rest));
	memcpy(rest, ".larder-trash-" TXN ".", 31);
	rest[399] = '\0';
	assert_false(aside_parse(rest, &out));
}

static void test_round_trip(void **state)
{
	static const char bytes[] = "ab./%-_ 2F5\xc3\xa9\n";
	struct rng rng = rng_start("aside");
	int read = 0;

	(void)state;
	for (int i = 0; i < 50000; i++) {
		char rest[24], buf[ASIDE_NAME_SIZE];
		size_t len = 1 + rng_below(&rng, sizeof(rest) - 1);
		enum aside_kind kind = (enum aside_kind)rng_below(&rng, 2);
		struct aside out;

		for (size_t j = 0; j < len; j++)
			rest[j] = bytes[rng_below(&rng, sizeof(bytes) - 1)];
		rest[len - 1] = '\0';
		assert_int_equal(aside_name(buf, kind, TXN, rest), 0);
		assert_null(strchr(buf, '/'));
		if (!aside_parse(buf, &out))
			continue;
		read++;
		assert_int_equal(out.kind, kind);
		assert_string_equal(out.txn, TXN);
		assert_string_equal(out.rest, rest);
	}
	assert_true(read > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_round_trip),
	};

	return RUN_TESTS(tests);
}
