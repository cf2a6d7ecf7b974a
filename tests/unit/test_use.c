/*
 * When was a model used last? Merging, and the arithmetic of what Redis knows. The property at the
 * end is what the agent's veto rests on.
 */
#include "agent/use.h"

#include <inttypes.h>

#include "tests/unit/kit.h"

#define OFFSET INT64_C(1700000000000) /* of Redis' clock against ours */

static struct mono at(int64_t ms)
{
	return (struct mono){ms};
}

static void test_grows_only(void **state)
{
	struct use use = {0};

	(void)state;
	assert_true(use_note(&use, at(-500), USE_DOWNLOAD)); /* before the machine started */
	assert_true(use.known && use.dirty);
	assert_int_equal(use.last.ms, -500);
	assert_false(use_note(&use, at(-501), USE_API));
	assert_int_equal(use.last.ms, -500);
	assert_int_equal(use.source, USE_DOWNLOAD);
	assert_true(use_note(&use, at(100), USE_ATIME));
	assert_int_equal(use.last.ms, 100);
	assert_int_equal(use.source, USE_ATIME);
	/* later but weaker: the time counts */
	assert_true(use_note(&use, at(1101), USE_DOWNLOAD));
	assert_int_equal(use.last.ms, 1101);
	assert_int_equal(use.source, USE_DOWNLOAD);
}

/* An access time that moves just after the file was opened tells of the same use. */
static void test_same_use_seen_twice(void **state)
{
	struct use use = {0};

	(void)state;
	use_note(&use, at(100), USE_WATCH);
	for (int64_t ms = 101; ms <= 1100; ms += 111) {
		assert_true(use_note(&use, at(ms), USE_ATIME));
		assert_int_equal(use.last.ms, ms);
		assert_int_equal(use.source, USE_WATCH);
	}
	/* However many there are in between: the stronger one is silent for too long now. */
	assert_true(use_note(&use, at(1101), USE_ATIME));
	assert_int_equal(use.source, USE_ATIME);
	assert_true(use_note(&use, at(1102), USE_WATCH));
	assert_int_equal(use.source, USE_WATCH);
}

static void test_strongest_of_equals(void **state)
{
	struct use use = {0};

	(void)state;
	use_note(&use, at(100), USE_ATIME);
	use.dirty = false;
	assert_false(use_note(&use, at(100), USE_API));
	assert_int_equal(use.source, USE_API);
	assert_false(use_note(&use, at(100), USE_ATIME));
	assert_int_equal(use.source, USE_API);
	assert_false(use.dirty);
	assert_true(USE_NONE < USE_DOWNLOAD && USE_DOWNLOAD < USE_ATIME &&
		    USE_ATIME < USE_JOURNAL && USE_JOURNAL < USE_WATCH && USE_WATCH < USE_OPEN &&
		    USE_OPEN < USE_POD && USE_POD < USE_API && USE_API < USE_HOLD &&
		    USE_HOLD < USE_PROBE);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(use_source_name(USE_NONE), "none");
	assert_string_equal(use_source_name(USE_DOWNLOAD), "download");
	assert_string_equal(use_source_name(USE_ATIME), "atime");
	assert_string_equal(use_source_name(USE_JOURNAL), "journal");
	for (int i = USE_DOWNLOAD; i < USE_SOURCES; i++)
		assert_int_equal(use_source_parse(use_source_name((enum use_source)i)), i);
	assert_int_equal(use_source_parse("none"), USE_JOURNAL);
	assert_int_equal(use_source_parse(""), USE_JOURNAL);
	assert_string_equal(use_source_name(USE_OPEN), "open");
	assert_string_equal(use_source_name(USE_API), "api");
}

static void test_told(void **state)
{
	struct use use = {0};
	int64_t age;

	(void)state;
	use_note(&use, at(1000), USE_API);
	assert_true(use_since(&use, INT64_MAX)); /* not told: whatever was seen, it is not this */
	age = use_send(&use, at(1500));
	assert_int_equal(age, 500);
	assert_true(use.in_flight);
	assert_true(use_since(&use, INT64_MAX)); /* not answered yet */
	use_acknowledged(&use, OFFSET + 1520, age, 0);
	assert_false(use.in_flight);
	assert_false(use.dirty);
	assert_int_equal(use.score_ms, OFFSET + 1020);
	assert_false(use_since(&use, OFFSET + 1020));
	assert_false(use_since(&use, OFFSET + 1021));
	assert_true(use_since(&use, OFFSET + 1019));
}

