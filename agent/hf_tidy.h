/*
 * What is left in a Hugging Face cache by others and by crashes: dangling links of clients that
 * raced with a removal, downloads that were given up, blobs that no snapshot refers to, trash of an
 * agent that was killed.
 */
#ifndef LARDER_HF_TIDY_H
#define LARDER_HF_TIDY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hf_repo;
struct root;

/*
 * Removes links of snapshots that point at nothing and were made after `since_wall_ms`, when a
 * removal began in this repository: a client tests for the blob before it takes the lock, and then
 * makes the link although the blob has gone. Returns how many.
 */
size_t hf_tidy_links(const struct root *root, struct hf_repo *repo, int64_t since_wall_ms);

/*
 * Moves one leftover of a repository aside that is older than the root's limit, not open and not
 * locked; what is to be emptied goes to `trash`. False when there is none.
 */
bool hf_tidy_leftovers(const struct root *root, int store_fd, const char *folder, char *trash,
		       size_t size);

/*
 * Looks in `folder` (a repository's, ".locks" or ".") for what a removal has moved aside that is
 * neither under way nor in the journal. A whole model and refs are put back; what is committed is
 * finished, and goes to `trash` to be emptied. False when there is nothing to empty any more.
 */
bool hf_tidy_asides(struct root *root, const char *folder, char *trash, size_t size);

#endif
