/*
 * Pins: an operator's wish to keep the models that a glob matches, with an optional end. They
 * stand in the hash larder:pins as JSON, {"until_ms":0,"by":"...","why":"..."}; until_ms is on
 * Redis' clock, 0 means for ever.
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

/* The pin that keeps `model` at `now_ms`, or NULL. */
const struct pin *pins_match(const struct pins *pins, const char *model, int64_t now_ms);

void pins_free(struct pins *pins);

#endif
