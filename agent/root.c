/* Opens a cache directory and finds out what can be told about the use of its files. */
#include "agent/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEST_FILE  ".larder-selftest"
#define TEST_SIZE  4096
#define FIND_DEPTH 4

int root_open_scratch(const struct root *root)
{
	/* Clients of the Hugging Face cache warn about strangers in its root, but not in .locks. */
	int fd = disk_open_dir(root->fd, ".locks");

	return fd >= 0 ? fd : fcntl(root->fd, F_DUPFD_CLOEXEC, 3);
}

/* A lease must be granted on a file that nobody has, and refused when it is open or mapped. */
static const char *test_leases(int dir, const char *name, int fd)
{
	const char *why = NULL;
	void *map;
	int other;

	if (disk_lease_take(fd) != 0)
		return errno == EAGAIN ? "leases are refused on a file that nobody uses"
				       : "leases do not work";
	disk_lease_give_up(fd);
	other = disk_open_file(dir, name, false);
	if (other < 0)
		return "a file of our own cannot be opened";
	if (disk_lease_take(fd) == 0)
		why = "leases do not see an open file";
	map = mmap(NULL, TEST_SIZE, PROT_READ, MAP_SHARED, other, 0);
	close(other);
	if (map == MAP_FAILED)
		return why != NULL ? why : "files cannot be mapped";
	if (why == NULL && disk_lease_take(fd) == 0)
		why = "leases do not see a mapped file";
	munmap(map, TEST_SIZE);
	return why;
}

