/* Unlinks what is in the trash, politely. */
#include "agent/reaper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/aside.h"
#include "agent/busy.h"
#include "agent/root.h"
#include "common/clock.h"
#include "common/hook.h"

/* After so much work it rests for as long as that took. */
#define WORK_NS INT64_C(5000000)
/* One step of a big file on a mount with discard; freeing a whole one stalls others for 100 ms. */
#define STEP_BYTES (INT64_C(32) << 20)
/* Handles and stack are limited: what lies deeper is moved up first. */
#define DEPTH_MAX 64

struct reaping {
	const struct root *root;
	const atomic_bool *stop;
	struct reaper_result *result;
	struct timespec began;
	int fd;
	unsigned depth;
	struct reaping *top; /* of the folder that is emptied as a whole; NULL above it */
	bool raised;	     /* in `top`: something was moved up into it */
};

static int64_t since_ns(const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - began->tv_sec) * INT64_C(1000000000) + now.tv_nsec - began->tv_nsec;
}

static void rest(struct reaping *rp)
{
	int64_t worked = since_ns(&rp->began);

	if (worked < WORK_NS)
		return;
	nanosleep(&(struct timespec){.tv_sec = worked / 1000000000, .tv_nsec = worked % 1000000000},
		  NULL);
	clock_gettime(CLOCK_MONOTONIC, &rp->began);
}

static void failed(struct reaping *rp)
{
	if (rp->result->left++ == 0)
		rp->result->error = errno;
}

/*
 * Shortens a file step by step, once it has no name: nobody can make a link to it any more. Only
 * with its lease held: whoever has it mapped would crash.
 */
static void shrink(struct reaping *rp, int fd, int64_t size)
{
	struct disk_stat st;

	while (size > STEP_BYTES && disk_stat_fd(fd, &st) == 0 && st.links == 0 &&
	       disk_lease_holds(fd)) {
		hook_point("shrink");
		size -= STEP_BYTES;
		if (disk_truncate(fd, size) != 0)
			return;
		rest(rp);
	}
}

static void remove_file(struct reaping *rp, const char *name, const struct disk_stat *st)
{
	bool steps = rp->root->mount.discard && rp->root->leases && st->size_bytes > STEP_BYTES;
	int fd = st->type == DISK_FILE && st->links == 1 ? disk_open_file(rp->fd, name, steps) : -1;
	bool in_use = false;

	if (fd >= 0 && rp->root->leases)
		in_use = disk_lease_take(fd) != 0 && errno == EAGAIN;
	if (disk_unlink(rp->fd, name) != 0) {
		if (errno != ENOENT)
			failed(rp);
	} else if (st->type == DISK_FILE && st->links == 1) {
		*(in_use ? &rp->result->deferred_bytes : &rp->result->freed_bytes) +=
			st->used_bytes;
		if (fd >= 0 && steps && !in_use)
			shrink(rp, fd, st->size_bytes);
	}
	if (fd >= 0)
		close(fd);
}

static int reap_entry(const char *name, void *arg);

/* What is nested too deeply is emptied later, from the top. */
static void raise_folder(struct reaping *rp, const char *name)
{
	char random[17], higher[48];

	clock_random_hex(random, 8);
	snprintf(higher, sizeof(higher), ASIDE_PREFIX "deep-%s", random);
	if (disk_move(rp->fd, name, rp->top->fd, higher) == 0)
		rp->top->raised = true;
	else if (errno != ENOENT)
		failed(rp);
}

static void remove_folder(struct reaping *rp, const char *name)
{
	struct reaping below = *rp;

	if (++below.depth > DEPTH_MAX) {
		raise_folder(rp, name);
		return;
	}
	below.fd = disk_open_dir(rp->fd, name);
	if (below.fd < 0) {
		if (errno != ENOENT)
			failed(rp);
		return;
	}
	if (rp->top == NULL)
		below.top = &below;
	do {
		below.raised = false;
		if (disk_list(below.fd, reap_entry, &below) < 0)
			failed(rp);
	} while (below.raised && !atomic_load(rp->stop));
	rp->began = below.began;
	close(below.fd);
	if (!atomic_load(rp->stop) && disk_rmdir(rp->fd, name) != 0 && errno != ENOENT &&
	    errno != ENOTEMPTY)
		failed(rp);
}

static int reap_entry(const char *name, void *arg)
{
	struct reaping *rp = arg;
	struct disk_stat st;

	if (atomic_load(rp->stop)) {
		rp->result->left++;
		return 1;
	}
	hook_point("reap");
	if (disk_stat(rp->fd, name, &st) != 0) {
		if (errno != ENOENT)
			failed(rp);
		return 0;
	}
	if (st.type == DISK_DIRECTORY)
		remove_folder(rp, name);
	else
		remove_file(rp, name, &st);
	rest(rp);
	return 0;
}

void reaper_empty_at(const struct root *root, int dir_fd, const char *name, const atomic_bool *stop,
		     struct reaper_result *result)
{
	struct reaping rp = {.root = root, .stop = stop, .result = result, .fd = dir_fd};

	memset(result, 0, sizeof(*result));
	clock_gettime(CLOCK_MONOTONIC, &rp.began);
	reap_entry(name, &rp);
}

void reaper_empty(const struct root *root, const char *path, const atomic_bool *stop,
		  struct reaper_result *result)
{
	const char *slash = strrchr(path, '/');
	char parent[4200];
	int dir_fd;

	snprintf(parent, sizeof(parent), "%.*s", slash != NULL ? (int)(slash - path) : 1,
		 slash != NULL ? path : ".");
	dir_fd = disk_open_dir(root->fd, parent);
	if (dir_fd >= 0) {
		reaper_empty_at(root, dir_fd, slash != NULL ? slash + 1 : path, stop, result);
		close(dir_fd);
		return;
	}
	*result = (struct reaper_result){0};
	if (errno != ENOENT)
		*result = (struct reaper_result){.left = 1, .error = errno};
}
