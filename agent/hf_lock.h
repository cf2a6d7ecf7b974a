/*
 * The locks of Hugging Face clients: .locks/<folder>/<etag>.lock, taken with flock by
 * huggingface_hub (filelock) and hf-hub. Some releases of filelock remove the file when they let
 * go, so after taking one it must still be the file at that path.
 */
#ifndef LARDER_HF_LOCK_H
#define LARDER_HF_LOCK_H

#include <stdbool.h>
#include <stdint.h>

struct hf_repo;
struct root;

enum hf_lock_answer { HF_LOCK_TAKEN, HF_LOCK_HELD, HF_LOCK_NONE, HF_LOCK_FAILED };

/*
 * Takes the lock of a blob without waiting and puts it into `*fd`. NONE: this repository's clients
 * use no locks. HELD: a client is at work on it.
 */
enum hf_lock_answer hf_lock_take(int hub_fd, const char *folder, const char *etag, int *fd);

/*
 * The same for a payload of the shared store, by its directory; tries again for up to 200 ms.
 */
enum hf_lock_answer hf_lock_take_payload(int prefix_fd, const char *payload, int *fd);

/* Is a client downloading into this repository? `*stale_bytes`: partial files given up. */
bool hf_downloading(const struct root *root, const struct hf_repo *repo, int64_t *stale_bytes);

/* Is this partial file given up: old, not open, not locked? */
bool hf_lock_partial_stale(const struct root *root, const struct hf_repo *repo, int blobs_fd,
			   const char *name, int64_t quiet_ms);

#endif