/* A read must move an access time that lies two days back. */
static bool test_atime(int dir, const char *name, int fd)
{
	struct timespec old[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
	struct disk_stat before, after;
	char byte;
	int reader;
	bool moved = false;

	if (disk_stat_fd(fd, &before) != 0)
		return false;
	old[0] = (struct timespec){.tv_sec = before.atime_ms / 1000 - 2 * 86400};
	reader = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (reader < 0)
		return false;
	if (futimens(fd, old) == 0 && disk_stat_fd(fd, &before) == 0 &&
	    read(reader, &byte, 1) == 1 && disk_stat_fd(fd, &after) == 0)
		moved = after.atime_ms > before.atime_ms + 86400000;
	close(reader);
	return moved;
}

/* A regular file somewhere below, for when the disk is too full to make one. */
struct found {
	int dir;
	char name[256];
	unsigned depth;
};

static int find_file(const char *name, void *arg)
{
	struct found *found = arg;
	struct found below = {.depth = found->depth + 1};
	struct disk_stat st;

	if (disk_stat(found->dir, name, &st) != 0 || strlen(name) >= sizeof(found->name))
		return 0;
	if (st.type == DISK_FILE) {
		snprintf(found->name, sizeof(found->name), "%s", name);
		return 1;
	}
	if (st.type != DISK_DIRECTORY || below.depth > FIND_DEPTH)
		return 0;
	below.dir = disk_open_dir(found->dir, name);
	if (below.dir < 0)
		return 0;
	if (disk_list(below.dir, find_file, &below) == 1) {
		close(found->dir);
		*found = below;
		return 1;
	}
	close(below.dir);
	return 0;
}

/* Leases on a file that is there already; somebody may be using it, which tells nothing. */
static const char *test_existing(const struct root *root)
{
	struct found found = {.dir = fcntl(root->fd, F_DUPFD_CLOEXEC, 3)};
	const char *why = "the disk is full and holds no file to try on";
	int fd;

	if (found.dir >= 0 && disk_list(found.dir, find_file, &found) == 1) {
		fd = disk_open_file(found.dir, found.name, false);
		why = fd >= 0 ? test_leases(found.dir, found.name, fd)
			      : "the disk is full and a file on it cannot be opened";
		if (fd >= 0)
			close(fd);
	}
	if (found.dir >= 0)
		close(found.dir);
	return why;
}

/* Makes the file to try on; `*written` tells whether it got its bytes. */
static int make_test_file(int dir, const char *name, bool *written)
{
	static const char data[TEST_SIZE];
	int fd;

	*written = false;
	/* One may be left from an agent that was killed here. */
	if (disk_unlink(dir, name) != 0 && errno != ENOENT)
		return -1;
	fd = disk_create(dir, name, 0600);
	if (fd < 0)
		return -1;
	*written = write(fd, data, sizeof(data)) == (ssize_t)sizeof(data);
	close(fd);
	/* Writing counts as a use: the tests want a descriptor that only reads. */
	return disk_open_file(dir, name, false);
}

static void self_test(struct root *root)
{
	char name[64];
	const char *why;
	int dir = root_open_scratch(root), fd = -1;
	bool written = false;

	snprintf(name, sizeof(name), "%s-%s", TEST_FILE, root->config.name);
	if (dir >= 0)
		fd = make_test_file(dir, name, &written);
	if (fd >= 0)
		why = test_leases(dir, name, fd);
	else
		why = errno == ENOSPC || errno == EDQUOT ? test_existing(root) : strerror(errno);
	/* Without a byte to read, the mount's word is taken. */
	root->atimes = !root->mount.no_atime && (!written || test_atime(dir, name, fd));
	if (fd >= 0)
		close(fd);
	if (dir >= 0) {
		if (disk_unlink(dir, name) != 0 && errno != ENOENT)
			why = "a test file cannot be removed";
		close(dir);
	}
	if (root->mount.remote)
		why = "a network file system cannot tell what other machines have open";
	root->leases = why == NULL;
	if (why != NULL)
		snprintf(root->limits, sizeof(root->limits), "%s", why);
}

int root_open(struct root *root)
{
	root->limits[0] = root->problem[0] = '\0';
	root->leases = root->atimes = root->unarmed = false;
	root->fd = disk_open_root(root->config.path);
	if (root->fd < 0 || disk_stat_fd(root->fd, &root->identity) != 0 ||
	    disk_mount(root->fd, &root->mount) != 0) {
		snprintf(root->problem, sizeof(root->problem), "cannot open %.100s: %s",
			 root->config.path, strerror(errno));
		root_close(root);
		return -1;
	}
	/* A trial of the kernel: without openat2 a descent could be led astray. */
	if (disk_open_dir(root->fd, ".larder-no-such-folder") >= 0 || errno != ENOENT) {
		snprintf(root->problem, sizeof(root->problem), "cannot look below %.80s: %s%s",
			 root->config.path, strerror(errno),
			 errno == ENOSYS ? " (Linux 5.8 or later is needed)" : "");
		root_close(root);
		return -1;
	}
	if (root_writable(root))
		self_test(root);
	else
		root->atimes = !root->mount.no_atime && !root->mount.read_only;
	return 0;
}

bool root_same(const struct root *root)
{
	struct disk_stat now;
	int fd = disk_open_root(root->config.path);
	bool same;

	if (fd < 0)
		return false;
	same = disk_stat_fd(fd, &now) == 0 && now.device == root->identity.device &&
	       now.inode == root->identity.inode && now.mount == root->identity.mount;
	close(fd);
	return same;
}

void root_close(struct root *root)
{
	if (root->fd >= 0)
		close(root->fd);
	root->fd = -1;
}

bool root_writable(const struct root *root)
{
	return !root->config.report_only && !root->mount.read_only;
}

void root_unarmed(struct root *root)
{
	if (root->unarmed || !root->atimes)
		return;
	root->unarmed = true;
	if (root->limits[0] == '\0')
		snprintf(root->limits, sizeof(root->limits),
			 "the access times of other users' files cannot be set");
}

void root_rearm_atime(struct root *root, int at, const char *name, const struct disk_stat *st)
{
	if (!root_writable(root) || disk_rearm_atime(at, name, st) == 0)
		return;
	/* It may have gone, and an immutable one is not deleted anyway. */
	if ((errno == EPERM || errno == EACCES) && !st->frozen)
		root_unarmed(root);
	errno = 0;
}

bool root_deletes(const struct root *root, const char **why)
{
	*why = NULL;
	if (root->fd < 0)
		*why = root->problem;
	else if (root->config.report_only)
		*why = "report_only is set";
	else if (root->mount.read_only)
		*why = "the file system is read-only";
	else if (!root->leases && !root->config.delete_without_leases)
		*why = root->limits[0] != '\0' ? root->limits : "nobody can tell what is in use";
	return *why == NULL;
}
