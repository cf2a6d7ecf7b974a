/* What the unit tests share. */
#include "tests/unit/kit.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE 4096

struct rng rng_seeded(uint64_t seed)
{
	return (struct rng){seed};
}

struct rng rng_start(const char *what)
{
	const char *given = getenv("LARDER_TEST_SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);

	print_message("%s: LARDER_TEST_SEED=%" PRIu64 "\n", what, seed);
	return rng_seeded(seed);
}

/* splitmix64 */
uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
	return bound > 0 ? rng_next(rng) % bound : 0;
}

bool rng_chance(struct rng *rng, unsigned percent)
{
	return rng_below(rng, 100) < percent;
}

/* ---- files ---- */

char *temp_dir(void)
{
	const char *base = getenv("TMPDIR");
	char *path = malloc(PATH_SIZE);

	assert_non_null(path);
	snprintf(path, PATH_SIZE, "%s/larder-unit-XXXXXX", base != NULL ? base : "/tmp");
	assert_non_null(mkdtemp(path));
	return path;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void temp_remove(char *path)
{
	if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS) != 0)
		print_error("cannot remove %s\n", path);
	free(path);
}

static const char *join(char *buf, const char *dir, const char *path)
{
	int len = snprintf(buf, PATH_SIZE, "%s/%s", dir, path);

	assert_in_range(len, 1, PATH_SIZE - 1);
	return buf;
}

/* Makes each folder on the way to `full` that is not there yet. */
static void make_parents(char *full)
{
	for (char *slash = strchr(full + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(full, 0700) != 0)
			assert_true(access(full, F_OK) == 0);
		*slash = '/';
	}
}

void put_bytes(const char *dir, const char *path, const void *data, size_t len)
{
	char full[PATH_SIZE];
	FILE *file;

	join(full, dir, path);
	make_parents(full);
	file = fopen(full, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

void put_file(const char *dir, const char *path, const char *text)
{
	put_bytes(dir, path, text, strlen(text));
}

void put_dir(const char *dir, const char *path)
{
	char full[PATH_SIZE];

	join(full, dir, path);
	make_parents(full);
	assert_int_equal(mkdir(full, 0700), 0);
}

void put_link(const char *dir, const char *path, const char *target)
{
	char full[PATH_SIZE];

	join(full, dir, path);
	make_parents(full);
	assert_int_equal(symlink(target, full), 0);
}

char *get_file(const char *dir, const char *path, size_t *len)
{
	char full[PATH_SIZE];
	struct stat st;
	char *data;
	FILE *file = fopen(join(full, dir, path), "re");

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	data = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, (size_t)st.st_size, file), st.st_size);
	fclose(file);
	if (len != NULL)
		*len = (size_t)st.st_size;
	return data;
}

bool exists(const char *dir, const char *path)
{
	char full[PATH_SIZE];
	struct stat st;

	return lstat(join(full, dir, path), &st) == 0;
}

void put_age(const char *dir, const char *path, int64_t age_s)
{
	char full[PATH_SIZE];
	struct timespec times[2] = {{.tv_sec = time(NULL) - age_s}, {.tv_sec = time(NULL) - age_s}};

	assert_int_equal(utimensat(AT_FDCWD, join(full, dir, path), times, AT_SYMLINK_NOFOLLOW), 0);
}

void kit_contains(const char *text, const char *part, const char *file, int line)
{
	if (strstr(text, part) != NULL)
		return;
	print_error("\"%s\"\ndoes not contain \"%s\"\n", text, part);
	_fail(file, line);
}
