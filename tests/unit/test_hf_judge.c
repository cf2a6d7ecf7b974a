/* Is a revision complete? The ladder of evidence, indexes of weights, and parts of GGUF files. */
#include "agent/hf_judge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/attributes.h"
#include "tests/unit/kit.h"

static struct hf_evidence good(void)
{
	return (struct hf_evidence){.quiet_ms = 60000, .settle_ms = 30000, .files = 3};
}

static void expect(const struct hf_evidence *ev, enum hf_verdict verdict, const char *says)
{
	char why[96] = "";

	assert_int_equal(hf_judge(ev, why, sizeof(why)), verdict);
	assert_contains(why, says);
}

static void test_ladder(void **state)
{
	struct hf_evidence ev = good();

	(void)state;
	expect(&ev, HF_COMPLETE, "");
	ev.quiet_ms = ev.settle_ms;
	expect(&ev, HF_COMPLETE, "");
	ev.files = 0;
	expect(&ev, HF_BROKEN, "no files");
	ev.empty = "model.safetensors";
	expect(&ev, HF_BROKEN, "model.safetensors is empty");
	ev.missing = "config.json";
	expect(&ev, HF_BROKEN, "config.json is missing");
	ev.odd = "a link leads out of the repository";
	expect(&ev, HF_BROKEN, "leads out");
	ev.quiet_ms = ev.settle_ms - 1;
	expect(&ev, HF_DOWNLOADING, "changed");
	ev.quiet_ms = -5; /* changed in the future: a clock is wrong */
	expect(&ev, HF_DOWNLOADING, "changed");
	ev.downloading = true;
	expect(&ev, HF_DOWNLOADING, "under way");
}

/* Each evidence alone is enough against a revision. */
static void test_each_alone(void **state)
{
	struct hf_evidence ev;

	(void)state;
	ev = good();
	ev.downloading = true;
	expect(&ev, HF_DOWNLOADING, "download");
	ev = good();
	ev.quiet_ms = 0;
	expect(&ev, HF_DOWNLOADING, "changed");
	ev = good();
	ev.odd = "odd";
	expect(&ev, HF_BROKEN, "odd");
	ev = good();
	ev.missing = "a";
	expect(&ev, HF_BROKEN, "a is missing");
	ev = good();
	ev.empty = "a";
	expect(&ev, HF_BROKEN, "a is empty");
}

