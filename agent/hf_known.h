/* What the layout of a Hugging Face hub cache remembers between scans. One thread, its worker's. */
#ifndef LARDER_HF_KNOWN_H
#define LARDER_HF_KNOWN_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "agent/hf_name.h"
#include "agent/hf_repo.h"
#include "agent/hf_watch.h"
#include "agent/layout.h"
#include "agent/root.h"

/* Links of a revision whose access times are looked at, once nobody has used it for a while. */
#define HF_SAMPLES 8

/* A revision as it was read last. */
struct known_revision {
	struct model_report report; /* name and locator are made when the repository is read */
	char *samples[HF_SAMPLES];  /* links whose access times are looked at, below the repo */
	int64_t found_used_ms;	    /* the newest access time that was there when it was read */
	int64_t changed_ms;
	bool armed; /* the next use of each of its files leaves a trace, whichever it is */
};

/* A blob of the repository that is a link into the shared store. */
struct known_shared {
	char payload[HF_PAYLOAD_LEN + 1];
	int sole_revision; /* index of the only revision that has it, or -1 */
	int64_t used_bytes;
};

struct known_repo {
	char *folder;
	struct hf_dir *dirs;
	size_t dir_count;
	struct known_revision *revisions;
	size_t revision_count;
	struct known_shared *shared;
	size_t shared_count;
	int64_t leftover_bytes;
	struct hf_watch *watch;
	bool hot; /* must be read again although no directory has changed */
	bool seen;
	int problem;			      /* errno of the last reading; 0: it was read */
	bool leftovers;			      /* has files that belong to no model */
	int64_t marked_from_ms, marked_to_ms; /* access times of then are our own reading's */
	int64_t mend_from_ms; /* links made since then are mended, wall clock; 0: none */
	UT_hash_handle hh;
};

struct hf_state {
	struct root *root;
	struct known_repo *repos;
	int store_fd;
	struct hf_watch_book book;
	bool complete;
	bool asides_checked; /* nothing of an earlier run is left */
};

/*
 * Adds what is known of every revision to `out`, with copies of its names, and what is left over.
 * A payload of the shared store counts for the one revision that alone holds it in the whole cache.
 */
void hf_known_report(struct hf_state *state, struct scan_report *out);

#endif
