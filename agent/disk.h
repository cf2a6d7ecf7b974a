/*
 * The only file that touches the disks with models on them. Every descent goes through directory
 * handles, follows no link, leaves no mount. Nothing here decides anything.
 *
 * Functions return 0 or a descriptor, or -1 with errno, as the system calls do.
 */
#ifndef LARDER_DISK_H
#define LARDER_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/attributes.h"

enum disk_type { DISK_FILE, DISK_DIRECTORY, DISK_LINK, DISK_OTHER };

struct disk_stat {
	enum disk_type type;
	uint64_t device, inode, mount;
	uint64_t links;
	int64_t size_bytes;
	int64_t used_bytes; /* blocks that are allocated */
	int64_t atime_ms;
	int64_t mtime_ms; /* of the last change to its bytes; never later than ctime */
	int64_t atime_ns, mtime_ns, ctime_ns;
	uint32_t uid;
	bool frozen; /* immutable or append-only: it cannot be removed */
};

/* Opens a directory below `at` (a handle or AT_FDCWD); `path` may have several components. */
int disk_open_dir(int at, const char *path) MUST_USE;

/* The same as a mere handle (O_PATH): it can be described and watched, not read. */
int disk_open_handle(int at, const char *path) MUST_USE;

/* Opens the root itself, where the path may lead through links and mounts. */
int disk_open_root(const char *path) MUST_USE;

/*
 * Opens one regular file for reading without blocking, without following a link, and without
 * leaving a trace in its access time where we may.
 */
int disk_open_file(int at, const char *name, bool writable) MUST_USE;

/* Creates an empty file that does not exist yet. */
int disk_create(int at, const char *name, mode_t mode) MUST_USE;

/* Describes an entry; a link itself, not what it points at. */
int disk_stat(int at, const char *name, struct disk_stat *out) MUST_USE;
int disk_stat_fd(int fd, struct disk_stat *out) MUST_USE;

/*
 * Reads a link into `buf` (NUL-terminated) and puts its access time back. -1 when it is longer.
 * `*marked` (may be NULL) becomes true when the access time has moved and could not be put back,
 * because the link is somebody else's.
 */
int disk_readlink(int at, const char *name, char *buf, size_t size, bool *marked) MUST_USE;

/*
 * On relatime mounts a second read within a day leaves no trace. Setting the access time to itself
 * moves the change time, after which the next read is recorded again: it is armed.
 */
static inline bool disk_atime_armed(const struct disk_stat *st)
{
	return st->atime_ns <= st->ctime_ns || st->atime_ns <= st->mtime_ns;
}
/* -1: it could not. */
int disk_rearm_atime(int at, const char *name, const struct disk_stat *st) MUST_USE;

/*
 * Calls `entry` for each name in a directory, in no order, without "." and "..". It goes on while
 * `entry` returns 0, and returns what it returned last, or -1 with errno when reading failed.
 */
int disk_list(int dir_fd, int (*entry)(const char *name, void *arg), void *arg) MUST_USE;

/* Moves an entry; never replaces one. */
int disk_move(int from_at, const char *from, int to_at, const char *to) MUST_USE;
/* Moves a file over another one. */
int disk_replace(int at, const char *from, const char *to) MUST_USE;

/* Makes a directory with the mode of another one, and its owner where we may give it away. */
int disk_mkdir_like(int at, const char *name, int like_fd) MUST_USE;
int disk_unlink(int at, const char *name) MUST_USE;
int disk_rmdir(int at, const char *name) MUST_USE;
int disk_truncate(int fd, int64_t size_bytes) MUST_USE;
int disk_sync(int fd) MUST_USE;

/* Bytes of the file system, and those that an unprivileged writer could still use. */
int disk_space(int fd, int64_t *total_bytes, int64_t *available_bytes) MUST_USE;

/* What the mount is like: its type as statfs tells it, and flags that matter to us. */
struct disk_mount {
	uint64_t fs_type;
	bool read_only, no_atime;
	bool discard; /* freeing blocks tells the device at once, which stalls everybody */
	bool remote;  /* NFS, CephFS, FUSE, Lustre, GPFS and the like: locks may be node-local */
};
int disk_mount(int fd, struct disk_mount *out) MUST_USE;

/*
 * A write lease: granted only while nobody else in any container has the file open or mapped, and
 * broken by whoever opens it. -1 with EAGAIN when somebody has it.
 */
int disk_lease_take(int fd) MUST_USE;
bool disk_lease_holds(int fd);
void disk_lease_give_up(int fd);

/* An exclusive flock without waiting; -1 with EWOULDBLOCK when somebody has it. */
int disk_flock(int fd) MUST_USE;

#endif
