/*
 * What the agent knows of its models, by name (pure): what the last scan found, what is known of
 * their use, and how that differs from what Redis was told.
 */
#ifndef LARDER_INVENTORY_H
#define LARDER_INVENTORY_H

#include <stddef.h>
#include <uthash.h>

#include "agent/layout.h"
#include "agent/use.h"
#include "common/clock.h"

struct removal_request;

struct model {
	char *name;
	int root;		    /* index of its root */
	struct model_report report; /* name and locator are owned here */
	struct use use;
	int64_t modified_wall_ms; /* the newest file, when that was last merged into `use` */
	int64_t used_wall_ms;	  /* access times up to here are merged into `use` */
	struct mono hold_until;	  /* in use until then; 0: not held */
	enum use_source hold_source;
	char *hold_who;	       /* owned; NULL: not held */
	struct mono hold_told; /* Redis holds it until then; 0: not at all */
	bool hold_changed;     /* and must be told at once */
	bool told;	       /* Redis knows it as `told_...` says */
	bool telling;	       /* a message about it is under way */
	enum model_status told_status;
	enum use_source told_source;
	int64_t told_bytes;
	uint64_t told_generation;
	struct mono looked_at;		 /* for who has it open (use_open.c); 0: never */
	struct removal_request *removal; /* under way; NULL: none */
	bool gone;			 /* no scan finds it any more; kept until Redis was told */
	unsigned round;
	UT_hash_handle hh;
};

struct inventory {
	struct model *models;
	unsigned round;
};

/* Looks up a name. Models that are gone are not found. */
struct model *inventory_find(const struct inventory *inv, const char *name);

/* What comes with a scan of one root. */
struct inventory_scan {
	int root;
	struct scan_report *report; /* its models are moved out of it */
	struct mono now;	    /* one instant on both clocks */
	int64_t wall_ms;
	const struct mono *before; /* when the complete scan before this one began; NULL: none */
	/* Called for each model that is new; may be NULL. */
	void (*appeared)(struct model *model, void *arg);
	void *arg;
};

/*
 * Takes over a scan. A model that it does not list is gone, if the scan was complete. What a clock
 * says of a new model is not believed beyond this: it came after the scan before.
 */
void inventory_merge(struct inventory *inv, const struct inventory_scan *scan);

/* Removes one model, after its removal or when Redis knows that it is gone. */
void inventory_drop(struct inventory *inv, struct model *model);

/* Must Redis be told something about it? Uses and holds are told by beats, not by this. */
bool inventory_differs(const struct model *model);

/*
 * The model is held until then (0: not) by `who`. `who` is copied.
 */
void inventory_hold(struct model *model, struct mono until, enum use_source source,
		    const char *who);

/* Must Redis be told of the hold? A longer one only in time: engines renew theirs all day. */
bool inventory_hold_differs(const struct model *model, struct mono now);

/* Redis knows nothing any more: everything must be told. */
void inventory_untold(struct inventory *inv);

/* DOWNLOADED models that Redis was told of: what its sorted set must hold. */
size_t inventory_told_downloaded(const struct inventory *inv);

/* The generation as it stands in Redis: hexadecimal, at most 17 bytes with the NUL. */
const char *inventory_generation(uint64_t generation, char *buf);
#define INVENTORY_GENERATION_SIZE 18

void inventory_free(struct inventory *inv);

#endif
