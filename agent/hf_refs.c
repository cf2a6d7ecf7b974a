/* Removes and restores refs. */
#include "agent/hf_refs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/disk.h"
#include "common/file_io.h"

/* Opens the folder of a ref below refs/; `*leaf` gets the last component. */
static int open_ref_folder(int repo_fd, const char *ref, const char **leaf)
{
	const char *slash = strrchr(ref, '/');
	char path[4200];

	*leaf = slash != NULL ? slash + 1 : ref;
	if ((size_t)snprintf(path, sizeof(path), "refs/%.*s", (int)(*leaf - ref), ref) >=
	    sizeof(path))
		return -1;
	return disk_open_dir(repo_fd, path);
}

/* Removes the refs that still say this commit. */
int hf_refs_remove(int repo_fd, char *const *refs, size_t count, const char *commit)
{
	for (size_t i = 0; i < count; i++) {
		const char *leaf;
		int dir = open_ref_folder(repo_fd, refs[i], &leaf);
		char *content = dir >= 0 ? file_read_at(dir, leaf, 512, NULL, NULL) : NULL;
		int rc = 0;

		if (content != NULL && strncmp(content, commit, strlen(commit)) == 0)
			rc = disk_unlink(dir, leaf);
		free(content);
		if (dir >= 0)
			close(dir);
		if (rc != 0 && errno != ENOENT)
			return -1;
	}
	return 0;
}

/* Writes a ref that is missing: complete elsewhere first, then moved to its place. */
void hf_refs_restore(int repo_fd, int temp_dir, const char *ref, const char *commit)
{
	static const char temp[] = "ref";
	const char *leaf;
	int dir = open_ref_folder(repo_fd, ref, &leaf);
	int fd;

	if (dir < 0)
		return;
	fd = disk_create(temp_dir, temp, 0644);
	if (fd >= 0) {
		bool whole = file_write_all(fd, commit, strlen(commit)) == 0;

		close(fd);
		/* A client may have written it again meanwhile: theirs stays. */
		if (!whole || disk_move(temp_dir, temp, dir, leaf) != 0)
			errno = disk_unlink(temp_dir, temp) == 0 ? EEXIST : errno;
	}
	close(dir);
}

static int prune_refs(const char *name, void *arg)
{
	int dir = *(int *)arg;
	struct disk_stat st;
	int below;

	if (disk_stat(dir, name, &st) != 0 || st.type != DISK_DIRECTORY)
		return 0;
	below = disk_open_dir(dir, name);
	if (below < 0)
		return 0;
	if (disk_list(below, prune_refs, &below) == 0 && disk_rmdir(dir, name) != 0)
		errno = 0; /* it still holds refs */
	close(below);
	return 0;
}

void hf_refs_prune(int repo_fd)
{
	int refs = disk_open_dir(repo_fd, "refs");

	if (refs < 0)
		return;
	if (disk_list(refs, prune_refs, &refs) != 0)
		errno = 0; /* nothing depends on it */
	close(refs);
}
