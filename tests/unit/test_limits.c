/* The eviction policy as it is configured. */
#include "common/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_doc.h"
#include "tests/unit/kit.h"

#define DAY_MS INT64_C(86400000)

static cJSON *parse(const char *text)
{
	struct err err;
	cJSON *doc = json_doc_parse(text, strlen(text), &err);

	if (doc == NULL)
		fail_msg("%s: %s", text, err.text);
	return doc;
}

static struct limits defaults(void)
{
	struct limits limits = {0};

	setting_defaults(limits_settings, &limits);
	return limits;
}

static int apply(const char *text, struct limits *limits, struct err *err)
{
	cJSON *doc = parse(text);
	int rc = setting_apply(limits_settings, limits, doc, "policy.", err);

	cJSON_Delete(doc);
	return rc;
}

static void test_defaults(void **state)
{
	struct limits limits = defaults();

	(void)state;
	assert_int_equal(limits.type, 0);
	assert_int_equal(limits.unused_threshold_ms, 7 * DAY_MS);
	assert_int_equal(limits.max_models, SETTING_UNSET);
	assert_int_equal(limits.min_free_space_bytes, SETTING_UNSET);
	assert_int_equal(limits.min_age_ms, SETTING_UNSET);
	assert_int_equal(limits.min_copies, 0);
	assert_int_equal(limits.start_evicting_at_percent, SETTING_UNSET);
	assert_int_equal(limits.stop_evicting_at_percent, SETTING_UNSET);
	assert_int_equal(limits.max_evictions_per_node, SETTING_UNSET);
	assert_int_equal(limits.max_bytes_per_node, SETTING_UNSET);
	assert_int_equal(limits_check(&limits, NULL), 0);
}

static void test_accepts(void **state)
{
	static const char *const rows[] = {
		"{}",
		"{\"type\":\"lru\"}",
		"{\"max_models\":40,\"type\":\"lru\"}",
		"{\"unused_threshold\":604800}",
		"{\"unused_threshold\":0}",
		"{\"unused_threshold\":\"0s\"}",
		"{\"unused_threshold\":\"P7D\"}",
		"{\"unused_threshold\":\"36500d\"}",
		"{\"unused_threshold\":3153600000}",
		"{\"max_models\":null}",
		"{\"max_models\":1}",
		"{\"max_models\":4294967295}",
		"{\"min_free_space_bytes\":null}",
		"{\"min_free_space_bytes\":0}",
		"{\"min_free_space_bytes\":500000000000}",
		"{\"min_free_space_bytes\":1152921504606846976}",
		"{\"min_age\":null}",
		"{\"min_age\":\"0s\"}",
		"{\"min_copies\":0}",
		"{\"min_copies\":1000000}",
		"{\"start_evicting_at_percent\":1}",
		"{\"stop_evicting_at_percent\":99}",
		"{\"max_evictions_per_node\":1}",
		"{\"max_bytes_per_node\":1}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct limits limits = defaults();
		struct err err = {""};

		if (apply(rows[i], &limits, &err) != 0)
			fail_msg("%s: %s", rows[i], err.text);
	}
}

