/* The setting "engines". */
#include "agent/engine_options.h"

#include <string.h>

#include "common/json_doc.h"
#include "tests/unit/kit.h"

static cJSON *parse(const char *text)
{
	struct err err = {""};
	cJSON *tree = json_doc_parse(text, strlen(text), &err);

	if (tree == NULL)
		fail_msg("%s: %s", text, err.text);
	return tree;
}

static void test_good(void **state)
{
	cJSON *tree = parse("[{\"engine\":\"vllm\"},"
			    "{\"engine\":\"tgi\",\"url\":\"https://[::1]:3001/\","
			    "\"token_file\":\"/run/token\",\"ca_file\":\"/etc/ca.pem\","
			    "\"models\":[\"acme/llama\",\"hf:gpt2@607a30d783df\"],"
			    "\"aliases\":{\"chat\":\"/nvme/llama\"},"
			    "\"path_prefixes\":{\"/models\":\"/nvme0/hub\"}}]");
	struct probe_spec spec;

	(void)state;
	assert_int_equal(engine_options_check(tree, NULL), 0);
	assert_int_equal(engine_options_spec(tree, 0, &spec, NULL), 0);
	assert_ptr_equal(spec.engine, &engine_vllm);
	assert_string_equal(spec.url, "http://127.0.0.1:8000");
	assert_null(spec.token_file);
	assert_int_equal(spec.model_count + spec.alias_count + spec.prefix_count, 0);
	probe_spec_free(&spec);
	assert_int_equal(engine_options_spec(tree, 1, &spec, NULL), 0);
	assert_ptr_equal(spec.engine, &engine_tgi);
	assert_string_equal(spec.url, "https://[::1]:3001");
	assert_string_equal(spec.token_file, "/run/token");
	assert_string_equal(spec.ca_file, "/etc/ca.pem");
	assert_int_equal(spec.model_count, 2);
	assert_string_equal(spec.models[1], "hf:gpt2@607a30d783df");
	assert_string_equal(spec.aliases[0].from, "chat");
	assert_string_equal(spec.aliases[0].to, "/nvme/llama");
	assert_string_equal(spec.prefixes[0].to, "/nvme0/hub");
	probe_spec_free(&spec);
	cJSON_Delete(tree);
}

/* Each error names where it is, what was found and what is allowed. */
static void test_bad(void **state)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
		{"{}", "a list"},
		{"[1]", "engines[0]"},
		{"[{}]", "engine"},
		{"[{\"engine\":null}]", "engines[0].engine"},
		{"[{\"engine\":\"vlm\"}]", "llamacpp, nim, ollama, sglang, tgi, triton, vllm"},
		{"[{\"engine\":\"vllm\",\"port\":1}]", "port"},
		{"[{\"engine\":\"vllm\",\"url\":\"file:///etc/passwd\"}]", "engines[0].url"},
		{"[{\"engine\":\"vllm\",\"url\":\"127.0.0.1:8000\"}]", "http://HOST"},
		{"[{\"engine\":\"vllm\",\"url\":\"http://h:8000/v1\"}]", "/v1"},
		{"[{\"engine\":\"vllm\",\"url\":\"http://u:p@h:8000\"}]", "allowed"},
		{"[{\"engine\":\"vllm\",\"url\":\"http://u@h:8000\"}]", "allowed"},
		{"[{\"engine\":\"vllm\",\"url\":\"http://h:8000?x\"}]", "allowed"},
		{"[{\"engine\":\"vllm\",\"url\":\"http://h:8000/?\"}]", "allowed"},
		{"[{\"engine\":\"vllm\",\"url\":\"http://h:8000#x\"}]", "allowed"},
		{"[{\"engine\":\"vllm\",\"url\":\"http://h:99999\"}]", "allowed"},
		{"[{\"engine\":\"vllm\",\"url\":\"http://\"}]", "allowed"},
		{"[{\"engine\":\"vllm\",\"url\":\"\"}]", "allowed"},
		{"[{\"engine\":\"vllm\",\"token_file\":\"token\"}]", "absolute path"},
		{"[{\"engine\":\"vllm\",\"models\":\"gpt2\"}]", "list"},
		{"[{\"engine\":\"vllm\",\"models\":[7]}]", "found 7"},
		{"[{\"engine\":\"vllm\",\"models\":[\"../x/y\"]}]", "../x/y"},
		{"[{\"engine\":\"vllm\",\"aliases\":[]}]", "SERVED NAME"},
		{"[{\"engine\":\"vllm\",\"aliases\":{\"chat\":\"\"}}]", "chat"},
		{"[{\"engine\":\"vllm\",\"path_prefixes\":{\"models\":\"/x\"}}]", "absolute"},
		{"[{\"engine\":\"vllm\",\"path_prefixes\":{\"/models\":\"x\"}}]", "absolute"},
		{"[{\"engine\":\"vllm\"},{\"engine\":\"nim\"}]", "engines[0] and engines[1]"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cJSON *tree = parse(cases[i].text);
		struct err err = {""};

		assert_int_equal(engine_options_check(tree, &err), -1);
		assert_contains(err.text, cases[i].part);
		cJSON_Delete(tree);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return RUN_TESTS(tests);
}
