/* What engines answer, in the bodies of tests/data/engines, and what is made of it. */
#include "agent/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/probe_spec.h"
#include "common/xmem.h"
#include "tests/unit/kit.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define C "cccccccccccccccccccccccccccccccccccccccc"

static void on_sample(const struct prom_sample *sample, void *arg)
{
	void **pair = arg;
	const struct engine *engine = pair[0];

	engine->sample(pair[1], sample);
}

/* The request of an engine that has this path. */
static size_t request_of(const struct engine *engine, const char *path)
{
	size_t i = 0;

	while (engine->requests[i].method != NULL && strcmp(engine->requests[i].path, path) != 0)
		i++;
	assert_non_null(engine->requests[i].method);
	return i;
}

/* Takes over one file as the answer to a path. */
static void feed(const struct engine *engine, struct engine_view *view, const char *path,
		 const char *file)
{
	size_t len, request = request_of(engine, path);
	char *body = get_file(LARDER_TEST_DATA "/engines", file, &len);
	struct err err = {""};

	if (engine->requests[request].content == ENGINE_METRICS) {
		struct prom_reader *reader = xcalloc(1, sizeof(*reader));
		void *pair[] = {(void *)engine, view};

		prom_read(reader, body, len, on_sample, pair);
		prom_end(reader, on_sample, pair);
		free(reader);
	} else {
		assert_int_equal(engine_read(engine, view, request, body, len, &err), 0);
		assert_string_equal(err.text, "");
	}
	free(body);
}

static const struct engine_model *served(const struct engine_view *view, const char *name)
{
	for (size_t i = 0; i < view->count; i++) {
		if (strcmp(view->models[i].served, name) == 0)
			return &view->models[i];
	}
	fail_msg("%s is not served", name);
	return NULL;
}

static bool named(const struct engine_model *model, const char *name)
{
	for (size_t i = 0; i < model->count; i++) {
		if (strcmp(model->names[i], name) == 0)
			return true;
	}
	return false;
}

/* Does what is served mean this model of a hub cache? */
static bool means(const struct engine_model *model, const char *locator)
{
	const struct probe_spec spec = {0};
	const struct model_ref_facts facts = {.name = "hf:x@-",
					      .layout = "huggingface",
					      .locator = locator,
					      .root_path = "/nvme/hub"};
	struct model_ref refs[PROBE_REFS_MAX];
	size_t count = probe_spec_map(&spec, model, refs);
	bool does = false;

	for (size_t i = 0; i < count; i++) {
		does |= model_ref_matches(&refs[i], &facts);
		model_ref_free(&refs[i]);
	}
	return does;
}

static void test_vllm(void **state)
{
	struct engine_view view = {0};
	const struct engine_model *model;

	(void)state;
	feed(&engine_vllm, &view, "/v1/models", "vllm-models.json");
	feed(&engine_vllm, &view, "/metrics", "vllm-metrics.txt");
	assert_int_equal(view.count, 3);
	model = served(&view, "chat");
	assert_true(named(model, "acme/llama"));
	assert_false(model->adapter);
	assert_null(model->revision);
	assert_true(means(model, "models--acme--llama/" A));
	assert_true(means(served(&view, "chat-large"), "models--acme--llama/" C));
	model = served(&view, "sql-lora");
	assert_true(model->adapter);
	assert_true(means(model, "models--acme--sql-lora/" C));
	assert_false(means(model, "models--acme--sql-lora/" A));
	assert_true(view.counted);
	assert_true(view.work == 1000 + 400 + 7);
	assert_true(view.running == 3);
	assert_true(view.process_start_s == 1.79549e9);
	assert_false(view.asleep);
	engine_view_free(&view);
}

static void test_vllm_asleep(void **state)
{
	static const char *const states[] = {"weights_offloaded", "discard_all"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct engine_view view = {0};
		char labels[64];

		snprintf(labels, sizeof(labels), "engine=\"0\",sleep_state=\"%s\"", states[i]);
		engine_vllm.sample(&view, &(struct prom_sample){.name = "vllm:engine_sleep_state",
								.labels = labels,
								.value = 1});
		assert_true(view.asleep);
		engine_view_free(&view);
	}
}