static void test_future_is_now(void **state)
{
	struct use use = {0};

	(void)state;
	use_note(&use, at(2000), USE_API);
	assert_int_equal(use_send(&use, at(1500)), 0);
}

static void test_slack(void **state)
{
	struct use use = {0};
	int64_t age;

	(void)state;
	use_note(&use, at(1000), USE_API);
	age = use_send(&use, at(1000));
	use_acknowledged(&use, OFFSET + 1000, age, 60000);
	/* Redis may have rounded it down by as much: its score counts as seen. */
	assert_int_equal(use.score_ms, OFFSET + 1000 - 60000);
	assert_false(use_since(&use, OFFSET + 1000 - 60000));
	/* A later answer that says less does not lower it. */
	age = use_send(&use, at(2000));
	use_acknowledged(&use, OFFSET + 2000, age, 0);
	assert_int_equal(use.score_ms, OFFSET + 1000);
	age = use_send(&use, at(3000));
	use_acknowledged(&use, OFFSET + 3000 - 500, age, 0);
	assert_int_equal(use.score_ms, OFFSET + 1000);
}

static void test_forgotten(void **state)
{
	struct use use = {0};
	int64_t age;

	(void)state;
	use_note(&use, at(1000), USE_API);
	age = use_send(&use, at(1000));
	use_acknowledged(&use, OFFSET + 1000 + 5000, age, 0); /* it was long on its way */
	use_forgotten(&use);
	assert_true(use_since(&use, INT64_MAX));
	age = use_send(&use, at(9000));
	use_acknowledged(&use, OFFSET + 9000 + 1, age, 1000);
	/* What Redis has now is all that counts. */
	assert_false(use_since(&use, OFFSET + 1001));
	assert_int_equal(use.last.ms, at(1000).ms);
}

static void test_lost(void **state)
{
	struct use use = {0};

	(void)state;
	use_note(&use, at(1000), USE_API);
	use_send(&use, at(1100));
	use_lost(&use);
	assert_false(use.in_flight);
	assert_true(use.dirty);
	assert_int_equal(use.score_ms, 0);
	/* Its answer, should it come after all, says nothing about what was sent since. */
	use_acknowledged(&use, OFFSET + 1200, 100, 0);
	assert_true(use.dirty);
	use_send(&use, at(1200));
	use_acknowledged(&use, OFFSET + 1200, 200, 0);
	assert_false(use.dirty);
}

static void test_used_meanwhile(void **state)
{
	struct use use = {0};

	(void)state;
	use_note(&use, at(1000), USE_API);
	use_send(&use, at(1100));
	use_note(&use, at(1150), USE_API);
	use_acknowledged(&use, OFFSET + 1200, 100, 0);
	assert_true(use.dirty);
	assert_true(use_since(&use, INT64_MAX));
	use_send(&use, at(1300));
	use_acknowledged(&use, OFFSET + 1300, 150, 0);
	assert_false(use_since(&use, OFFSET + 1150));
}

/* Two messages are under way; the answer to the first tells nothing about the second. */
static void test_two_under_way(void **state)
{
	struct use use = {0};

	(void)state;
	use_note(&use, at(1000), USE_API);
	use_send(&use, at(1100));
	use_note(&use, at(1150), USE_API);
	use_send(&use, at(1160));
	use_acknowledged(&use, OFFSET + 1200, 100, 0);
	assert_true(use_since(&use, OFFSET + 1100)); /* Redis has not said yes to 1150 */
	use_lost(&use);
	assert_true(use.dirty);
	use_send(&use, at(1300));
	use_acknowledged(&use, OFFSET + 1300, 150, 0);
	assert_false(use.dirty);
}

/* ---- the property ---- */

/* A small world: an agent, Redis that keeps the largest score, messages that arrive or do not. */
struct world {
	struct rng rng;
	struct use use;
	int64_t now;
	int64_t used;		/* the last use that there was, on Redis' clock */
	int64_t score;		/* what Redis holds; -1: nothing */
	int64_t told;		/* the last use that Redis was told of */
	int64_t messages[8][2]; /* age and the use it tells of, oldest first */
	int count;
};

static void arrive(struct world *w)
{
	int64_t age = w->messages[0][0], tells = w->messages[0][1];

	for (int i = 1; i < w->count; i++) {
		w->messages[i - 1][0] = w->messages[i][0];
		w->messages[i - 1][1] = w->messages[i][1];
	}
	w->count--;
	if (rng_chance(&w->rng, 30)) { /* lost on the way there, or Redis refused it */
		use_lost(&w->use);
		return;
	}
	if (OFFSET + w->now - age > w->score)
		w->score = OFFSET + w->now - age;
	if (tells > w->told)
		w->told = tells;
	if (rng_chance(&w->rng, 20)) /* the answer is lost */
		use_lost(&w->use);
	else
		use_acknowledged(&w->use, OFFSET + w->now, age, 0);
}

