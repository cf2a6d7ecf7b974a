/* What the unit tests share: cmocka, repeatable random numbers, temporary directories. */
#ifndef LARDER_TESTS_KIT_H
#define LARDER_TESTS_KIT_H

/* cmocka wants these before itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "common/attributes.h"

/* Random numbers that can be repeated: LARDER_TEST_SEED sets the seed that a failure printed. */
struct rng {
	uint64_t state;
};

/* Prints the seed. */
struct rng rng_start(const char *what);
/* A generator with a known seed, for one case among many. */
struct rng rng_seeded(uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* 0 .. bound - 1 */
uint64_t rng_below(struct rng *rng, uint64_t bound);
/* True in `percent` of 100 calls. */
bool rng_chance(struct rng *rng, unsigned percent);

/* A new empty directory below TMPDIR or /tmp; the caller removes it with temp_remove. */
char *temp_dir(void) MUST_USE;
/* Removes the directory with all that is in it, and frees the path. */
void temp_remove(char *path);

/* Paths below `dir`; parents are made. All abort the test when they fail. */
void put_file(const char *dir, const char *path, const char *text);
void put_bytes(const char *dir, const char *path, const void *data, size_t len);
void put_dir(const char *dir, const char *path);
void put_link(const char *dir, const char *path, const char *target);
/* The content, to be freed. */
char *get_file(const char *dir, const char *path, size_t *len);
bool exists(const char *dir, const char *path);
/* Sets both times to `age_s` seconds ago; a link itself, not what it points at. */
void put_age(const char *dir, const char *path, int64_t age_s);

#define assert_contains(text, part) kit_contains((text), (part), __FILE__, __LINE__)
void kit_contains(const char *text, const char *part, const char *file, int line);

#define RUN_TESTS(tests) cmocka_run_group_tests(tests, NULL, NULL)

#endif
