/*
 * One repository's folder in a Hugging Face hub cache, read fresh from the disk.
 *
 * The format is that of huggingface_hub (docs/hub/local-cache of its documentation; the shared
 * store: its utils/_shared_blobs.py): snapshots/<commit>/<path> are relative links into blobs/, or
 * files of their own; an entry of blobs/ is a file, or a link into the cache-wide store. Only the
 * first hop of a snapshot's link is the repository's reference.
 */
#ifndef LARDER_HF_REPO_H
#define LARDER_HF_REPO_H

#include <uthash.h>

#include "agent/disk.h"
#include "common/err.h"

/* A payload in the shared store is named by 64 hexadecimal digits. */
#define HF_PAYLOAD_LEN 64

enum hf_blob_kind {
	HF_BLOB_FILE,	 /* the bytes are here */
	HF_BLOB_SHARED,	 /* a link into the shared store */
	HF_BLOB_MISSING, /* a snapshot points at it, but it is not there */
	HF_BLOB_ODD,	 /* something else: never touched */
};

struct hf_blob {
	char *name;
	enum hf_blob_kind kind;
	struct disk_stat stat; /* of the file, or of the payload */
	char payload[HF_PAYLOAD_LEN + 1];
	unsigned revisions; /* how many revisions refer to it */
	int last_revision;  /* index of the revision that was counted last */
	int measured_for;   /* index of the revision that added its size last */
	UT_hash_handle hh;
};

/* A file of a revision, below snapshots/<commit>/. */
struct hf_file {
	char *path;
	struct hf_blob *blob;  /* NULL: a file of its own, or a link to somewhere else */
	struct disk_stat stat; /* of the link, or of the file of its own */
};

/* A directory as it was when it was read: the same means that nothing came or went. */
struct hf_dir {
	char *path; /* below the repository's folder */
	uint64_t inode;
	int64_t mtime_ns, ctime_ns;
	bool frozen; /* nothing in it can be removed */
};

struct hf_revision {
	char *commit;
	struct hf_file *files;
	size_t file_count, file_capacity;
	const char **paths;	     /* of its files, sorted */
	size_t first_dir, dir_count; /* its directories in the repository's list */
	const char *odd;    /* NULL, or why it cannot be judged ("link out of the repository") */
	bool barred;	    /* holds a mount, a special file or a depth that cannot be removed */
	int64_t changed_ms; /* newest change of its directories */
};

struct hf_repo {
	int fd;
	char *folder;
	struct hf_blob *blobs;
	struct hf_revision *revisions;
	size_t revision_count, revision_capacity;
	struct hf_dir *dirs;
	size_t dir_count, dir_capacity;
	struct hf_file *partials; /* downloads that have not ended: entries of blobs/ */
	size_t partial_count, partial_capacity;
	uint64_t mount;
	int64_t began_ms; /* when reading it began, wall clock */
	size_t unread;	  /* revisions that a removal may still put back, or that are links */
	bool marked;	  /* reading has moved access times of links that could not be put back */
	int hub_fd, store_fd; /* borrowed; store_fd is -1 without a shared store */
};

/*
 * Reads the folder below `hub_fd`. Fails (-1, errno in `*error` too) when anything in it cannot be
 * read: then nothing is known. ENOENT in `*error`: there is no such folder.
 */
int hf_repo_read(int hub_fd, int store_fd, const char *folder, struct hf_repo *repo, int *error,
		 struct err *err) MUST_USE;

/*
 * Reads one more revision into `repo`, from another folder than snapshots: what a removal that did
 * not end has moved to `folder`/`commit`. -1 with errno when it is not there.
 */
int hf_repo_read_moved(struct hf_repo *repo, const char *folder, const char *commit) MUST_USE;

void hf_repo_free(struct hf_repo *repo);

/*
 * May a revision other than number `except` (-1: none) use blobs that are not counted for it? One
 * has links or folders that cannot be followed, or a removal that could not be ended has moved it.
 */
bool hf_repo_hides_uses(const struct hf_repo *repo, int except);

struct hf_revision *hf_repo_find(struct hf_repo *repo, const char *commit);

/* Hash over the directories of a revision and its number of files; never 0. */
uint64_t hf_repo_generation(const struct hf_repo *repo, const struct hf_revision *rev);

/* Where a link `depth` folders below its snapshot points: the blob's name, or NULL if elsewhere. */
const char *hf_link_blob(const char *target, unsigned depth);

/* The payload's name in "../../blobs/xx/<64 hex>", or NULL when the link is none of the store's. */
const char *hf_link_payload(const char *target);

/* Order of two `const char *`, for qsort and bsearch. */
int hf_path_order(const void *a, const void *b);

#endif
