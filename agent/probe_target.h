/*
 * One engine that is asked again and again: its schedule, what it said last, the claims that
 * follow from it, and how that is told to people.
 */
#ifndef LARDER_PROBE_TARGET_H
#define LARDER_PROBE_TARGET_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "agent/probe_count.h"
#include "agent/probe_round.h"
#include "agent/probe_spec.h"
#include "common/clock.h"

struct agent;

enum target_state {
	TARGET_NEW,	     /* has not been asked yet */
	TARGET_NEVER,	     /* has never answered */
	TARGET_FRESH,	     /* has told what it serves */
	TARGET_UNMAPPED,     /* and none of that is a model here */
	TARGET_UNAUTHORIZED, /* lives, and does not tell */
	TARGET_STALE,	     /* does not answer any more, or not as it should */
};

struct probe_target {
	struct agent *agent;
	char *owner; /* who named it; "" for the settings */
	struct probe_spec spec;
	char *id;  /* of its claims; further ones have "#1", ... behind it */
	char *who; /* for people */
	enum target_state state;
	struct mono entered;
	bool asking; /* a round is under way */
	bool gone;   /* named no more: freed once the round has ended */
	bool asked;  /* a round has ended */
	bool lives;  /* as the last round knows: something answers there */
	struct mono due;
	unsigned failures; /* in a row */
	bool answered;	   /* ever; `last` is what it said */
	struct mono answered_at;
	struct engine_view last;
	bool mapped;	      /* something that it serves is here */
	const char *unmapped; /* a model that it serves and that is not here; in `last`, or NULL */
	bool claimed;	      /* a claim was made, and has not been missed since */
	struct probe_count count;
	char error[320]; /* of the last round */
	struct probe_target *prev, *next;
};

/* Takes the spec's contents over. */
struct probe_target *probe_target_new(struct agent *agent, const char *owner,
				      struct probe_spec *spec);
void probe_target_free(struct probe_target *target);

/* A round has ended. Takes the view over. */
void probe_target_take(struct probe_target *target, struct probe_result *result, struct mono now);

/* Models have come or gone: is what it serves among them? */
void probe_target_map(struct probe_target *target);

/* Looks whether the claims of one that does not answer have ended. */
void probe_target_tick(struct probe_target *target);

/* It has ended, and its claims with it. */
void probe_target_drop_claims(struct probe_target *target);

/* Why it is not known which of the models here it serves, or NULL. */
const char *probe_target_doubt(const struct probe_target *target, char *buf, size_t size);

/* The state in one word. */
const char *probe_target_state(const struct probe_target *target);

void probe_target_describe(const struct probe_target *target, struct mono now, cJSON *out);

#endif
