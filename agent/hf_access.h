/*
 * When the files of a revision were read last, by their access times. A revision's own links tell
 * that of it alone: whoever opens a file through one leaves a trace there. Blobs tell it only while
 * no other revision has them.
 *
 * relatime leaves a trace only of the first read after a change, or once a day. Setting an access
 * time to itself arms it anew (disk_rearm_atime).
 */
#ifndef LARDER_HF_ACCESS_H
#define LARDER_HF_ACCESS_H

#include <stdbool.h>
#include <stdint.h>

struct hf_repo;
struct hf_revision;
struct root;

/* The newest access when the repository was read; 0 where access times tell nothing. */
int64_t hf_access_newest(const struct root *root, const struct hf_revision *rev);

/* The same as it is now. What it looks at is armed. */
int64_t hf_access_newest_now(struct root *root, const struct hf_repo *repo,
			     const struct hf_revision *rev);

/*
 * The same for a revision that was read again from where it was moved to (hf_repo_read_moved), so
 * that each of its blobs counts twice; the blobs are looked at afresh.
 */
int64_t hf_access_newest_moved(const struct root *root, const struct hf_repo *repo,
			       const struct hf_revision *rev);

/* Would the next read of each of its files leave a trace? */
bool hf_access_armed(const struct hf_revision *rev);

/* Looks at all entries of a folder of the repository, and arms them. The newest access; 0: none. */
int64_t hf_access_look(struct root *root, int repo_fd, const char *path);

/* Arms all links of a revision, and the repository's blobs. */
void hf_access_arm(struct root *root, const struct hf_repo *repo, const struct hf_revision *rev);

#endif
