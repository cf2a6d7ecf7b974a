/* Rows of settings: a table of every type, JSON into a struct and back. */
#include "common/setting.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_doc.h"
#include "tests/unit/kit.h"

struct inner {
	int64_t size;
	char *secret;
};

struct outer {
	bool on;
	int64_t count, pause_ms, maybe_ms;
	int choice;
	char *text, *checked;
	cJSON *tree;
	struct inner inner;
};

static const char *const choices[] = {"red", "green", NULL};

static int check_even(const cJSON *value, struct err *err)
{
	return strlen(value->valuestring) % 2 == 0 ? 0 : err_set(err, "an odd length");
}

static int check_list(const cJSON *value, struct err *err)
{
	return cJSON_IsArray(value) ? 0 : err_set(err, "no list");
}

static const struct setting inner_rows[] = {
	{.key = "size",
	 .type = SETTING_INT,
	 .flags = SETTING_NULLABLE | SETTING_RELOAD,
	 .offset = offsetof(struct inner, size),
	 .min = -5,
	 .max = INT64_MAX},
	{.key = "secret",
	 .type = SETTING_STRING,
	 .flags = SETTING_NULLABLE | SETTING_SECRET,
	 .offset = offsetof(struct inner, secret)},
	SETTING_END,
};

#define ROW(name) .key = #name, .offset = offsetof(struct outer, name)

static const struct setting rows[] = {
	{ROW(on), .type = SETTING_BOOL, .def = "true"},
	{ROW(count), .type = SETTING_INT, .flags = SETTING_REQUIRED, .def = "3", .min = 1,
	 .max = 10},
	{.key = "pause",
	 .offset = offsetof(struct outer, pause_ms),
	 .type = SETTING_DURATION,
	 .flags = SETTING_RELOAD,
	 .def = "1h",
	 .min = 1000,
	 .max = 7200000},
	{.key = "maybe",
	 .offset = offsetof(struct outer, maybe_ms),
	 .type = SETTING_DURATION,
	 .flags = SETTING_NULLABLE,
	 .min = 0,
	 .max = 7200000},
	{ROW(choice), .type = SETTING_CHOICE, .def = "green", .choices = choices},
	{ROW(text), .type = SETTING_STRING, .flags = SETTING_NULLABLE | SETTING_RELOAD},
	{ROW(checked), .type = SETTING_STRING, .def = "even", .check = check_even,
	 .allowed = "an even length"},
	{ROW(tree), .type = SETTING_JSON, .flags = SETTING_NULLABLE, .check = check_list,
	 .allowed = "a list"},
	{ROW(inner), .type = SETTING_GROUP, .group = inner_rows},
	SETTING_END,
};

static int apply(const char *text, struct outer *base, struct err *err)
{
	cJSON *doc = json_doc_parse(text, strlen(text), NULL);
	int rc;

	assert_non_null(doc);
	rc = setting_apply(rows, base, doc, "", err);
	cJSON_Delete(doc);
	return rc;
}

static void test_defaults(void **state)
{
	struct outer o = {0};

	(void)state;
	setting_defaults(rows, &o);
	assert_true(o.on);
	assert_int_equal(o.count, 3);
	assert_int_equal(o.pause_ms, 3600000);
	assert_int_equal(o.maybe_ms, SETTING_UNSET);
	assert_int_equal(o.choice, 1);
	assert_null(o.text);
	assert_string_equal(o.checked, "even");
	assert_null(o.tree);
	assert_int_equal(o.inner.size, SETTING_UNSET);
	assert_null(o.inner.secret);
	setting_free(rows, &o);
	assert_null(o.checked);
}