static void test_sglang(void **state)
{
	struct engine_view view = {0};
	const struct engine_model *model;

	(void)state;
	feed(&engine_sglang, &view, "/get_model_info", "sglang-model-info.json");
	feed(&engine_sglang, &view, "/get_server_info", "sglang-server-info.json");
	feed(&engine_sglang, &view, "/metrics", "sglang-metrics.txt");
	assert_int_equal(view.count, 2);
	model = served(&view, "acme/llama");
	assert_true(named(model, "chat"));
	assert_string_equal(model->revision, A);
	assert_true(means(model, "models--acme--llama/" A));
	assert_false(means(model, "models--acme--llama/" C));
	model = &view.models[1];
	assert_true(model->adapter && named(model, "sql"));
	assert_true(means(model, "models--acme--sql-lora/" C));
	assert_true(view.work == 8128 + 7557 + 12);
	assert_true(view.running == 3);
	engine_view_free(&view);
}

/* All spellings of adapters. */
static void test_sglang_adapters(void **state)
{
	static const char *const forms[] = {
		"[\"sql=/hub/models--acme--sql-lora\"]",
		"[\"/hub/models--acme--sql-lora\"]",
		"[{\"lora_name\":\"sql\",\"lora_path\":\"/hub/models--acme--sql-lora\"}]",
		"{\"sql\":\"/hub/models--acme--sql-lora\"}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct engine_view view = {0};
		char *body = xasprintf("{\"revision\":null,\"lora_paths\":%s}", forms[i]);

		feed(&engine_sglang, &view, "/model_info", "sglang-model-info.json");
		assert_int_equal(engine_read(&engine_sglang, &view,
					     request_of(&engine_sglang, "/server_info"), body,
					     strlen(body), NULL),
				 0);
		assert_int_equal(view.count, 2);
		assert_null(view.models[0].revision);
		assert_true(view.models[1].adapter);
		assert_true(means(&view.models[1], "models--acme--sql-lora/" A));
		engine_view_free(&view);
		free(body);
	}
}

/* A draft of speculative decoding, and a tokenizer from elsewhere. */
static void test_sglang_beside(void **state)
{
	static const char body[] = "{\"revision\":\"" A "\",\"tokenizer_path\":\"acme/tokenizer\","
				   "\"speculative_draft_model_path\":\"acme/llama-eagle\"}";
	struct engine_view view = {0};

	(void)state;
	feed(&engine_sglang, &view, "/model_info", "sglang-model-info.json");
	assert_int_equal(engine_read(&engine_sglang, &view,
				     request_of(&engine_sglang, "/server_info"), body, strlen(body),
				     NULL),
			 0);
	assert_int_equal(view.count, 3);
	assert_false(view.models[0].adapter);
	assert_true(means(served(&view, "acme/llama-eagle"), "models--acme--llama-eagle/" C));
	assert_true(means(served(&view, "acme/tokenizer"), "models--acme--tokenizer/" C));
	assert_true(view.models[1].adapter && view.models[2].adapter);
	engine_view_free(&view);
}

static void test_tgi(void **state)
{
	struct engine_view view = {0};

	(void)state;
	feed(&engine_tgi, &view, "/info", "tgi-info.json");
	feed(&engine_tgi, &view, "/metrics", "tgi-metrics.txt");
	assert_int_equal(view.count, 1);
	assert_string_equal(view.models[0].revision, A);
	assert_true(means(&view.models[0], "models--acme--llama/" A));
	assert_false(means(&view.models[0], "models--acme--llama/" C));
	assert_true(view.work == 87 && view.running == 1);
	engine_view_free(&view);
}

static void test_triton(void **state)
{
	struct engine_view view = {0};

	(void)state;
	feed(&engine_triton, &view, "/v2/repository/index", "triton-index.json");
	feed(&engine_triton, &view, "/v2/models/stats", "triton-stats.json");
	assert_int_equal(view.count, 2);
	(void)served(&view, "llama");
	(void)served(&view, "whisper"); /* it is being loaded */
	assert_true(view.counted && view.work == 40);
	assert_int_equal(view.last_use_wall_ms, INT64_C(1795500123456));
	engine_view_free(&view);
}

