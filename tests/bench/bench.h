/*
 * What every benchmark has: a supervisor that cleans up whatever happens, a private folder,
 * progress on standard error, figures as JSON lines on standard output.
 */
#ifndef LARDER_BENCH_H
#define LARDER_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/attributes.h"

/*
 * Begins a benchmark: the process splits into the one that measures, where this returns, and a
 * supervisor, which waits for it, then ends what bench_fork and bench_spawn have started, removes
 * the folder, and exits with its status. SIGINT and SIGTERM end everything in the same way.
 * The only argument that a benchmark takes is --small.
 */
void bench_begin(int argc, char **argv, const char *name, const char *what);

/* Only every step is to be taken, in a few seconds: the figures mean nothing. */
bool bench_small(void);

/* The private folder: below LARDER_BENCH_DIR, TMPDIR or /tmp. */
const char *bench_dir(void);

/*
 * Sends what Larder's own code logs to /dev/null, so that logging costs what it costs in production
 * and no terminal is measured. What the benchmark itself says still comes through.
 */
void bench_quiet_log(void);

void bench_say(const char *fmt, ...) PRINTF_LIKE(1, 2);
void bench_fail(const char *fmt, ...) NORETURN PRINTF_LIKE(1, 2);

/* Fails loudly unless two counts agree: a benchmark that does the wrong thing measures nothing. */
void bench_check(const char *what, int64_t got, int64_t wanted);

/* One figure of Larder alone. */
void bench_figure(const char *metric, const char *unit, double larder);
/* Two costs measured in the same run: the ratio is `other` to `larder`. */
void bench_compare(const char *metric, const char *unit, double larder, double other);

/* CLOCK_MONOTONIC, the same in all processes. */
int64_t bench_now_ns(void);
double bench_ms_since(int64_t began_ns);
void bench_sleep_ms(int64_t ms);

/* Both sort the values. `fraction` 0.99: the 99th percentile. No values: 0. */
double bench_median(double *values, size_t count);
double bench_percentile(double *values, size_t count, double fraction);

/* The same pseudo-random numbers in every run. */
uint64_t bench_random(uint64_t *state);

/* As fork; the child dies with the benchmark. */
pid_t bench_fork(void);
/*
 * Starts a program, its output to the file `log`; NULL: to standard error. `env` holds further
 * variables "NAME=VALUE", NULL at its end; NULL: none.
 */
pid_t bench_spawn(const char *const *argv, const char *const *env, const char *log);
/* Waits for it and fails unless it ended well. */
void bench_join(pid_t pid, const char *what);
/* Ends it, by its number, and waits until it is gone. */
void bench_end(pid_t pid);

/* Memory that processes made by bench_fork share. Zeroed. */
void *bench_share(size_t size);

/* A number of kilobytes in /proc/PID/status, such as "VmRSS:". */
int64_t bench_status_kib(pid_t pid, const char *field);

/* Allows as many open files as may be had. */
void bench_raise_file_limit(void);

#endif
