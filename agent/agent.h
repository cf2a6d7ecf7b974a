/* The agent's parts, put together. Everything here belongs to the loop's thread. */
#ifndef LARDER_AGENT_H
#define LARDER_AGENT_H

#include <stdbool.h>

#include "agent/claim.h"
#include "agent/inventory.h"
#include "agent/journal.h"
#include "agent/options.h"
#include "agent/root.h"
#include "agent/worker.h"
#include "common/daemon.h"
#include "common/limits.h"
#include "common/pins.h"

struct beat;
struct http_server;
struct orders;
struct sources;
struct use_probe;
struct watch;

/* What the loop knows of a root, from its worker's events. */
struct root_view {
	bool opened, leases, atimes, deletes;
	char note[160];
	char disk[24];
	int64_t total_bytes, available_bytes;
	bool looked_at;		/* a scan has ended, well or not */
	bool complete;		/* a complete scan has ended: scan_began is its start */
	struct mono scan_began; /* of the last complete scan */
	struct mono scan_due;
	int64_t scan_took_ms;
	int64_t leftover_bytes;
};

struct agent {
	struct agent_options options;
	char node[NODE_NAME_MAX + 1];
	struct daemon *daemon;
	struct journal *journal;
	struct inventory inventory;
	struct claims claims;	 /* changed by holds.h only */
	unsigned claims_applied; /* their version that the models' holds show */
	struct mono claims_due;
	struct mono claims_lost; /* until then a claim may be missing, for want of room */
	struct root *roots;
	struct root_view *views;
	struct worker **workers;
	int root_count;
	struct beat *beat;
	struct orders *orders;
	struct sources *sources;
	struct use_probe *probe; /* use_probe.h; NULL: it does not run */
	struct watch *watch;	 /* use_watch.c's; NULL: nobody looks at opens */
	struct http_server *http;
	char *http_token;

	/* the cluster's, as last read from Redis */
	struct limits limits; /* of this node */
	bool limits_known;
	struct pins pins;

	struct mono journal_due;
	bool journal_failed;
	int64_t refaults;	   /* since the start */
	int64_t uses[USE_SOURCES]; /* how often each moved a last use forward */
	bool stopping;
};

/* The model was used at `at`: takes note of it, and stops its removal if that is still possible. */
enum agent_touch { TOUCH_NOTED, TOUCH_TOO_LATE };
enum agent_touch agent_use(struct agent *agent, struct model *model, struct mono at,
			   enum use_source source);

/* Bytes that should come free on this node's disks, by the policy in force. */
int64_t agent_wanted_bytes(const struct agent *agent);

/* The floor or stop mark in force on a root's disk, in bytes available. */
int64_t agent_floor_bytes(const struct agent *agent, const struct root_view *view);

/* Scans every root as soon as its worker can. */
void agent_scan_now(struct agent *agent);

/* Merges what the journal knew of a model's use; once more when Redis' clock is known. */
void agent_recall_use(struct agent *agent, struct model *model);

#endif
