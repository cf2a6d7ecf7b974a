/* Prometheus' text format: escaping, families, numbers. */
#include "common/metrics.h"

#include <string.h>

#include "tests/unit/kit.h"

static void test_text(void **state)
{
	struct metrics *m = metrics_new();

	(void)state;
	assert_string_equal(metrics_text(m), "");
	metrics_family(m, "larder_a", METRICS_GAUGE, "What it is.");
	metrics_int(m, -5, NULL);
	metrics_int(m, INT64_MAX, METRICS_LABEL("x", "a\"b\\c\nd"));
	metrics_family(m, "larder_b_total", METRICS_COUNTER, "Counts.");
	metrics_int(m, 0, (const struct metrics_label[]){{"x", ""}, {"y", "2"}, {0}});
	assert_string_equal(metrics_text(m), "# HELP larder_a What it is.\n"
					     "# TYPE larder_a gauge\n"
					     "larder_a -5\n"
					     "larder_a{x=\"a\\\"b\\\\c\\nd\"} 9223372036854775807\n"
					     "# HELP larder_b_total Counts.\n"
					     "# TYPE larder_b_total counter\n"
					     "larder_b_total{x=\"\",y=\"2\"} 0\n");
	metrics_free(m);
}

static void test_seconds(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{0, "0.000"},	{1, "0.001"},	   {1500, "1.500"},
		{-1, "-0.001"}, {-1500, "-1.500"}, {86400000, "86400.000"},
		{999, "0.999"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct metrics *m = metrics_new();
		const char *value;

		metrics_family(m, "larder_age_seconds", METRICS_GAUGE, "Age.");
		metrics_seconds(m, rows[i].ms, NULL);
		value = strstr(metrics_text(m), "gauge\nlarder_age_seconds ");
		assert_non_null(value);
		value += strlen("gauge\nlarder_age_seconds ");
		assert_true(strncmp(value, rows[i].text, strlen(rows[i].text)) == 0);
		assert_string_equal(value + strlen(rows[i].text), "\n");
		metrics_free(m);
	}
}

/* More than fits into the first room. */
static void test_grows(void **state)
{
	struct metrics *m = metrics_new();
	char value[3000];

	(void)state;
	memset(value, '"', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	metrics_family(m, "larder_a", METRICS_GAUGE, "What it is.");
	for (int i = 0; i < 20; i++)
		metrics_int(m, i, METRICS_LABEL("x", value));
	assert_true(strlen(metrics_text(m)) > 20 * 2 * (sizeof(value) - 1));
	metrics_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_seconds),
		cmocka_unit_test(test_grows),
	};

	return RUN_TESTS(tests);
}
