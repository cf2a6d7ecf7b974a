/* Claims: which models they protect, until when, who is shown, and that they come through a
 * restart. */
#include "agent/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/claim_record.h"
#include "tests/unit/kit.h"

#define MODEL "hf:o/n@0e9e39f249a1"

static const struct model_ref_facts facts = {
	MODEL, "huggingface", "models--o--n/0e9e39f249a16976918f6564b8830bc894c89659", "/r"};
static const struct model_ref_facts other = {"dir:x@-", "directory", "x", "/r"};

static struct mono at(int64_t ms)
{
	return (struct mono){ms};
}

static struct claim *make(const char *id, enum use_source source, int64_t until, const char *repo)
{
	struct claim *claim = claim_new(id, source, id);
	struct model_ref ref;

	model_ref_make(&ref, MODEL_REF_REPO, repo, NULL);
	claim_add(claim, &ref);
	claim->until = at(until);
	return claim;
}

static void test_sum(void **state)
{
	struct claims claims = {0};
	struct claim_sum sum;

	(void)state;
	claims_sum(&claims, &facts, at(0), &sum);
	assert_int_equal(sum.count, 0);
	assert_string_equal(sum.who, "");
	assert_true(claims_set(&claims, make("hold:1", USE_HOLD, 500, "o/n")));
	assert_true(claims_set(&claims, make("probe:1", USE_PROBE, 200, "o/n")));
	assert_true(claims_set(&claims, make("probe:2", USE_PROBE, 900, "x")));
	/* the strongest is shown, the longest counts */
	claims_sum(&claims, &facts, at(100), &sum);
	assert_int_equal(sum.count, 2);
	assert_int_equal(sum.source, USE_PROBE);
	assert_int_equal(sum.until.ms, 500);
	assert_string_equal(sum.who, "probe:1 and 1 more");
	/* what has ended does not count */
	claims_sum(&claims, &facts, at(200), &sum);
	assert_int_equal(sum.count, 1);
	assert_string_equal(sum.who, "hold:1");
	claims_sum(&claims, &facts, at(500), &sum);
	assert_int_equal(sum.count, 0);
	claims_sum(&claims, &other, at(100), &sum);
	assert_string_equal(sum.who, "probe:2");
	claims_free(&claims);
}

static void test_renewal(void **state)
{
	struct claims claims = {0};
	struct claim *claim = make("a", USE_HOLD, 100, "o/n");
	unsigned version;

	(void)state;
	claim->since = at(10);
	assert_true(claims_set(&claims, claim));
	version = claims.version;
	claim = make("a", USE_HOLD, 300, "x");
	claim->since = at(50);
	assert_true(claims_set(&claims, claim));
	assert_true(claims.version != version);
	assert_int_equal(HASH_COUNT(claims.list), 1);
	claim = claims_find(&claims, "a");
	assert_int_equal(claim->since.ms, 10);
	assert_int_equal(claim->until.ms, 300);
	assert_false(claim_matches(claim, &facts));
	assert_true(claim_matches(claim, &other));
	claims_drop(&claims, claim);
	assert_null(claims_find(&claims, "a"));
	claims_free(&claims);
}

/* Names that differ in their last letter only: what is found open of the one is not the other. */
static void test_long_names(void **state)
{
	char id[5 + MODEL_NAME_MAX + 1] = "open:";
	struct claims claims = {0};

	(void)state;
	memset(id + 5, 'x', MODEL_NAME_MAX);
	id[sizeof(id) - 1] = '\0';
	assert_true(claims_set(&claims, make(id, USE_OPEN, 100, "o/n")));
	id[sizeof(id) - 2] = 'y';
	assert_true(claims_set(&claims, make(id, USE_OPEN, 100, "o/m")));
	assert_int_equal(HASH_COUNT(claims.list), 2);
	assert_non_null(claims_find(&claims, id));
	claims_free(&claims);
}

static void test_bounds(void **state)
{
	struct claims claims = {0};
	char id[CLAIM_ID_MAX + 100], text[16];
	struct claim *claim;

	(void)state;
	memset(id, 'i', sizeof(id));
	id[sizeof(id) - 1] = '\0';
	claim = claim_new(id, USE_HOLD, id);
	assert_int_equal(strlen(claim->id), CLAIM_ID_MAX);
	assert_int_equal(strlen(claim->who), CLAIM_WHO_MAX);
	for (int i = 0; i < 2 * CLAIM_REFS_MAX; i++) {
		struct model_ref ref;

		snprintf(text, sizeof(text), "m%d", i / 2); /* each twice: once is enough */
		model_ref_make(&ref, MODEL_REF_REPO, text, NULL);
		claim_add(claim, &ref);
	}
	assert_int_equal(claim->ref_count, CLAIM_REFS_MAX);
	assert_false(claim_matches(claim, &facts));
	for (int i = 0; i < 8; i++) {
		struct model_ref ref;

		snprintf(text, sizeof(text), "x%d", i);
		model_ref_make(&ref, MODEL_REF_REPO, text, NULL);
		claim_add(claim, &ref);
	}
	assert_int_equal(claim->ref_count, CLAIM_REFS_MAX);
	/* What was left out may be any model. */
	assert_true(claim_matches(claim, &facts));
	claim_free(claim);
	for (int i = 0; i < CLAIMS_MAX; i++) {
		snprintf(text, sizeof(text), "%d", i);
		assert_true(claims_set(&claims, make(text, USE_HOLD, 100, "o/n")));
	}
	assert_false(claims_set(&claims, make("one too many", USE_HOLD, 100, "o/n")));
	assert_true(claims_set(&claims, make("7", USE_HOLD, 200, "o/n"))); /* a renewal is none */
	/* However many callers hold, there is room for what is seen. */
	for (int i = 0; i < CLAIMS_MAX; i++) {
		snprintf(text, sizeof(text), "pod:%d", i);
		assert_true(claims_set(&claims, make(text, USE_POD, 100, "o/n")));
	}
	assert_false(claims_set(&claims, make("pod:x", USE_POD, 100, "o/n")));
	claims_drop(&claims, claims_find(&claims, "7"));
	assert_false(claims_set(&claims, make("pod:x", USE_POD, 100, "o/n")));
	assert_true(claims_set(&claims, make("a new one", USE_HOLD, 100, "o/n")));
	claims_free(&claims);
}

