/*
 * When was a model used last? Merges what the sources say (pure). The value only grows; of two
 * sources that say about the same time the stronger one is kept. Times are struct mono:
 * milliseconds of CLOCK_BOOTTIME, below zero for what happened before the machine started.
 *
 * Redis keeps the value as a score on its own clock. The agent sends ages, and computes from each
 * answer which score its age has become: that is what a delete command is compared with.
 */
#ifndef LARDER_USE_H
#define LARDER_USE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/use_source.h"

struct use {
	struct mono last;
	enum use_source source; /* the strongest that saw it */
	struct mono said;	/* what that one said; `last` may be up to a second later */
	bool known;		/* `last` holds something */
	bool dirty;		/* Redis has not been told, or has not answered yet */
	struct mono sent;    /* what the newest unanswered message said; valid while `in_flight` */
	struct mono sent_at; /* when that was; 0: never, or it was lost */
	unsigned in_flight;  /* messages under way; answers come in the order of these */
	int64_t score_ms;    /* the least score that Redis has for it; 0: not told yet */
};

/* Takes note of a use at `at`. Returns true when the value grew. */
bool use_note(struct use *use, struct mono at, enum use_source source);

/*
 * Is a beat to tell it now? A model that is in constant use is told of once in `pause_ms`, not in
 * every beat. Until then it stays dirty: no command for it is obeyed.
 */
bool use_due(const struct use *use, struct mono now, int64_t pause_ms);

/* The next beat tells of it, pause or not: a command was refused, and may come again at once. */
void use_hurry(struct use *use);

/* A message with `age_ms` of this use goes out at `now`: returns the age to send. */
int64_t use_send(struct use *use, struct mono now);

/*
 * Redis has answered: it computed `redis_now_ms - age_ms`. `slack_ms` is what a registration may
 * have rounded away (0 for a beat).
 */
void use_acknowledged(struct use *use, int64_t redis_now_ms, int64_t age_ms, int64_t slack_ms);

/* The message was lost: it is told again. */
void use_lost(struct use *use);

/*
 * Redis has lost its score, or is told to drop it. Told anew it may be less than before: each
 * message makes a use look younger by the time that it was on its way.
 */
void use_forgotten(struct use *use);

/* A decision saw the score `seen_ms`: when Redis was told of a later one, it is told again. */
void use_seen(struct use *use, int64_t seen_ms);

/* Was it used after the decision that saw the score `seen_ms`? */
bool use_since(const struct use *use, int64_t seen_ms);

#endif