static void test_ollama(void **state)
{
	struct engine_view view = {0};

	(void)state;
	feed(&engine_ollama, &view, "/api/ps", "ollama-ps.json");
	assert_int_equal(view.count, 1);
	(void)served(&view, "llama3.1:8b");
	assert_false(means(&view.models[0], "models--acme--llama/" A));
	engine_view_free(&view);
}

static void test_llamacpp(void **state)
{
	struct engine_view view = {0};

	(void)state;
	feed(&engine_llamacpp, &view, "/models", "llamacpp-models.json");
	feed(&engine_llamacpp, &view, "/props", "llamacpp-props.json");
	feed(&engine_llamacpp, &view, "/metrics", "llamacpp-metrics.txt");
	assert_int_equal(view.count, 1);
	assert_true(means(served(&view, "chat"), "models--acme--tiny-gguf/" A));
	assert_false(means(&view.models[0], "models--acme--tiny-gguf/" C));
	assert_true(view.work == 14 && view.running == 1);
	assert_false(view.asleep);
	engine_view_free(&view);
}

static void test_llamacpp_router(void **state)
{
	struct engine_view view = {0};
	const struct engine_model *model;

	(void)state;
	feed(&engine_llamacpp, &view, "/models", "llamacpp-router-models.json");
	feed(&engine_llamacpp, &view, "/props", "llamacpp-router-props.json");
	assert_int_equal(view.count, 3);
	model = served(&view, "acme/tiny-gguf:Q4_K_M");
	assert_true(means(model, "models--acme--tiny-gguf/" A));
	assert_true(named(model, "acme/tiny-gguf"));
	assert_true(means(served(&view, "acme/nap-gguf:Q8_0"), "models--acme--nap-gguf/" C));
	assert_true(named(served(&view, "custom_model"), "/models/custom/custom.gguf"));
	for (size_t i = 0; i < view.count; i++)
		assert_false(named(&view.models[i], "none"));
	engine_view_free(&view);
}

static void test_nim(void **state)
{
	struct engine_view view = {0};
	const struct engine_model *model;

	(void)state;
	feed(&engine_nim, &view, "/v1/models", "nim-models.json");
	model = served(&view, "acme/llama-3.1-8b-instruct");
	assert_true(means(model, "models--acme--llama-3.1-8b-instruct/" A));
	assert_true(means(model, "models--nim--acme--llama-3.1-8b-instruct/hf-8c22764-nim1.5+"));
	assert_true(means(model, "models--nim--acme--llama-3_1-8b-instruct/0.11.1+ba20956e"));
	assert_false(means(model, "models--nim--acme--llama-3_1-8b/hf-8c22764-nim1.5+"));
	feed(&engine_nim, &view, "/v1/metadata", "nim-metadata.json");
	model = served(&view, "acme/llama-3.1-8b-instruct");
	assert_true(means(model, "models--nim--acme--llama-3_1-8b/hf-8c22764-nim1.5+"));
	feed(&engine_nim, &view, "/v1/metrics", "vllm-metrics.txt");
	assert_true(view.counted && view.running == 3);
	engine_view_free(&view);
}

/* Nothing that is not an engine's answer is taken for "it serves nothing". */
static void test_foreign(void **state)
{
	static const char *const bodies[] = {
		"",
		"<html>",
		"null",
		"true",
		"1",
		"\"text\"",
		"{}",
		"{\"data\":null}",
		"[1]",
		"{\"data\":{}}",
		"{\"data\":[{}]}",
		"{\"data\":[{\"id\":\"\"}]}",
		"[[]]",
		"{\"data\":[1]}",
		"{\"models\":[{\"name\":7}]}",
		"{\"data\":[",
		"[{\"state\":\"READY\"}]",
	};

	(void)state;
	for (size_t i = 0; engines_known[i] != NULL; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(bodies); j++) {
			struct engine_view view = {0};
			struct err err = {""};

			assert_int_equal(engine_read(engines_known[i], &view, 0, bodies[j],
						     strlen(bodies[j]), &err),
					 -1);
			assert_string_not_equal(err.text, "");
			engine_view_free(&view);
		}
	}
}

