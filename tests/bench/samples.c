/* Samples from a process of their own. */
#include "tests/bench/samples.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "common/xmem.h"
#include "tests/bench/bench.h"

#define SAMPLES_MAX   (1 << 20)
#define LEAST	      20 /* samples that a percentile needs */
#define START_SAMPLES 50
#define START_MS      10000

struct sample {
	int64_t began_ns, took_ns;
};

struct samples {
	pid_t pid;
	struct shared {
		atomic_size_t count;
		struct sample samples[SAMPLES_MAX];
	} * shared;
};

static void take_samples(struct shared *shared, int (*once)(void *arg), void *arg, int64_t pause_ns)
{
	for (size_t at = 0; at < SAMPLES_MAX; at++) {
		struct sample sample = {.began_ns = bench_now_ns()};

		if (once(arg) != 0)
			return;
		sample.took_ns = bench_now_ns() - sample.began_ns;
		shared->samples[at] = sample;
		atomic_store(&shared->count, at + 1);
		nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
	}
}

struct samples *samples_start(int (*once)(void *arg), void *arg, int64_t pause_ns)
{
	struct samples *samples = xcalloc(1, sizeof(*samples));
	int64_t began = bench_now_ns();

	samples->shared = bench_share(sizeof(*samples->shared));
	samples->pid = bench_fork();
	if (samples->pid == 0) {
		prctl(PR_SET_TIMERSLACK, 1000);
		take_samples(samples->shared, once, arg, pause_ns);
		_exit(0);
	}
	while (atomic_load(&samples->shared->count) < START_SAMPLES) {
		if (bench_ms_since(began) > START_MS)
			bench_fail("what is to be observed meanwhile does not work");
		bench_sleep_ms(1);
	}
	return samples;
}

void samples_stop(struct samples *samples)
{
	bench_end(samples->pid);
	free(samples);
}

double samples_percentile(const struct samples *samples, int64_t from_ns, int64_t to_ns,
			  double fraction)
{
	const struct shared *shared = samples->shared;
	size_t all = atomic_load(&shared->count), count = 0;
	double *took_ms = xcalloc(all + 1, sizeof(*took_ms)), value;

	for (size_t i = 0; i < all; i++) {
		const struct sample *sample = &shared->samples[i];

		if (sample->began_ns >= from_ns && sample->began_ns < to_ns)
			took_ms[count++] = (double)sample->took_ns / 1e6;
	}
	if (count < LEAST && !bench_small())
		bench_fail("only %zu samples were taken", count);
	value = bench_percentile(took_ms, count, fraction);
	free(took_ms);
	return value;
}
