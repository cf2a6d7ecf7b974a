/*
 * A thousand agents in one process: the product's beat, orders and journal of each, on links of its
 * own. Only the disk is left out: a removal ends at once, and nothing waits for fdatasync, because
 * a thousand nodes do not share one disk.
 */
#ifndef LARDER_BENCH_CROWD_H
#define LARDER_BENCH_CROWD_H

#include <stdatomic.h>

#include "tests/bench/fleet.h"
#include "tests/bench/server.h"

#define CROWD_HEARD_MAX 20000

/* Shared by the processes (bench_share). */
struct crowd {
	atomic_size_t registered; /* agents */
	atomic_size_t acked;	  /* receipts that Redis has taken */
	atomic_size_t heard;	  /* commands whose time was noted */
	double heard_ms[CROWD_HEARD_MAX];
	/* Per node: when the command that is under way was issued; 0: none is to be timed. */
	_Atomic int64_t issued_ns[];
};

/* Starts the process with an agent for each node; returns when all are registered. */
struct crowd *crowd_start(const struct fleet *fleet, const struct server *server);

#endif