static void live(struct world *w, int most)
{
	w->now += (int64_t)rng_below(&w->rng, 50);
	switch (rng_below(&w->rng, 3)) {
	case 0:
		use_note(&w->use, at(w->now), USE_API);
		w->used = OFFSET + w->now;
		break;
	case 1:
		if (w->count < most && w->use.known) {
			w->messages[w->count][1] = OFFSET + w->use.last.ms;
			w->messages[w->count++][0] = use_send(&w->use, at(w->now));
		}
		break;
	default:
		if (w->count > 0)
			arrive(w);
	}
}

static void check_property(const char *what, int most)
{
	struct rng rng = rng_start(what);
	int gone = 0;

	for (int run = 0; run < 2000; run++) {
		struct world w = {.rng = rng_seeded(rng_next(&rng)), .score = -1};

		for (int step = 0; step < 60; step++) {
			int64_t seen;

			live(&w, most);
			seen = w.score; /* a decision is made now; it saw this */
			if (!w.use.known)
				continue;
			gone += !use_since(&w.use, seen);
			/* A use that Redis was not told of always vetoes. */
			if (w.used > w.told && !use_since(&w.use, seen))
				fail_msg("run %d step %d: used at %" PRId64 ", told %" PRId64
					 ", and no veto",
					 run, step, w.used, w.told);
			/* So does any use after what the decision saw. */
			if (w.used > seen && !use_since(&w.use, seen))
				fail_msg("run %d step %d: used after the decision", run, step);
			/* A decision that saw less than there is now is stale. */
			if (!w.use.in_flight && !w.use.dirty)
				assert_true(use_since(&w.use, w.use.score_ms - 1));
		}
	}
	assert_true(gone > 1000); /* it does not veto everything */
}

/* In constant use: told, then not before the pause is over, and vetoing all the while. */
static void test_due(void **state)
{
	struct use use = {0};

	(void)state;
	assert_false(use_due(&use, at(1000), 500)); /* nothing to tell */
	use_note(&use, at(1000), USE_API);
	assert_true(use_due(&use, at(1000), 500)); /* the first is told at once */
	use_send(&use, at(1000));
	use_note(&use, at(1010), USE_API);
	assert_false(use_due(&use, at(9000), 500)); /* no answer yet */
	use_acknowledged(&use, OFFSET + 1000, 0, 0);
	assert_true(use_since(&use, OFFSET + 1000));
	assert_false(use_due(&use, at(1499), 500));
	assert_true(use_since(&use, OFFSET + 1000));
	assert_true(use_due(&use, at(1500), 500));
	assert_true(use_due(&use, at(1010), 0));
	use_hurry(&use);
	assert_true(use_due(&use, at(1010), 500));
}

static void test_due_after_a_loss(void **state)
{
	struct use use = {0};

	(void)state;
	use_note(&use, at(1000), USE_API);
	use_send(&use, at(1000));
	use_lost(&use);
	assert_true(use_due(&use, at(1001), 500));
}

static void test_property(void **state)
{
	(void)state;
	check_property("use", 1);
}

static void test_property_pipelined(void **state)
{
	(void)state;
	check_property("use, several under way", 8);
}

static void test_set_back(void **state)
{
	struct use use = {0};

	(void)state;
	use_note(&use, (struct mono){1000}, USE_API);
	use_acknowledged(&use, 50000, use_send(&use, (struct mono){1500}), 0);
	assert_int_equal(use.score_ms, 49500);
	assert_false(use.dirty);
	use_seen(&use, 49500); /* as it was told */
	use_seen(&use, 49501);
	assert_false(use.dirty);
	use_seen(&use, 49499); /* Redis has lost it */
	assert_true(use.dirty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_only),
		cmocka_unit_test(test_same_use_seen_twice),
		cmocka_unit_test(test_strongest_of_equals),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_future_is_now),
		cmocka_unit_test(test_slack),
		cmocka_unit_test(test_forgotten),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_used_meanwhile),
		cmocka_unit_test(test_two_under_way),
		cmocka_unit_test(test_set_back),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_due_after_a_loss),
		cmocka_unit_test(test_property),
		cmocka_unit_test(test_property_pipelined),
	};

	return RUN_TESTS(tests);
}
