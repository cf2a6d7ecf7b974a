/*
 * llama.cpp's server. /props has `model_path`, the GGUF file, and `is_sleeping`. /models has the
 * names; a router's list has all models that it could load, each with `status.value`, the
 * arguments of its instance and sometimes its `path`. These requests and /metrics (there with
 * --metrics only) neither wake a server nor keep it awake (tools/server/README.md, "Sleeping on
 * Idle"). (pure)
 */
#include "agent/engine.h"

#include <stdlib.h>
#include <string.h>

#include "common/attributes.h"
#include "common/xmem.h"

enum { MODELS, PROPS, METRICS };

/* "org/name:Q4_K_M": the tag is a choice of file within the repository. */
static void name_repo(struct engine_model *model, const char *text)
{
	const char *colon = strrchr(text, ':');
	char *repo;

	if (colon == NULL || strchr(colon, '/') != NULL)
		return;
	repo = xstrndup(text, (size_t)(colon - text));
	engine_model_name_text(model, repo);
	free(repo);
}

/* What the instance was started with. */
static void name_arguments(struct engine_model *model, const cJSON *args)
{
	static const char *const flags[] = {"-m", "--model", "-hf", "-hfr", "--hf-repo"};
	const cJSON *item;

	cJSON_ArrayForEach (item, args) {
		const char *flag = cJSON_GetStringValue(item);
		const char *value = cJSON_GetStringValue(item->next);

		for (size_t i = 0; flag != NULL && value != NULL && i < ARRAY_SIZE(flags); i++) {
			if (strcmp(flag, flags[i]) != 0)
				continue;
			engine_model_name_text(model, value);
			name_repo(model, value);
		}
	}
}

/* "unloaded" and "downloading" are not served; what is not known is taken to be. */
static bool serves(const cJSON *status)
{
	const char *value = engine_text(status, "value");

	return value == NULL ||
	       (strcmp(value, "unloaded") != 0 && strcmp(value, "downloading") != 0);
}

static int read_models(struct engine_view *view, const cJSON *tree, struct err *err)
{
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(tree, "data"), *item;

	if (!cJSON_IsArray(data))
		return err_set(err, "it is no list of models: \"data\" is missing");
	cJSON_ArrayForEach (item, data) {
		const cJSON *status = cJSON_GetObjectItemCaseSensitive(item, "status");
		const char *id = engine_text(item, "id");
		struct engine_model *model;

		if (id == NULL)
			return err_set(err, "a model in \"data\" has no \"id\"");
		if (!serves(status))
			continue;
		model = engine_view_add(view, id);
		if (model == NULL)
			return 0;
		name_repo(model, id);
		engine_model_name(model, cJSON_GetObjectItemCaseSensitive(item, "path"));
		name_arguments(model, cJSON_GetObjectItemCaseSensitive(status, "args"));
	}
	return 0;
}

static void read_props(struct engine_view *view, const cJSON *tree)
{
	const char *path = engine_text(tree, "model_path"), *role = engine_text(tree, "role");

	view->asleep = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(tree, "is_sleeping"));
	/* A router has a path that is none. */
	if (path == NULL || (role != NULL && strcmp(role, "router") == 0))
		return;
	if (view->count == 0)
		(void)engine_view_add(view, path);
	for (size_t i = 0; i < view->count; i++)
		engine_model_name_text(&view->models[i], path);
}

static int read_llamacpp(struct engine_view *view, size_t request, const cJSON *tree,
			 struct err *err)
{
	if (request == MODELS)
		return read_models(view, tree, err);
	if (!cJSON_IsObject(tree))
		return err_set(err, "it does not tell the server's properties");
	read_props(view, tree);
	return 0;
}

static void sample_llamacpp(struct engine_view *view, const struct prom_sample *sample)
{
	static const char *const work[] = {"llamacpp:prompt_tokens_total",
					   "llamacpp:tokens_predicted_total", NULL};
	static const char *const running[] = {"llamacpp:requests_processing",
					      "llamacpp:requests_deferred", NULL};
	static const struct engine_families families = {work, running};

	engine_sample(view, sample, &families);
}

const struct engine engine_llamacpp = {
	.name = "llamacpp",
	.port = 8080,
	.requests = {[MODELS] = {.method = "GET", .path = "/models"},
		     [PROPS] = {.method = "GET", .path = "/props"},
		     [METRICS] = {.method = "GET",
				  .path = "/metrics",
				  .content = ENGINE_METRICS,
				  .optional = true}},
	.read = read_llamacpp,
	.sample = sample_llamacpp,
};
