/* What all engines have in common. (pure) */
#include "agent/engine.h"

#include <stdlib.h>
#include <string.h>

#include "common/attributes.h"
#include "common/json_doc.h"
#include "common/xmem.h"

#define PROCESS_START "process_start_time_seconds"

const struct engine *const engines_known[] = {
	&engine_llamacpp, &engine_nim,	  &engine_ollama, &engine_sglang,
	&engine_tgi,	  &engine_triton, &engine_vllm,	  NULL,
};

const struct engine *engine_find(const char *name)
{
	for (size_t i = 0; engines_known[i] != NULL; i++) {
		if (strcmp(engines_known[i]->name, name) == 0)
			return engines_known[i];
	}
	return NULL;
}

int engine_read(const struct engine *engine, struct engine_view *view, size_t request,
		const char *body, size_t len, struct err *err)
{
	cJSON *tree = json_doc_parse(body, len, err);
	int rc;

	if (tree == NULL)
		return -1;
	rc = engine->read(view, request, tree, err);
	cJSON_Delete(tree);
	return rc;
}

struct engine_model *engine_view_add(struct engine_view *view, const char *served)
{
	struct engine_model *model;

	for (size_t i = 0; i < view->count; i++) {
		if (strncmp(view->models[i].served, served, ENGINE_TEXT_MAX) == 0)
			return &view->models[i];
	}
	if (view->count == ENGINE_MODELS_MAX) {
		view->overflow = true;
		return NULL;
	}
	view->models = xgrow(view->models, view->count, &view->capacity, sizeof(*view->models));
	model = &view->models[view->count++];
	*model = (struct engine_model){
		.served = xstrndup(served, strnlen(served, ENGINE_TEXT_MAX)),
	};
	engine_model_name_text(model, served);
	return model;
}

void engine_model_name_text(struct engine_model *model, const char *name)
{
	if (model == NULL || name[0] == '\0')
		return;
	for (size_t i = 0; i < model->count; i++) {
		if (strcmp(model->names[i], name) == 0)
			return;
	}
	if (strlen(name) > ENGINE_TEXT_MAX || model->count == ENGINE_NAMES_MAX)
		model->more = true;
	else
		model->names[model->count++] = xstrdup(name);
}

void engine_model_name(struct engine_model *model, const cJSON *name)
{
	if (cJSON_IsString(name))
		engine_model_name_text(model, name->valuestring);
}

const char *engine_text(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(item) && item->valuestring[0] != '\0' ? item->valuestring : NULL;
}

static bool is_any(const char *name, const char *const *names)
{
	for (; *names != NULL; names++) {
		if (strcmp(name, *names) == 0)
			return true;
	}
	return false;
}

void engine_sample(struct engine_view *view, const struct prom_sample *sample,
		   const struct engine_families *families)
{
	if (is_any(sample->name, families->work)) {
		view->counted = true;
		view->work += sample->value;
	} else if (is_any(sample->name, families->running)) {
		view->running += sample->value;
	} else if (strcmp(sample->name, PROCESS_START) == 0) {
		view->process_start_s = sample->value;
	}
}

bool engine_view_serves_any(const struct engine_view *view)
{
	for (size_t i = 0; i < view->count; i++) {
		if (view->models[i].more)
			return true;
	}
	return view->overflow;
}

void engine_view_free(struct engine_view *view)
{
	for (size_t i = 0; i < view->count; i++) {
		struct engine_model *model = &view->models[i];

		for (size_t j = 0; j < model->count; j++)
			free(model->names[j]);
		free(model->served);
		free(model->revision);
	}
	free(view->models);
	*view = (struct engine_view){0};
}

int engine_read_openai(struct engine_view *view, const cJSON *tree,
		       void (*took)(struct engine_model *model, const char *id), struct err *err)
{
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(tree, "data"), *item;

	if (!cJSON_IsArray(data))
		return err_set(err, "it is no list of models: \"data\" is missing");
	cJSON_ArrayForEach (item, data) {
		const char *id = engine_text(item, "id");
		struct engine_model *model;

		if (id == NULL)
			return err_set(err, "a model in \"data\" has no \"id\"");
		model = engine_view_add(view, id);
		if (model == NULL)
			return 0;
		engine_model_name(model, cJSON_GetObjectItemCaseSensitive(item, "root"));
		model->adapter = engine_text(item, "parent") != NULL;
		if (took != NULL)
			took(model, id);
	}
	return 0;
}
