/*
 * A real coordinator without its main and its HTTP API: the product's link, leader, cycles, issue,
 * follow and ledger, put together as coordinator/main.c does it.
 */
#ifndef LARDER_BENCH_COORD_H
#define LARDER_BENCH_COORD_H

#include "coordinator/coordinator.h"
#include "coordinator/cycle.h"
#include "tests/bench/server.h"

struct coord {
	struct coordinator c;
};

/* The defaults, no hold-off, nodes live for a day; returns when it leads. */
struct coord *coord_start(const struct server *server);
void coord_free(struct coord *coord);

/* Runs the loop until `done`, which is asked at every turn of it. */
void coord_run(struct coord *coord, bool (*done)(void *arg), void *arg);

/* The pause between two windows of a cycle: the product's, or none. */
void coord_pace(bool paced);

#endif
