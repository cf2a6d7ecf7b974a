/*
 * Triton. The index of its model repository names each model and says which are READY or LOADING
 * (docs/protocol/extension_model_repository.md); a name is a folder in that repository, not what a
 * backend may load from elsewhere. The statistics have `last_inference` in milliseconds since
 * 1970 and `inference_count` (docs/protocol/extension_statistics.md). (pure)
 */
#include "agent/engine.h"

#include <string.h>

#include "common/json_doc.h"

enum { INDEX, STATS };

static int read_index(struct engine_view *view, const cJSON *tree, struct err *err)
{
	const cJSON *item;

	if (!cJSON_IsArray(tree))
		return err_set(err, "it is no index of a model repository: not a list");
	cJSON_ArrayForEach (item, tree) {
		const char *name = engine_text(item, "name"), *state = engine_text(item, "state");

		if (name == NULL)
			return err_set(err, "a model has no \"name\"");
		/* Without a state it was never loaded. */
		if (state == NULL || strcmp(state, "UNAVAILABLE") == 0)
			continue;
		(void)engine_view_add(view, name);
	}
	return 0;
}

static void read_stats(struct engine_view *view, const cJSON *tree)
{
	const cJSON *all = cJSON_GetObjectItemCaseSensitive(tree, "model_stats"), *item;

	cJSON_ArrayForEach (item, all) {
		int64_t last, count;

		if (json_doc_int64(cJSON_GetObjectItemCaseSensitive(item, "last_inference"),
				   &last) == 0 &&
		    last > view->last_use_wall_ms)
			view->last_use_wall_ms = last;
		if (json_doc_int64(cJSON_GetObjectItemCaseSensitive(item, "inference_count"),
				   &count) == 0) {
			view->counted = true;
			view->work += (double)count;
		}
	}
}

static int read_triton(struct engine_view *view, size_t request, const cJSON *tree, struct err *err)
{
	if (request == INDEX)
		return read_index(view, tree, err);
	read_stats(view, tree);
	return 0;
}

const struct engine engine_triton = {
	.name = "triton",
	.port = 8000,
	.requests = {[INDEX] = {.method = "POST", .path = "/v2/repository/index", .body = "{}"},
		     [STATS] = {.method = "GET", .path = "/v2/models/stats", .optional = true}},
	.read = read_triton,
};