static const struct {
	const char *text, *key, *found;
} rejected[] = {
	{"{\"type\":\"LRU\"}", "policy.type", "\"LRU\""},
	{"{\"type\":\"fifo\"}", "policy.type", "\"fifo\""},
	{"{\"type\":null}", "policy.type", "null"},
	{"{\"type\":0}", "policy.type", "0"},
	{"{\"unused_threshold\":-1}", "policy.unused_threshold", "-1"},
	{"{\"unused_threshold\":\"-1s\"}", "policy.unused_threshold", "-1s"},
	{"{\"unused_threshold\":\"1h ago\"}", "policy.unused_threshold", "1h ago"},
	{"{\"unused_threshold\":1.5}", "policy.unused_threshold", "1.5"},
	{"{\"unused_threshold\":604800.0}", "policy.unused_threshold", "604800.0"},
	{"{\"unused_threshold\":1e3}", "policy.unused_threshold", "1e3"},
	{"{\"unused_threshold\":null}", "policy.unused_threshold", "null"},
	{"{\"unused_threshold\":true}", "policy.unused_threshold", "true"},
	{"{\"unused_threshold\":[]}", "policy.unused_threshold", "[]"},
	{"{\"unused_threshold\":\"3600\"}", "policy.unused_threshold", "3600"},
	{"{\"unused_threshold\":\"36501d\"}", "policy.unused_threshold", "36501d"},
	{"{\"unused_threshold\":9223372036854775807}", "policy.unused_threshold",
	 "9223372036854775807"},
	{"{\"unused_threshold\":18446744073709551615}", "policy.unused_threshold",
	 "18446744073709551615"},
	{"{\"max_models\":0}", "policy.max_models", "0"},
	{"{\"max_models\":-1}", "policy.max_models", "-1"},
	{"{\"max_models\":\"10\"}", "policy.max_models", "\"10\""},
	{"{\"max_models\":10.0}", "policy.max_models", "10.0"},
	{"{\"max_models\":1e3}", "policy.max_models", "1e3"},
	{"{\"max_models\":4294967296}", "policy.max_models", "4294967296"},
	{"{\"max_models\":true}", "policy.max_models", "true"},
	{"{\"min_free_space_bytes\":-1}", "policy.min_free_space_bytes", "-1"},
	{"{\"min_free_space_bytes\":\"1G\"}", "policy.min_free_space_bytes", "\"1G\""},
	{"{\"min_free_space_bytes\":1152921504606846977}", "policy.min_free_space_bytes",
	 "1152921504606846977"},
	{"{\"min_free_space_bytes\":18446744073709551615}", "policy.min_free_space_bytes",
	 "18446744073709551615"},
	{"{\"min_free_space_bytes\":99999999999999999999999}", "policy.min_free_space_bytes",
	 "99999999999999999999999"},
	{"{\"min_copies\":null}", "policy.min_copies", "null"},
	{"{\"min_copies\":-1}", "policy.min_copies", "-1"},
	{"{\"min_copies\":1000001}", "policy.min_copies", "1000001"},
	{"{\"start_evicting_at_percent\":0}", "policy.start_evicting_at_percent", "0"},
	{"{\"start_evicting_at_percent\":100}", "policy.start_evicting_at_percent", "100"},
	{"{\"stop_evicting_at_percent\":85.5}", "policy.stop_evicting_at_percent", "85.5"},
	{"{\"max_evictions_per_node\":0}", "policy.max_evictions_per_node", "0"},
	{"{\"max_bytes_per_node\":0}", "policy.max_bytes_per_node", "0"},
	{"{\"max_model\":5}", "policy.max_model", "max_models"},
	{"{\"Max_Models\":5}", "policy.Max_Models", "max_models"},
	{"{\"\":5}", "unknown key policy.", "max_models"},
};

/* Each is refused with a sentence that names the key, the value, and what is allowed. */
static void test_rejects(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rejected); i++) {
		struct limits limits = defaults();
		struct err err = {""};

		if (apply(rejected[i].text, &limits, &err) == 0)
			fail_msg("%s was accepted", rejected[i].text);
		assert_contains(err.text, rejected[i].key);
		assert_contains(err.text, rejected[i].found);
		assert_contains(err.text, "allowed");
	}
}

static void test_check(void **state)
{
	static const struct {
		int start, stop;
		bool good;
	} rows[] = {
		{-1, -1, true},	 {90, 80, true},  {2, 1, true},	   {99, 98, true},
		{90, 90, false}, {80, 90, false}, {90, -1, false}, {-1, 80, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct limits limits = defaults();
		struct err err = {""};

		limits.start_evicting_at_percent = rows[i].start;
		limits.stop_evicting_at_percent = rows[i].stop;
		assert_int_equal(limits_check(&limits, &err), rows[i].good ? 0 : -1);
		if (!rows[i].good)
			assert_contains(err.text, "evicting_at_percent");
	}
}

static void test_min_age(void **state)
{
	struct limits limits = defaults();

	(void)state;
	assert_int_equal(limits_min_age_ms(&limits), 600000);
	limits.unused_threshold_ms = 600000;
	assert_int_equal(limits_min_age_ms(&limits), 600000);
	limits.unused_threshold_ms = 599999;
	assert_int_equal(limits_min_age_ms(&limits), 599999);
	limits.unused_threshold_ms = 0;
	assert_int_equal(limits_min_age_ms(&limits), 0);
	limits.min_age_ms = 0;
	limits.unused_threshold_ms = DAY_MS;
	assert_int_equal(limits_min_age_ms(&limits), 0);
	limits.min_age_ms = 2 * DAY_MS;
	assert_int_equal(limits_min_age_ms(&limits), 2 * DAY_MS);
}

static void test_wanted(void **state)
{
	static const struct {
		int64_t floor, start, stop, total, available, wanted;
	} rows[] = {
		{-1, -1, -1, 1000, 0, 0},
		{200, -1, -1, 1000, 0, 200},
		{200, -1, -1, 1000, 900, 200},
		{2000, -1, -1, 1000, 0, 2000}, /* more than there is: the caller's to see */
		{200, -1, -1, 0, 0, 0},	       /* nothing is known of the disk */
		{200, -1, -1, -5, 0, 0},
		{-1, 90, 80, 1000, 101, 0},
		{-1, 90, 80, 1000, 100, 200},
		{-1, 90, 80, 1000, 0, 200},
		{300, 90, 80, 1000, 50, 300}, /* the larger of both */
		{100, 90, 80, 1000, 50, 200},
		{100, 90, 80, 1000, 500, 100},
		{-1, 90, 80, 1000, 2000, 0}, /* nonsense: more available than there is */
		{-1, 99, 1, INT64_C(1) << 60, 0, 1141392289560778506},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct limits limits = defaults();
		int64_t wanted;

		limits.min_free_space_bytes = rows[i].floor;
		limits.start_evicting_at_percent = rows[i].start;
		limits.stop_evicting_at_percent = rows[i].stop;
		wanted = limits_wanted_available(&limits, rows[i].total, rows[i].available);
		/* A mark may be rounded on disks beyond 2^53. */
		if (llabs(wanted - rows[i].wanted) > (rows[i].total > 1000 ? 4096 : 0))
			fail_msg("row %zu gave %" PRId64, i, wanted);
	}
}

/* "Start when this much is used" holds at exactly this much, and not one byte before. */
static void test_start_mark_is_exact(void **state)
{
	static const int64_t totals[] = {100, 1000, 12800, INT64_C(500000000000),
					 INT64_C(7681501126656) / 100 * 100};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(totals); i++) {
		for (int percent = 2; percent <= 99; percent++) {
			struct limits limits = defaults();
			int64_t available = totals[i] / 100 * (100 - percent);

			limits.start_evicting_at_percent = percent;
			limits.stop_evicting_at_percent = percent - 1;
			if (limits_wanted_available(&limits, totals[i], available) == 0)
				fail_msg("%" PRId64 " bytes, %d %% used: not started", totals[i],
					 percent);
			if (limits_wanted_available(&limits, totals[i], available + 1) != 0)
				fail_msg("%" PRId64 " bytes, below %d %%: started", totals[i],
					 percent);
		}
	}
}

