/*
 * A configured cache directory: its handle, its file system, what can be told about use on it, and
 * its space. Used by the root's worker thread; the fields under "configured" never change.
 */
#ifndef LARDER_ROOT_H
#define LARDER_ROOT_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/disk.h"
#include "agent/layout.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/model_name.h"

struct watch;

struct root_config {
	char *name;
	char *path;
	char *glob; /* directory layout: which folders are models; NULL: each one */
	const struct layout *layout;
	bool delete_without_leases; /* delete where it cannot be seen who has a file open */
	bool report_only;	    /* asked for: look, never delete */
	int64_t settle_ms;	    /* a change younger than this is a download that goes on */
	int64_t partial_ms;	    /* a partial file that has not changed for so long is stale */
	int64_t leftover_ms;	    /* leftovers older than this go; SETTING_UNSET: never */
};

struct root {
	struct root_config config;
	int index; /* among the agent's roots */

	int fd; /* -1: not there */
	struct disk_stat identity;
	struct disk_mount mount;
	bool leases;	   /* the self-test could tell an open file */
	bool atimes;	   /* the self-test saw a read in the access time */
	bool unarmed;	   /* but of a read after our own look there may be no trace */
	char limits[160];  /* what does not work here, in words; empty when all does */
	char problem[160]; /* why it cannot be served at all; empty when it can */
	void *layout_state;
	/* Is a removal of that name still under way, or to be finished after a restart? */
	bool (*txn_known)(struct root *root, const char *txn);
	void (*breathe)(struct root *root); /* called inside long work; may be NULL */
	void *worker;
	struct watch *watch; /* sees files being opened; NULL: nobody looks */
};

/* Opens the directory and tests what can be told about use there. -1: `root->problem` says why. */
int root_open(struct root *root) MUST_USE;

/* False when another directory or file system stands at the path now. */
bool root_same(const struct root *root);

void root_close(struct root *root);

/* May anything be written here, if only an access time? */
bool root_writable(const struct root *root);

/* May models be deleted here? If not, `*why` says why. */
bool root_deletes(const struct root *root, const char **why);

/*
 * Arms the access time of a file, so that the next read of it leaves a trace (disk_rearm_atime).
 * Where that is not allowed access times tell of uses still, but not of all: root_unarmed.
 */
void root_rearm_atime(struct root *root, int at, const char *name, const struct disk_stat *st);
/* Notes that access times could not be armed, or not be put back after a read of our own. */
void root_unarmed(struct root *root);

/* Opens the folder for Larder's own short-lived files; the caller closes it. */
int root_open_scratch(const struct root *root) MUST_USE;

#endif
