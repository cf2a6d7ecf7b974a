/* Makes cache directories. */
#include <stdbool.h>

#include "tests/bench/caches.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/xmem.h"
#include "tests/bench/bench.h"

#define BLOCK (1 << 20)
#define AGE_S 86400 /* how long ago the files were written, as they say */

static void must(bool done, const char *what, const char *path)
{
	if (!done)
		bench_fail("cannot %s %s: %s", what, path, strerror(errno));
}

static int make_folder(int at, const char *name)
{
	int fd;

	must(mkdirat(at, name, 0755) == 0, "make", name);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0, "open", name);
	return fd;
}

static void write_file(int at, const char *name, int64_t bytes)
{
	static char block[BLOCK];
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	struct timespec times[2];

	must(fd >= 0, "create", name);
	if (bytes < 0) {
		must(ftruncate(fd, -bytes) == 0, "extend", name);
		bytes = 0;
	}
	memset(block, 'x', 64);
	while (bytes > 0) {
		ssize_t done = write(fd, block, bytes < BLOCK ? (size_t)bytes : BLOCK);

		must(done > 0, "write", name);
		bytes -= done;
	}
	clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= AGE_S;
	times[1] = times[0];
	must(futimens(fd, times) == 0, "date", name);
	close(fd);
}

static int64_t size_of(const struct caches_shape *shape, uint64_t *state)
{
	if (!shape->by_chance)
		return shape->bytes;
	return 1 + (int64_t)(bench_random(state) % (uint64_t)shape->bytes);
}

static void make_model(int root, const char *name, const struct caches_shape *shape,
		       uint64_t *state)
{
	int model = make_folder(root, name);
	char entry[64];

	for (size_t i = 0; i < shape->folders; i++) {
		int folder;

		snprintf(entry, sizeof(entry), "part-%04zu", i);
		folder = make_folder(model, entry);
		for (size_t j = 0; j < shape->files; j++) {
			snprintf(entry, sizeof(entry), "tensor-%05zu.safetensors", j);
			write_file(folder, entry, size_of(shape, state));
		}
		close(folder);
	}
	close(model);
}

void caches_make_directory(const char *root, const struct caches_shape *shape)
{
	int64_t began = bench_now_ns();
	int fd = make_folder(AT_FDCWD, root);
	uint64_t state = 1;
	char name[64];

	for (size_t i = 0; i < shape->models; i++) {
		snprintf(name, sizeof(name), "model-%05zu", i);
		make_model(fd, name, shape, &state);
	}
	close(fd);
	bench_say("made %zu models with %zu files in %.1f s", shape->models,
		  shape->models * shape->folders * shape->files, bench_ms_since(began) / 1000);
}

/* ---- Hugging Face ---- */

static void hex(char *buf, size_t digits, uint64_t *state)
{
	for (size_t i = 0; i < digits; i += 8)
		snprintf(buf + i, 9, "%08" PRIx32, (uint32_t)bench_random(state));
	buf[digits] = '\0';
}

static void name_file(char *buf, size_t size, size_t index, size_t files)
{
	static const char *const small[] = {
		"config.json",		 "generation_config.json",  "tokenizer.json",
		"tokenizer_config.json", "special_tokens_map.json", "README.md"};
	size_t count = sizeof(small) / sizeof(small[0]);

	if (index < count)
		snprintf(buf, size, "%s", small[index]);
	else
		snprintf(buf, size, "model-%05zu-of-%05zu.safetensors", index - count + 1,
			 files - count);
}

static void make_repo(int hub, size_t index, size_t files, uint64_t *state)
{
	char name[64], commit[41], blob[65], target[96];
	int repo, refs, blobs, snapshots, snapshot, ref;

	snprintf(name, sizeof(name), "models--larder-bench--Model-%05zu-Instruct", index);
	hex(commit, 40, state);
	repo = make_folder(hub, name);
	refs = make_folder(repo, "refs");
	blobs = make_folder(repo, "blobs");
	snapshots = make_folder(repo, "snapshots");
	snapshot = make_folder(snapshots, commit);
	ref = openat(refs, "main", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	must(ref >= 0 && write(ref, commit, 40) == 40, "write", "refs/main");
	close(ref);
	for (size_t i = 0; i < files; i++) {
		hex(blob, 64, state);
		write_file(blobs, blob, 1 + (int64_t)(bench_random(state) % 4096));
		name_file(name, sizeof(name), i, files);
		snprintf(target, sizeof(target), "../../blobs/%s", blob);
		must(symlinkat(target, snapshot, name) == 0, "link", name);
	}
	close(snapshot);
	close(snapshots);
	close(blobs);
	close(refs);
	close(repo);
}

void caches_make_huggingface(const char *root, size_t models, size_t files)
{
	int64_t began = bench_now_ns();
	int hub = make_folder(AT_FDCWD, root);
	uint64_t state = 2;

	for (size_t i = 0; i < models; i++)
		make_repo(hub, i, files, &state);
	close(hub);
	bench_say("made a Hugging Face cache of %zu models with %zu files in %.1f s", models,
		  models * files, bench_ms_since(began) / 1000);
}

/* ---- counting ---- */

static struct caches_sum counted;

static int count_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	int64_t bytes = (int64_t)st->st_blocks * 512;

	(void)path;
	(void)type;
	(void)ftw;
	counted.files += S_ISREG(st->st_mode);
	counted.links += S_ISLNK(st->st_mode);
	counted.folders += S_ISDIR(st->st_mode);
	*(S_ISREG(st->st_mode) ? &counted.file_bytes : &counted.other_bytes) += bytes;
	return 0;
}

struct caches_sum caches_count(const char *path)
{
	memset(&counted, 0, sizeof(counted));
	must(nftw(path, count_entry, 32, FTW_PHYS) == 0, "walk through", path);
	return counted;
}

void caches_settle(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	must(fd >= 0 && syncfs(fd) == 0, "flush", path);
	close(fd);
}

static int cool_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	int fd = S_ISREG(st->st_mode) ? open(path, O_RDONLY | O_NOATIME | O_CLOEXEC) : -1;

	(void)type;
	(void)ftw;
	if (fd < 0)
		return 0;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return 0;
}

void caches_cool(const char *path)
{
	must(nftw(path, cool_entry, 32, FTW_PHYS) == 0, "walk through", path);
}
