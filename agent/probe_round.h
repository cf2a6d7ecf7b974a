/* One round of requests to one engine: what it serves now, or why that is not known. */
#ifndef LARDER_PROBE_ROUND_H
#define LARDER_PROBE_ROUND_H

#include "agent/engine.h"
#include "agent/probe_spec.h"
#include "common/err.h"
#include "common/http_client.h"

enum probe_outcome {
	PROBE_ANSWERED,	     /* it has told what it serves */
	PROBE_REFUSED,	     /* 401 or 403: it lives, and does not tell */
	PROBE_MISUNDERSTOOD, /* something answers there, and not as this engine does */
	PROBE_UNREACHABLE,
	PROBE_STOPPED, /* the client was freed meanwhile */
};

struct probe_result {
	enum probe_outcome outcome;
	struct engine_view view; /* PROBE_ANSWERED; the receiver may take it over (and zero it) */
	const char *why;	 /* of the other outcomes */
};

/*
 * Starts a round; `spec` must live until `done` was called, which is exactly once and not before
 * this returns. -1 with a sentence when it cannot start: the token cannot be read.
 */
int probe_round_start(struct http_client *client, const struct probe_spec *spec,
		      void (*done)(struct probe_result *result, void *arg), void *arg,
		      struct err *err) MUST_USE;

#endif
