/*
 * A tree of folders that is one model (layout "directory"): reads it, remembers each folder, and
 * reads again only what has changed. Runs on the root's worker thread.
 */
#ifndef LARDER_TREE_H
#define LARDER_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/disk.h"

struct root;
struct tree;
struct watch_plan;

/* What a tree holds as a whole. */
struct tree_sum {
	int64_t files;
	int64_t logical_bytes;
	int64_t exclusive_bytes; /* on the disk, of files with one link */
	int64_t changed_ms;	 /* newest change of a file or folder */
	int64_t modified_ms;	 /* newest file */
	int64_t used_ms;	 /* newest access time of a file */
	uint64_t generation;	 /* changes when an entry comes or goes */
	const char *odd;	 /* why it cannot be judged, or NULL */
	bool partial_active;	 /* a file with the name of a download is being written */
	char partial[128];	 /* a download that was given up, or "" */
	bool frozen;		 /* holds immutable or append-only files */
};

struct tree *tree_new(void);
void tree_free(struct tree *tree);

/* Forgets what it remembers: everything is read again. */
void tree_forget(struct tree *tree);

/*
 * Reads the tree at `path` below the root. -1 with errno when something in it cannot be read:
 * then nothing is known.
 */
int tree_read(struct tree *tree, struct root *root, const char *path, struct tree_sum *sum);

/* Describes the folders of the tree at `path` that have files: all of them are `model`'s. */
void tree_watch(const struct tree *tree, struct watch_plan *plan, const char *path,
		const char *model);

/* A file as tree_each_file finds it: a name in a folder that is open. */
struct tree_file {
	int dir_fd;
	const char *name;
	struct disk_stat stat;
};

/*
 * Calls `file` for each regular file below `dir_fd`. Goes on while it returns 0. Returns that, or
 * -1 when a folder cannot be read.
 */
int tree_each_file(int dir_fd, int (*file)(const struct tree_file *file, void *arg), void *arg);

#endif
