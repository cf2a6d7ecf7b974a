/*
 * A root's own threads: one scans, judges and removes, one empties the trash. The main thread gives
 * jobs and gets events; a disk that hangs stalls its own root only.
 */
#ifndef LARDER_WORKER_H
#define LARDER_WORKER_H

#include <event2/event.h>

#include "agent/layout.h"
#include "agent/removal.h"
#include "agent/root.h"

struct worker;

enum worker_event_kind {
	WORKER_ROOT,	/* the root was opened, or cannot be */
	WORKER_SPACE,	/* how much is free */
	WORKER_SCANNED, /* a scan has ended */
	WORKER_REMOVED, /* a removal has ended; the request is the main thread's again */
	WORKER_LOOKED,	/* a look at who has a model open has ended; likewise */
};

/* Who has a model open? */
struct look {
	char *model;
	char *locator;
	bool names; /* also which processes, as far as /proc shows them */
	/* the answer */
	enum removal_outcome outcome; /* of layout.h's look */
	char why[96];
	char processes[200]; /* "python3 (4711), vllm (4712) and 2 more"; "" when none is seen */
	/* the asker's */
	void (*done)(struct look *look, void *arg); /* frees it with look_free */
	void *arg;
	void *owned; /* freed with it; may be `arg` */
};

struct look *look_new(const char *model, const char *locator);
void look_free(struct look *look);

struct worker_event {
	enum worker_event_kind kind;
	struct root *root;
	/* WORKER_ROOT */
	bool opened, leases, atimes, deletes;
	char note[160]; /* what does not work there */
	/* WORKER_SPACE */
	int64_t total_bytes, available_bytes;
	char disk[24]; /* the same for roots that share a disk */
	/* WORKER_SCANNED */
	bool scanned;
	struct scan_report report; /* the receiver frees it */
	struct mono began, ended;
	/* WORKER_REMOVED */
	struct removal_request *removal;
	/* WORKER_LOOKED */
	struct look *look;

	struct worker_event *next;
};

/* Starts the threads. `on_event` runs on the loop's thread. */
struct worker *worker_new(struct event_base *base, struct root *root, struct journal *journal,
			  void (*on_event)(struct worker_event *event, void *arg), void *arg);

/* Asks for a scan; one that waits already counts. */
void worker_scan(struct worker *worker);

/* Hands a removal over; WORKER_REMOVED brings it back. */
void worker_remove(struct worker *worker, struct removal_request *req);

/* Hands a look over; WORKER_LOOKED brings it back. */
void worker_look(struct worker *worker, struct look *look);

/* Stops both threads at their next safe point and frees everything. */
void worker_free(struct worker *worker);

#endif
