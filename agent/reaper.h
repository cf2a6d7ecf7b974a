/*
 * Empties trash at a polite pace: never more than half of the time at work, big files in steps
 * where freeing them stalls the disk. Runs in a thread of its own.
 */
#ifndef LARDER_REAPER_H
#define LARDER_REAPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct root;

struct reaper_result {
	int64_t freed_bytes;	/* that are free now */
	int64_t deferred_bytes; /* that somebody still has open: free when they let go */
	int64_t left;		/* entries that could not be removed */
	int error;		/* errno of the first of these */
};

/*
 * Removes everything at `path` below the root, and `path` itself. Returns early when `*stop` gets
 * set: then `left` is not 0 and the rest is taken up at the next start.
 */
void reaper_empty(const struct root *root, const char *path, const atomic_bool *stop,
		  struct reaper_result *result);

/* The same for an entry of an open directory. */
void reaper_empty_at(const struct root *root, int dir_fd, const char *name, const atomic_bool *stop,
		     struct reaper_result *result);

#endif
