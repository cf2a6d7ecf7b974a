/* Strict JSON: what RFC 8259 allows and what it does not, and numbers that keep their digits. */
#include "common/json_doc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit.h"

/* A literal with its length, so that it may hold a NUL. */
#define TEXT(s) s, sizeof(s) - 1

static const struct {
	const char *text;
	size_t len;
} good[] = {
	{TEXT("{}")},
	{TEXT("[]")},
	{TEXT("\"\"")},
	{TEXT("null")},
	{TEXT("true")},
	{TEXT("false")},
	{TEXT("0")},
	{TEXT("-0")},
	{TEXT("-1")},
	{TEXT("10")},
	{TEXT("1.0")},
	{TEXT("-1.25e-3")},
	{TEXT("1E+2")},
	{TEXT("1e0")},
	{TEXT("123456789012345678901234567890")},
	{TEXT("0.1e400")},
	{TEXT(" \t\r\n[ 1 , 2 ]\r\n\t ")},
	{TEXT("[[[[]]],{}]")},
	{TEXT("{\"a\":{\"a\":{\"a\":1}}}")},
	{TEXT("{\"\":1}")},
	{TEXT("\"a b\"")},
	{TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")},
	{TEXT("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"")},
	{TEXT("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"")},
	{TEXT("\"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf\"")},
	{TEXT("\"\x7f\"")},
	{TEXT("\"{[1,2\"")},
	{TEXT("[true,false,null,0,\"\"]")},
	{TEXT("\"\\\\u0000\"")}, /* a backslash and u0000 */
};

static const struct {
	const char *text;
	size_t len;
} bad[] = {
	{TEXT("")},
	{TEXT(" ")},
	{TEXT("\xef\xbb\xbf{}")}, /* a byte order mark */
	{TEXT("{}x")},
	{TEXT("{} {}")},
	{TEXT("1 2")},
	{TEXT("{}\0")},
	{TEXT("\0{}")},
	{TEXT("[1,\0 2]")},
	{TEXT("\"a\0b\"")},
	{TEXT("\"\\u0000\"")},
	{TEXT("{\"a\\u0000\":1}")},
	{TEXT("nul")},
	{TEXT("nulll")},
	{TEXT("True")},
	{TEXT("NULL")},
	{TEXT("truefalse")},
	{TEXT("NaN")},
	{TEXT("Infinity")},
	{TEXT("-Infinity")},
	{TEXT("undefined")},
	{TEXT("'a'")},
	{TEXT("{a:1}")},
	{TEXT("{1:2}")},
	{TEXT("{\"a\"}")},
	{TEXT("{\"a\":}")},
	{TEXT("{\"a\" 1}")},
	{TEXT("{\"a\":1,}")},
	{TEXT("{,\"a\":1}")},
	{TEXT("{\"a\":1 \"b\":2}")},
	{TEXT("{\"a\"::1}")},
	{TEXT("[1,]")},
	{TEXT("[,1]")},
	{TEXT("[1 2]")},
	{TEXT("[1,,2]")},
	{TEXT("[")},
	{TEXT("]")},
	{TEXT("{")},
	{TEXT("}")},
	{TEXT("[}")},
	{TEXT("{]")},
	{TEXT("[1}")},
	{TEXT(":")},
	{TEXT(",")},
	{TEXT("\"")},
	{TEXT("\"\\\"")},
	{TEXT("\"\\")},
	{TEXT("\"\\x41\"")},
	{TEXT("\"\\u12\"")},
	{TEXT("\"\\u12G4\"")},
	{TEXT("\"\\ud83d\"")}, /* half of a pair */
	{TEXT("\"\\ude00\"")},
	{TEXT("\"\\ud83d\\u0041\"")},
	{TEXT("\"a\nb\"")},
	{TEXT("\"a\tb\"")},
	{TEXT("\"\x01\"")},
	{TEXT("\"\xff\"")},
	{TEXT("\"\x80\"")},
	{TEXT("\"\xc3\"")},
	{TEXT("\"\xc3")},
	{TEXT("\"\xc0\xaf\"")},		/* too long for what it says */
	{TEXT("\"\xe0\x80\xaf\"")},	/* the same with three */
	{TEXT("\"\xed\xa0\x80\"")},	/* a surrogate */
	{TEXT("\"\xf0\x80\x80\xaf\"")}, /* the same with four */
	{TEXT("\"\xf4\x90\x80\x80\"")}, /* beyond the last character */
	{TEXT("\"\xf5\x80\x80\x80\"")},
	{TEXT("\"\xe2\x82\"")},
	{TEXT("+1")},
	{TEXT("01")},
	{TEXT("-01")},
	{TEXT("00")},
	{TEXT("-")},
	{TEXT("--1")},
	{TEXT("1.")},
	{TEXT(".5")},
	{TEXT("1.e1")},
	{TEXT("1e")},
	{TEXT("1e+")},
	{TEXT("1e1.5")},
	{TEXT("0x10")},
	{TEXT("1_000")},
	{TEXT("1a")},
	{TEXT("[1true]")},
	{TEXT("[1\"a\"]")},
	{TEXT("[\"a\"1]")},
	{TEXT("// no\n1")},
	{TEXT("/* no */1")},
	{TEXT("\v1")},
	{TEXT("\xc2\xa0"
	      "1")},
	{TEXT("{\"a\":1,\"a\":1}")},
	{TEXT("{\"a\":1,\"b\":2,\"a\":3}")},
	{TEXT("{\"a\":1,\"\\u0061\":2}")}, /* the same key in other words */
	{TEXT("[{\"x\":{\"a\":1,\"a\":2}}]")},
	{TEXT("{\"\":1,\"\":2}")},
	{TEXT("12345678901234567890123456789012345678901234567890123456789012345")},
};

static void test_accepts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err err = {""};
		cJSON *doc = json_doc_parse(good[i].text, good[i].len, &err);

		if (doc == NULL)
			fail_msg("%s: %s", good[i].text, err.text);
		cJSON_Delete(doc);
	}
}

static void test_rejects(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {""};
		cJSON *doc = json_doc_parse(bad[i].text, bad[i].len, &err);

		if (doc != NULL)
			fail_msg("row %zu was accepted: %s", i, bad[i].text);
		assert_true(err.text[0] != '\0');
		assert_null(json_doc_parse(bad[i].text, bad[i].len, NULL));
	}
}

/* The length counts, not a NUL behind it. */
static void test_length(void **state)
{
	cJSON *doc = json_doc_parse("12345", 3, NULL);
	int64_t value;

	(void)state;
	assert_non_null(doc);
	assert_int_equal(json_doc_int64(doc, &value), 0);
	assert_int_equal(value, 123);
	cJSON_Delete(doc);
	assert_null(json_doc_parse("{}", 1, NULL));
}

static cJSON *nested(int depth, char open, char close)
{
	char text[600];
	int at = 0;

	for (int i = 0; i < depth; i++) {
		text[at++] = open;
		if (open == '{' && i + 1 < depth) {
			at += snprintf(text + at, sizeof(text) - (size_t)at, "\"a\":");
		}
	}
	for (int i = 0; i < depth; i++)
		text[at++] = close;
	return json_doc_parse(text, (size_t)at, NULL);
}

static void test_depth(void **state)
{
	cJSON *doc;

	(void)state;
	doc = nested(JSON_DOC_DEPTH_MAX, '[', ']');
	assert_non_null(doc);
	cJSON_Delete(doc);
	doc = nested(JSON_DOC_DEPTH_MAX, '{', '}');
	assert_non_null(doc);
	cJSON_Delete(doc);
	assert_null(nested(JSON_DOC_DEPTH_MAX + 1, '[', ']'));
	assert_null(nested(JSON_DOC_DEPTH_MAX + 1, '{', '}'));
}

static cJSON *wide(int members)
{
	char *text = malloc((size_t)members * 12 + 3);
	size_t at = 1;
	cJSON *doc;

	assert_non_null(text);
	text[0] = '{';
	for (int i = 0; i < members; i++)
		at += (size_t)snprintf(text + at, 13, "%s\"k%d\":0", i > 0 ? "," : "", i);
	text[at++] = '}';
	doc = json_doc_parse(text, at, NULL);
	free(text);
	return doc;
}

static void test_members(void **state)
{
	cJSON *doc = wide(JSON_DOC_MEMBERS_MAX);

	(void)state;
	assert_non_null(doc);
	cJSON_Delete(doc);
	assert_null(wide(JSON_DOC_MEMBERS_MAX + 1));
}

static void test_line_in_error(void **state)
{
	struct err err;

	(void)state;
	assert_null(json_doc_parse(TEXT("{\n\"a\": 1,\n\"b\": 01\n}"), &err));
	assert_contains(err.text, "line 3");
	assert_null(json_doc_parse(TEXT("{\"a\":1,\n\"a\":2}"), &err));
	assert_contains(err.text, "\"a\"");
	assert_null(json_doc_parse("", 0, &err));
	assert_contains(err.text, "empty");
}

static void test_int64(void **state)
{
	static const struct {
		const char *text;
		int64_t value;
	} rows[] = {
		{"0", 0},
		{"-0", 0},
		{"-1", -1},
		{"9007199254740993", INT64_C(9007199254740993)}, /* no double has it */
		{"9223372036854775807", INT64_MAX},
		{"-9223372036854775808", INT64_MIN},
	};
	static const char *const others[] = {
		"9223372036854775808",
		"-9223372036854775809",
		"18446744073709551615",
		"1e3",
		"1E3",
		"10.0",
		"1.5",
		"-0.0",
		"\"10\"",
		"null",
		"true",
		"[]",
		"{}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		cJSON *doc = json_doc_parse(rows[i].text, strlen(rows[i].text), NULL);
		int64_t value = -7;

		assert_int_equal(json_doc_int64(doc, &value), 0);
		assert_true(value == rows[i].value);
		cJSON_Delete(doc);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		cJSON *doc = json_doc_parse(others[i], strlen(others[i]), NULL);
		int64_t value;

		assert_non_null(doc);
		if (json_doc_int64(doc, &value) == 0)
			fail_msg("%s is an integer?", others[i]);
		cJSON_Delete(doc);
	}
	assert_int_equal(json_doc_int64(NULL, &(int64_t){0}), -1);
}

/* Each number keeps its own text, in whatever order and depth it stands. */
static void test_number_text(void **state)
{
	static const char text[] = "{\"a\":1.50,\"b\":[2,{\"c\":3e0,\"d\":[\"9\",4]}],\"e\":-0,"
				   "\"f\":12345678901234567890}";
	cJSON *doc = json_doc_parse(TEXT(text), NULL);
	const cJSON *b = cJSON_GetObjectItemCaseSensitive(doc, "b");
	const cJSON *inner = cJSON_GetArrayItem(b, 1);

	(void)state;
	assert_non_null(doc);
	assert_string_equal(cJSON_GetObjectItemCaseSensitive(doc, "a")->valuestring, "1.50");
	assert_string_equal(cJSON_GetArrayItem(b, 0)->valuestring, "2");
	assert_string_equal(cJSON_GetObjectItemCaseSensitive(inner, "c")->valuestring, "3e0");
	assert_string_equal(
		cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(inner, "d"), 1)->valuestring,
		"4");
	assert_string_equal(cJSON_GetObjectItemCaseSensitive(doc, "e")->valuestring, "-0");
	assert_string_equal(cJSON_GetObjectItemCaseSensitive(doc, "f")->valuestring,
			    "12345678901234567890");
	cJSON_Delete(doc);
}

static void check_words(const char *text, const char *type, const char *shown)
{
	cJSON *doc = json_doc_parse(text, strlen(text), NULL);
	char buf[80];

	assert_non_null(doc);
	assert_string_equal(json_doc_type(doc), type);
	assert_string_equal(json_doc_show(doc, buf, sizeof(buf)), shown);
	cJSON_Delete(doc);
}

static void test_words(void **state)
{
	char buf[8];
	cJSON *doc = json_doc_parse(TEXT("\"abcdefghijkl\""), NULL);

	(void)state;
	check_words("\"x\"", "a string", "\"x\"");
	check_words("18446744073709551615", "an integer", "18446744073709551615");
	check_words("1e3", "a number", "1e3");
	check_words("10.0", "a number", "10.0");
	check_words("true", "a boolean", "true");
	check_words("null", "null", "null");
	check_words("[1,\"a\"]", "a list", "[1,\"a\"]");
	check_words("{\"a\":1}", "an object", "{\"a\":1}");
	assert_string_equal(json_doc_show(doc, buf, sizeof(buf)), "\"abcdef");
	cJSON_Delete(doc);
}

static void test_add_int64(void **state)
{
	cJSON *object = cJSON_CreateObject();
	char *text;

	(void)state;
	json_doc_add_int64(object, "a", INT64_MAX);
	json_doc_add_int64(object, "b", INT64_MIN);
	text = cJSON_PrintUnformatted(object);
	assert_string_equal(text, "{\"a\":9223372036854775807,\"b\":-9223372036854775808}");
	cJSON_free(text);
	cJSON_Delete(object);
}

/* Whatever bytes a text has, what is printed is JSON; what was UTF-8 stays as it was. */
static void test_print(void **state)
{
	static const char *const texts[][2] = {
		{"plain", "\"plain\""},
		{"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
		 "\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\""},
		{"\x1b[31m\n\"\\", "\"\\u001b[31m\\n\\\"\\\\\""},
		{"\xff", "\"\\ufffd\""},
		{"a\xc3", "\"a\\ufffd\""}, /* cut in the middle of a letter */
		{"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
		{"\xc0\x80\xe9x", "\"\\ufffd\\ufffd\\ufffdx\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		cJSON *item = cJSON_CreateString(texts[i][0]);
		char *text = json_doc_print(item);

		assert_string_equal(text, texts[i][1]);
		cJSON_Delete(item);
		item = json_doc_parse(text, strlen(text), NULL);
		assert_non_null(item);
		cJSON_Delete(item);
		free(text);
	}
}

/* Whatever bytes come: an answer, and what is accepted prints as JSON that is accepted again. */
static void test_random_bytes(void **state)
{
	static const char bits[] = "{}[]\",:0123456789eE+-.truefalsn \\u00\n\xc3\xa9\xff";
	struct rng rng = rng_start("json_doc");

	(void)state;
	for (int i = 0; i < 50000; i++) {
		char text[24], *again;
		size_t len = rng_below(&rng, sizeof(text));
		cJSON *doc;

		for (size_t j = 0; j < len; j++)
			text[j] = bits[rng_below(&rng, sizeof(bits) - 1)];
		doc = json_doc_parse(text, len, NULL);
		if (doc == NULL)
			continue;
		again = cJSON_PrintUnformatted(doc);
		cJSON_Delete(doc);
		doc = json_doc_parse(again, strlen(again), NULL);
		if (doc == NULL)
			fail_msg("%.*s was accepted, %s not", (int)len, text, again);
		cJSON_free(again);
		cJSON_Delete(doc);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts), cmocka_unit_test(test_rejects),
		cmocka_unit_test(test_length),	cmocka_unit_test(test_depth),
		cmocka_unit_test(test_members), cmocka_unit_test(test_line_in_error),
		cmocka_unit_test(test_int64),	cmocka_unit_test(test_number_text),
		cmocka_unit_test(test_words),	cmocka_unit_test(test_add_int64),
		cmocka_unit_test(test_print),	cmocka_unit_test(test_random_bytes),
	};

	return RUN_TESTS(tests);
}
