/* Gathers what a revision's files say about it. */
#include "agent/hf_evidence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/hf_repo.h"
#include "agent/hf_store.h"
#include "agent/root.h"
#include "agent/watch.h"
#include "common/clock.h"
#include "common/file_io.h"

#define INDEX_MAX    (32 << 20)
#define MISSING_SIZE 256

struct index_check {
	struct hf_revision *rev;
	size_t folder_len; /* of the index, in its path */
	const char *index_path;
	char missing[MISSING_SIZE];
};

static bool has_file(const struct hf_revision *rev, const char *path)
{
	/* An index may ask for any number of files. */
	return bsearch(&path, rev->paths, rev->file_count, sizeof(*rev->paths), hf_path_order) !=
	       NULL;
}

static bool check_index_entry(const char *name, void *arg)
{
	struct index_check *check = arg;
	char path[512];

	snprintf(path, sizeof(path), "%.*s%s", (int)check->folder_len, check->index_path, name);
	if (has_file(check->rev, path))
		return true;
	snprintf(check->missing, sizeof(check->missing), "%s", name);
	return false;
}

/* Opens the bytes behind a file of a revision. */
static int open_content(struct hf_repo *repo, const struct hf_revision *rev,
			const struct hf_file *file)
{
	char path[5000];
	int dir, fd;

	if (file->blob == NULL) {
		snprintf(path, sizeof(path), "snapshots/%s/%s", rev->commit, file->path);
		return disk_open_file(repo->fd, path, false);
	}
	if (file->blob->kind == HF_BLOB_SHARED)
		return hf_store_open_payload(repo->store_fd, file->blob->payload);
	dir = disk_open_dir(repo->fd, "blobs");
	if (dir < 0)
		return -1;
	fd = disk_open_file(dir, file->blob->name, false);
	close(dir);
	return fd;
}

/* Reading it is no use of it. NULL when it cannot be read. */
static char *read_content(const struct root *root, struct hf_repo *repo,
			  const struct hf_revision *rev, const struct hf_file *file, size_t *len)
{
	char *text = NULL;
	int fd;

	watch_own_moment(root, WATCH_OWN_OPENS);
	fd = open_content(repo, rev, file);
	if (fd >= 0)
		text = file_read_fd(fd, INDEX_MAX, len);
	watch_own_moment(root, WATCH_OWN_CLOSES);
	if (fd >= 0)
		close(fd);
	watch_own_moment(root, WATCH_OWN_NONE);
	return text;
}

/* Looks for a file that an index of weights asks for and the snapshot has not. */
static void check_index(const struct root *root, struct hf_repo *repo, struct hf_revision *rev,
			const struct hf_file *file, char missing[MISSING_SIZE])
{
	const char *slash = strrchr(file->path, '/');
	struct index_check check = {
		.rev = rev,
		.index_path = file->path,
		.folder_len = slash != NULL ? (size_t)(slash - file->path + 1) : 0,
	};
	size_t len;
	char *text = read_content(root, repo, rev, file, &len);

	if (text == NULL)
		return;
	hf_judge_index(text, len, check_index_entry, &check);
	free(text);
	snprintf(missing, MISSING_SIZE, "%s", check.missing);
}

static void check_gguf(const struct hf_revision *rev, const struct hf_file *file, char *missing,
		       size_t size)
{
	char part[512];
	unsigned parts = hf_judge_gguf_part(file->path, 1, part, sizeof(part));

	for (unsigned i = 1; i <= parts; i++) {
		hf_judge_gguf_part(file->path, i, part, sizeof(part));
		if (!has_file(rev, part)) {
			snprintf(missing, size, "%s", part);
			return;
		}
	}
}

int64_t hf_evidence_size(const struct hf_file *file)
{
	return file->blob != NULL ? file->blob->stat.size_bytes : file->stat.size_bytes;
}

/* Gathers what speaks against a revision. `missing` must outlive the evidence. */
static void gather(const struct root *root, struct hf_repo *repo, struct hf_revision *rev,
		   struct hf_evidence *ev, char missing[MISSING_SIZE])
{
	missing[0] = '\0';
	ev->odd = rev->odd;
	ev->files = rev->file_count;
	for (size_t i = 0; i < rev->file_count; i++) {
		const struct hf_file *file = &rev->files[i];

		if (file->blob != NULL && file->blob->kind == HF_BLOB_MISSING)
			snprintf(missing, MISSING_SIZE, "%s", file->path);
		else if (file->blob != NULL && file->blob->kind == HF_BLOB_ODD)
			ev->odd = "a blob is neither a file nor a link into the shared store";
		else if (hf_judge_is_weight(file->path) && hf_evidence_size(file) == 0)
			ev->empty = file->path;
		else if (missing[0] == '\0' && hf_judge_is_index(file->path))
			check_index(root, repo, rev, file, missing);
		else if (missing[0] == '\0' && strstr(file->path, "-00001-of-") != NULL)
			check_gguf(rev, file, missing, MISSING_SIZE);
	}
	ev->missing = missing[0] != '\0' ? missing : NULL;
}

enum hf_verdict hf_evidence_verdict(const struct root *root, struct hf_repo *repo,
				    struct hf_revision *rev, bool downloading, char *why,
				    size_t size)
{
	struct hf_evidence ev = {
		.downloading = downloading,
		.quiet_ms = clock_wall_ms() - rev->changed_ms,
		.settle_ms = root->config.settle_ms,
	};
	char missing[MISSING_SIZE];

	gather(root, repo, rev, &ev, missing);
	return hf_judge(&ev, why, size);
}
