/*
 * What the agent says to Redis: puts the calls of its scripts together, and keeps what each said
 * until it is answered.
 */
#ifndef LARDER_MESSAGE_H
#define LARDER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/redis_args.h"

struct agent;
struct beat;

/* What a message said, until its answer comes. Models may go meanwhile, so by name. */
struct said {
	struct beat *beat;
	char incarnation[9]; /* of a call of register.lua: under which it was said */
	struct agent *agent;
	struct said_use {
		char *model;
		int64_t age_ms;
	} * uses;
	size_t use_count;
	int64_t slack_ms;
	bool last; /* of a registration */
	int64_t receipt_number;
	struct mono asked;
	int64_t redis_now_ms; /* what Redis' clock was then, as the agent knows it; 0: unknown */
};

struct said *said_new(struct beat *beat, struct agent *agent);
void said_free(struct said *said);

/* Redis took it; `redis_now` is its clock then. */
void said_acknowledged(struct said *said, int64_t redis_now);
/* It may or may not have taken it: told again. */
void said_lost(struct said *said);

/* The next part of a whole registration: begins at `*next` (a struct model *), advances it. */
void message_register(struct redis_args *args, struct said *said, const char *incarnation,
		      bool first, void **next, size_t *left);

/* What has changed since it was told, a bounded part of it. False: nothing has. */
bool message_differences(struct redis_args *args, struct said *said, const char *incarnation);

/* Heartbeat, last uses, holds. */
void message_beat(struct redis_args *args, struct said *said, const char *incarnation);

/* Receipts that are not confirmed, a bounded number. False: there are none. */
bool message_confirm(struct redis_args *args, struct said *said, const char *incarnation);

#endif
