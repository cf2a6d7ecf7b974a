/* Cache directories full of models, for what works on disks. */
#ifndef LARDER_BENCH_CACHES_H
#define LARDER_BENCH_CACHES_H

#include <stddef.h>
#include <stdint.h>

struct caches_shape {
	size_t models, folders, files; /* folders of a model, files of a folder */
	int64_t bytes;		       /* of a file: written; below zero: holes of that size */
	bool by_chance;		       /* sizes differ, `bytes` at most */
};

/* Models as folders model-00000, ...: root/model/folder/file. */
void caches_make_directory(const char *root, const struct caches_shape *shape);

/* A Hugging Face hub cache: `models` repositories with one revision of `files` files each. */
void caches_make_huggingface(const char *root, size_t models, size_t files);

/* What lies below a path, counted here and not by the code under test. */
struct caches_sum {
	int64_t files, links, folders;
	int64_t file_bytes, other_bytes; /* on the disk */
};
struct caches_sum caches_count(const char *path);

/* Waits until what was written has reached the disk. */
void caches_settle(const char *path);

/* Drops the files' content from the page cache; it must have reached the disk. */
void caches_cool(const char *path);

#endif
