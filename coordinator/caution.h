/*
 * May the coordinator act now? After anything that makes its own view suspect it observes for a
 * while and issues nothing (pure): deleting is the one thing that cannot be undone.
 */
#ifndef LARDER_CAUTION_H
#define LARDER_CAUTION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/clock.h"

struct caution {
	int64_t hold_off_ms;
	struct mono until; /* nothing is issued before */
	const char *why;
	int64_t redis_ms; /* Redis' clock when it was seen last, and when that was */
	struct mono redis_at;
	bool jumped; /* Redis' clock has, at jumped_at the last time */
	struct mono jumped_at;
	struct mono alive_at;
};

/* Observes for `hold_off_ms` from now on: the process has just started. */
void caution_start(struct caution *caution, int64_t hold_off_ms, struct mono now);

/* Something happened: Redis came back, the leadership is new, ... `why` is a constant. */
void caution_event(struct caution *caution, const char *why, struct mono now);

/* Redis' clock was read. A jump against our own clock is an event. */
void caution_clock(struct caution *caution, int64_t redis_ms, struct mono now);

/* Has Redis' clock jumped within the last `ms`? What its times say of silence is not so then. */
bool caution_jumped_within(const struct caution *caution, int64_t ms, struct mono now);

/* Called at every tick: a gap between two of them means that the process was frozen. */
void caution_alive(struct caution *caution, struct mono now);

/* `*why` (may be NULL) says why not. */
bool caution_may_act(const struct caution *caution, struct mono now, const char **why);

#endif
