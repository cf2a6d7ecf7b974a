/*
 * SGLang. /get_model_info has `model_path`; /v1/models would only have the served name, and
 * /health generates a token. /get_server_info has all arguments, among them `revision`,
 * `served_model_name`, `lora_paths`, `tokenizer_path` and `speculative_draft_model_path`
 * (python/sglang/srt/entrypoints/http_server.py, server_args.py; newer releases call them
 * /model_info and /server_info). Metrics are there with --enable-metrics only
 * (python/sglang/srt/metrics/collector.py). (pure)
 */
#include "agent/engine.h"

#include <string.h>

#include "common/xmem.h"

enum { MODEL_INFO, MODEL_INFO_NEW, SERVER_INFO, SERVER_INFO_NEW, METRICS };

static int read_model(struct engine_view *view, const cJSON *tree, struct err *err)
{
	const char *path = engine_text(tree, "model_path");

	if (path == NULL)
		return err_set(err, "\"model_path\" is missing");
	(void)engine_view_add(view, path);
	return 0;
}

/* What is loaded beside the model: the drafts of speculative decoding, another's tokenizer. */
static void add_beside(struct engine_view *view, const cJSON *tree, const char *key)
{
	const char *path = engine_text(tree, key);
	size_t before = view->count;
	struct engine_model *model;

	if (path == NULL)
		return;
	model = engine_view_add(view, path);
	/* Most often it is the model itself. */
	if (model != NULL && view->count > before)
		model->adapter = true;
}

/* "name=path", "path", or {"lora_name", "lora_path"}. */
static void add_adapter(struct engine_view *view, const char *name, const cJSON *item)
{
	const char *path =
		cJSON_IsString(item) ? item->valuestring : engine_text(item, "lora_path");
	const char *equals = path != NULL ? strchr(path, '=') : NULL;
	struct engine_model *model;

	if (path == NULL || *path == '\0')
		return;
	if (equals != NULL)
		path = equals + 1;
	model = engine_view_add(view, path);
	if (model == NULL)
		return;
	model->adapter = true;
	if (name != NULL)
		engine_model_name_text(model, name);
}

static void read_arguments(struct engine_view *view, const cJSON *tree)
{
	const char *revision = engine_text(tree, "revision");
	const cJSON *adapters = cJSON_GetObjectItemCaseSensitive(tree, "lora_paths"), *item;

	if (view->count == 0)
		return;
	engine_model_name(&view->models[0],
			  cJSON_GetObjectItemCaseSensitive(tree, "served_model_name"));
	if (revision != NULL && view->models[0].revision == NULL)
		view->models[0].revision = xstrndup(revision, strnlen(revision, ENGINE_TEXT_MAX));
	cJSON_ArrayForEach (item, adapters)
		add_adapter(view, item->string, item);
	add_beside(view, tree, "speculative_draft_model_path");
	add_beside(view, tree, "tokenizer_path");
}

static int read_sglang(struct engine_view *view, size_t request, const cJSON *tree, struct err *err)
{
	if (request == MODEL_INFO || request == MODEL_INFO_NEW)
		return read_model(view, tree, err);
	read_arguments(view, tree);
	return 0;
}

static void sample_sglang(struct engine_view *view, const struct prom_sample *sample)
{
	static const char *const work[] = {"sglang:num_requests_total",
					   "sglang:prompt_tokens_total",
					   "sglang:generation_tokens_total", NULL};
	static const char *const running[] = {"sglang:num_running_reqs", "sglang:num_queue_reqs",
					      NULL};
	static const struct engine_families families = {work, running};

	engine_sample(view, sample, &families);
}

const struct engine engine_sglang = {
	.name = "sglang",
	.port = 30000,
	.requests = {[MODEL_INFO] = {.method = "GET", .path = "/get_model_info"},
		     [MODEL_INFO_NEW] = {.method = "GET", .path = "/model_info", .instead = true},
		     [SERVER_INFO] = {.method = "GET",
				      .path = "/get_server_info",
				      .optional = true},
		     [SERVER_INFO_NEW] = {.method = "GET",
					  .path = "/server_info",
					  .optional = true,
					  .instead = true},
		     [METRICS] = {.method = "GET",
				  .path = "/metrics",
				  .content = ENGINE_METRICS,
				  .optional = true}},
	.read = read_sglang,
	.sample = sample_sglang,
};