/* ---- over a restart ---- */

static struct claim *restart(const struct claim *claim, const struct claim_clocks *before,
			     const struct claim_clocks *after)
{
	cJSON *record = cJSON_CreateObject();
	struct claim *back;
	char *text;

	claim_record_write(record, claim, before);
	text = cJSON_PrintUnformatted(record);
	cJSON_Delete(record);
	record = cJSON_Parse(text);
	cJSON_free(text);
	back = claim_record_read(record, after);
	cJSON_Delete(record);
	return back;
}

static void test_restart(void **state)
{
	struct claim_clocks before = {at(1000), 1700000000000, 1700000500000};
	struct claim *claim = make("hold:x", USE_HOLD, 61000, "o/n"), *back;
	struct model_ref ref;

	(void)state;
	claim->since = at(500);
	model_ref_make(&ref, MODEL_REF_FOLDER, "models--a--b", "0e9e39f249a1");
	claim_add(claim, &ref);
	model_ref_make(&ref, MODEL_REF_PATH, "/a/b", NULL);
	claim_add(claim, &ref);
	model_ref_make(&ref, MODEL_REF_NAME, MODEL, NULL);
	claim_add(claim, &ref);

	/* ten seconds later, after a reboot */
	back = restart(claim, &before, &(struct claim_clocks){at(7), 1700000010000, 1700000510000});
	assert_non_null(back);
	assert_int_equal(back->until.ms, 7 + 50000);
	assert_int_equal(back->since.ms, 7 - 10500);
	assert_int_equal(back->source, USE_HOLD);
	assert_string_equal(back->id, "hold:x");
	assert_string_equal(back->who, "hold:x");
	assert_int_equal(back->ref_count, 4);
	for (size_t i = 0; i < 4; i++)
		assert_true(model_ref_equal(&claim->refs[i], &back->refs[i]));
	claim_free(back);
	claim_free(claim);
}

/* The clock that leaves more time is believed, but never beyond what was asked for. */
static void test_restart_clocks(void **state)
{
	static const struct {
		int64_t wall, redis;
		int64_t left; /* 0: it has ended */
	} rows[] = {
		{1700000010000, 1700000510000, 50000},
		{1700000010000, 0, 50000},	       /* Redis' clock is not known */
		{1600000000000, 1700000510000, 60000}, /* our clock went back */
		{1800000000000, 1700000510000, 50000}, /* or forth */
		{1700000010000, 1800000000000, 50000}, /* Redis' clock went forth */
		{1700000010000, 1600000000000, 60000},
		{1700000060000, 1700000560000, 0},
		{1800000000000, 1800000000000, 0},
		{1800000000000, 0, 0},
	};
	struct claim_clocks before = {at(1000), 1700000000000, 1700000500000};
	struct claim *claim = make("hold:x", USE_PROBE, 61000, "o/n");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct claim *back = restart(
			claim, &before, &(struct claim_clocks){at(7), rows[i].wall, rows[i].redis});

		if (rows[i].left == 0)
			assert_null(back);
		else
			assert_int_equal(back->until.ms - 7, rows[i].left);
		claim_free(back);
	}
	claim_free(claim);
}

static void test_bad_records(void **state)
{
	static const char *const rows[] = {
		"{}",
		"{\"id\":\"\",\"who\":\"x\",\"source\":\"hold\",\"left\":9,\"until_wall\":99}",
		"{\"id\":1,\"who\":\"x\",\"source\":\"hold\",\"left\":9,\"until_wall\":99}",
		"{\"id\":\"x\",\"source\":\"hold\",\"left\":9,\"until_wall\":99}",
		"{\"id\":\"x\",\"who\":\"x\",\"left\":9,\"until_wall\":99}",
		"{\"id\":\"x\",\"who\":\"x\",\"source\":\"hold\",\"until_wall\":99}",
		"{\"id\":\"x\",\"who\":\"x\",\"source\":\"hold\",\"left\":-9,\"until_wall\":99}",
		"{\"id\":\"x\",\"who\":\"x\",\"source\":\"hold\",\"left\":\"9\",\"until_wall\":99}",
		"{\"id\":\"x\",\"who\":\"x\",\"source\":\"hold\",\"left\":1e99,\"until_wall\":1}",
	};
	struct claim_clocks clocks = {at(1), 50, 0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cJSON *record = cJSON_Parse(rows[i]);

		assert_non_null(record);
		assert_null(claim_record_read(record, &clocks));
		cJSON_Delete(record);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sum),	    cmocka_unit_test(test_renewal),
		cmocka_unit_test(test_long_names),  cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_restart),	    cmocka_unit_test(test_restart_clocks),
		cmocka_unit_test(test_bad_records),
	};

	return RUN_TESTS(tests);
}
