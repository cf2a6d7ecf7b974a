/*
 * What an engine's counters prove about its last request (pure). That a model is served protects
 * it; this is for people, who want to know whether anybody asks for it.
 */
#ifndef LARDER_PROBE_COUNT_H
#define LARDER_PROBE_COUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/engine.h"
#include "common/clock.h"

/* Starts zeroed. */
struct probe_count {
	bool counted; /* `work` is the last value */
	double work;
	double process_start_s;
	bool known; /* `last` is known */
	struct mono last;
	unsigned restarts; /* seen */
};

/* Takes over what was told. `now` and `wall_ms` are one instant on both clocks. */
void probe_count_take(struct probe_count *count, const struct engine_view *view, struct mono now,
		      int64_t wall_ms);

#endif
