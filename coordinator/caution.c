/* Decides when to observe only. (pure) */
#include "coordinator/caution.h"

#include <stddef.h>

#define STALL_MS 10000

void caution_start(struct caution *caution, int64_t hold_off_ms, struct mono now)
{
	*caution = (struct caution){.hold_off_ms = hold_off_ms, .alive_at = now};
	caution_event(caution, "the coordinator has just started", now);
}

void caution_event(struct caution *caution, const char *why, struct mono now)
{
	caution->until.ms = now.ms + caution->hold_off_ms;
	caution->why = why;
}

void caution_clock(struct caution *caution, int64_t redis_ms, struct mono now)
{
	if (caution->redis_ms != 0) {
		int64_t theirs = redis_ms - caution->redis_ms;
		int64_t drift = theirs - mono_since(caution->redis_at, now);

		if (drift > CLOCK_JUMP_MS || drift < -CLOCK_JUMP_MS) {
			caution_event(caution, "Redis' clock has jumped", now);
			caution->jumped = true;
			caution->jumped_at = now;
		}
	}
	caution->redis_ms = redis_ms;
	caution->redis_at = now;
}

bool caution_jumped_within(const struct caution *caution, int64_t ms, struct mono now)
{
	return caution->jumped && mono_since(caution->jumped_at, now) < ms;
}

void caution_alive(struct caution *caution, struct mono now)
{
	if (mono_since(caution->alive_at, now) > STALL_MS)
		caution_event(caution, "the coordinator was frozen", now);
	caution->alive_at = now;
}

bool caution_may_act(const struct caution *caution, struct mono now, const char **why)
{
	bool may = mono_since(caution->until, now) >= 0;

	if (why != NULL)
		*why = may ? NULL : caution->why;
	return may;
}
