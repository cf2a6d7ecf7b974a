/*
 * Which directories of a Hugging Face repository are worth watching, and which revisions their
 * files belong to. Who opens a file by way of a snapshot's link opens its blob: the event comes
 * from blobs/, or from the shared store; from the snapshot only where files stand in it themselves.
 */
#ifndef LARDER_HF_WATCH_H
#define LARDER_HF_WATCH_H

#include <stdbool.h>
#include <stddef.h>

struct hf_repo;
struct hf_watch;
struct watch_plan;

/* Takes from a repository what must be known; the repository may go then. */
struct hf_watch *hf_watch_new(const struct hf_repo *repo);
void hf_watch_free(struct hf_watch *watch);

/* Does anything of it lie in the shared store? */
bool hf_watch_shares(const struct hf_watch *watch);

/* Describes its own directories. `models` has the name of each revision. */
void hf_watch_plan(const struct hf_watch *watch, struct watch_plan *plan, const char *folder,
		   const char *const *models);

/* Payloads of the shared store, gathered from all repositories. */
struct hf_watch_payload {
	const char *payload, *model;
};
struct hf_watch_payloads {
	struct hf_watch_payload *list;
	size_t count, capacity;
};
void hf_watch_gather(const struct hf_watch *watch, const char *const *models,
		     struct hf_watch_payloads *out);
/* Describes the store's directories; sorts the list. */
void hf_watch_plan_store(struct hf_watch_payloads *payloads, struct watch_plan *plan);

#endif
