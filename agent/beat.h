/*
 * All that the agent tells Redis and hears from it: registration, differences, heartbeats with last
 * uses, receipts; commands, pins, the policy, the clock.
 */
#ifndef LARDER_BEAT_H
#define LARDER_BEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

struct agent;
struct beat;

struct beat *beat_new(struct agent *agent, struct err *err) MUST_USE;
void beat_free(struct beat *beat);

/* Called often; does what is due. */
void beat_tick(struct beat *beat);

/* Something must be told at once: a disk that fills, a receipt. */
void beat_soon(struct beat *beat);

/* Redis' clock now, in ms; 0 while it is not known. Never ahead of the true one. */
int64_t beat_redis_now(const struct beat *beat);

/* Redis is connected and knows this node as it is. */
bool beat_registered(const struct beat *beat);

#endif
