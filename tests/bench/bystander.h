/*
 * Another user of the same Redis: a process that sends PING every 0.2 ms and keeps how long each
 * answer took.
 */
#ifndef LARDER_BENCH_BYSTANDER_H
#define LARDER_BENCH_BYSTANDER_H

#include "tests/bench/server.h"

struct bystander;

struct bystander *bystander_start(const struct server *server);
void bystander_stop(struct bystander *bystander);

/* The percentile over all pings that were sent between two moments, in milliseconds. */
double bystander_percentile(const struct bystander *bystander, int64_t from_ns, int64_t to_ns,
			    double fraction);

#endif
