/*
 * Ollama. /api/ps lists the models in memory (docs/api.md, "List Running Models"). They are named
 * by tags of Ollama's own store, a layout that Larder does not serve yet: without an alias they
 * match no model here. (pure)
 */
#include "agent/engine.h"

enum { RUNNING };

static int read_ollama(struct engine_view *view, size_t request, const cJSON *tree, struct err *err)
{
	const cJSON *all = cJSON_GetObjectItemCaseSensitive(tree, "models"), *item;

	(void)request; /* there is one */
	if (!cJSON_IsArray(all))
		return err_set(err, "\"models\" is missing");
	cJSON_ArrayForEach (item, all) {
		const char *name = engine_text(item, "name");

		if (name == NULL)
			return err_set(err, "a model has no \"name\"");
		(void)engine_view_add(view, name);
	}
	return 0;
}

const struct engine engine_ollama = {
	.name = "ollama",
	.port = 11434,
	.requests = {[RUNNING] = {.method = "GET", .path = "/api/ps"}},
	.read = read_ollama,
};