static void test_kinds(void **state)
{
	static const char *const weights[] = {
		"model.safetensors", "a/b.gguf", "x.bin", "x.pt", "x.pth", "x.h5", "x.onnx",
		"x.msgpack"};
	static const char *const others[] = {
		"",	     "config.json", "x.safetensors.index.json", "safetensors", "x.GGUF",
		"x.bin.txt", "x.ptx"};
	static const char *const indexes[] = {"model.safetensors.index.json",
					      "pytorch_model.bin.index.json",
					      "sub/model.safetensors.index.json"};
	static const char *const no_indexes[] = {"index.json", "model.index.json", "",
						 "model.safetensors.index.json.tmp"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(weights); i++)
		assert_true(hf_judge_is_weight(weights[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(hf_judge_is_weight(others[i]));
	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++)
		assert_true(hf_judge_is_index(indexes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(no_indexes); i++)
		assert_false(hf_judge_is_index(no_indexes[i]));
}

/* ---- indexes ---- */

struct names {
	char text[512];
	int count, stop_after;
};

static bool note(const char *name, void *arg)
{
	struct names *names = arg;

	size_t used = strlen(names->text);

	snprintf(names->text + used, sizeof(names->text) - used, "%s;", name);
	names->count++;
	return names->count != names->stop_after;
}

/* From a copy of exactly that length, so that a read beyond it is seen. */
static const char *index_names(struct names *names, const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	names->text[0] = '\0';
	names->count = 0;
	hf_judge_index(copy, len, note, names);
	free(copy);
	return names->text;
}

static const struct {
	const char *text, *names;
} indexes[] = {
	{"{\"metadata\":{\"total_size\":1},\"weight_map\":{\"a\":\"m1\",\"b\":\"m1\",\"c\":\"m2\"}"
	 "}",
	 "m1;m2;"},
	{"{\"weight_map\": {\n  \"a\" : \"m1\" ,\n\t\"b\" : \"m2\"\n}\n}", "m1;m2;"},
	{"{\"weight_map\":{\"a\":\"sub/m1\",\"b\":\"m2\",\"c\":\"sub/m1\"}}", "sub/m1;m2;sub/m1;"},
	{"{\"weight_map\":{}}", ""},
	{"{\"weight_map\":null}", ""},
	{"{\"weight_map\":[\"m1\"]}", ""},
	{"{\"weight_map\":\"m1\"}", ""},
	{"{}", ""},
	{"", ""},
	{"weight_map", ""},
	{"\"weight_map\"", ""},
	{"{\"weight_map\":{\"a\":1}}", ""},
	{"{\"weight_map\":{\"a\":\"m1\",\"b\":2,\"c\":\"m3\"}}", "m1;"},
	{"{\"weight_map\":{\"a\":\"m1\",\"b\":{\"x\":\"m2\"}}}", "m1;"},
	{"{\"weight_map\":{\"a\":\"m\\u0031\"}}", ""},
	{"{\"weight_map\":{\"a\\n\":\"m1\"}}", ""},
	{"not json at all", ""},
};

static void test_index(void **state)
{
	struct names names = {.stop_after = -1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++) {
		const char *text = indexes[i].text;

		index_names(&names, text, strlen(text));
		if (strcmp(names.text, indexes[i].names) != 0)
			fail_msg("%s gave %s", text, names.text);
		/* Cut off anywhere, it says no more than the whole does. */
		for (size_t len = 0; len < strlen(text); len++) {
			index_names(&names, text, len);
			assert_memory_equal(indexes[i].names, names.text, strlen(names.text));
		}
	}
	names.stop_after = 1;
	assert_string_equal(index_names(&names, indexes[0].text, strlen(indexes[0].text)), "m1;");
}

static void test_index_hostile(void **state)
{
	static const char start[] = "{\"weight_map\":{\"a\":\"";
	struct names names = {.stop_after = -1};
	char text[4096];

	(void)state;
	/* a name that is longer than any file's */
	memset(text, 'x', sizeof(text));
	memcpy(text, start, sizeof(start) - 1);
	memcpy(text + sizeof(text) - 4, "\"}}", 4);
	assert_string_equal(index_names(&names, text, sizeof(text) - 1), "");
	/* a NUL in it */
	memset(text, '\0', sizeof(text));
	memcpy(text, start, sizeof(start) - 1);
	assert_string_equal(index_names(&names, text, sizeof(text)), "");
	memcpy(text, "{\"weight_map\":{\0\"a\":\"b\"}}", 26);
	assert_string_equal(index_names(&names, text, 26), "");
}

/* ---- parts ---- */

static void test_gguf(void **state)
{
	static const char *const others[] = {
		"",
		"model.gguf",
		"00001-of-00002.gguf",
		"m-0001-of-0002.gguf",
		"m-00001-of-00002.ggu",
		"m-00001-of-00002.gguf.x",
		"m-0000a-of-00002.gguf",
		"m-00001-of-0000b.gguf",
		"m_00001-of-00002.gguf",
		"m-00001_of-00002.gguf",
		"m-000001-of-00002.gguf",
	};
	char buf[64];

	(void)state;
	assert_int_equal(hf_judge_gguf_part("q4/m-00001-of-00003.gguf", 2, buf, sizeof(buf)), 3);
	assert_string_equal(buf, "q4/m-00002-of-00003.gguf");
	assert_int_equal(hf_judge_gguf_part("-00001-of-00001.gguf", 1, buf, sizeof(buf)), 1);
	assert_string_equal(buf, "-00001-of-00001.gguf");
	assert_int_equal(hf_judge_gguf_part("m-00007-of-99999.gguf", 99999, buf, sizeof(buf)),
			 99999);
	assert_string_equal(buf, "m-99999-of-99999.gguf");
	assert_int_equal(hf_judge_gguf_part("m-00001-of-00000.gguf", 1, buf, sizeof(buf)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (hf_judge_gguf_part(others[i], 1, buf, sizeof(buf)) != 0)
			fail_msg("%s is a part?", others[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ladder),	      cmocka_unit_test(test_each_alone),
		cmocka_unit_test(test_kinds),	      cmocka_unit_test(test_index),
		cmocka_unit_test(test_index_hostile), cmocka_unit_test(test_gguf),
	};

	return RUN_TESTS(tests);
}
