/* Pins: a value that cannot be read still keeps the models. */
#include "common/pins.h"

#include <stdlib.h>

#include "tests/unit/kit.h"

#define NOW INT64_C(1700000000000)

static void test_good(void **state)
{
	struct pins pins = {0};
	const struct pin *pin;

	(void)state;
	assert_int_equal(pins_add(&pins, "hf:org/*",
				  "{\"until_ms\":0,\"by\":\"ann\",\"why\":\"demo\"}", NULL),
			 0);
	assert_int_equal(pins_add(&pins, "dir:tmp@-", "{\"until_ms\":1700000000001}", NULL), 0);
	pin = pins_match(&pins, "hf:org/a@1", NOW);
	assert_non_null(pin);
	assert_string_equal(pin->glob, "hf:org/*");
	assert_string_equal(pin->by, "ann");
	assert_string_equal(pin->why, "demo");
	assert_null(pins_match(&pins, "hf:other/a@1", NOW));
	pin = pins_match(&pins, "dir:tmp@-", NOW);
	assert_non_null(pin);
	assert_string_equal(pin->by, "");
	pins_free(&pins);
	assert_null(pins_match(&pins, "hf:org/a@1", NOW));
}

/* The end is the first millisecond that is not pinned any more. */
static void test_end(void **state)
{
	struct pins pins = {0};

	(void)state;
	assert_int_equal(pins_add(&pins, "*", "{\"until_ms\":1700000000000}", NULL), 0);
	assert_non_null(pins_match(&pins, "a", NOW - 1));
	assert_null(pins_match(&pins, "a", NOW));
	assert_null(pins_match(&pins, "a", NOW + 1));
	pins_free(&pins);
}

/* A pin that has ended does not hide one that holds. */
static void test_several(void **state)
{
	struct pins pins = {0};

	(void)state;
	assert_int_equal(pins_add(&pins, "*", "{\"until_ms\":1}", NULL), 0);
	assert_int_equal(pins_add(&pins, "hf:*", "{\"until_ms\":0}", NULL), 0);
	assert_string_equal(pins_match(&pins, "hf:a@1", NOW)->glob, "hf:*");
	assert_null(pins_match(&pins, "dir:a@1", NOW));
	pins_free(&pins);
}

static void test_unreadable(void **state)
{
	static const char *const values[] = {
		"",
		"yes",
		"{",
		"{}",
		"[]",
		"null",
		"1700000000000",
		"{\"until_ms\":null}",
		"{\"until_ms\":\"1\"}",
		"{\"until_ms\":-1}",
		"{\"until_ms\":1.5}",
		"{\"until_ms\":1e3}",
		"{\"until_ms\":9223372036854775808}",
		"{\"until_ms\":1,\"until_ms\":1}",
		"{\"UNTIL_MS\":1}",
		"{\"until_ms\":1}x",
		"\xff\xfe",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		struct pins pins = {0};
		struct err err = {""};

		assert_int_equal(pins_add(&pins, "hf:*", values[i], &err), -1);
		if (pins_match(&pins, "hf:a@1", NOW) == NULL)
			fail_msg("%s does not pin", values[i]);
		assert_non_null(pins_match(&pins, "hf:a@1", INT64_MAX));
		assert_contains(err.text, "for ever");
		pins_free(&pins);
	}
}

static void test_no_glob(void **state)
{
	static const char *const globs[] = {"", " ", "a b", "{x}", "[x]", "\n"};
	struct pins pins = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(globs); i++)
		assert_int_equal(pins_add(&pins, globs[i], "{\"until_ms\":0}", NULL), -1);
	assert_int_equal(pins.count, 0);
	assert_null(pins_match(&pins, "x", NOW));
	pins_free(&pins);
}

static void test_many(void **state)
{
	struct pins pins = {0};
	char glob[16] = "hf:x";

	(void)state;
	for (int i = 0; i < 1000; i++) {
		glob[3] = (char)('a' + i % 26);
		assert_int_equal(pins_add(&pins, glob, "{\"until_ms\":0}", NULL), 0);
	}
	assert_int_equal(pins.count, 1000);
	assert_non_null(pins_match(&pins, "hf:z", NOW));
	assert_null(pins_match(&pins, "hf:zz", NOW));
	pins_free(&pins);
}

