/* Commands from issue to end, and how long what failed is left alone. */
#include "coordinator/ledger.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/kit.h"

#define RETRY INT64_C(3600000)
#define TTL   INT64_C(600000)

static struct mono at(int64_t ms)
{
	return (struct mono){ms};
}

static void issue(struct ledger *ledger, const char *node, const char *model, const char *id,
		  int64_t now)
{
	struct ledger_entry entry = {
		.node = node,
		.model = model,
		.cycle = 7,
		.reason = REASON_DISK_SPACE,
		.deadline = at(now + TTL),
	};

	snprintf(entry.id, sizeof(entry.id), "%s", id);
	ledger_issued(ledger, &entry);
}

static bool receipt(struct ledger *ledger, const char *node, const char *model, const char *id,
		    bool success, int64_t now)
{
	struct ledger_entry ended;

	return ledger_receipt(ledger, node, model, id, success, at(now), &ended);
}

static bool is_open(const struct ledger *ledger, const char *node, const char *model)
{
	return ledger_state(ledger, node, model, at(0)) == LEDGER_OPEN;
}

static bool is_deferred(const struct ledger *ledger, const char *node, const char *model,
			struct mono now)
{
	return ledger_state(ledger, node, model, now) == LEDGER_DEFERRED;
}

static void test_success(void **state)
{
	struct ledger *ledger = ledger_new();
	struct ledger_entry ended = {0};

	(void)state;
	assert_false(is_open(ledger, "n1", "m1"));
	issue(ledger, "n1", "m1", "id1", 1000);
	assert_true(is_open(ledger, "n1", "m1"));
	assert_false(is_open(ledger, "n2", "m1"));
	assert_false(is_open(ledger, "n1", "m2"));
	assert_int_equal(ledger_count(ledger), 1);
	assert_int_equal(ledger_count_cycle(ledger, 7), 1);
	assert_int_equal(ledger_count_cycle(ledger, 8), 0);
	assert_true(ledger_receipt(ledger, "n1", "m1", "id1", true, at(2000), &ended));
	assert_string_equal(ended.node, "n1");
	assert_string_equal(ended.model, "m1");
	assert_string_equal(ended.id, "id1");
	assert_int_equal(ended.cycle, 7);
	assert_int_equal(ended.reason, REASON_DISK_SPACE);
	assert_false(is_open(ledger, "n1", "m1"));
	assert_false(is_deferred(ledger, "n1", "m1", at(2000)));
	assert_int_equal(ledger_count(ledger), 0);
	assert_int_equal(ledger_count_cycle(ledger, 7), 0);
	ledger_free(ledger);
}

/* Receipts of other commands, told again, or of nobody, end nothing. */
static void test_stray_receipts(void **state)
{
	struct ledger *ledger = ledger_new();

	(void)state;
	assert_false(receipt(ledger, "n1", "m1", "id1", true, 0));
	issue(ledger, "n1", "m1", "id1", 0);
	assert_false(receipt(ledger, "n1", "m1", "id0", true, 0));
	assert_false(receipt(ledger, "n2", "m1", "id1", true, 0));
	assert_false(receipt(ledger, "n1", "m2", "id1", true, 0));
	assert_true(is_open(ledger, "n1", "m1"));
	assert_true(receipt(ledger, "n1", "m1", "id1", false, 0));
	assert_false(receipt(ledger, "n1", "m1", "id1", false, 0));
	assert_false(receipt(ledger, "n1", "m1", "id1", true, 0));
	ledger_free(ledger);
}

/* A command that is issued again replaces the one before. */
static void test_issued_again(void **state)
{
	struct ledger *ledger = ledger_new();

	(void)state;
	issue(ledger, "n1", "m1", "id1", 0);
	issue(ledger, "n1", "m1", "id2", 10);
	assert_int_equal(ledger_count(ledger), 1);
	assert_false(receipt(ledger, "n1", "m1", "id1", true, 20));
	assert_true(receipt(ledger, "n1", "m1", "id2", true, 20));
	ledger_free(ledger);
}

