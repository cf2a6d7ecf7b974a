/* The wire format of a delete command. */
#include "common/command.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/kit.h"

#define GOOD "a1b2.7-c 1700000000000 4f2a 1700000600000 1699999999999 time_threshold"

static const char *const accepted[] = {
	GOOD,
	"0 0 0 0 0 time_threshold",
	"x 1 f 1 1 count_limit",
	"x 1 f 1 1 disk_space",
	"x 1 f 1 1 manual",
	"x 1 f 1 1 manual force",
	"0123456789012345678901234567890123456789 1 0123456789abcdef 1 1 manual",
	"x 9223372036854775807 f 9223372036854775807 9007199254740991 manual",
};

static const char *const rejected[] = {
	"",
	" ",
	"x",
	"x 1 f 1 1",
	"x 1 f 1 1 ",
	"x 1 f 1 1 manual ",
	" x 1 f 1 1 manual",
	"x  1 f 1 1 manual",
	"x 1 f 1 1 manual  force",
	"x 1 f 1 1 manual force ",
	"x 1 f 1 1 manual force force",
	"x 1 f 1 1 manual forced",
	"x 1 f 1 1 manual FORCE",
	"x\t1 f 1 1 manual",
	"x 1 f 1 1 manual\n",
	/* id */
	"X 1 f 1 1 manual",
	"x_y 1 f 1 1 manual",
	"x/y 1 f 1 1 manual",
	"01234567890123456789012345678901234567890 1 f 1 1 manual",
	/* last use, deadline, epoch */
	"x  f 1 1 manual",
	"x -1 f 1 1 manual",
	"x +1 f 1 1 manual",
	"x 01 f 1 1 manual",
	"x 1.0 f 1 1 manual",
	"x 1e3 f 1 1 manual",
	"x a f 1 1 manual",
	"x 9223372036854775808 f 1 1 manual",
	"x 99999999999999999999 f 1 1 manual",
	"x 1 f -1 1 manual",
	"x 1 f 9223372036854775808 1 manual",
	"x 1 f 1 -1 manual",
	"x 1 f 1 00 manual",
	"x 1 f 1 9007199254740992 manual",
	"x 1 f 1 9223372036854775807 manual",
	"x 1 f 1 9223372036854775808 manual",
	/* generation */
	"x 1 g 1 1 manual",
	"x 1 F 1 1 manual",
	"x 1 0x1 1 1 manual",
	"x 1 0123456789abcdef0 1 1 manual",
	/* reason */
	"x 1 f 1 1 Manual",
	"x 1 f 1 1 time",
	"x 1 f 1 1 none",
	"x 1 f 1 1 time_threshold force",
	"x 1 f 1 1 count_limit force",
	"x 1 f 1 1 disk_space force",
};

static void test_accepts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		struct command cmd;
		struct err err = {""};
		char again[COMMAND_TEXT_MAX];

		if (command_parse(accepted[i], &cmd, &err) != 0)
			fail_msg("%s: %s", accepted[i], err.text);
		command_format(&cmd, again);
		assert_string_equal(again, accepted[i]);
	}
}

static void test_rejects(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rejected); i++) {
		struct command cmd;
		struct err err = {""};

		if (command_parse(rejected[i], &cmd, &err) == 0)
			fail_msg("\"%s\" was accepted", rejected[i]);
		assert_contains(err.text, "command");
	}
}

static void test_fields(void **state)
{
	struct command cmd;

	(void)state;
	assert_int_equal(command_parse(GOOD, &cmd, NULL), 0);
	assert_string_equal(cmd.id, "a1b2.7-c");
	assert_int_equal(cmd.last_used_ms, INT64_C(1700000000000));
	assert_string_equal(cmd.generation, "4f2a");
	assert_int_equal(cmd.deadline_ms, INT64_C(1700000600000));
	assert_int_equal(cmd.epoch, INT64_C(1699999999999));
	assert_int_equal(cmd.reason, REASON_TIME_THRESHOLD);
	assert_false(cmd.force);
	assert_int_equal(command_parse("x 1 f 2 3 manual force", &cmd, NULL), 0);
	assert_int_equal(cmd.reason, REASON_MANUAL);
	assert_true(cmd.force);
}

/* Every beginning of a command is refused: what was cut off is never executed. */
static void test_truncated(void **state)
{
	char text[COMMAND_TEXT_MAX];
	struct command cmd;

	(void)state;
	for (size_t len = 0; len < strlen(GOOD); len++) {
		snprintf(text, sizeof(text), "%.*s", (int)len, GOOD);
		if (command_parse(text, &cmd, NULL) == 0)
			fail_msg("\"%s\" was accepted", text);
	}
}

static void test_too_long(void **state)
{
	char text[4096];
	struct command cmd;
	struct err err;

	(void)state;
	memset(text, ' ', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(command_parse(text, &cmd, &err), -1);
	memset(text, 'a', sizeof(text) - 1);
	assert_int_equal(command_parse(text, &cmd, &err), -1);
	assert_contains(err.text, "longer than");
}

static void test_reasons(void **state)
{
	static const char *const names[] = {"time_threshold", "count_limit", "disk_space",
					    "manual"};
	enum evict_reason reason;

	(void)state;
	assert_int_equal(REASON_COUNT, ARRAY_SIZE(names));
	for (int i = 0; i < REASON_COUNT; i++) {
		assert_string_equal(command_reason_name((enum evict_reason)i), names[i]);
		assert_int_equal(command_reason_parse(names[i], &reason), 0);
		assert_int_equal(reason, i);
	}
	assert_int_equal(command_reason_parse("", &reason), -1);
	assert_int_equal(command_reason_parse("Manual", &reason), -1);
	assert_int_equal(command_reason_parse("manual ", &reason), -1);
}

/* What is accepted prints as exactly what was read, after any damage. */
static void test_damage(void **state)
{
	struct rng rng = rng_start("command");
	int good = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		char text[COMMAND_TEXT_MAX], again[COMMAND_TEXT_MAX];
		struct command cmd;

		snprintf(text, sizeof(text), "%s", accepted[rng_below(&rng, ARRAY_SIZE(accepted))]);
		text[rng_below(&rng, strlen(text))] = (char)(1 + rng_below(&rng, 255));
		if (command_parse(text, &cmd, NULL) != 0)
			continue;
		good++;
		command_format(&cmd, again);
		assert_string_equal(again, text);
	}
	assert_true(good > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),	 cmocka_unit_test(test_rejects),
		cmocka_unit_test(test_fields),	 cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_too_long), cmocka_unit_test(test_reasons),
		cmocka_unit_test(test_damage),
	};

	return RUN_TESTS(tests);
}
