/* Durations: the whole table of accepted and rejected text, limits, and printing. */
#include "common/duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/kit.h"

struct accepted {
	const char *text;
	int64_t seconds;
	int32_t nanos;
};

static const struct accepted examples[] = {
	{"2h", 7200, 0},
	{"30m", 1800, 0},
	{"45s", 45, 0},
	{"1d", 86400, 0},
	{"2h30m", 9000, 0},
	{"7d", 604800, 0},
	{"1w", 604800, 0},
	{"2w3d", 1468800, 0},
	{"1h 30m", 5400, 0},
	{"1h, 30m", 5400, 0},
	{"2 h 30 m", 9000, 0},
	{"2h\t30m", 9000, 0},
	{"1.5h", 5400, 0},
	{"1,5h", 5400, 0},
	{"1h30.5m", 5430, 0},
	{"0.5m", 30, 0},
	{"0.5ms", 0, 500000},
	{"+2h", 7200, 0},
	{"0s", 0, 0},
	{"-0s", 0, 0},
	{"0s ago", 0, 0},
	{"5 minutes", 300, 0},
	{"5minutes", 300, 0},
	{"1hour30minutes", 5400, 0},
	{"2 hours, 30 minutes", 9000, 0},
	{"1wk2days3hr4min5sec", 788645, 0},
	{"01:30:00", 5400, 0},
	{"1:5:3", 3903, 0},
	{"100:00:00", 360000, 0},
	{"1d 01:30:00", 91800, 0},
	{"2d, 01:00:00", 176400, 0},
	{"02h05m", 7500, 0},
	{"PT2H", 7200, 0},
	{"PT2H30M", 9000, 0},
	{"P7D", 604800, 0},
	{"P1W", 604800, 0},
	{"P2W1D", 1296000, 0},
	{"P1DT2H", 93600, 0},
	{"pt2h", 7200, 0},
	{"p1d", 86400, 0},
	{"PT1.5H", 5400, 0},
	{"PT30,5S", 30, 500000000},
	{"+PT2H", 7200, 0},
	{"PT36H", 129600, 0},
	{"PT0S", 0, 0},
	/* what the text around the table says */
	{"1:99:00", 9540, 0},
	{"1:00:99", 3699, 0},
	{"0:0:1.25", 1, 250000000},
	{"0:0:1,25", 1, 250000000},
	{"1w 00:00:01", 604801, 0},
	{"1w2d00:00:01", 777601, 0},
	{"2h ", 7200, 0},
	{"2h \t ", 7200, 0},
	{"90m", 5400, 0},
	{"60m60s", 3660, 0},
	{"36h", 129600, 0},
	{"1.123456789s", 1, 123456789},
	{"1.000000001h", 3600, 3600},
	{"1h 1.5ms", 3600, 1500000},
	{"2.5us", 0, 2500},
	{"3ns", 0, 3},
	{"0h ago", 0, 0},
	{"0s ago ", 0, 0},
	{"-0:0:0", 0, 0},
	{"P1W2DT3H4M5S", 788645, 0},
	{"p1w2dt3h4m5.5s", 788645, 500000000},
	{"1d2h3m4s5ms6us7ns", 93784, 5006007},
};

static const char *const rejected[] = {
	"",
	"3600",
	"0",
	"h",
	"2H",
	"30M",
	"2D",
	" 2h",
	"- 2h",
	"-2h",
	"2h ago",
	"-PT2H",
	"1h,30m",
	"1h , 30m",
	"2h,",
	"30m1h",
	"1h2h",
	"1d1d",
	"1.5d",
	"1.5w",
	"P1.5D",
	"1y",
	"1mo",
	"P1Y",
	"P1M",
	"P",
	"PT",
	"P1DT",
	"PT-2H",
	"PT2H 30M",
	".5h",
	"5.h",
	"1h.",
	"1e3s",
	"1_000s",
	"0x10s",
	"1h30",
	"1d 01:30",
	"1h 00:30:00",
	"2h and 30m",
	"1.1234567891s",
	"1.5h30m",
	"1.5ns",
	"PT1.5H30M",
	"100\xce\xbcs", /* a Greek mu, not the micro sign */
	"inf",
	"never",
	/* what the text around the table says */
	"1yr",
	"1year",
	"1years",
	"1yrs",
	"1mos",
	"1month",
	"1months",
	"+",
	"-",
	"+-2h",
	"+ 2h",
	"+2h ago",
	"-0s ago",
	"2hago",
	"2h ago now",
	"2h agox",
	"0s ago 1h",
	"2h, ",
	"1h,, 30m",
	"1d,01:00:00",
	"1m 01:00:00",
	"01:30",
	"01:30:",
	"01::00",
	":30:00",
	"01:30:00,",
	"01:30:00 1s",
	"01:30:00h",
	"1.5:00:00",
	"1:1.5:00",
	"PT1H ",
	" PT1H",
	"P T1H",
	"P1H",
	"P1S",
	"PT1D",
	"PT1W",
	"P1D1W",
	"PT1M1H",
	"PT1H1H",
	"P1DT1HT1M",
	"PTT1H",
	"P1",
	"PT1",
	"P1.5W",
	"PT1.5",
	"PT1.H",
	"P-1D",
	"P1Y2M",
	"PT1.1234567891S",
	"P1W2Y",
	"2hh",
	"2h3",
	"h2",
	"2 ",
	"5 foo",
	"5 Hours",
	"\xc2\xb5s",
	"1\xc2s",
	"18446744073709551616s",
	"99999999999999999999999999999999h",
	"NaN",
	"null",
	"1\x01h",
};

