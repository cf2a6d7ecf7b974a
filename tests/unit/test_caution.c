/* When the coordinator observes only. */
#include "coordinator/caution.h"

#include "tests/unit/kit.h"

#define HOLD_OFF 30000

static struct mono at(int64_t ms)
{
	return (struct mono){ms};
}

static bool may(const struct caution *caution, int64_t ms)
{
	return caution_may_act(caution, at(ms), NULL);
}

static void test_start(void **state)
{
	struct caution c;
	const char *why = NULL;

	(void)state;
	caution_start(&c, HOLD_OFF, at(1000));
	assert_false(caution_may_act(&c, at(1000), &why));
	assert_contains(why, "started");
	assert_false(may(&c, 1000 + HOLD_OFF - 1));
	assert_true(caution_may_act(&c, at(1000 + HOLD_OFF), &why));
	assert_null(why);
}

static void test_no_hold_off(void **state)
{
	struct caution c;

	(void)state;
	caution_start(&c, 0, at(1000));
	assert_true(may(&c, 1000));
}

static void test_event(void **state)
{
	struct caution c;
	const char *why = NULL;

	(void)state;
	caution_start(&c, HOLD_OFF, at(0));
	assert_true(may(&c, 100000));
	caution_event(&c, "Redis came back", at(100000));
	assert_false(caution_may_act(&c, at(100000 + HOLD_OFF - 1), &why));
	assert_string_equal(why, "Redis came back");
	/* A second event begins anew. */
	caution_event(&c, "again", at(100000 + HOLD_OFF - 1));
	assert_false(caution_may_act(&c, at(100000 + HOLD_OFF), &why));
	assert_string_equal(why, "again");
	assert_true(may(&c, 100000 + 2 * HOLD_OFF - 1));
}

/* Redis' clock against ours: a minute of drift is let pass, more is a jump. */
static void test_clock(void **state)
{
	static const struct {
		int64_t passed_ms, theirs_ms;
		bool jump;
	} rows[] = {
		{5000, 5000, false},	   {5000, 65000, false},    {5000, 65001, true},
		{5000, -55000, false},	   {5000, -55001, true},    {0, 0, false},
		{3600000, 3600000, false}, {3600000, 0, true},	    {0, 3600000, true},
		{5000, 86400000, true},	   {5000, -86400000, true},
	};
	const int64_t redis = INT64_C(1700000000000);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct caution c;
		int64_t now = 100000 + rows[i].passed_ms;

		caution_start(&c, HOLD_OFF, at(0));
		caution_clock(&c, redis, at(100000));
		assert_true(may(&c, 100000));
		caution_clock(&c, redis + rows[i].theirs_ms, at(now));
		if (may(&c, now) == rows[i].jump)
			fail_msg("row %zu", i);
	}
}

/* After a jump the new time is what the next one is compared with. */
static void test_clock_goes_on(void **state)
{
	struct caution c;
	const char *why;

	(void)state;
	caution_start(&c, HOLD_OFF, at(0));
	caution_clock(&c, INT64_C(1700000000000), at(100000));
	assert_false(caution_jumped_within(&c, INT64_MAX, at(100000)));
	caution_clock(&c, INT64_C(1600000000000), at(101000));
	assert_false(caution_may_act(&c, at(101000), &why));
	assert_contains(why, "clock");
	caution_clock(&c, INT64_C(1600000001000), at(102000));
	assert_true(may(&c, 101000 + HOLD_OFF));
	assert_true(caution_jumped_within(&c, 5000, at(105999)));
	assert_false(caution_jumped_within(&c, 5000, at(106000)));
}

static void test_frozen(void **state)
{
	struct caution c;
	const char *why;

	(void)state;
	caution_start(&c, HOLD_OFF, at(0));
	for (int64_t now = 0; now <= 100000; now += 10000)
		caution_alive(&c, at(now));
	assert_true(may(&c, 100000));
	caution_alive(&c, at(110001));
	assert_false(caution_may_act(&c, at(110001), &why));
	assert_contains(why, "frozen");
	caution_alive(&c, at(110002));
	assert_true(may(&c, 110001 + HOLD_OFF));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),	      cmocka_unit_test(test_no_hold_off),
		cmocka_unit_test(test_event),	      cmocka_unit_test(test_clock),
		cmocka_unit_test(test_clock_goes_on), cmocka_unit_test(test_frozen),
	};

	return RUN_TESTS(tests);
}
