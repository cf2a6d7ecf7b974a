/*
 * Stand-ins for inference engines, any number in a process of their own: they answer with the
 * bodies of tests/data/engines, each as if it served another model of a Hugging Face cache
 * (caches.h), and with metrics of a length that is usual for engines.
 */
#ifndef LARDER_BENCH_ENGINES_H
#define LARDER_BENCH_ENGINES_H

#include <stdatomic.h>
#include <stddef.h>
#include <sys/types.h>

#define ENGINES_MAX 64

struct engines {
	pid_t pid;
	size_t count;
	struct engines_shared {
		_Atomic int ports[ENGINES_MAX]; /* 0: does not listen yet */
		_Atomic size_t answers[ENGINES_MAX];
	} * shared;
};

/* Returns when all of them listen on loopback. */
void engines_start(struct engines *engines, const char *hub, size_t count);
void engines_stop(struct engines *engines);

/* The value of the agent's setting "engines"; to be freed. */
char *engines_setting(const struct engines *engines);

/* How often the one that was asked least has answered. */
size_t engines_least_answers(const struct engines *engines);

#endif
