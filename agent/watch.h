/*
 * Opened files, as they happen: the kernel's queue of events, a thread that empties it, and what
 * it says of models (watch_map.h). Any thread may call; each call is short and touches no disk.
 *
 * Events wait in the kernel's queue until somebody reads them. Whoever asks for what was seen reads
 * the queue first: his answer covers every open that had ended before he asked.
 *
 * The agent opens files too. Before and after it does, it says so; see watch_own_begin. A root
 * without a watch has NULL: the functions for its worker take that, and know of no use.
 */
#ifndef LARDER_WATCH_H
#define LARDER_WATCH_H

#include "agent/watch_kernel.h"
#include "agent/watch_map.h"

struct root;
struct watch;

/* Starts the thread. The kernel is asked for the queue now, and again at each scan if it says no.
 */
struct watch *watch_start(const struct watch_kernel *kernel, int root_count, size_t most_dirs);
/* After the workers have ended. */
void watch_stop(struct watch *watch);

/* ---- the main thread's side ---- */

/* Readable when there is news, or watch_wants_scan. The owner of `watch` reads it. */
int watch_news_fd(const struct watch *watch);
/* The next model that was used, and when; the caller frees it. NULL: none. */
char *watch_news(struct watch *watch, struct mono *at);
/* Events were lost, or a directory is not watched any more: true once for each time. */
bool watch_wants_scan(struct watch *watch);
/* In this root access times tell nothing: when events are lost, its models count as used. */
void watch_set_blind(struct watch *watch, int root, bool blind);
/* Reads what has happened up to now. */
void watch_settle(struct watch *watch);

struct watch_counts {
	size_t dirs, models, resting;
	uint64_t events, uses, rests, overflows;
	int error; /* why there is no queue, an errno; 0: there is one */
};
void watch_counts(struct watch *watch, struct watch_counts *out);

/* How well a root is watched. */
struct watch_state {
	size_t dirs, unwatched;
	int error; /* the errno of the first that is not watched; 0: there is none */
	bool full; /* that is so because of the settings' limit */
};
void watch_state(struct watch *watch, int root, struct watch_state *out);

/* The following three take NULL as well. */
void watch_mark(struct watch *watch, const char *model, struct watch_mark *mark);
/* For how long it was watched without a gap, in milliseconds; -1: it is not, or not all of it. */
int64_t watch_watched_ms(struct watch *watch, const char *model);

/* ---- the worker's side: the agent's own opens ---- */

/*
 * Begins a time in which the agent opens files of a model. False, and nothing has begun, when
 * somebody has opened one since `mark` (NULL: does not matter).
 */
bool watch_own_begin(const struct root *root, const char *model, const struct watch_mark *mark);
/*
 * Has a stranger opened a file of it since `mark` (NULL: since the beginning)? His opening cannot
 * be told from the agent's, but he is known by his closing, when more files were closed than the
 * agent has closed itself; that is `closed`. Who has not closed is found by the leases.
 */
bool watch_own_seen(const struct root *root, const char *model, const struct watch_mark *mark,
		    size_t closed);
/* From now on the agent only closes what it has opened. */
void watch_own_closes(const struct root *root, const char *model);
void watch_own_end(const struct root *root, const char *model);
/* The same for a moment, whatever file of the root it is. */
void watch_own_moment(const struct root *root, enum watch_own own);

/* ---- the worker's side: what is watched ---- */

struct watch_want {
	int root;
	int handle;    /* stays the caller's, and open until watch_drop */
	bool restless; /* a remote disk: the kernel's calls may block */
	const struct watch_entry *entries;
	size_t count;
};
/* Watches a directory. NULL with errno; EDQUOT: the settings allow no more. */
struct watch_dir *watch_add(struct watch *watch, const struct watch_want *want) MUST_USE;
void watch_fill(struct watch *watch, struct watch_dir *dir, const struct watch_entry *entries,
		size_t count);
/* A directory with files of the model cannot be watched from now on, or is no longer unwatched. */
void watch_gap(struct watch *watch, const char *model, bool begins);
bool watch_lost(struct watch *watch, const struct watch_dir *dir);
void watch_drop(struct watch *watch, struct watch_dir *dir);
void watch_set_state(struct watch *watch, int root, const struct watch_state *state);

/* What its worker remembers of a root (watch_plan.h). */
struct watch_groups;
struct watch_groups **watch_groups(struct watch *watch, int root);

#endif
