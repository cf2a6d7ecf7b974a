/*
 * Inference engines and how to learn from one what it serves (pure). An engine is a table: what is
 * asked of it, and how its answers are read. A row's requests must cost the engine nothing, and
 * wake nothing up: no generation, no health check that generates.
 *
 * Names and shapes of the answers are those of the engines' own documentation and sources; each
 * engine_*.c says which, and tests/unit/test_engine.c has the bodies.
 */
#ifndef LARDER_ENGINE_H
#define LARDER_ENGINE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/prom_text.h"
#include "common/err.h"

#define ENGINE_REQUESTS_MAX 6
/* Of one engine; when it serves more, any model may be served (engine_view_serves_any). */
#define ENGINE_MODELS_MAX 512
/* How one served model may be named in several ways. */
#define ENGINE_NAMES_MAX 8
#define ENGINE_TEXT_MAX	 1024

/* One model that an engine serves. */
struct engine_model {
	char *served; /* as clients of the engine call it */
	/* What may name the cached model: paths, repositories, folders; `served` among them. */
	char *names[ENGINE_NAMES_MAX];
	size_t count;
	bool more;	/* names that did not fit */
	char *revision; /* NULL: the engine does not tell */
	bool adapter;	/* goes with another model: a LoRA, a draft, a tokenizer */
};

/* What an engine has told in one round of requests. Starts zeroed. */
struct engine_view {
	struct engine_model *models;
	size_t count, capacity;
	bool overflow;	/* there were more than fit */
	bool counted;	/* `work` holds something */
	double work;	/* grows with each request: counters of requests and tokens, added up */
	double running; /* requests in work or waiting */
	double process_start_s;	  /* seconds since 1970 by the engine's clock; 0: not told */
	int64_t last_use_wall_ms; /* by the engine's clock; 0: not told */
	bool asleep;		  /* will load its model from the disk again: in use */
};

enum engine_content { ENGINE_JSON, ENGINE_METRICS };

struct engine_request {
	const char *method; /* NULL ends the list */
	const char *path;
	const char *body; /* JSON; NULL: none */
	enum engine_content content;
	bool optional; /* without it less is known, but not what is served */
	bool instead;  /* asked only when the one before it was not found (404) */
};

struct engine {
	const char *name;
	int port; /* that it listens on unless told otherwise */
	struct engine_request requests[ENGINE_REQUESTS_MAX + 1];
	/*
	 * Takes over what a request was answered; -1 with a sentence when that is not what this
	 * engine answers.
	 */
	int (*read)(struct engine_view *view, size_t request, const cJSON *tree, struct err *err);
	/* Takes over one sample of ENGINE_METRICS; may be NULL. */
	void (*sample)(struct engine_view *view, const struct prom_sample *sample);
};

extern const struct engine engine_llamacpp, engine_nim, engine_ollama, engine_sglang, engine_tgi,
	engine_triton, engine_vllm;

/* All of them, ending with NULL, in the order of their names. */
extern const struct engine *const engines_known[];

/* NULL when there is none of that name. */
const struct engine *engine_find(const char *name);

/* Parses and takes over a JSON answer of request number `request`. */
int engine_read(const struct engine *engine, struct engine_view *view, size_t request,
		const char *body, size_t len, struct err *err) MUST_USE;

/* ---- for the engines' own files ---- */

/* Adds a served model, or finds it again. NULL when there are too many. */
struct engine_model *engine_view_add(struct engine_view *view, const char *served);
/* Adds a name that is a text of sensible length. `model` may be NULL. */
void engine_model_name(struct engine_model *model, const cJSON *name);
void engine_model_name_text(struct engine_model *model, const char *name);

/* A member that is a text with something in it, or NULL. */
const char *engine_text(const cJSON *object, const char *key);

/* True when not all that it serves fits into the view: it may be any model. */
bool engine_view_serves_any(const struct engine_view *view);

void engine_view_free(struct engine_view *view);

/*
 * Reads {"data":[{"id","root","parent"}]}, the list of models that OpenAI's API has, with the
 * members that vLLM adds. `took` is called for each, if it is not NULL.
 */
int engine_read_openai(struct engine_view *view, const cJSON *tree,
		       void (*took)(struct engine_model *model, const char *id), struct err *err);

/* Which of an engine's samples count work, and which tell of requests under way; NULL-terminated.
 */
struct engine_families {
	const char *const *work;
	const char *const *running;
};
void engine_sample(struct engine_view *view, const struct prom_sample *sample,
		   const struct engine_families *families);

/* What vLLM counts: NIM has taken it over. */
void engine_vllm_sample(struct engine_view *view, const struct prom_sample *sample);

#endif