/* Lists with nothing in them do say so. */
static void test_nothing(void **state)
{
	static const struct {
		const struct engine *engine;
		const char *body;
	} cases[] = {
		{&engine_vllm, "{\"object\":\"list\",\"data\":[]}"},
		{&engine_ollama, "{\"models\":[]}"},
		{&engine_triton, "[]"},
		{&engine_triton, "[{\"name\":\"a\"},{\"name\":\"b\",\"state\":\"UNAVAILABLE\"}]"},
		{&engine_llamacpp,
		 "{\"data\":[{\"id\":\"a\",\"status\":{\"value\":\"unloaded\"}}]}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct engine_view view = {0};

		assert_int_equal(engine_read(cases[i].engine, &view, 0, cases[i].body,
					     strlen(cases[i].body), NULL),
				 0);
		assert_int_equal(view.count, 0);
		engine_view_free(&view);
	}
}

/* With more models than are looked at, or names of one, it may serve any. */
static void test_too_many(void **state)
{
	struct engine_view view = {0};
	char *body = xcalloc(64, ENGINE_MODELS_MAX + 2);
	size_t len = (size_t)sprintf(body, "[");

	(void)state;
	for (int i = 0; i < ENGINE_MODELS_MAX; i++)
		len += (size_t)sprintf(body + len, "%s{\"name\":\"m%d\",\"state\":\"READY\"}",
				       i > 0 ? "," : "", i);
	body[len] = ']';
	assert_int_equal(engine_read(&engine_triton, &view, 0, body, len + 1, NULL), 0);
	assert_int_equal(view.count, ENGINE_MODELS_MAX);
	assert_false(engine_view_serves_any(&view));
	engine_view_free(&view);
	len += (size_t)sprintf(body + len, ",{\"name\":\"one more\",\"state\":\"READY\"}]");
	assert_int_equal(engine_read(&engine_triton, &view, 0, body, len, NULL), 0);
	assert_int_equal(view.count, ENGINE_MODELS_MAX);
	assert_true(engine_view_serves_any(&view));
	engine_view_free(&view);
	free(body);
}

static void test_too_many_names(void **state)
{
	char text[ENGINE_TEXT_MAX + 2] = "m0";
	struct engine_view view = {0};
	struct engine_model *model = engine_view_add(&view, text);

	(void)state;
	for (int i = 0; i < ENGINE_NAMES_MAX; i++) {
		sprintf(text, "m%d", i);
		engine_model_name_text(model, text);
	}
	engine_model_name_text(model, text); /* once more */
	assert_false(engine_view_serves_any(&view));
	engine_model_name_text(model, "another");
	assert_int_equal(model->count, ENGINE_NAMES_MAX);
	assert_true(engine_view_serves_any(&view));
	engine_view_free(&view);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_non_null(engine_view_add(&view, text));
	assert_true(engine_view_serves_any(&view));
	engine_view_free(&view);
}

static void test_find(void **state)
{
	(void)state;
	for (size_t i = 0; engines_known[i] != NULL; i++) {
		const struct engine *engine = engines_known[i];

		assert_ptr_equal(engine_find(engine->name), engine);
		assert_non_null(engine->requests[0].method);
		assert_false(engine->requests[0].optional || engine->requests[0].instead);
		assert_int_equal(engine->requests[0].content, ENGINE_JSON);
		assert_null(engine->requests[ENGINE_REQUESTS_MAX].method);
		assert_true(i == 0 || strcmp(engines_known[i - 1]->name, engine->name) < 0);
	}
	assert_null(engine_find("dynamo"));
	assert_null(engine_find(""));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vllm),
		cmocka_unit_test(test_vllm_asleep),
		cmocka_unit_test(test_sglang),
		cmocka_unit_test(test_sglang_adapters),
		cmocka_unit_test(test_sglang_beside),
		cmocka_unit_test(test_tgi),
		cmocka_unit_test(test_triton),
		cmocka_unit_test(test_ollama),
		cmocka_unit_test(test_llamacpp),
		cmocka_unit_test(test_llamacpp_router),
		cmocka_unit_test(test_nim),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_too_many_names),
		cmocka_unit_test(test_find),
	};

	return RUN_TESTS(tests);
}
