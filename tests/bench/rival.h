/*
 * The other way to find what was not used for long, that of ModelExpress' cache service: one hash
 * per model, all found by SCAN, all read, parsed and sorted. Done here as fast as that can be.
 */
#ifndef LARDER_BENCH_RIVAL_H
#define LARDER_BENCH_RIVAL_H

#include "tests/bench/fleet.h"
#include "tests/bench/server.h"

/* Writes the same models, one hash each. */
void rival_register(const struct fleet *fleet, struct server *server);

/* Selects: SCAN, HGETALL, parse, sort, filter. Returns how many models are to go. */
size_t rival_select(struct server *server);

#endif
