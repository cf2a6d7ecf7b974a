/*
 * The cache-wide store of blobs of huggingface_hub 1.30 and later: <hub>/blobs/<xx>/<hash>, each
 * with a manifest <hash>.refs of the repositories' links to it and a lock <hash>.lock. The rules
 * are those of its utils/_shared_blobs.py: the manifest is a hint, each line counts only while that
 * link points here, and a payload without a readable manifest is kept.
 */
#ifndef LARDER_HF_STORE_H
#define LARDER_HF_STORE_H

#include <stdbool.h>
#include <stdint.h>

/* Opens the store below a hub's root; -1 when there is none, or one that is not marked as such. */
int hf_store_open(int hub_fd);

int hf_store_open_payload(int store_fd, const char *payload);
bool hf_store_has_manifest(int store_fd, const char *payload);

/* A repository's link into the store, and where its payload goes when nobody else needs it. */
struct hf_store_link {
	int hub_fd, store_fd;
	const char *payload;
	int blobs_fd; /* the repository's blobs/ */
	const char *name;
	int trash_fd;
	const char *trash_name;
};

/*
 * Removes the link and, when nobody else refers to the payload, moves that into the trash; all
 * under the payload's lock. False: the lock was held or something could not be read; the payload
 * was kept, the link too if it is still there.
 */
bool hf_store_release(const struct hf_store_link *link);

#endif