static void test_accepts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		const struct accepted *row = &examples[i];
		struct duration d = {-1, -1};
		struct err err = {""};

		if (duration_parse(row->text, &d, &err) != 0)
			fail_msg("\"%s\": %s", row->text, err.text);
		if (d.seconds != row->seconds || d.nanos != row->nanos)
			fail_msg("\"%s\" gave %" PRId64 " s %" PRId32 " ns", row->text, d.seconds,
				 d.nanos);
	}
}

static void test_rejects(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rejected); i++) {
		struct duration d;
		struct err err = {""};

		if (duration_parse(rejected[i], &d, &err) == 0)
			fail_msg("\"%s\" was accepted", rejected[i]);
		assert_contains(err.text, rejected[i]);
		assert_contains(err.text, "allowed is");
		assert_int_equal(duration_parse(rejected[i], &d, NULL), -1);
	}
}

/* Every spelling of every unit, alone and after a larger unit. */
static void test_units(void **state)
{
	static const struct {
		const char *names;
		int64_t nanos;
	} units[] = {
		{"w wk wks week weeks", INT64_C(604800000000000)},
		{"d day days", INT64_C(86400000000000)},
		{"h hr hrs hour hours", INT64_C(3600000000000)},
		{"m min mins minute minutes", INT64_C(60000000000)},
		{"s sec secs second seconds", INT64_C(1000000000)},
		{"ms msec msecs milli millis millisecond milliseconds", 1000000},
		{"us \xc2\xb5s \xc2\xb5sec \xc2\xb5secs usec usecs micro micros microsecond "
		 "microseconds",
		 1000},
		{"ns nsec nsecs nano nanos nanosecond nanoseconds", 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		char names[160];
		char *save = NULL;

		snprintf(names, sizeof(names), "%s", units[i].names);
		for (char *name = strtok_r(names, " ", &save); name != NULL;
		     name = strtok_r(NULL, " ", &save)) {
			char text[64];
			struct duration d;

			snprintf(text, sizeof(text), "3%s", name);
			if (duration_parse(text, &d, NULL) != 0)
				fail_msg("\"%s\" was rejected", text);
			assert_true(d.seconds * 1000000000 + d.nanos == 3 * units[i].nanos);
			snprintf(text, sizeof(text), "0w 3 %s", name);
			assert_int_equal(duration_parse(text, &d, NULL), i == 0 ? -1 : 0);
		}
	}
}

/* The largest count that each unit can hold, and one more. */
static void test_largest(void **state)
{
	static const struct {
		const char *unit;
		int64_t max;
	} rows[] = {
		{"w", 1043497},
		{"d", 7304484},
		{"h", 175307616},
		{"m", INT64_C(10518456960)},
		{"s", INT64_C(631107417600)},
		{"ms", INT64_C(631107417600000)},
		{"us", INT64_C(631107417600000000)},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char text[64];
		struct duration d;

		snprintf(text, sizeof(text), "%" PRId64 "%s", rows[i].max, rows[i].unit);
		if (duration_parse(text, &d, NULL) != 0)
			fail_msg("%s was rejected", text);
		snprintf(text, sizeof(text), "%" PRId64 "%s", rows[i].max + 1, rows[i].unit);
		if (duration_parse(text, &d, NULL) == 0)
			fail_msg("%s was accepted", text);
	}
}

static void test_ms(void **state)
{
	(void)state;
	assert_int_equal(duration_ms((struct duration){0, 0}), 0);
	assert_int_equal(duration_ms((struct duration){0, 1}), 1);
	assert_int_equal(duration_ms((struct duration){0, 999999}), 1);
	assert_int_equal(duration_ms((struct duration){0, 1000000}), 1);
	assert_int_equal(duration_ms((struct duration){0, 1000001}), 2);
	assert_int_equal(duration_ms((struct duration){7200, 0}), 7200000);
	assert_int_equal(duration_ms((struct duration){1, 999999999}), 2000);
	assert_true(duration_ms((struct duration){INT64_MAX, 0}) == INT64_MAX);
	assert_true(duration_ms((struct duration){INT64_MAX / 1000, 999999999}) == INT64_MAX);
	assert_true(duration_ms((struct duration){INT64_MAX / 1000 - 1, 999999999}) > 0);
}

static void test_format(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{INT64_MIN, "0s"},
		{-1, "0s"},
		{0, "0s"},
		{1, "1ms"},
		{250, "250ms"},
		{999, "999ms"},
		{1000, "1s"},
		{60000, "1m"},
		{9000000, "2h30m"},
		{86400000, "1d"},
		{604800000, "7d"},
		{90061001, "1d1h1m1s1ms"},
		{INT64_MAX, "106751991167d7h12m55s807ms"},
	};
	char buf[DURATION_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_string_equal(duration_format(rows[i].ms, buf), rows[i].text);
}

static void test_round_trip(void **state)
{
	struct rng rng = rng_start("duration");
	char buf[DURATION_TEXT_SIZE];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		int64_t most = INT64_C(1) << (1 + rng_below(&rng, 49));
		int64_t ms = (int64_t)rng_below(&rng, (uint64_t)most);
		const char *text = duration_format(ms, buf);
		struct duration d;

		if (duration_parse(text, &d, NULL) != 0 || duration_ms(d) != ms)
			fail_msg("%" PRId64 " ms printed as %s", ms, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),	   cmocka_unit_test(test_rejects),
		cmocka_unit_test(test_units),	   cmocka_unit_test(test_largest),
		cmocka_unit_test(test_ms),	   cmocka_unit_test(test_format),
		cmocka_unit_test(test_round_trip),
	};

	return RUN_TESTS(tests);
}
