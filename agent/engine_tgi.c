/*
 * Text Generation Inference. /info has `model_id` (a repository or a path) and `model_sha`, the
 * exact commit; both are open even with an API key. Names of metrics: docs/source/reference/
 * metrics.md of TGI. (pure)
 */
#include "agent/engine.h"

#include <string.h>

#include "common/xmem.h"

enum { INFO, METRICS };

static int read_tgi(struct engine_view *view, size_t request, const cJSON *tree, struct err *err)
{
	const char *id = engine_text(tree, "model_id"), *sha = engine_text(tree, "model_sha");
	struct engine_model *model;

	(void)request; /* only INFO is JSON */
	if (id == NULL)
		return err_set(err, "\"model_id\" is missing");
	model = engine_view_add(view, id);
	if (model != NULL && sha != NULL && model->revision == NULL)
		model->revision = xstrndup(sha, strnlen(sha, ENGINE_TEXT_MAX));
	return 0;
}

static void sample_tgi(struct engine_view *view, const struct prom_sample *sample)
{
	static const char *const work[] = {"tgi_request_count", "tgi_request_success", NULL};
	static const char *const running[] = {"tgi_batch_current_size", "tgi_queue_size", NULL};
	static const struct engine_families families = {work, running};

	engine_sample(view, sample, &families);
}

const struct engine engine_tgi = {
	.name = "tgi",
	.port = 3000,
	.requests = {[INFO] = {.method = "GET", .path = "/info"},
		     [METRICS] = {.method = "GET",
				  .path = "/metrics",
				  .content = ENGINE_METRICS,
				  .optional = true}},
	.read = read_tgi,
	.sample = sample_tgi,
};
