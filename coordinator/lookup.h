/* Reads what Redis has of the cluster as a whole: its clock, the pins, the names of the nodes. */
#ifndef LARDER_LOOKUP_H
#define LARDER_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#include "common/pins.h"
#include "common/redis_link.h"

/* Each calls `done` once; `why` says why it could not be read, or is NULL. */

/* Redis' clock. */
void lookup_clock(struct redis_link *link, void (*done)(int64_t now_ms, const char *why, void *arg),
		  void *arg);

/*
 * Adds all pins to `pins`, which must outlive the call, and settles them. One that cannot be read
 * is complained about in the log, and holds where its glob is one.
 */
void lookup_pins(struct redis_link *link, const char *prefix, struct pins *pins,
		 void (*done)(const char *why, void *arg), void *arg);

/* The names of all nodes, sorted; the array and its strings become the callee's. */
void lookup_nodes(struct redis_link *link, const char *prefix,
		  void (*done)(char **names, size_t count, const char *why, void *arg), void *arg);

#endif