static void test_apply(void **state)
{
	struct outer o = {0};
	struct err err;

	(void)state;
	setting_defaults(rows, &o);
	if (apply("{\"inner\":{\"size\":9007199254740993},\"on\":false,\"count\":10,\"pause\":60,"
		  "\"maybe\":\"1.5s\",\"choice\":\"red\",\"text\":\"t\",\"checked\":\"ab\","
		  "\"tree\":[1]}",
		  &o, &err) != 0)
		fail_msg("%s", err.text);
	assert_false(o.on);
	assert_int_equal(o.count, 10);
	assert_int_equal(o.pause_ms, 60000);
	assert_int_equal(o.maybe_ms, 1500);
	assert_int_equal(o.choice, 0);
	assert_string_equal(o.text, "t");
	assert_string_equal(o.checked, "ab");
	assert_int_equal(cJSON_GetArraySize(o.tree), 1);
	assert_int_equal(o.inner.size, INT64_C(9007199254740993));
	/* What is not named stays; null takes back. */
	assert_int_equal(apply("{\"count\":1,\"text\":null,\"tree\":null,\"maybe\":null,"
			       "\"inner\":{\"size\":null}}",
			       &o, NULL),
			 0);
	assert_string_equal(o.checked, "ab");
	assert_null(o.text);
	assert_null(o.tree);
	assert_int_equal(o.maybe_ms, SETTING_UNSET);
	assert_int_equal(o.inner.size, SETTING_UNSET);
	setting_free(rows, &o);
}

static const struct {
	const char *text, *says[4];
} refused[] = {
	{"1", {"found an integer", "an object"}},
	{"[]", {"found a list", "an object"}},
	{"null", {"null", "an object"}},
	{"{}", {"count is missing"}},
	{"{\"count\":1,\"on\":1}", {"on:", "1", "true or false"}},
	{"{\"count\":1,\"on\":\"yes\"}", {"on:", "\"yes\"", "a string", "true or false"}},
	{"{\"count\":1,\"on\":null}", {"on:", "null", "true or false"}},
	{"{\"count\":0}", {"count:", "0", "an integer from 1 to 10"}},
	{"{\"count\":11}", {"count:", "11", "an integer from 1 to 10"}},
	{"{\"count\":\"10\"}", {"count:", "\"10\"", "a string"}},
	{"{\"count\":10.0}", {"count:", "10.0", "a number"}},
	{"{\"count\":1e0}", {"count:", "1e0"}},
	{"{\"count\":null}", {"count:", "null"}},
	{"{\"count\":[1]}", {"count:", "[1]", "a list"}},
	{"{\"count\":1,\"pause\":\"500ms\"}", {"pause:", "500ms", "from 1s to 2h"}},
	{"{\"count\":1,\"pause\":\"999.999999ms\"}", {0}}, /* rounds up to a second */
	{"{\"count\":1,\"pause\":0}", {"pause:", "0", "from 1s to 2h"}},
	{"{\"count\":1,\"pause\":7201}", {"pause:", "7201", "from 1s to 2h"}},
	{"{\"count\":1,\"pause\":-1}", {"pause:", "-1", "from 1s to 2h"}},
	{"{\"count\":1,\"pause\":\"2H\"}", {"pause:", "2H", "allowed is"}},
	{"{\"count\":1,\"pause\":null}", {"pause:", "null"}},
	{"{\"count\":1,\"pause\":{}}", {"pause:", "{}", "an object"}},
	{"{\"count\":1,\"choice\":\"RED\"}", {"choice:", "\"RED\"", "\"red\", \"green\""}},
	{"{\"count\":1,\"choice\":0}", {"choice:", "0", "\"red\", \"green\""}},
	{"{\"count\":1,\"text\":1}", {"text:", "1", "a string, or null"}},
	{"{\"count\":1,\"checked\":\"abc\"}", {"checked:", "an odd length"}},
	{"{\"count\":1,\"checked\":null}", {"checked:", "null", "an even length"}},
	{"{\"count\":1,\"tree\":{}}", {"tree:", "no list"}},
	{"{\"count\":1,\"inner\":1}", {"inner:", "1", "an object"}},
	{"{\"count\":1,\"inner\":null}", {"inner:", "null"}},
	{"{\"count\":1,\"inner\":{\"size\":-6}}", {"inner.size:", "-6", "from -5"}},
	{"{\"count\":1,\"inner\":{\"siz\":1}}", {"unknown key inner.siz;", "allowed are size"}},
	{"{\"count\":1,\"inner\":{\"secret\":\"x\"}}",
	 {"unknown key inner.secret;", "allowed are size"}},
	{"{\"count\":1,\"Count\":1}", {"unknown key Count;", "count"}},
	{"{\"count\":1,\"counts\":1}", {"unknown key counts;"}},
	{"{\"count\":1,\"coun\":1}", {"unknown key coun;"}},
};

