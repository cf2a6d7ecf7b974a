/*
 * vLLM. /v1/models lists one entry for each --served-model-name, all with the value of --model (a
 * repository or a path) as `root`, and one for each LoRA adapter, with its path as `root` and the
 * base model as `parent` (vllm/entrypoints/openai/models/serving.py). The revision is not told.
 * Names of metrics: vllm/v1/metrics/loggers.py. An engine that sleeps, at whatever level, loads
 * its weights again when it wakes. (pure)
 */
#include "agent/engine.h"

#include <string.h>

enum { MODELS, METRICS };

static int read_vllm(struct engine_view *view, size_t request, const cJSON *tree, struct err *err)
{
	(void)request; /* only MODELS is JSON */
	return engine_read_openai(view, tree, NULL, err);
}

void engine_vllm_sample(struct engine_view *view, const struct prom_sample *sample)
{
	static const char *const work[] = {"vllm:request_success_total", "vllm:prompt_tokens_total",
					   "vllm:generation_tokens_total", NULL};
	static const char *const running[] = {"vllm:num_requests_running",
					      "vllm:num_requests_waiting", NULL};
	static const struct engine_families families = {work, running};
	char state[32];

	engine_sample(view, sample, &families);
	if (strcmp(sample->name, "vllm:engine_sleep_state") == 0 && sample->value != 0 &&
	    prom_label(sample, "sleep_state", state, sizeof(state)) && strcmp(state, "awake") != 0)
		view->asleep = true;
}

const struct engine engine_vllm = {
	.name = "vllm",
	.port = 8000,
	.requests = {[MODELS] = {.method = "GET", .path = "/v1/models"},
		     [METRICS] = {.method = "GET",
				  .path = "/metrics",
				  .content = ENGINE_METRICS,
				  .optional = true}},
	.read = read_vllm,
	.sample = engine_vllm_sample,
};
