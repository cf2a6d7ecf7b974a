/* Puts a snapshot back that was moved aside. */
#include "agent/hf_merge.h"

#include <errno.h>
#include <unistd.h>

#include "agent/disk.h"

#define DEPTH_MAX 64

struct merge {
	int from, to;
	unsigned depth;
};

static int merge_entry(const char *name, void *arg);

static int merge_folders(int from_at, const char *from, int to_at, const char *to, unsigned depth)
{
	struct merge merge = {.from = disk_open_dir(from_at, from), .depth = depth};
	int rc = -1, saved;

	if (merge.from < 0)
		return -1;
	merge.to = disk_open_dir(to_at, to);
	if (merge.to >= 0 && depth > DEPTH_MAX)
		errno = ELOOP;
	else if (merge.to >= 0)
		rc = disk_list(merge.from, merge_entry, &merge);
	saved = errno;
	close(merge.from);
	if (merge.to >= 0)
		close(merge.to);
	errno = saved;
	return rc == 0 ? disk_rmdir(from_at, from) : -1;
}

static int merge_entry(const char *name, void *arg)
{
	const struct merge *merge = arg;
	struct disk_stat st;

	if (disk_move(merge->from, name, merge->to, name) == 0)
		return 0;
	if (errno != EEXIST || disk_stat(merge->from, name, &st) != 0)
		return -1;
	if (st.type == DISK_DIRECTORY)
		return merge_folders(merge->from, name, merge->to, name, merge->depth + 1);
	return disk_unlink(merge->from, name);
}

int hf_merge(int repo_fd, const char *aside, const char *commit)
{
	int snapshots = disk_open_dir(repo_fd, "snapshots");
	int rc, saved;

	/* Somebody who tidies up empty folders may have removed it. */
	if (snapshots < 0 && errno == ENOENT && disk_mkdir_like(repo_fd, "snapshots", repo_fd) == 0)
		snapshots = disk_open_dir(repo_fd, "snapshots");
	if (snapshots < 0)
		return -1;
	rc = disk_move(repo_fd, aside, snapshots, commit);
	if (rc != 0 && (errno == EEXIST || errno == ENOTEMPTY))
		rc = merge_folders(repo_fd, aside, snapshots, commit, 0);
	saved = errno;
	close(snapshots);
	errno = saved;
	return rc;
}
