/*
 * A round asks for one path after the other:
 *
 *   request --200 and understood--> the next one ... --none is left--> answered
 *           --404, the next one stands in for it--> the next one
 *           --optional, whatever happened--> the next one
 *           --401, 403--> refused     --other status, no such content--> misunderstood
 *           --no answer--> unreachable
 */
#include "agent/probe_round.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file_io.h"
#include "common/xmem.h"

#define CONNECT_TIMEOUT_MS 1000
#define TIMEOUT_MS	   3000
#define JSON_MAX_BYTES	   ((size_t)1 << 20)
#define METRICS_MAX_BYTES  ((size_t)8 << 20)

struct probe_round {
	struct http_client *client;
	const struct probe_spec *spec;
	size_t request; /* under way */
	char *token;	/* NULL: none */
	struct engine_view view;
	struct engine_view told; /* `view` without the metrics that are being read */
	struct prom_reader metrics;
	void (*done)(struct probe_result *result, void *arg);
	void *arg;
};

static void on_answer(const struct http_answer *answer, void *arg);

static const struct engine_request *request_of(const struct probe_round *round)
{
	return &round->spec->engine->requests[round->request];
}

static void end(struct probe_round *round, enum probe_outcome outcome, const char *why)
{
	struct probe_result result = {.outcome = outcome, .view = round->view, .why = why};

	round->done(&result, round->arg);
	engine_view_free(&result.view);
	free(round->token);
	free(round);
}

/* ---- metrics, read as they come ---- */

static void on_sample(const struct prom_sample *sample, void *arg)
{
	struct probe_round *round = arg;

	if (round->spec->engine->sample != NULL)
		round->spec->engine->sample(&round->view, sample);
}

static bool on_metrics(const char *bytes, size_t len, void *arg)
{
	struct probe_round *round = arg;

	prom_read(&round->metrics, bytes, len, on_sample, round);
	return true;
}

/* Half of the metrics would look as if counters had gone back. */
static void forget_metrics(struct probe_round *round)
{
	struct engine_view told = round->told;

	told.models = round->view.models;
	told.count = round->view.count;
	told.capacity = round->view.capacity;
	round->view = told;
}

/* ---- the sequence ---- */

static void ask(struct probe_round *round)
{
	const struct engine_request *request = request_of(round);
	bool metrics = request->content == ENGINE_METRICS;
	char *url = xasprintf("%s%s", round->spec->url, request->path);
	const struct http_ask http = {
		.method = request->method,
		.url = url,
		.body = request->body,
		.accept = metrics ? "text/plain" : "application/json",
		.token = round->token,
		.ca_file = round->spec->ca_file,
		.max_bytes = metrics ? METRICS_MAX_BYTES : JSON_MAX_BYTES,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.timeout_ms = TIMEOUT_MS,
		.data = metrics ? on_metrics : NULL,
		.done = on_answer,
		.arg = round,
	};

	round->told = round->view;
	round->metrics.len = 0;
	round->metrics.too_long = false;
	http_client_ask(round->client, &http);
	free(url);
}

/* Goes on after the request; `found`: what stands in for it is not needed. */
static void next(struct probe_round *round, bool found)
{
	do {
		round->request++;
	} while (found && request_of(round)->method != NULL && request_of(round)->instead);
	if (request_of(round)->method != NULL)
		ask(round);
	else
		end(round, PROBE_ANSWERED, NULL);
}

static int understand(struct probe_round *round, const struct http_answer *answer, struct err *err)
{
	if (request_of(round)->content == ENGINE_METRICS) {
		prom_end(&round->metrics, on_sample, round);
		return 0;
	}
	return engine_read(round->spec->engine, &round->view, round->request, answer->body,
			   answer->len, err);
}

static void fail(struct probe_round *round, const struct http_answer *answer, const char *why)
{
	const struct engine_request *request = request_of(round);
	char text[300];

	if (why != NULL)
		snprintf(text, sizeof(text), "%s: %.250s", request->path, why);
	else
		snprintf(text, sizeof(text), "%s: HTTP status %ld", request->path, answer->status);
	if (answer->why == NULL && (answer->status == 401 || answer->status == 403))
		end(round, PROBE_REFUSED, text);
	else
		end(round, answer->status != 0 ? PROBE_MISUNDERSTOOD : PROBE_UNREACHABLE, text);
}

static void on_answer(const struct http_answer *answer, void *arg)
{
	struct probe_round *round = arg;
	const struct engine_request *request = request_of(round);
	struct err err;

	if (answer->stopped) {
		end(round, PROBE_STOPPED, answer->why);
		return;
	}
	if (answer->why == NULL && answer->status == 200 && understand(round, answer, &err) == 0) {
		next(round, true);
		return;
	}
	if (request->content == ENGINE_METRICS)
		forget_metrics(round);
	if (answer->status == 404 && request[1].method != NULL && request[1].instead)
		next(round, false);
	else if (request->optional)
		next(round, true);
	else
		fail(round, answer,
		     answer->why != NULL     ? answer->why
		     : answer->status == 200 ? err.text
					     : NULL);
}

int probe_round_start(struct http_client *client, const struct probe_spec *spec,
		      void (*done)(struct probe_result *result, void *arg), void *arg,
		      struct err *err)
{
	struct probe_round *round;
	char *token = NULL;

	/* Read each time: tokens are exchanged. */
	if (spec->token_file != NULL) {
		token = file_read_secret(spec->token_file, err);
		if (token == NULL)
			return -1;
	}
	round = xcalloc(1, sizeof(*round));
	round->client = client;
	round->spec = spec;
	round->token = token;
	round->done = done;
	round->arg = arg;
	ask(round);
	return 0;
}
