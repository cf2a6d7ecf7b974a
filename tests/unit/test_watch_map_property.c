/*
 * What vetoes rest on: whatever the watch's directories do, no use is believed to be earlier than
 * it was, and nobody counts as used who shares no directory with what was.
 */
#include "agent/watch_map.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit.h"

#define ROOTS 3

static struct mono at(int64_t ms)
{
	return (struct mono){ms};
}

static struct watch_key key_of(int number)
{
	struct watch_key key = {.len = sizeof(number)};

	memcpy(key.bytes, &number, sizeof(number));
	return key;
}

#define DIRS	     6
#define MODELS	     5
#define LONGEST_STEP 900

/* A kernel that reports what is not at rest, in batches; and what really happened. */
struct world {
	struct rng rng;
	struct watch_map map;
	struct watch_dir *dirs[DIRS];
	int owner[DIRS][2];
	bool deaf[DIRS]; /* as the kernel was told */
	int64_t now;
	int64_t truth[MODELS], known[MODELS]; /* last uses */
	int queue[64];
	int queued;
	int64_t queued_from; /* the first of them */
};

/* A directory with a file x of one model and a file y of another, or the same. */
static struct watch_dir *make_dir(struct world *w, int number, int a, int b)
{
	const char owner[2][2] = {{(char)('a' + a), '\0'}, {(char)('a' + b), '\0'}};
	const struct watch_entry entries[2] = {{"x", owner[0]}, {"y", owner[1]}};
	struct watch_key key = key_of(number);
	struct watch_dir *dir = watch_map_add(&w->map, &key, (int)rng_below(&w->rng, ROOTS));

	watch_map_fill(&w->map, dir, entries, 2, at(0));
	return dir;
}

static void make_world(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->rng = rng_seeded(seed);
	w->now = 1000;
	watch_map_init(&w->map, ROOTS);
	for (int d = 0; d < DIRS; d++) {
		int a = (int)rng_below(&w->rng, MODELS), b = (int)rng_below(&w->rng, MODELS);

		w->owner[d][0] = a;
		w->owner[d][1] = b;
		w->dirs[d] = make_dir(w, d, a, b);
	}
}

static void tell_kernel(struct world *w)
{
	struct watch_dir *dir;

	while ((dir = watch_map_turning(&w->map)) != NULL) {
		for (int d = 0; d < DIRS; d++) {
			if (w->dirs[d] == dir)
				w->deaf[d] = dir->resting;
		}
	}
}

static void take_news(struct world *w)
{
	struct mono when;
	char *name;

	while ((name = watch_map_news(&w->map, &when)) != NULL) {
		int64_t *known = &w->known[*name - 'a'];

		assert_true(when.ms <= w->now && when.ms >= *known);
		*known = when.ms;
		free(name);
	}
}

static void read_queue(struct world *w)
{
	for (int i = 0; i < w->queued; i++) {
		struct watch_key key = key_of(w->queue[i] / 2);

		watch_map_event(&w->map, &key, WATCH_OPENED, w->queue[i] % 2 == 0 ? "x" : "y",
				at(w->now));
	}
	w->queued = 0;
	tell_kernel(w);
	take_news(w);
}

static void open_something(struct world *w, int dir)
{
	int which = (int)rng_below(&w->rng, 2);

	w->truth[w->owner[dir][which]] = w->now;
	if (w->deaf[dir])
		return;
	if (w->queued == 0)
		w->queued_from = w->now;
	w->queue[w->queued++] = dir * 2 + which;
	if (w->queued == 64)
		read_queue(w);
}

/* The last use of a model or of one that has files beside its own. */
static int64_t last_near(const struct world *w, int model)
{
	int64_t last = w->truth[model];

	for (int d = 0; d < DIRS; d++) {
		for (int i = 0; i < 2; i++) {
			if (w->owner[d][i] == model && w->truth[w->owner[d][1 - i]] > last)
				last = w->truth[w->owner[d][1 - i]];
		}
	}
	return last;
}

static void check(struct world *w)
{
	read_queue(w);
	for (int m = 0; m < MODELS; m++) {
		const char name[2] = {(char)('a' + m), '\0'};
		struct watch_mark mark;

		watch_map_mark(&w->map, name, &mark);
		/* Later than is known it was not used, unless it counts as used now. */
		if (!watch_map_used_since(&w->map, name, &mark))
			assert_true(w->known[m] >= w->truth[m]);
		/*
		 * And it does not look used much longer than it, or its like, was: an event is read
		 * late, and the rest that it begins ends late.
		 */
		assert_true(w->known[m] <= last_near(w, m) + WATCH_REST_MS + 2 * LONGEST_STEP);
	}
}

static void step(struct world *w)
{
	int busy = (int)rng_below(&w->rng, DIRS);
	int64_t later =
		w->now + (int64_t)rng_below(&w->rng, rng_chance(&w->rng, 5) ? LONGEST_STEP : 20);

	/* The agent may sleep for long, but reads when it has slept. */
	if (w->queued > 0 && later - w->queued_from > LONGEST_STEP)
		read_queue(w);
	w->now = later;
	watch_map_wake(&w->map, at(w->now));
	tell_kernel(w);
	for (uint64_t n = rng_below(&w->rng, 40); n > 0; n--)
		open_something(w, rng_chance(&w->rng, 80) ? busy : (int)rng_below(&w->rng, DIRS));
	if (rng_chance(&w->rng, 30))
		check(w);
}

static void test_property(void **state)
{
	struct rng rng = rng_start("watch_map");

	(void)state;
	for (int round = 0; round < 300; round++) {
		struct world w;

		make_world(&w, rng_next(&rng));
		for (int i = 0; i < 400; i++)
			step(&w);
		/* At the end all rests are over, and all is known. */
		read_queue(&w);
		w.now += WATCH_REST_MS;
		watch_map_wake(&w.map, at(w.now));
		check(&w);
		watch_map_free(&w.map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_property)};

	return RUN_TESTS(tests);
}
