/*
 * One deletion, a state machine that runs on the root's worker thread:
 *
 *   CHECK -> INTENT -> CLAIM -> MOVE -> LOOK AGAIN -> COMMIT -> CLEAN -> (reaper) -> FINISH
 *
 * Up to COMMIT everything can be undone, and is when anything speaks against it. See
 * docs/deletion.md.
 */
#ifndef LARDER_REMOVAL_H
#define LARDER_REMOVAL_H

#include <stdatomic.h>
#include <stdint.h>

#include "agent/journal.h"
#include "agent/layout.h"
#include "agent/reaper.h"
#include "agent/watch_map.h"
#include "common/clock.h"

enum removal_phase { REMOVAL_OPEN, REMOVAL_VETOED, REMOVAL_COMMITTED };

/* Shared by the main thread, which owns it, and the worker, until the removal has ended. */
struct removal_request {
	char txn[TXN_LEN + 1];
	struct root *root;
	char *model;
	char *locator;
	char command[COMMAND_TEXT_MAX]; /* as it came; empty for leftovers */
	uint64_t generation;
	int64_t used_wall_ms;
	struct watch_mark mark; /* opens up to here were known to the decision */
	struct mono heard;
	bool recover;  /* begun before a restart, or stuck: to be brought to its end */
	bool use_kept; /* a use that came meanwhile stands in the journal (main thread) */
	bool tidy;     /* only `trash` is to be emptied: it belongs to no removal */

	/* From open to vetoed by the main thread, or to committed by the worker: one wins. */
	_Atomic int phase;

	/* the end */
	enum removal_outcome outcome;
	char why[128];
	bool stuck; /* moved away, and could not be put back: to be recovered */
	int64_t seen_used_wall_ms;
	struct reaper_result reaped;
	struct removal_task task;
	char trash[4200];
};

struct removal_request *removal_request_new(struct root *root, const char *model,
					    const char *locator);
void removal_request_free(struct removal_request *req);

/*
 * Main thread: something speaks against it now (a use, a hold, a pin). True when the removal will
 * be undone or not begin; false when it is too late.
 */
bool removal_veto(struct removal_request *req, const char *why);

/*
 * Worker: runs it up to CLEAN. True: `req->trash` is to be emptied (it may be ""), then comes
 * removal_finish. False: it has ended, with `outcome` and `why`.
 */
bool removal_run(struct removal_request *req, struct journal *journal);

/* Worker: after the reaper. Fills outcome and why. */
void removal_finish(struct removal_request *req);

#endif