#define OVERRIDES                                               \
	"[{\"nodes\":\"gpu-*\",\"policy\":{\"max_models\":5}}," \
	"{\"nodes\":\"gpu-1\",\"policy\":{\"max_models\":null," \
	"\"unused_threshold\":\"1d\"}},"                        \
	"{\"nodes\":\"*\",\"policy\":{\"min_copies\":1}}]"

static void test_for_node(void **state)
{
	struct limits base = defaults(), limits;
	cJSON *overrides = parse(OVERRIDES);

	(void)state;
	base.max_models = 40;
	limits_for_node(&base, overrides, "gpu-0", &limits);
	assert_int_equal(limits.max_models, 5);
	assert_int_equal(limits.unused_threshold_ms, 7 * DAY_MS);
	assert_int_equal(limits.min_copies, 1);
	limits_for_node(&base, overrides, "gpu-1", &limits);
	assert_int_equal(limits.max_models, SETTING_UNSET);
	assert_int_equal(limits.unused_threshold_ms, DAY_MS);
	limits_for_node(&base, overrides, "cpu", &limits);
	assert_int_equal(limits.max_models, 40);
	assert_int_equal(limits.min_copies, 1);
	limits_for_node(&base, NULL, "gpu-1", &limits);
	assert_int_equal(limits.max_models, 40);
	assert_int_equal(base.max_models, 40);
	cJSON_Delete(overrides);
}

static void test_check_overrides(void **state)
{
	static const char *const bad[] = {
		"{}",
		"1",
		"[1]",
		"[{}]",
		"[{\"nodes\":\"a\"}]",
		"[{\"policy\":{}}]",
		"[{\"nodes\":\"a\",\"policy\":{},\"x\":1}]",
		"[{\"nodes\":\"\",\"policy\":{}}]",
		"[{\"nodes\":\"a b\",\"policy\":{}}]",
		"[{\"nodes\":\"{a}\",\"policy\":{}}]",
		"[{\"nodes\":1,\"policy\":{}}]",
		"[{\"nodes\":\"a\",\"policy\":1}]",
		"[{\"nodes\":\"a\",\"policy\":{\"max_models\":0}}]",
		"[{\"nodes\":\"a\",\"policy\":{\"max_model\":1}}]",
		"[{\"nodes\":\"a\",\"policy\":{\"policy\":{}}}]",
		"[{\"nodes\":\"a\",\"policy\":{}},{\"nodes\":\"b\"}]",
	};
	static const char half[] =
		"[{\"nodes\":\"a\",\"policy\":{\"start_evicting_at_percent\":90}}]";
	struct limits base = defaults();
	cJSON *doc = parse(OVERRIDES);

	(void)state;
	assert_int_equal(limits_check_overrides(doc, NULL, NULL), 0);
	assert_int_equal(limits_check_overrides(doc, &base, NULL), 0);
	cJSON_Delete(doc);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {""};

		doc = parse(bad[i]);
		if (limits_check_overrides(doc, &base, &err) == 0 ||
		    limits_check_overrides(doc, NULL, NULL) == 0)
			fail_msg("%s was accepted", bad[i]);
		assert_true(err.text[0] != '\0');
		cJSON_Delete(doc);
	}
	/* Half a pair of marks is wrong on a base without, and right on one with the other half. */
	doc = parse(half);
	assert_int_equal(limits_check_overrides(doc, NULL, NULL), 0);
	assert_int_equal(limits_check_overrides(doc, &base, NULL), -1);
	base.start_evicting_at_percent = 95;
	base.stop_evicting_at_percent = 80;
	assert_int_equal(limits_check_overrides(doc, &base, NULL), 0);
	base.stop_evicting_at_percent = 92;
	assert_int_equal(limits_check_overrides(doc, &base, NULL), -1);
	cJSON_Delete(doc);
}

