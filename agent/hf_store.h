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

/*
 * Removes the link `name` in `blobs_fd` and, when nobody else refers to the payload, moves that to
 * `trash_fd`; all under the payload's lock. False: the lock was held or something could not be
 * read; the payload was kept, the link too if `*link_gone` is false.
 */
bool hf_store_release(int hub_fd, int store_fd, const char *payload, int blobs_fd, const char *name,
		      int trash_fd, bool *link_gone);

#endif