#define DAY INT64_C(86400000)
/* The machine's clock, another one than Redis'. */
#define WALL (NOW - 5000)

/* A pin that was made at NOW for two days: whether it holds on other clocks. */
static void test_settled(void **state)
{
	static const char made[] = "{\"until_ms\":1700172800000,\"ttl_ms\":172800000,"
				   "\"made_wall_ms\":1699999995000}";
	const struct {
		int64_t redis_ms, wall_ms;
		bool holds;
	} rows[] = {
		{NOW, WALL, true},
		{NOW + 2 * DAY - 1, WALL + 2 * DAY - 1, true},
		{NOW + 2 * DAY, WALL + 2 * DAY, false},
		{NOW + 2 * DAY, WALL + 2 * DAY - 30000, false}, /* the clocks run apart a little */
		{NOW + 9 * DAY, WALL + DAY, true},		/* Redis' has jumped */
		{NOW + 9 * DAY, WALL + 2 * DAY - 1, true},
		{NOW + 9 * DAY, WALL + 2 * DAY, false},
		{NOW + DAY, WALL + 9 * DAY, true},  /* this machine's has */
		{NOW + DAY, WALL - 9 * DAY, true},  /* it is wrong, and does not count: */
		{NOW + 9 * DAY, WALL - DAY, false}, /* here neither */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct pins pins = {0};

		assert_int_equal(pins_add(&pins, "*", made, NULL), 0);
		pins_settle(&pins, rows[i].redis_ms, rows[i].wall_ms);
		if ((pins_match(&pins, "a", rows[i].redis_ms) != NULL) != rows[i].holds)
			fail_msg("row %zu", i);
		pins_free(&pins);
	}
}

static void test_members(void **state)
{
	char by[] = "ann \"x\"", why[] = "";
	struct pin pin = {.by = by, .why = why, .made_wall_ms = WALL};
	char *text = pins_members(&pin);

	(void)state;
	assert_string_equal(text, "\"by\":\"ann \\\"x\\\"\",\"why\":\"\"");
	free(text);
	pin.ttl_ms = 2 * DAY;
	text = pins_members(&pin);
	assert_string_equal(text, "\"by\":\"ann \\\"x\\\"\",\"why\":\"\",\"ttl_ms\":172800000,"
				  "\"made_wall_ms\":1699999995000");
	free(text);
}

/* Without a readable time of the machine's, or without an end, nothing is moved. */
static void test_not_settled(void **state)
{
	static const char *const values[] = {
		"{\"until_ms\":1700000000000}",
		"{\"until_ms\":1700000000000,\"ttl_ms\":1000}",
		"{\"until_ms\":1700000000000,\"made_wall_ms\":1700000000000}",
		"{\"until_ms\":1700000000000,\"ttl_ms\":-5,\"made_wall_ms\":1700000000000}",
		"{\"until_ms\":1700000000000,\"ttl_ms\":9223372036854775807}",
		"{\"until_ms\":1,\"ttl_ms\":9223372036854775807,\"made_wall_ms\":1}",
		"{\"until_ms\":1700000000000,\"ttl_ms\":\"x\",\"made_wall_ms\":[]}",
	};
	struct pins pins = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		assert_int_equal(pins_add(&pins, "*", values[i], NULL), 0);
		pins_settle(&pins, NOW, NOW);
		assert_null(pins_match(&pins, "a", NOW));
	}
	assert_int_equal(
		pins_add(&pins, "*", "{\"until_ms\":0,\"ttl_ms\":1,\"made_wall_ms\":1}", NULL), 0);
	pins_settle(&pins, NOW, NOW);
	assert_non_null(pins_match(&pins, "a", INT64_MAX));
	pins_free(&pins);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	    cmocka_unit_test(test_end),
		cmocka_unit_test(test_several),	    cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_no_glob),	    cmocka_unit_test(test_many),
		cmocka_unit_test(test_members),	    cmocka_unit_test(test_settled),
		cmocka_unit_test(test_not_settled),
	};

	return RUN_TESTS(tests);
}
