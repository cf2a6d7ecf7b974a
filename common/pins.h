/*
 * Pins: an operator's wish to keep the models that a glob matches, with an optional end. They
 * stand in the hash larder:pins as JSON, {"until_ms":0,"by":"...","why":"..."}; until_ms is on
 * Redis' clock, 0 means for ever. One with an end has two members more: how long it was made for,
 * ttl_ms, and when on the clock of the coordinator's machine, made_wall_ms.
 */
#ifndef LARDER_PINS_H
#define LARDER_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct pin {
	char *glob;
	int64_t until_ms;
	int64_t ttl_ms, made_wall_ms; /* 0: not told */
	char *by, *why;
};

struct pins {
	struct pin *list;
	size_t count, capacity;
};

/*
 * Adds one field of the hash. A value that cannot be read still pins, for ever: unknown means
 * keep. -1 says that it was so, or that the glob is none (and matches nothing).
 */
int pins_add(struct pins *pins, const char *glob, const char *value, struct err *err) MUST_USE;

/*
 * The JSON members of a pin that pin.lua puts behind until_ms: by, why, and where ttl_ms is not 0,
 * ttl_ms and made_wall_ms. To be freed.
 */
char *pins_members(const struct pin *pin) MUST_USE;

/*
 * To be called once after all are added, with Redis' clock and this machine's: a jump of Redis'
 * clock cuts no pin short. Where the clock of the machines says for more than a minute longer that
 * a pin holds, its end is moved to there.
 */
void pins_settle(struct pins *pins, int64_t redis_ms, int64_t wall_ms);

/* The pin that keeps `model` at `now_ms`, or NULL. */
const struct pin *pins_match(const struct pins *pins, const char *model, int64_t now_ms);

void pins_free(struct pins *pins);

#endif
