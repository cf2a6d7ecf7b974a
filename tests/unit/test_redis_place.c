/* Where a server listens, as Sentinels tell it. Urls have their own test. */
#include "common/redis_place.h"

#include <string.h>

#include "tests/unit/kit.h"

static void test_set(void **state)
{
	struct redis_place place;
	struct err err = {""};
	char host[300];

	(void)state;
	assert_int_equal(redis_place_set("10.0.0.7", "6380", &place, &err), 0);
	assert_true(redis_place_same(&place, &(struct redis_place){"10.0.0.7", 6380}));
	assert_int_equal(redis_place_set("fe80::1", "1", &place, &err), 0);
	assert_string_equal(place.host, "fe80::1");
	assert_int_equal(redis_place_set("", "6380", &place, &err), -1);
	assert_int_equal(redis_place_set("h", "", &place, &err), -1);
	assert_int_equal(redis_place_set("h", "0", &place, &err), -1);
	assert_int_equal(redis_place_set("h", "65536", &place, &err), -1);
	assert_int_equal(redis_place_set("h", "1 ", &place, &err), -1);
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	assert_int_equal(redis_place_set(host, "1", &place, &err), -1);
}

static void test_same(void **state)
{
	struct redis_place a = {"h", 1}, b = {"h", 2}, c = {"g", 1};

	(void)state;
	assert_true(redis_place_same(&a, &a));
	assert_false(redis_place_same(&a, &b));
	assert_false(redis_place_same(&a, &c));
}

static void test_switched(void **state)
{
	static const char *const others[] = {
		"",
		"m",
		"m h 1",
		"m h 1 g",
		"m h 1 g x",
		"m h 1 g 0",
		"m h 1 g 2 more",
		"n h 1 g 2",
		"mm h 1 g 2",
		"m h 1 g 123456789",
	};
	struct redis_place place = {"x", 9};

	(void)state;
	assert_true(redis_place_switched("m 10.0.0.7 6379 10.0.0.8 6380", "m", &place));
	assert_true(redis_place_same(&place, &(struct redis_place){"10.0.0.8", 6380}));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (redis_place_switched(others[i], "m", &place))
			fail_msg("\"%s\" was taken", others[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_switched),
	};

	return RUN_TESTS(tests);
}