/* Prints what the leader publishes and reads it as an agent does. */
static void publish(const struct limits *base, const char *overrides, struct limits *out,
		    cJSON **received)
{
	cJSON *list = overrides != NULL ? parse(overrides) : NULL;
	cJSON *doc = limits_publish(base, list);
	char *text = cJSON_PrintUnformatted(doc);
	struct err err;

	cJSON_Delete(list);
	cJSON_Delete(doc);
	if (limits_receive(text, out, received, &err) != 0)
		fail_msg("%s: %s", text, err.text);
	cJSON_free(text);
}

static void test_publish(void **state)
{
	struct limits base = defaults(), got = {0}, node;
	cJSON *overrides = NULL;

	(void)state;
	base.min_free_space_bytes = INT64_C(1152921504606846976);
	base.max_models = 3;
	base.min_age_ms = 1500;
	base.start_evicting_at_percent = 90;
	base.stop_evicting_at_percent = 80;
	publish(&base, NULL, &got, &overrides);
	assert_memory_equal(&got, &base, sizeof(base));
	assert_null(overrides);
	publish(&base, OVERRIDES, &got, &overrides);
	assert_memory_equal(&got, &base, sizeof(base));
	limits_for_node(&got, overrides, "gpu-0", &node);
	assert_int_equal(node.max_models, 5);
	/* The next one replaces the list. */
	publish(&base, NULL, &got, &overrides);
	assert_null(overrides);
}

/* Every number that the configuration accepts arrives with all its digits. */
static void test_publish_large_numbers(void **state)
{
	static const int64_t sizes[] = {
		INT64_C(999999999999999),     INT64_C(2000000000000000),
		INT64_C(9007199254740993),    INT64_C(1152921504606846975),
		INT64_C(1152921504606846976),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct limits base = defaults(), got = {0}, node;
		cJSON *overrides = NULL;
		char text[160];

		snprintf(text, sizeof(text),
			 "[{\"nodes\":\"*\",\"policy\":{\"min_free_space_bytes\":%" PRId64 "}}]",
			 sizes[i]);
		publish(&base, text, &got, &overrides);
		limits_for_node(&got, overrides, "n", &node);
		assert_int_equal(node.min_free_space_bytes, sizes[i]);
		cJSON_Delete(overrides);
	}
}

/* A policy that cannot be read leaves everything as it was. */
static void test_receive_bad(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"1",
		"{}",
		"{\"policy\":1}",
		"{\"policy\":{\"max_models\":0}}",
		"{\"policy\":{\"new_key\":1}}",
		"{\"policy\":{\"start_evicting_at_percent\":90}}",
		"{\"policy\":{},\"overrides\":1}",
		"{\"policy\":{},\"overrides\":[1]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct limits limits = defaults();
		cJSON *overrides = parse("[]"), *before = overrides;
		struct err err = {""};

		limits.max_models = 77;
		if (limits_receive(texts[i], &limits, &overrides, &err) == 0)
			fail_msg("%s was accepted", texts[i]);
		assert_int_equal(limits.max_models, 77);
		assert_ptr_equal(overrides, before);
		assert_true(err.text[0] != '\0');
		cJSON_Delete(overrides);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_rejects),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_min_age),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_start_mark_is_exact),
		cmocka_unit_test(test_for_node),
		cmocka_unit_test(test_check_overrides),
		cmocka_unit_test(test_publish),
		cmocka_unit_test(test_publish_large_numbers),
		cmocka_unit_test(test_receive_bad),
	};

	return RUN_TESTS(tests);
}
