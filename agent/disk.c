/* System calls on the disks with models. */
#include "agent/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* File systems on which locks and leases may be local to one node (see docs/limits.md). */
#define LUSTRE_MAGIC 0x0BD00BD0
#define GPFS_MAGIC   0x47504653
#define CEPH_MAGIC   0x00c36400
#define BEEGFS_MAGIC 0x19830326
#define CIFS_MAGIC   0xFF534D42

static int openat2_beneath(int at, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, at, path, &how, sizeof(how));
}

/* Without O_NOATIME for files of other users, which only their owner may ask for. */
static int open_beneath(int at, const char *path, int flags)
{
	int fd = openat2_beneath(at, path, (uint64_t)(flags | O_NOATIME));

	if (fd < 0 && errno == EPERM)
		fd = openat2_beneath(at, path, (uint64_t)flags);
	return fd;
}

int disk_open_dir(int at, const char *path)
{
	return open_beneath(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int disk_open_handle(int at, const char *path)
{
	return openat2_beneath(at, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int disk_open_root(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOATIME);

	return fd >= 0 || errno != EPERM ? fd : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

int disk_open_file(int at, const char *name, bool writable)
{
	int fd = open_beneath(at, name,
			      (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))) {
		close(fd);
		errno = EINVAL;
		return -1;
	}
	return fd;
}

int disk_create(int at, const char *name, mode_t mode)
{
	struct open_how how = {
		.flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
			   RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, at, name, &how, sizeof(how));
}

static void from_statx(const struct statx *sx, struct disk_stat *out)
{
	out->type = S_ISREG(sx->stx_mode)   ? DISK_FILE
		    : S_ISDIR(sx->stx_mode) ? DISK_DIRECTORY
		    : S_ISLNK(sx->stx_mode) ? DISK_LINK
					    : DISK_OTHER;
	out->device = makedev(sx->stx_dev_major, sx->stx_dev_minor);
	out->inode = sx->stx_ino;
	out->mount = sx->stx_mnt_id;
	out->links = sx->stx_nlink;
	out->size_bytes = (int64_t)sx->stx_size;
	out->used_bytes = (int64_t)sx->stx_blocks * 512;
	out->atime_ms = sx->stx_atime.tv_sec * 1000 + sx->stx_atime.tv_nsec / 1000000;
	out->atime_ns = sx->stx_atime.tv_sec * INT64_C(1000000000) + sx->stx_atime.tv_nsec;
	out->mtime_ms = sx->stx_mtime.tv_sec * 1000 + sx->stx_mtime.tv_nsec / 1000000;
	out->mtime_ns = sx->stx_mtime.tv_sec * INT64_C(1000000000) + sx->stx_mtime.tv_nsec;
	out->ctime_ns = sx->stx_ctime.tv_sec * INT64_C(1000000000) + sx->stx_ctime.tv_nsec;
	/* Somebody has set it ahead: by it alone the file would look new for years. */
	if (out->mtime_ns > out->ctime_ns)
		out->mtime_ms = out->ctime_ns / 1000000;
	out->uid = sx->stx_uid;
	out->frozen = (sx->stx_attributes & (STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) != 0;
}

static int stat_at(int at, const char *name, int flags, struct disk_stat *out)
{
	struct statx sx;

	if (statx(at, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  STATX_BASIC_STATS | STATX_MNT_ID, &sx) != 0)
		return -1;
	from_statx(&sx, out);
	return 0;
}

int disk_stat(int at, const char *name, struct disk_stat *out)
{
	return stat_at(at, name, 0, out);
}

int disk_stat_fd(int fd, struct disk_stat *out)
{
	return stat_at(fd, "", AT_EMPTY_PATH, out);
}

int disk_readlink(int at, const char *name, char *buf, size_t size, bool *marked)
{
	struct statx before, after;
	ssize_t len;

	if (statx(at, name, AT_SYMLINK_NOFOLLOW, STATX_ATIME, &before) != 0)
		return -1;
	len = readlinkat(at, name, buf, size);
	if (len < 0)
		return -1;
	if ((size_t)len >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	buf[len] = '\0';
	/* Reading a link counts as an access to it, and its access time tells us about use. */
	if (statx(at, name, AT_SYMLINK_NOFOLLOW, STATX_ATIME, &after) == 0 &&
	    (after.stx_atime.tv_sec != before.stx_atime.tv_sec ||
	     after.stx_atime.tv_nsec != before.stx_atime.tv_nsec)) {
		struct timespec times[2] = {
			{.tv_sec = before.stx_atime.tv_sec, .tv_nsec = before.stx_atime.tv_nsec},
			{.tv_nsec = UTIME_OMIT}};

		if (utimensat(at, name, times, AT_SYMLINK_NOFOLLOW) != 0 && marked != NULL)
			*marked = true;
	}
	return 0;
}

int disk_rearm_atime(int at, const char *name, const struct disk_stat *st)
{
	struct timespec times[2] = {
		{.tv_sec = st->atime_ns / 1000000000, .tv_nsec = st->atime_ns % 1000000000},
		{.tv_nsec = UTIME_OMIT}};

	return disk_atime_armed(st) ? 0 : utimensat(at, name, times, AT_SYMLINK_NOFOLLOW);
}

int disk_list(int dir_fd, int (*entry)(const char *name, void *arg), void *arg)
{
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *de;
	int rc = 0;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	rewinddir(dir);
	for (;;) {
		errno = 0;
		de = readdir(dir);
		if (de == NULL) {
			rc = errno != 0 ? -1 : 0;
			break;
		}
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		rc = entry(de->d_name, arg);
		if (rc != 0)
			break;
	}
	if (rc == -1) {
		int saved = errno;

		closedir(dir);
		errno = saved;
		return -1;
	}
	closedir(dir);
	return rc;
}

int disk_move(int from_at, const char *from, int to_at, const char *to)
{
	return renameat2(from_at, from, to_at, to, RENAME_NOREPLACE);
}

int disk_replace(int at, const char *from, const char *to)
{
	return renameat(at, from, at, to);
}

int disk_mkdir_like(int at, const char *name, int like_fd)
{
	struct stat st;
	int fd;

	if (fstat(like_fd, &st) != 0 || mkdirat(at, name, 0700) != 0)
		return -1;
	fd = disk_open_dir(at, name);
	if (fd < 0)
		return -1;
	if (fchown(fd, st.st_uid, st.st_gid) != 0 || fchmod(fd, st.st_mode & 07777) != 0)
		errno = 0; /* who may not give it away keeps it */
	close(fd);
	return 0;
}

int disk_unlink(int at, const char *name)
{
	return unlinkat(at, name, 0);
}

int disk_rmdir(int at, const char *name)
{
	return unlinkat(at, name, AT_REMOVEDIR);
}

int disk_truncate(int fd, int64_t size_bytes)
{
	return ftruncate(fd, size_bytes);
}

int disk_sync(int fd)
{
	return fsync(fd);
}

int disk_space(int fd, int64_t *total_bytes, int64_t *available_bytes)
{
	struct statvfs vfs;
	uint64_t used;

	if (fstatvfs(fd, &vfs) != 0)
		return -1;
	/* As df does: what root keeps for itself counts neither as used nor as available. */
	used = (uint64_t)(vfs.f_blocks - vfs.f_bfree);
	*available_bytes = (int64_t)((uint64_t)vfs.f_bavail * vfs.f_frsize);
	*total_bytes = (int64_t)(used * vfs.f_frsize) + *available_bytes;
	return 0;
}

static bool is_remote(uint64_t type)
{
	static const uint64_t types[] = {NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, SMB2_SUPER_MAGIC,
					 CIFS_MAGIC,	  CEPH_MAGIC,	   LUSTRE_MAGIC,
					 GPFS_MAGIC,	  BEEGFS_MAGIC,	   FUSE_SUPER_MAGIC,
					 V9FS_MAGIC,	  AFS_SUPER_MAGIC, OCFS2_SUPER_MAGIC};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i] == type)
			return true;
	}
	return false;
}

/* Looks for "discard" among the options of the mount that `fd` is on. */
static bool mounted_with_discard(int fd)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	struct disk_stat st;
	char line[4096];
	bool found = false;

	if (file == NULL || disk_stat_fd(fd, &st) != 0) {
		if (file != NULL)
			fclose(file);
		return true; /* unknown: be polite */
	}
	while (!found && fgets(line, sizeof(line), file) != NULL) {
		const char *super = strstr(line, " - ");

		if (strtoull(line, NULL, 10) == st.mount && super != NULL)
			found = strstr(super, "discard") != NULL &&
				strstr(super, "nodiscard") == NULL;
	}
	fclose(file);
	return found;
}

int disk_mount(int fd, struct disk_mount *out)
{
	struct statfs fs;
	struct statvfs vfs;

	if (fstatfs(fd, &fs) != 0 || fstatvfs(fd, &vfs) != 0)
		return -1;
	out->fs_type = (uint64_t)fs.f_type & 0xffffffffu;
	out->read_only = (vfs.f_flag & ST_RDONLY) != 0;
	out->no_atime = (vfs.f_flag & ST_NOATIME) != 0;
	out->remote = is_remote(out->fs_type);
	out->discard = mounted_with_discard(fd);
	return 0;
}

int disk_lease_take(int fd)
{
	return fcntl(fd, F_SETLEASE, F_WRLCK);
}

bool disk_lease_holds(int fd)
{
	return fcntl(fd, F_GETLEASE) == F_WRLCK;
}

void disk_lease_give_up(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_UNLCK) != 0)
		errno = 0; /* closing the descriptor gives it up too */
}

int disk_flock(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB);
}