/* Fails once more; returns the pause that follows. */
static int64_t fail_once(struct ledger *ledger, int64_t now)
{
	int64_t low = 0, high = 1000 * RETRY;

	issue(ledger, "n1", "m1", "id", now);
	assert_false(is_deferred(ledger, "n1", "m1", at(now)));
	assert_true(receipt(ledger, "n1", "m1", "id", false, now));
	while (low < high) {
		int64_t middle = low + (high - low) / 2;

		if (is_deferred(ledger, "n1", "m1", at(now + middle)))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void test_back_off(void **state)
{
	struct ledger *ledger = ledger_new();
	int64_t now = 1000;

	(void)state;
	ledger_set_retry(ledger, RETRY);
	/* The first failure is tried again at once. */
	assert_int_equal(fail_once(ledger, now), 0);
	for (int64_t factor = 1; factor <= 16; factor *= 2) {
		now += 1000;
		assert_int_equal(fail_once(ledger, now), factor * RETRY);
	}
	/* A day is the most. */
	assert_int_equal(fail_once(ledger, now), 24 * RETRY);
	assert_int_equal(fail_once(ledger, now), 24 * RETRY);
	/* Success forgets. */
	issue(ledger, "n1", "m1", "id", now);
	assert_true(receipt(ledger, "n1", "m1", "id", true, now));
	assert_int_equal(fail_once(ledger, now), 0);
	ledger_free(ledger);
}

static void test_longest_pause(void **state)
{
	struct ledger *ledger = ledger_new();

	(void)state;
	ledger_set_retry(ledger, 100 * RETRY);
	assert_int_equal(fail_once(ledger, 0), 0);
	assert_int_equal(fail_once(ledger, 0), 24 * RETRY);
	for (int i = 0; i < 200; i++)
		assert_int_equal(fail_once(ledger, 0), 24 * RETRY);
	ledger_free(ledger);
}

struct seen {
	char text[64];
};

static void see(const char *name, void *arg)
{
	struct seen *seen = arg;
	size_t used = strlen(seen->text);

	snprintf(seen->text + used, sizeof(seen->text) - used, "%s ", name);
}

static void see_ended(const struct ledger_entry *entry, void *arg)
{
	see(entry->node, arg);
	see(entry->id, arg);
}

/* What ends: "node id " of each. */
static const char *overdue(struct ledger *ledger, int64_t now)
{
	static struct seen seen;

	seen.text[0] = '\0';
	ledger_overdue(ledger, at(now), see_ended, &seen);
	return seen.text;
}

static void test_overdue(void **state)
{
	struct ledger *ledger = ledger_new();

	(void)state;
	issue(ledger, "n1", "m1", "id1", 0);
	issue(ledger, "n2", "m1", "id2", 10);
	assert_string_equal(overdue(ledger, TTL - 1), "");
	assert_string_equal(overdue(ledger, TTL), "n1 id1 ");
	assert_string_equal(overdue(ledger, TTL), "");
	assert_int_equal(ledger_count(ledger), 1);
	assert_int_equal(ledger_count_cycle(ledger, 7), 1);
	assert_string_equal(overdue(ledger, TTL + 10), "n2 id2 ");
	assert_string_equal(overdue(ledger, TTL + 10), "");
	assert_int_equal(ledger_count_cycle(ledger, 7), 0);
	/* It counts as a failure, the first one. */
	assert_false(is_deferred(ledger, "n1", "m1", at(TTL)));
	issue(ledger, "n1", "m1", "id3", TTL);
	issue(ledger, "n2", "m1", "id4", TTL);
	assert_string_equal(overdue(ledger, 3 * TTL), "n1 id3 n2 id4 ");
	assert_true(is_deferred(ledger, "n1", "m1", at(3 * TTL)));
	ledger_free(ledger);
}

/* Two days without a try, and a failure is forgotten. */
static void test_forgets(void **state)
{
	struct ledger *ledger = ledger_new();

	(void)state;
	fail_once(ledger, 0);
	assert_true(fail_once(ledger, 0) > 0);
	assert_string_equal(overdue(ledger, 48 * RETRY), "");
	assert_true(fail_once(ledger, 48 * RETRY) > 0);
	assert_string_equal(overdue(ledger, 96 * RETRY + 1), "");
	assert_int_equal(fail_once(ledger, 96 * RETRY + 1), 0);
	ledger_free(ledger);
}

/* Of each cycle so many are open, also when a later one takes a command over. */
static void test_cycles(void **state)
{
	struct ledger *ledger = ledger_new();
	struct ledger_entry entry = {.node = "n1", .model = "m1", .id = "id9", .cycle = 9};

	(void)state;
	issue(ledger, "n1", "m1", "id1", 0);
	issue(ledger, "n1", "m2", "id2", 0);
	assert_int_equal(ledger_count_cycle(ledger, 7), 2);
	ledger_issued(ledger, &entry);
	assert_int_equal(ledger_count_cycle(ledger, 7), 1);
	assert_int_equal(ledger_count_cycle(ledger, 9), 1);
	assert_int_equal(ledger_count(ledger), 2);
	ledger_clear(ledger);
	assert_int_equal(ledger_count_cycle(ledger, 7), 0);
	assert_int_equal(ledger_count_cycle(ledger, 9), 0);
	ledger_free(ledger);
}

static void test_clear(void **state)
{
	struct ledger *ledger = ledger_new();

	(void)state;
	fail_once(ledger, 0);
	fail_once(ledger, 0);
	issue(ledger, "n2", "m2", "id", 0);
	issue(ledger, "n3", "m3", "id", 0);
	ledger_clear(ledger);
	assert_int_equal(ledger_count(ledger), 0);
	assert_false(is_open(ledger, "n2", "m2"));
	/* What is known of failures stays. */
	assert_true(is_deferred(ledger, "n1", "m1", at(1)));
	ledger_clear(ledger);
	ledger_free(ledger);
	ledger_free(NULL);
}

/* Each node once, in whatever order its commands were issued. */
static void test_each_node(void **state)
{
	struct ledger *ledger = ledger_new();
	struct seen seen = {""};

	(void)state;
	issue(ledger, "n1", "m1", "a", 0);
	issue(ledger, "n1", "m2", "b", 0);
	issue(ledger, "n2", "m1", "c", 0);
	issue(ledger, "n3", "m1", "d", 0);
	assert_true(receipt(ledger, "n3", "m1", "d", true, 0));
	ledger_each_node(ledger, see, &seen);
	assert_string_equal(seen.text, "n1 n2 ");
	issue(ledger, "n1", "m3", "e", 0);
	seen.text[0] = '\0';
	ledger_each_node(ledger, see, &seen);
	assert_string_equal(seen.text, "n1 n2 ");
	ledger_free(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success),	      cmocka_unit_test(test_stray_receipts),
		cmocka_unit_test(test_issued_again),  cmocka_unit_test(test_back_off),
		cmocka_unit_test(test_longest_pause), cmocka_unit_test(test_overdue),
		cmocka_unit_test(test_forgets),	      cmocka_unit_test(test_clear),
		cmocka_unit_test(test_each_node),     cmocka_unit_test(test_cycles),
	};

	return RUN_TESTS(tests);
}
