/*
 * NVIDIA NIM. /v1/models is OpenAI's list; /v1/metadata has `modelInfo` with `modelUrl`, such as
 * ngc://nim/meta/llama-3_1-8b-instruct:hf-8c22764 (NIM's API reference). In its cache that is the
 * folder models--nim--meta--llama-3_1-8b-instruct: the url's parts, or "nim" and the served name
 * with dots as underscores. Its snapshots are tags, so any of them matches. (pure)
 */
#include "agent/engine.h"

#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"

#define URL_PREFIX "ngc://"

enum { MODELS, METADATA, METRICS };

/* "nim/meta/llama-3.1" as "models--nim--meta--llama-3.1"; to be freed. */
static char *folder_of(const char *prefix, const char *parts, size_t len, bool underscores)
{
	char *folder = xasprintf("models--%s", prefix);
	size_t at = strlen(folder);

	folder = xrealloc(folder, at + 2 * len + 1);
	for (size_t i = 0; i < len; i++) {
		folder[at++] = parts[i] == '/' ? '-' : parts[i];
		if (parts[i] == '/')
			folder[at++] = '-';
		else if (underscores && parts[i] == '.')
			folder[at - 1] = '_';
	}
	folder[at] = '\0';
	return folder;
}

static void name_folders(struct engine_model *model, const char *id)
{
	char *dots, *underscores;

	if (id[0] == '/' || strlen(id) > ENGINE_TEXT_MAX / 2)
		return;
	dots = folder_of("nim--", id, strlen(id), false);
	underscores = folder_of("nim--", id, strlen(id), true);
	engine_model_name_text(model, dots);
	engine_model_name_text(model, underscores);
	free(dots);
	free(underscores);
}

/* What a NIM has downloaded belongs to each model that it serves. */
static void read_metadata(struct engine_view *view, const cJSON *tree)
{
	const cJSON *infos = cJSON_GetObjectItemCaseSensitive(tree, "modelInfo"), *info;

	cJSON_ArrayForEach (info, infos) {
		const char *url = engine_text(info, "modelUrl");
		char *folder;

		if (url == NULL || strncmp(url, URL_PREFIX, strlen(URL_PREFIX)) != 0 ||
		    strlen(url) > ENGINE_TEXT_MAX / 2)
			continue;
		url += strlen(URL_PREFIX);
		folder = folder_of("", url, strcspn(url, ":?"), false);
		for (size_t i = 0; i < view->count; i++)
			engine_model_name_text(&view->models[i], folder);
		free(folder);
	}
}

static int read_nim(struct engine_view *view, size_t request, const cJSON *tree, struct err *err)
{
	if (request == MODELS)
		return engine_read_openai(view, tree, name_folders, err);
	read_metadata(view, tree);
	return 0;
}

const struct engine engine_nim = {
	.name = "nim",
	.port = 8000,
	.requests = {[MODELS] = {.method = "GET", .path = "/v1/models"},
		     [METADATA] = {.method = "GET", .path = "/v1/metadata", .optional = true},
		     [METRICS] = {.method = "GET",
				  .path = "/v1/metrics",
				  .content = ENGINE_METRICS,
				  .optional = true}},
	.read = read_nim,
	.sample = engine_vllm_sample,
};
