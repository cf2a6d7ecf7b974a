/* Removes the empty folder of a repository. */
#include "agent/hf_shell.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "agent/disk.h"
#include "agent/reaper.h"
#include "agent/root.h"

static int is_entry(const char *name, void *arg)
{
	(void)name;
	(void)arg;
	return 1;
}

static bool empty_dir(int at, const char *name)
{
	int fd = disk_open_dir(at, name);
	int rc;

	if (fd < 0)
		return errno == ENOENT;
	rc = disk_list(fd, is_entry, NULL);
	close(fd);
	return rc == 0;
}

/* Is it missing, or a folder of this file system? Moving a mount would move what others use. */
static bool ours(int at, const char *name)
{
	int fd = disk_open_dir(at, name);

	if (fd < 0)
		return errno == ENOENT;
	close(fd);
	return true;
}

/* Returns 1 for a name that no client of the cache makes: somebody else's, never removed. */
static int is_foreign(const char *name, void *arg)
{
	static const char *const known[] = {"snapshots", "blobs", "refs", "trees", ".no_exist"};

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(name, known[i]) == 0)
			return 0;
	}
	return 1;
}

static bool is_shell(int repo_fd)
{
	return disk_list(repo_fd, is_foreign, NULL) == 0 && empty_dir(repo_fd, "snapshots") &&
	       empty_dir(repo_fd, "blobs") && empty_dir(repo_fd, "refs") &&
	       ours(repo_fd, "trees") && ours(repo_fd, ".no_exist");
}

void hf_shell_remove(const struct root *root, const char *folder, int repo_fd, const char *moved)
{
	static const atomic_bool never;
	int scratch = root_open_scratch(root);
	struct reaper_result ignored; /* what stays is found and emptied at the next start */
	int shell;

	if (scratch < 0)
		return;
	if (is_shell(repo_fd) && disk_move(root->fd, folder, scratch, moved) == 0) {
		shell = disk_open_dir(scratch, moved);
		if (shell >= 0 && is_shell(shell)) {
			reaper_empty_at(root, scratch, moved, &never, &ignored);
		} else if (disk_move(scratch, moved, root->fd, folder) != 0) {
			errno = 0; /* the client has made a new one already */
		}
		if (shell >= 0)
			close(shell);
	}
	close(scratch);
}
