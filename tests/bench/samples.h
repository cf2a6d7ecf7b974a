/* How long something took, again and again, as seen by a process of its own. */
#ifndef LARDER_BENCH_SAMPLES_H
#define LARDER_BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct samples;

/*
 * Starts a process that calls `once` with `arg` and pauses for `pause_ns`, over and over, and keeps
 * how long each call took. It ends when `once` returns other than 0. Returns when it is under way.
 */
struct samples *samples_start(int (*once)(void *arg), void *arg, int64_t pause_ns);
void samples_stop(struct samples *samples);

/* The percentile over all calls that began between two moments, in milliseconds. */
double samples_percentile(const struct samples *samples, int64_t from_ns, int64_t to_ns,
			  double fraction);

#endif