static void test_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct outer o = {0};
		struct err err = {""};
		bool good;

		setting_defaults(rows, &o);
		good = apply(refused[i].text, &o, &err) == 0;
		if (good != (refused[i].says[0] == NULL))
			fail_msg("%s: %s", refused[i].text, good ? "accepted" : err.text);
		for (int j = 0; j < 4 && refused[i].says[j] != NULL; j++)
			assert_contains(err.text, refused[i].says[j]);
		setting_free(rows, &o);
	}
}

static const struct setting *row_of(const char *key)
{
	for (size_t i = 0; rows[i].key != NULL; i++) {
		if (strcmp(rows[i].key, key) == 0)
			return &rows[i];
	}
	fail_msg("no row %s", key);
	return NULL;
}

/* As in a flag or a variable. */
static void test_text(void **state)
{
	static const struct {
		const char *key, *text;
		bool good;
	} cases[] = {
		{"on", "true", true},
		{"on", "false", true},
		{"on", "TRUE", false},
		{"on", "1", false},
		{"on", "", false},
		{"count", "7", true},
		{"count", "007", false},
		{"count", " 7", true},
		{"count", "7 ", true},
		{"count", "7x", false},
		{"count", "1e0", false},
		{"count", "", false},
		{"count", "null", false},
		{"pause", "60", true},
		{"pause", "1m", true},
		{"pause", "-60", false},
		{"pause", "--", false},
		{"pause", "0x60", false},
		{"pause", "\"1m\"", false},
		{"maybe", "null", true},
		{"maybe", "0", true},
		{"choice", "red", true},
		{"choice", "0", false},
		{"text", "12", true},
		{"text", "{}", true},
		{"text", "", true},
		{"text", "null", true},
		{"checked", "null", true},
		{"checked", "odd", false},
		{"tree", "[1,2]", true},
		{"tree", "[1,2", false},
		{"tree", "x", false},
		{"inner", "{\"size\":1}", true},
		{"inner", "1", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct outer o = {0};
		struct err err = {""};
		int rc;

		setting_defaults(rows, &o);
		rc = setting_apply_text(row_of(cases[i].key), &o, cases[i].text, "", &err);
		if (rc != (cases[i].good ? 0 : -1))
			fail_msg("%s=\"%s\": %s", cases[i].key, cases[i].text, err.text);
		setting_free(rows, &o);
	}
}

static void test_text_values(void **state)
{
	struct outer o = {0};

	(void)state;
	setting_defaults(rows, &o);
	assert_int_equal(setting_apply_text(row_of("pause"), &o, "60", "", NULL), 0);
	assert_int_equal(o.pause_ms, 60000);
	assert_int_equal(setting_apply_text(row_of("text"), &o, "12", "", NULL), 0);
	assert_string_equal(o.text, "12");
	assert_int_equal(setting_apply_text(row_of("text"), &o, "null", "", NULL), 0);
	assert_null(o.text);
	assert_int_equal(setting_apply_text(row_of("checked"), &o, "null", "", NULL), 0);
	assert_string_equal(o.checked, "null"); /* not a row that may be null */
	setting_free(rows, &o);
}

/* What is printed is accepted again and says the same; secrets do not stand in it. */
static void test_round_trip(void **state)
{
	struct outer o = {0}, again = {0};
	char *text, path[128];
	cJSON *doc;

	(void)state;
	setting_defaults(rows, &o);
	assert_int_equal(
		apply("{\"count\":2,\"pause\":\"1h1m1.001s\",\"text\":\"a\\\"\xc3\xa9\","
		      "\"tree\":[1,{\"a\":null}],\"inner\":{\"size\":9223372036854775807}}",
		      &o, NULL),
		0);
	assert_int_equal(setting_apply_text(&inner_rows[1], &o.inner, "hush", "", NULL), 0);
	assert_string_equal(o.inner.secret, "hush");
	doc = setting_to_json(rows, &o);
	text = cJSON_PrintUnformatted(doc);
	cJSON_Delete(doc);
	assert_null(strstr(text, "hush"));
	assert_null(strstr(text, "secret"));
	setting_defaults(rows, &again);
	assert_int_equal(apply(text, &again, NULL), 0);
	assert_int_equal(again.pause_ms, o.pause_ms);
	assert_int_equal(again.inner.size, INT64_MAX);
	assert_string_equal(again.text, o.text);
	assert_false(setting_differs(rows, &o, &again, 1u << 20, path, sizeof(path)));
	cJSON_free(text);
	setting_free(rows, &o);
	setting_free(rows, &again);
}

/* A large number inside a tree keeps its digits too. */
static void test_tree_keeps_digits(void **state)
{
	static const char *const numbers[] = {"2000000000000000", "9007199254740993",
					      "1152921504606846976", "9223372036854775807"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct outer o = {0};
		char *text;
		cJSON *doc;

		setting_defaults(rows, &o);
		text = cJSON_malloc(64);
		snprintf(text, 64, "[%s]", numbers[i]);
		assert_int_equal(setting_apply_text(row_of("tree"), &o, text, "", NULL), 0);
		cJSON_free(text);
		doc = setting_to_json(rows, &o);
		text = cJSON_PrintUnformatted(doc);
		assert_contains(text, numbers[i]);
		cJSON_free(text);
		cJSON_Delete(doc);
		setting_free(rows, &o);
	}
}

static void test_copy(void **state)
{
	struct outer from = {0}, to = {0};

	(void)state;
	setting_defaults(rows, &from);
	setting_defaults(rows, &to);
	assert_int_equal(apply("{\"count\":9,\"pause\":\"2m\",\"text\":\"new\",\"on\":false,"
			       "\"inner\":{\"size\":7}}",
			       &from, NULL),
			 0);
	setting_copy(rows, &to, &from, SETTING_RELOAD);
	assert_int_equal(to.count, 3); /* not one of those that a reload takes */
	assert_true(to.on);
	assert_int_equal(to.pause_ms, 120000);
	assert_string_equal(to.text, "new");
	assert_ptr_not_equal(to.text, from.text);
	assert_int_equal(to.inner.size, 7);
	setting_copy(rows, &to, &from, 0);
	assert_int_equal(to.count, 9);
	assert_false(to.on);
	setting_free(rows, &from);
	setting_free(rows, &to);
}

static void test_differs(void **state)
{
	struct outer a = {0}, b = {0};
	char path[128] = "";

	(void)state;
	setting_defaults(rows, &a);
	setting_defaults(rows, &b);
	assert_false(setting_differs(rows, &a, &b, SETTING_RELOAD, path, sizeof(path)));
	b.pause_ms = 5000; /* taken over by a reload: does not count */
	b.inner.size = 3;
	assert_false(setting_differs(rows, &a, &b, SETTING_RELOAD, path, sizeof(path)));
	assert_int_equal(setting_apply_text(&inner_rows[1], &b.inner, "hush", "", NULL), 0);
	assert_false(setting_differs(rows, &a, &b, SETTING_RELOAD, path, sizeof(path)));
	assert_true(setting_differs(rows, &a, &b, 1u << 20, path, sizeof(path)));
	assert_string_equal(path, "pause");
	b.pause_ms = a.pause_ms;
	assert_true(setting_differs(rows, &a, &b, 1u << 20, path, sizeof(path)));
	assert_string_equal(path, "inner.size");
	b.count = 4;
	assert_true(setting_differs(rows, &a, &b, SETTING_RELOAD, path, sizeof(path)));
	assert_string_equal(path, "count");
	setting_free(rows, &a);
	setting_free(rows, &b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),	  cmocka_unit_test(test_apply),
		cmocka_unit_test(test_refuses),		  cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_values),	  cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_tree_keeps_digits), cmocka_unit_test(test_copy),
		cmocka_unit_test(test_differs),
	};

	return RUN_TESTS(tests);
}
