/* Reads and arms the access times of a Hugging Face repository. */
#include "agent/hf_access.h"

#include <unistd.h>

#include "agent/hf_repo.h"
#include "agent/root.h"

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* `revisions`: how many have a blob that is this one's alone. */
static bool own_blob(const struct hf_blob *blob, unsigned revisions)
{
	return blob != NULL && blob->kind == HF_BLOB_FILE && blob->revisions == revisions;
}

int64_t hf_access_newest(const struct root *root, const struct hf_revision *rev)
{
	int64_t newest = 0;

	for (size_t i = 0; root->atimes && i < rev->file_count; i++) {
		const struct hf_file *file = &rev->files[i];

		newest = later(newest, file->stat.atime_ms);
		if (own_blob(file->blob, 1))
			newest = later(newest, file->blob->stat.atime_ms);
	}
	return newest;
}

/* The newest access to a blob that is this revision's alone, as it is now. */
static int64_t newest_of_blobs(const struct hf_repo *repo, const struct hf_revision *rev,
			       unsigned revisions)
{
	int blobs_fd = disk_open_dir(repo->fd, "blobs");
	int64_t newest = 0;

	for (size_t i = 0; blobs_fd >= 0 && i < rev->file_count; i++) {
		const struct hf_blob *blob = rev->files[i].blob;
		struct disk_stat st;

		if (own_blob(blob, revisions) && disk_stat(blobs_fd, blob->name, &st) == 0)
			newest = later(newest, st.atime_ms);
	}
	if (blobs_fd >= 0)
		close(blobs_fd);
	return newest;
}

int64_t hf_access_newest_moved(const struct root *root, const struct hf_repo *repo,
			       const struct hf_revision *rev)
{
	int64_t newest = root->atimes ? newest_of_blobs(repo, rev, 2) : 0;

	for (size_t i = 0; root->atimes && i < rev->file_count; i++)
		newest = later(newest, rev->files[i].stat.atime_ms);
	return newest;
}

bool hf_access_armed(const struct hf_revision *rev)
{
	for (size_t i = 0; i < rev->file_count; i++) {
		const struct hf_file *file = &rev->files[i];

		if (!disk_atime_armed(&file->stat) ||
		    (own_blob(file->blob, 1) && !disk_atime_armed(&file->blob->stat)))
			return false;
	}
	return true;
}

struct look {
	struct root *root;
	int fd;
	int64_t newest;
};

static int look_at(const char *name, void *arg)
{
	struct look *look = arg;
	struct disk_stat st;

	if (disk_stat(look->fd, name, &st) != 0 || st.type == DISK_DIRECTORY)
		return 0;
	look->newest = later(look->newest, st.atime_ms);
	root_rearm_atime(look->root, look->fd, name, &st);
	return 0;
}

int64_t hf_access_look(struct root *root, int repo_fd, const char *path)
{
	struct look look = {.root = root};

	if (!root->atimes)
		return 0;
	look.fd = disk_open_dir(repo_fd, path);
	if (look.fd < 0)
		return 0;
	if (disk_list(look.fd, look_at, &look) != 0)
		look.newest = 0; /* the next look tells */
	close(look.fd);
	return look.newest;
}

int64_t hf_access_newest_now(struct root *root, const struct hf_repo *repo,
			     const struct hf_revision *rev)
{
	int64_t newest = root->atimes ? newest_of_blobs(repo, rev, 1) : 0;

	for (size_t i = 0; i < rev->dir_count; i++)
		newest = later(newest,
			       hf_access_look(root, repo->fd, repo->dirs[rev->first_dir + i].path));
	return newest;
}

void hf_access_arm(struct root *root, const struct hf_repo *repo, const struct hf_revision *rev)
{
	for (size_t i = 0; i < rev->dir_count; i++)
		hf_access_look(root, repo->fd, repo->dirs[rev->first_dir + i].path);
	hf_access_look(root, repo->fd, "blobs");
}
