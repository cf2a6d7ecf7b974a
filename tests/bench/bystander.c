/* Pings Redis from a process of its own. */
#include "tests/bench/bystander.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "common/xmem.h"
#include "tests/bench/bench.h"

#define PAUSE_NS    200000
#define SAMPLES_MAX (1 << 20)

struct sample {
	int64_t sent_ns, took_ns;
};

struct bystander {
	pid_t pid;
	struct shared {
		atomic_size_t count;
		struct sample samples[SAMPLES_MAX];
	} * shared;
};

static void ping_on(redisContext *redis, struct shared *shared)
{
	for (;;) {
		size_t at = atomic_load(&shared->count);
		struct sample sample = {.sent_ns = bench_now_ns()};
		redisReply *reply = redisCommand(redis, "PING");

		if (reply == NULL)
			_exit(0); /* Redis was stopped */
		sample.took_ns = bench_now_ns() - sample.sent_ns;
		freeReplyObject(reply);
		if (at == SAMPLES_MAX)
			_exit(1);
		shared->samples[at] = sample;
		atomic_store(&shared->count, at + 1);
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
	}
}

struct bystander *bystander_start(const struct server *server)
{
	struct bystander *bystander = xcalloc(1, sizeof(*bystander));

	bystander->shared = bench_share(sizeof(*bystander->shared));
	bystander->pid = bench_fork();
	if (bystander->pid == 0) {
		prctl(PR_SET_TIMERSLACK, 1000);
		ping_on(server_connect(server), bystander->shared);
	}
	while (atomic_load(&bystander->shared->count) < 100)
		bench_sleep_ms(1);
	return bystander;
}

void bystander_stop(struct bystander *bystander)
{
	bench_end(bystander->pid);
	free(bystander);
}

double bystander_percentile(const struct bystander *bystander, int64_t from_ns, int64_t to_ns,
			    double fraction)
{
	const struct shared *shared = bystander->shared;
	size_t all = atomic_load(&shared->count), count = 0;
	double *took_ms = xcalloc(all + 1, sizeof(*took_ms)), value;

	for (size_t i = 0; i < all; i++) {
		const struct sample *sample = &shared->samples[i];

		if (sample->sent_ns >= from_ns && sample->sent_ns < to_ns)
			took_ms[count++] = (double)sample->took_ns / 1e6;
	}
	if (count < 100)
		bench_fail("only %zu pings were sent", count);
	value = bench_percentile(took_ms, count, fraction);
	free(took_ms);
	return value;
}
