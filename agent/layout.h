/*
 * What a layout of a cache directory offers: finding models, and removing one in steps that can be
 * undone until the commit. One file a layout fills a struct layout. All functions run on the
 * root's own worker thread.
 */
#ifndef LARDER_LAYOUT_H
#define LARDER_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/model_name.h"

struct root;
struct busy;
struct watch_plan;

enum model_status { MODEL_DOWNLOADED, MODEL_DOWNLOADING, MODEL_ERROR };

/* One model as a scan found it. */
struct model_report {
	char *name;    /* canonical, as in Redis */
	char *locator; /* where it is, in the layout's own words; never leaves the agent */
	enum model_status status;
	char why[96]; /* for DOWNLOADING and ERROR */
	int64_t files;
	int64_t logical_bytes;	  /* the sizes of its files */
	int64_t exclusive_bytes;  /* on the disk, and free once it alone is deleted */
	uint64_t generation;	  /* changes when the model is replaced or added to */
	int64_t used_wall_ms;	  /* newest access time that tells of a use; 0: none */
	int64_t modified_wall_ms; /* its newest file */
};

struct scan_report {
	struct model_report *models;
	size_t count, capacity;
	int64_t leftover_bytes; /* partial downloads and files that belong to no model */
	bool complete;		/* false: something could not be read; what is missing may exist */
};

struct model_report *scan_report_add(struct scan_report *report);
void scan_report_free(struct scan_report *report);

/* How a step of a removal ended. */
enum removal_outcome {
	REMOVAL_GOES_ON, /* not an end: the next step may come */
	REMOVAL_DELETED,
	REMOVAL_GONE,	 /* was not there any more */
	REMOVAL_REFUSED, /* the disk disagrees; nothing was changed */
	REMOVAL_FAILED,	 /* could not be done; nothing was lost */
};

enum undo_answer {
	UNDO_DONE,
	UNDO_REPLACED, /* a client has put a new one in its place: the one moved away is superfluous
			*/
	UNDO_FAILED,   /* errno; it is still in the trash, and must be tried again */
};

/* What a removal is told, and what its steps share. */
struct removal_task {
	struct root *root;
	const char *txn; /* names what it moves aside (aside.h) */
	const char *locator;
	uint64_t generation;		  /* 0: any, for a model in ERROR that is removed by hand */
	int64_t used_wall_ms;		  /* access times up to here were known to the decision */
	struct busy *busy;		  /* leases and locks that are held */
	size_t tested;			  /* files that were opened, and closed again at once */
	char why[96];			  /* of an end other than DELETED */
	int64_t seen_used_wall_ms;	  /* the newest access time that was found */
	uint64_t open_device, open_inode; /* REFUSED "busy": the file that is open */
	void *layout_data;
};

struct layout {
	const char *name; /* as in the configuration */

	/* Remembers between scans what it has read. */
	void *(*open)(struct root *root);
	void (*close)(void *state);

	/* Finds all models. -1 when the root itself cannot be read. */
	int (*scan)(void *state, struct scan_report *out, struct err *err);

	/* Describes the directories of the models that the last scan found. */
	void (*watch)(void *state, struct watch_plan *plan);

	/* What is remembered of this model may be wrong: the next scan reads it again. */
	void (*doubt)(void *state, const char *locator);

	/*
	 * After a scan: mends what removals and crashes have left, and moves one leftover (a
	 * download given up, a file of no model) that is old enough aside, to `trash`, which is
	 * then to be emptied. False when there was none. Called until it says so.
	 */
	bool (*tidy)(void *state, char *trash, size_t size);

	/*
	 * Is anybody in there? Tests the lease of each file and keeps none. GOES_ON: nobody is;
	 * REFUSED: somebody is ("busy"), or it cannot be told. Ends with `end`.
	 */
	enum removal_outcome (*look)(struct removal_task *task);

	/* CHECK: looks at the model afresh. Nothing is changed. */
	enum removal_outcome (*check)(struct removal_task *task);
	/* CLAIM: takes leases on its files and the clients' own locks. */
	enum removal_outcome (*take)(struct removal_task *task);
	/* MOVE: one rename takes the model away. Leaves everything as it was unless GOES_ON. */
	enum removal_outcome (*move)(struct removal_task *task);
	/* LOOK AGAIN: GOES_ON unless somebody came in between. */
	enum removal_outcome (*look_again)(struct removal_task *task);
	/* Puts everything back. */
	enum undo_answer (*undo)(struct removal_task *task);
	/*
	 * COMMIT: one more rename, made durable, says that it is not coming back. -1 with errno
	 * when that fails; it can still be undone then.
	 */
	int (*commit)(struct removal_task *task);
	/* CLEAN: what goes with the model into the trash, whose path below the root is given. */
	void (*clean)(struct removal_task *task, char *trash, size_t size);
	/*
	 * After a crash: brings a removal to its end, from what stands on the disk. Not committed:
	 * all is put back (REMOVAL_REFUSED). Committed, or no way back: cleans, and `trash` gets
	 * what is to be emptied, "" for nothing (REMOVAL_DELETED). REMOVAL_FAILED: to be tried
	 * again.
	 */
	enum removal_outcome (*recover)(struct removal_task *task, char *trash, size_t size);
	/* After the trash is empty: what is left to tidy up. */
	void (*finish)(struct removal_task *task);
	void (*end)(struct removal_task *task);
};

extern const struct layout layout_huggingface;
extern const struct layout layout_directory;

/* Ends a step with a reason. Returns `outcome`. */
enum removal_outcome removal_end(struct removal_task *task, enum removal_outcome outcome,
				 const char *fmt, ...) PRINTF_LIKE(3, 4);

/*
 * Were the files read after the decision, as far as `seen_used_wall_ms` tells? Whoever has closed
 * one file and not opened the next yet shows in nothing else. Never for a model in ERROR that is
 * removed by hand.
 */
bool removal_used_since(const struct removal_task *task);

/* The layout of that name, or NULL. */
const struct layout *layout_find(const char *name);

#endif
