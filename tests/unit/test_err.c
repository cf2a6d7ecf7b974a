/* Error sentences. */
#include "common/err.h"

#include <string.h>

#include "tests/unit/kit.h"

static void test_set(void **state)
{
	struct err err;

	(void)state;
	assert_int_equal(err_set(&err, "found %d; allowed is %s", 7, "8"), -1);
	assert_string_equal(err.text, "found 7; allowed is 8");
	assert_int_equal(err_set(NULL, "%s", "nobody listens"), -1);
}

static void test_prefix(void **state)
{
	struct err err;

	(void)state;
	err_set(&err, "is missing");
	assert_int_equal(err_prefix(&err, "file %s", "x"), -1);
	assert_string_equal(err.text, "file x: is missing");
	assert_int_equal(err_prefix(&err, "again"), -1);
	assert_string_equal(err.text, "again: file x: is missing");
	assert_int_equal(err_prefix(NULL, "nobody listens"), -1);
}

/* What is too long is cut off, and stays a string. */
static void test_long(void **state)
{
	char lengthy[2 * sizeof(((struct err *)0)->text)];
	struct err err;

	(void)state;
	memset(lengthy, 'x', sizeof(lengthy));
	lengthy[sizeof(lengthy) - 1] = '\0';
	err_set(&err, "%s", lengthy);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	err_prefix(&err, "front");
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_int_equal(strncmp(err.text, "front: xxx", 10), 0);
	err_prefix(&err, "%s", lengthy);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_contains(err.text, "x: front");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_long),
	};

	return RUN_TESTS(tests);
}
