/* Removes the empty folder of a repository. */
#include "agent/hf_shell.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "agent/disk.h"
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
	       empty_dir(repo_fd, "blobs") && empty_dir(repo_fd, "refs");
}

/* Removes what is left of a repository's folder: empty folders and small files of the client. */
static int empty_shell(const char *name, void *arg)
{
	int dir = *(int *)arg;
	struct disk_stat st;
	int below;

	if (disk_stat(dir, name, &st) != 0)
		return 0;
	if (st.type != DISK_DIRECTORY)
		return disk_unlink(dir, name);
	below = disk_open_dir(dir, name);
	if (below < 0)
		return -1;
	if (disk_list(below, empty_shell, &below) != 0) {
		close(below);
		return -1;
	}
	close(below);
	return disk_rmdir(dir, name);
}

void hf_shell_remove(const struct root *root, const char *folder, int repo_fd, const char *moved)
{
	int scratch = root_open_scratch(root);
	int shell;

	if (scratch < 0)
		return;
	if (is_shell(repo_fd) && disk_move(root->fd, folder, scratch, moved) == 0) {
		shell = disk_open_dir(scratch, moved);
		if (shell >= 0 && is_shell(shell)) {
			if (disk_list(shell, empty_shell, &shell) != 0 ||
			    disk_rmdir(scratch, moved) != 0)
				errno = 0; /* found and emptied at the next start */
		} else if (disk_move(scratch, moved, root->fd, folder) != 0) {
			errno = 0; /* the client has made a new one already */
		}
		if (shell >= 0)
			close(shell);
	}
	close(scratch);
}
