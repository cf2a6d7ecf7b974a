/* Last uses in the journal: over a restart, on two clocks of which one may have jumped meanwhile.
 */
#include "agent/journal.h"

#include <stdlib.h>

#include "agent/journal_record.h"
#include "tests/unit/kit.h"

#define MODEL "hf:acme/llama@0123456789ab"
#define REDIS INT64_C(1700000000000)
/* This machine's clock is another one. */
#define WALL   (REDIS - 7000)
#define DAY_MS INT64_C(86400000)

static struct journal *open_in(const char *dir)
{
	struct err err = {""};
	struct journal *journal = journal_open(dir, &err);

	if (journal == NULL)
		fail_msg("%s", err.text);
	return journal;
}

static int64_t unused_ms(const struct journal *journal, int64_t redis_ms, int64_t wall_ms)
{
	const char *source;

	return journal_unused_ms(journal, MODEL, (struct journal_time){redis_ms, wall_ms}, &source);
}

/* The last use was two minutes before REDIS and WALL. */
static void test_restart(void **state)
{
	const struct {
		int64_t redis_ms, wall_ms, unused_ms;
	} rows[] = {
		{REDIS, WALL, 120000},
		{REDIS + 6 * DAY_MS, WALL + 1000, 121000}, /* Redis' clock has jumped */
		{REDIS + 1000, WALL + 6 * DAY_MS, 121000}, /* this machine's has */
		{REDIS - DAY_MS, WALL, 0},		   /* back: it may be anything */
		{REDIS, WALL - DAY_MS, 0},
		{0, WALL + 1000, 121000}, /* Redis has not been there yet */
		{REDIS + DAY_MS, WALL + DAY_MS, 120000 + DAY_MS},
	};
	char *dir = temp_dir();
	struct journal *journal = open_in(dir);
	const char *source;

	(void)state;
	assert_int_equal(unused_ms(journal, REDIS, WALL), -1);
	journal_note_use(journal, MODEL, (struct journal_time){REDIS - 500000, WALL - 500000},
			 "open");
	journal_note_use(journal, MODEL, (struct journal_time){REDIS - 120000, WALL - 120000},
			 "api");
	journal_note_use(journal, MODEL, (struct journal_time){REDIS - 300000, WALL - 300000},
			 "open");
	assert_int_equal(journal_flush(journal), 0);
	for (int restarts = 0; restarts < 3; restarts++) {
		journal_close(journal);
		journal = open_in(dir);
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			assert_int_equal(unused_ms(journal, rows[i].redis_ms, rows[i].wall_ms),
					 rows[i].unused_ms);
	}
	(void)journal_unused_ms(journal, MODEL, (struct journal_time){REDIS, WALL}, &source);
	assert_string_equal(source, "api");
	journal_close(journal);
	temp_remove(dir);
}

/* Of a use after that Redis' time is less than before; it is not lost. */
static void test_use_after_a_jump_back(void **state)
{
	char *dir = temp_dir();
	struct journal *journal = open_in(dir);

	(void)state;
	journal_note_use(journal, MODEL, (struct journal_time){REDIS, WALL}, "open");
	journal_note_use(journal, MODEL, (struct journal_time){REDIS - DAY_MS, WALL + 60000},
			 "open");
	assert_int_equal(journal_flush(journal), 0);
	journal_close(journal);
	journal = open_in(dir);
	/* The clock is right again. */
	assert_int_equal(unused_ms(journal, REDIS + 90000, WALL + 90000), 30000);
	journal_close(journal);
	temp_remove(dir);
}

/* The same use once more is not written again, though the clocks are not read in one moment. */
static void test_same_use(void **state)
{
	char *dir = temp_dir(), *text;
	struct journal *journal = open_in(dir);
	size_t before, after;

	(void)state;
	journal_note_use(journal, MODEL, (struct journal_time){REDIS, WALL}, "open");
	assert_int_equal(journal_flush(journal), 0);
	text = get_file(dir, "journal", &before);
	free(text);
	for (int late = 0; late < 10; late++) {
		journal_note_use(journal, MODEL, (struct journal_time){REDIS, WALL + late}, "open");
		assert_int_equal(journal_flush(journal), 0);
	}
	text = get_file(dir, "journal", &after);
	free(text);
	assert_int_equal(before, after);
	journal_close(journal);
	temp_remove(dir);
}

/* A journal of a version that knew of Redis' clock only. */
static void test_without_wall_time(void **state)
{
	char *dir = temp_dir(), *line;
	struct journal *journal;
	cJSON *record = journal_record("use");
	size_t len;

	(void)state;
	cJSON_AddStringToObject(record, "model", MODEL);
	cJSON_AddNumberToObject(record, "used", (double)REDIS);
	cJSON_AddStringToObject(record, "source", "open");
	line = journal_record_line(record, &len);
	put_file(dir, "journal", line);
	free(line);
	for (int restarts = 0; restarts < 2; restarts++) {
		journal = open_in(dir);
		assert_int_equal(unused_ms(journal, REDIS + 60000, WALL + DAY_MS), 60000);
		assert_int_equal(unused_ms(journal, 0, WALL), -1);
		journal_close(journal);
	}
	journal = open_in(dir);
	journal_note_use(journal, MODEL, (struct journal_time){REDIS, WALL}, "open");
	assert_int_equal(unused_ms(journal, REDIS + DAY_MS, WALL + 60000), 60000);
	journal_close(journal);
	temp_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_use_after_a_jump_back),
		cmocka_unit_test(test_same_use),
		cmocka_unit_test(test_without_wall_time),
	};

	return RUN_TESTS(tests);
}
