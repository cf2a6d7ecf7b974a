/* Opens a cache directory and finds out what can be told about the use of its files. */
#include "agent/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEST_FILE ".larder-selftest"
#define TEST_SIZE 4096

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

static void self_test(struct root *root)
{
	char name[64];
	char data[TEST_SIZE] = {0};
	const char *why;
	int dir = root_open_scratch(root), fd = -1;

	snprintf(name, sizeof(name), "%s-%s", TEST_FILE, root->config.name);
	/* One may be left from an agent that was killed here. */
	if (dir >= 0 && (disk_unlink(dir, name) == 0 || errno == ENOENT))
		fd = disk_create(dir, name, 0600);
	if (fd < 0 || write(fd, data, sizeof(data)) != (ssize_t)sizeof(data)) {
		snprintf(root->limits, sizeof(root->limits), "a test file cannot be written: %s",
			 strerror(errno));
	} else {
		/* Writing counts as a use: test on a descriptor that only reads. */
		close(fd);
		fd = disk_open_file(dir, name, false);
		why = fd >= 0 ? test_leases(dir, name, fd) : strerror(errno);
		root->leases = why == NULL;
		if (why != NULL)
			snprintf(root->limits, sizeof(root->limits), "%s", why);
		root->atimes = fd >= 0 && !root->mount.no_atime && test_atime(dir, name, fd);
	}
	if (fd >= 0)
		close(fd);
	if (dir >= 0) {
		if (disk_unlink(dir, name) != 0 && errno != ENOENT)
			root->leases = false;
		close(dir);
	}
	if (root->leases && root->mount.remote) {
		root->leases = false;
		snprintf(root->limits, sizeof(root->limits),
			 "a network file system cannot tell what other machines have open");
	}
}

int root_open(struct root *root)
{
	root->limits[0] = root->problem[0] = '\0';
	root->leases = root->atimes = false;
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
	self_test(root);
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
