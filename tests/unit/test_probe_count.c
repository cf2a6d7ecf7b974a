/* What counters prove. */
#include "agent/probe_count.h"

#include "tests/unit/kit.h"

#define WALL  INT64_C(1795500000000)
#define START 1795499000.0 /* 1000 s before */
#define NOW   INT64_C(5000000)

static const struct mono now = {NOW};

static struct engine_view told(double work, double start_s)
{
	return (struct engine_view){.counted = true, .work = work, .process_start_s = start_s};
}

static void test_first_sight(void **state)
{
	static const struct {
		double work, start_s, running;
		bool known;
		int64_t at;
	} cases[] = {
		{0, START, 0, false, 0},
		/* Sometime since its start. */
		{7, START, 0, true, NOW - 1000000},
		/* Nobody knows when. */
		{7, 0, 0, false, 0},
		/* A clock that is wrong. */
		{7, START + 1e6, 0, true, NOW},
		{7, 1e300, 0, false, 0},
		{0, START, 2, true, NOW},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct probe_count count = {0};
		struct engine_view view = told(cases[i].work, cases[i].start_s);

		view.running = cases[i].running;
		probe_count_take(&count, &view, now, WALL);
		assert_int_equal(count.known, cases[i].known);
		assert_int_equal(count.last.ms, cases[i].at);
		assert_int_equal(count.restarts, 0);
	}
}

static void test_later(void **state)
{
	static const struct {
		double work, start_s;
		bool used;
		unsigned restarts;
	} cases[] = {
		{7, START, false, 0},	  {8, START, true, 0},	     {7, START + 1, false, 0},
		{3, START, true, 1},	  {0, START, false, 1},	     {9, START + 60, true, 1},
		{7, START + 60, true, 1}, {0, START + 60, false, 1}, {8, 0, true, 0},
		{3, 0, true, 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct probe_count count = {0};
		struct engine_view first = told(7, START),
				   view = told(cases[i].work, cases[i].start_s);
		struct mono later = {NOW + 15000};

		probe_count_take(&count, &first, now, WALL);
		probe_count_take(&count, &view, later, WALL + 15000);
		assert_int_equal(count.last.ms, cases[i].used ? later.ms : NOW - 1000000);
		assert_int_equal(count.restarts, cases[i].restarts);
		/* Seen from there on. */
		probe_count_take(&count, &view, (struct mono){NOW + 30000}, WALL + 30000);
		assert_int_equal(count.restarts, cases[i].restarts);
		assert_int_equal(count.last.ms, cases[i].used ? later.ms : NOW - 1000000);
	}
}

/* A round without counters forgets nothing. */
static void test_without(void **state)
{
	struct probe_count count = {0};
	struct engine_view view = told(7, START), none = {0};

	(void)state;
	probe_count_take(&count, &view, now, WALL);
	probe_count_take(&count, &none, (struct mono){NOW + 1000}, WALL + 1000);
	assert_int_equal(count.restarts, 0);
	view.work = 8;
	probe_count_take(&count, &view, (struct mono){NOW + 2000}, WALL + 2000);
	assert_int_equal(count.last.ms, NOW + 2000);
}

static void test_last_inference(void **state)
{
	struct probe_count count = {0};
	struct engine_view view = {.last_use_wall_ms = WALL - 60000};

	(void)state;
	probe_count_take(&count, &view, now, WALL);
	assert_int_equal(count.last.ms, NOW - 60000);
	/* The wall clock jumps: never into the future, and never back. */
	probe_count_take(&count, &view, (struct mono){NOW + 1000}, WALL - 3600000);
	assert_int_equal(count.last.ms, NOW + 1000);
	probe_count_take(&count, &view, (struct mono){NOW + 2000}, WALL + 3600000);
	assert_int_equal(count.last.ms, NOW + 1000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_sight),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_without),
		cmocka_unit_test(test_last_inference),
	};

	return RUN_TESTS(tests);
}
