/* The clients' own locks and unfinished downloads. */
#include "agent/hf_lock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/busy.h"
#include "agent/hf_repo.h"
#include "agent/root.h"
#include "common/clock.h"

#define NAME_SIZE	  300
#define PAYLOAD_TRIES	  20
#define PAYLOAD_TRY_PAUSE 10000000 /* ns */

/* Clients of every user must be able to take a lock file that we made. */
static int open_lock(int dir, const char *name)
{
	int fd = disk_open_file(dir, name, true);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	fd = disk_create(dir, name, 0666);
	if (fd < 0 && errno == EEXIST)
		return disk_open_file(dir, name, true);
	if (fd >= 0 && fchmod(fd, 0666) != 0)
		errno = 0; /* the umask decides then */
	return fd;
}

static bool still_there(int dir, const char *name, int fd)
{
	struct disk_stat at_path, of_fd;

	return disk_stat(dir, name, &at_path) == 0 && disk_stat_fd(fd, &of_fd) == 0 &&
	       at_path.inode == of_fd.inode && at_path.device == of_fd.device;
}

static enum hf_lock_answer take(int dir, const char *name, int *out)
{
	for (int tries = 0; tries < 3; tries++) {
		int fd = open_lock(dir, name);

		/* On a full disk no client can be downloading either. */
		if (fd < 0)
			return errno == ENOSPC || errno == EDQUOT ? HF_LOCK_NONE : HF_LOCK_FAILED;
		if (disk_flock(fd) != 0) {
			close(fd);
			return errno == EWOULDBLOCK ? HF_LOCK_HELD : HF_LOCK_FAILED;
		}
		if (still_there(dir, name, fd)) {
			*out = fd;
			return HF_LOCK_TAKEN;
		}
		close(fd); /* its last holder has removed it meanwhile */
	}
	return HF_LOCK_HELD;
}

static int open_folder(int hub_fd, const char *folder)
{
	char path[NAME_SIZE + 8];

	snprintf(path, sizeof(path), ".locks/%s", folder);
	return disk_open_dir(hub_fd, path);
}

enum hf_lock_answer hf_lock_take(int hub_fd, const char *folder, const char *etag, int *fd)
{
	int dir = open_folder(hub_fd, folder);
	char name[NAME_SIZE];
	enum hf_lock_answer answer;

	if (dir < 0)
		return errno == ENOENT ? HF_LOCK_NONE : HF_LOCK_FAILED;
	if ((size_t)snprintf(name, sizeof(name), "%s.lock", etag) >= sizeof(name))
		answer = HF_LOCK_FAILED;
	else
		answer = take(dir, name, fd);
	close(dir);
	return answer;
}

enum hf_lock_answer hf_lock_take_payload(int prefix_fd, const char *payload, int *fd)
{
	char name[HF_PAYLOAD_LEN + 16];
	struct disk_stat st;
	enum hf_lock_answer answer = HF_LOCK_HELD;

	/* Where flock does not work, clients fall back to the existence of this file. */
	snprintf(name, sizeof(name), "%s.lock.soft", payload);
	if (disk_stat(prefix_fd, name, &st) == 0)
		return HF_LOCK_HELD;
	snprintf(name, sizeof(name), "%s.lock", payload);
	for (int i = 0; i < PAYLOAD_TRIES && answer == HF_LOCK_HELD; i++) {
		if (i > 0)
			nanosleep(&(struct timespec){.tv_nsec = PAYLOAD_TRY_PAUSE}, NULL);
		answer = take(prefix_fd, name, fd);
	}
	return answer;
}

static int test_lock(const char *name, void *arg)
{
	int dir = *(int *)arg;
	size_t len = strlen(name);
	int fd, held;

	if (len < 5 || strcmp(name + len - 5, ".lock") != 0)
		return 0;
	fd = disk_open_file(dir, name, false);
	if (fd < 0)
		return 0;
	held = disk_flock(fd) != 0 && errno == EWOULDBLOCK;
	close(fd);
	return held;
}

static bool any_lock_held(int hub_fd, const char *folder)
{
	int dir = open_folder(hub_fd, folder);
	bool held;

	if (dir < 0)
		return false;
	held = disk_list(dir, test_lock, &dir) == 1;
	close(dir);
	return held;
}

bool hf_lock_partial_stale(const struct root *root, const struct hf_repo *repo, int blobs_fd,
			   const char *name, int64_t quiet_ms)
{
	struct disk_stat st;
	int fd;

	if (disk_stat(blobs_fd, name, &st) != 0 || st.type != DISK_FILE || st.mount != repo->mount)
		return false;
	if (clock_wall_ms() - st.mtime_ms < quiet_ms)
		return false;
	if (!root->leases)
		return true; /* age is all that can be known */
	fd = disk_open_file(blobs_fd, name, false);
	return fd >= 0 && busy_test(fd) == BUSY_FREE;
}

bool hf_downloading(const struct root *root, const struct hf_repo *repo, int64_t *stale_bytes)
{
	int blobs_fd = disk_open_dir(repo->fd, "blobs");
	bool active = false;

	*stale_bytes = 0;
	for (size_t i = 0; i < repo->partial_count && blobs_fd >= 0; i++) {
		if (hf_lock_partial_stale(root, repo, blobs_fd, repo->partials[i].path,
					  root->config.partial_ms))
			*stale_bytes += repo->partials[i].stat.used_bytes;
		else
			active = true;
	}
	if (blobs_fd >= 0)
		close(blobs_fd);
	return active || any_lock_held(root->fd, repo->folder);
}
