/* Removes the empty folder of a repository. */
#include "agent/hf_shell.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/aside.h"
#include "agent/disk.h"
#include "agent/reaper.h"
#include "agent/root.h"
#include "common/hook.h"
#include "common/log.h"

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

void hf_shell_remove(const struct root *root, const char *folder, int repo_fd, const char *txn)
{
	static const atomic_bool never;
	char moved[ASIDE_NAME_SIZE];
	struct reaper_result ignored; /* what stays is found and emptied at the next start */
	int scratch;

	if (aside_name(moved, ASIDE_WHOLE, txn, folder) != 0 || !is_shell(repo_fd))
		return;
	scratch = root_open_scratch(root);
	if (scratch < 0)
		return;
	if (disk_move(root->fd, folder, scratch, moved) == 0) {
		hook_point("shell-moved");
		if (hf_shell_recover(root, scratch, moved, folder))
			reaper_empty_at(root, scratch, moved, &never, &ignored);
	}
	close(scratch);
}

bool hf_shell_recover(const struct root *root, int scratch, const char *moved, const char *folder)
{
	int shell = disk_open_dir(scratch, moved);
	bool empty;

	if (shell < 0)
		return false;
	empty = is_shell(shell);
	close(shell);
	if (!empty && disk_move(scratch, moved, root->fd, folder) != 0)
		log_warn("-removal-stuck", LOG_STR("folder", folder), LOG_STR("path", moved),
			 LOG_STR("reason", strerror(errno)));
	return empty;
}

void hf_shell_recover_txn(const struct root *root, const char *folder, const char *txn, char *trash,
			  size_t size)
{
	static const char *const places[] = {".locks", "."}; /* those of root_open_scratch */
	char moved[ASIDE_NAME_SIZE];

	if (aside_name(moved, ASIDE_WHOLE, txn, folder) != 0)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		int scratch = disk_open_dir(root->fd, places[i]);

		if (scratch < 0)
			continue;
		if (hf_shell_recover(root, scratch, moved, folder))
			snprintf(trash, size, "%s/%s", places[i], moved);
		close(scratch);
	}
}
