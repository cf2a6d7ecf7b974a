/*
 * Engines' answers: the first byte chooses the engine, the second the request, the rest is the
 * body. What is taken over is within bounds and named; what is not is told. Metrics are the same in
 * whatever pieces they come.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/engine.h"
#include "agent/probe_count.h"
#include "agent/probe_spec.h"
#include "common/attributes.h"
#include "common/xmem.h"
#include "tests/fuzz/fuzz.h"

#define PIECE 7

static const struct engine *const engines[] = {
	&engine_llamacpp, &engine_nim,	  &engine_ollama, &engine_sglang,
	&engine_tgi,	  &engine_triton, &engine_vllm,
};

static void check_model(const struct engine_model *model)
{
	const struct probe_spec spec = {0};
	struct model_ref refs[PROBE_REFS_MAX];
	size_t count;

	REQUIRE(strlen(model->served) <= ENGINE_TEXT_MAX);
	REQUIRE(model->count <= ENGINE_NAMES_MAX);
	for (size_t i = 0; i < model->count; i++)
		REQUIRE(model->names[i][0] != '\0' && strlen(model->names[i]) <= ENGINE_TEXT_MAX);
	count = probe_spec_map(&spec, model, refs);
	REQUIRE(count <= PROBE_REFS_MAX);
	for (size_t i = 0; i < count; i++) {
		REQUIRE(refs[i].text != NULL && refs[i].text[0] != '\0');
		for (size_t j = 0; j < i; j++)
			REQUIRE(!model_ref_equal(&refs[i], &refs[j]));
	}
	for (size_t i = 0; i < count; i++)
		model_ref_free(&refs[i]);
}

struct taking {
	const struct engine *engine;
	struct engine_view view;
};

static void on_sample(const struct prom_sample *sample, void *arg)
{
	struct taking *taking = arg;

	REQUIRE(sample->name[0] != '\0');
	REQUIRE(sample->value - sample->value == 0);
	if (taking->engine->sample != NULL)
		taking->engine->sample(&taking->view, sample);
}

static void read_metrics(struct taking *taking, const char *text, size_t len, size_t piece)
{
	struct prom_reader *reader = xcalloc(1, sizeof(*reader));

	for (size_t at = 0; at < len; at += piece)
		prom_read(reader, text + at, len - at < piece ? len - at : piece, on_sample,
			  taking);
	prom_end(reader, on_sample, taking);
	free(reader);
}

static void check_metrics(const struct engine *engine, const char *text, size_t len)
{
	struct taking whole = {.engine = engine}, pieces = {.engine = engine};
	struct probe_count count = {0};
	const struct mono now = {1000};

	read_metrics(&whole, text, len, len + 1);
	read_metrics(&pieces, text, len, PIECE);
	REQUIRE(whole.view.counted == pieces.view.counted);
	REQUIRE(whole.view.asleep == pieces.view.asleep);
	REQUIRE(whole.view.work == pieces.view.work);
	REQUIRE(whole.view.running == pieces.view.running);
	probe_count_take(&count, &whole.view, now, 2000);
	probe_count_take(&count, &whole.view, now, 1);
	REQUIRE(!count.known || count.last.ms <= now.ms);
}

static void check_json(const struct engine *engine, size_t request, const char *text, size_t len)
{
	struct engine_view view = {0};
	struct probe_count count = {0};
	struct err err = {""};

	/* Something is known already when any but the first is answered. */
	if (request > 0)
		REQUIRE(engine_view_add(&view, "acme/llama") != NULL);
	if (engine_read(engine, &view, request, text, len, &err) != 0)
		REQUIRE(err.text[0] != '\0');
	REQUIRE(view.count <= ENGINE_MODELS_MAX);
	for (size_t i = 0; i < view.count; i++)
		check_model(&view.models[i]);
	probe_count_take(&count, &view, (struct mono){1000}, 2000);
	REQUIRE(!count.known || count.last.ms <= 1000);
	engine_view_free(&view);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct engine *engine;
	size_t request = 0, wanted;

	if (size < 2)
		return 0;
	engine = engines[data[0] % ARRAY_SIZE(engines)];
	wanted = data[1] % ENGINE_REQUESTS_MAX;
	while (request < wanted && engine->requests[request + 1].method != NULL)
		request++;
	if (engine->requests[request].content == ENGINE_METRICS)
		check_metrics(engine, (const char *)data + 2, size - 2);
	else
		check_json(engine, request, (const char *)data + 2, size - 2);
	return 0;
}
