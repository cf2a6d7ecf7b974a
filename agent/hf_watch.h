/*
 * Which directories of a Hugging Face repository are worth watching, and which revisions their
 * files belong to. Who opens a file by way of a snapshot's link opens its blob: the event comes
 * from blobs/, or from the shared store; from the snapshot only where files stand in it themselves.
 */
#ifndef LARDER_HF_WATCH_H
#define LARDER_HF_WATCH_H

#include <stddef.h>

struct hf_repo;
struct hf_watch;
struct watch_plan;

/* Of a whole hub: when something that is watched has changed. Zeroed at the start. */
struct hf_watch_book {
	unsigned version; /* of what was read last */
	unsigned store;	  /* of what is known of the shared store; 0: there is nothing in it */
};

/*
 * Takes from a repository what must be known; the repository may go then. `models` has the name of
 * each revision, and is copied.
 */
struct hf_watch *hf_watch_new(struct hf_watch_book *book, const struct hf_repo *repo,
			      const char *const *models);
void hf_watch_free(struct hf_watch_book *book, struct hf_watch *watch);

/* Payloads of the shared store, gathered from all repositories. */
struct hf_watch_payload {
	const char *payload, *model;
};
struct hf_watch_payloads {
	struct hf_watch_payload *list;
	size_t count, capacity;
};

/*
 * Describes a repository's own directories, and gathers what it has in the store. `watch` may be
 * NULL: nothing is known of it.
 */
void hf_watch_plan(const struct hf_watch *watch, struct watch_plan *plan, const char *folder,
		   struct hf_watch_payloads *payloads);
/* Describes the store's directories. The list stays the caller's, and is sorted. */
void hf_watch_plan_store(const struct hf_watch_book *book, struct watch_plan *plan,
			 struct hf_watch_payloads *payloads);

#endif
