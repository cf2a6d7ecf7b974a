/*
 * Whose files are opened? Maps events of watched directories to models, tells the agent's own
 * opens from those of strangers, and keeps busy directories from costing much (pure).
 *
 * A directory with many events rests for a moment: the kernel reports nothing of it meanwhile, and
 * its models count as used until it is watched again. What is said of a model's last use is thus
 * never too early, and at most WATCH_REST_MS too late.
 */
#ifndef LARDER_WATCH_MAP_H
#define LARDER_WATCH_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "common/clock.h"

#define WATCH_REST_MS 500

/* What the kernel calls a watched directory: a number (inotify) or a file handle (fanotify). */
#define WATCH_KEY_MAX 144
struct watch_key {
	unsigned len;
	unsigned char bytes[WATCH_KEY_MAX];
};

enum watch_what {
	WATCH_OPENED = 1,
	WATCH_CLOSED = 2,
	WATCH_FOLDER = 4, /* a folder, not a file: reading one is no use */
};

/*
 * What the agent itself does with files at this moment. While it only opens, openings cannot be
 * told from its own, but whoever closes a file is a stranger; and the other way round.
 */
enum watch_own { WATCH_OWN_NONE, WATCH_OWN_OPENS, WATCH_OWN_CLOSES, WATCH_OWN_BOTH };

struct watch_set {
	struct watch_model **list;
	size_t count, capacity;
};

struct watch_model {
	char *name;
	unsigned refs;	   /* directories and windows */
	uint64_t uses;	   /* seen so far */
	struct mono at;	   /* the last of them */
	bool news;	   /* not taken yet */
	struct mono since; /* all of its directories have been watched since then, without a gap */
	unsigned gaps;	   /* so many of its directories are not watched */
	enum watch_own own;
	uint64_t closings;	/* of its files, seen while `own` is OPENS */
	struct watch_set along; /* models to which these files belong as well */
	struct watch_model *next_news;
	UT_hash_handle hh;
};

struct watch_name {
	char *name;
	struct watch_set models;
	UT_hash_handle hh;
};

struct watch_dir {
	struct watch_key key;
	int root;
	int handle;    /* the caller's */
	bool lost;     /* the kernel does not watch it any more */
	bool restless; /* must never rest */
	bool resting;
	struct watch_set all;	 /* every model with files in it */
	struct watch_set always; /* models that all names belong to */
	struct watch_name *names;
	unsigned files; /* events of these since `window` */
	struct mono window;
	struct mono due;	       /* the end of its rest; 0: it has not rested yet */
	struct watch_dir *prev, *next; /* in `resting` */
	bool turns;		       /* in `turning` */
	struct watch_dir *prev_turning, *next_turning;
	UT_hash_handle hh;
};

struct watch_map {
	struct watch_dir *dirs;
	struct watch_model *models;
	struct watch_model *news;
	struct watch_dir *resting; /* the first is the first to end */
	struct watch_dir *turning; /* began or ended their rest: the kernel must be told */
	enum watch_own *own_roots;
	int root_count;
	uint64_t events, uses, rests, overflows;
	uint64_t strays; /* events of directories that are not known */
	unsigned recent; /* events since `recent_from` */
	struct mono recent_from;
};

void watch_map_init(struct watch_map *map, int root_count);
void watch_map_free(struct watch_map *map);

/* Adds a directory, which belongs to no model yet. NULL: one of that key is there. */
struct watch_dir *watch_map_add(struct watch_map *map, const struct watch_key *key, int root);
struct watch_dir *watch_map_find(struct watch_map *map, const struct watch_key *key);
void watch_map_drop(struct watch_map *map, struct watch_dir *dir);

/* A file of a directory and a model that it belongs to; `name` NULL: each file of it. */
struct watch_entry {
	const char *name;
	const char *model;
};

/* Says what the files of a directory belong to, in place of what was said before. */
void watch_map_fill(struct watch_map *map, struct watch_dir *dir, const struct watch_entry *entries,
		    size_t count, struct mono now);

/* An event; `what` is a sum of enum watch_what, `name` the file's or "" (the directory itself). */
void watch_map_event(struct watch_map *map, const struct watch_key *key, unsigned what,
		     const char *name, struct mono now);

/* The models of a directory were used, or may have been. */
void watch_map_used(struct watch_map *map, struct watch_dir *dir, struct mono now);

/* Events were lost. Models of the roots for which `blind` is true count as used. */
void watch_map_overflow(struct watch_map *map, bool (*blind)(int root, void *arg), void *arg,
			struct mono now);

/* Ends the rests that are over. */
void watch_map_wake(struct watch_map *map, struct mono now);
/* Milliseconds until a rest ends; -1: nobody rests. */
int64_t watch_map_wait_ms(const struct watch_map *map, struct mono now);
/* The next directory whose `resting` the kernel must be told, or NULL. */
struct watch_dir *watch_map_turning(struct watch_map *map);

/* The next model with a use that was not taken yet, with its time; the caller frees it. */
char *watch_map_news(struct watch_map *map, struct mono *at);

/* How far the uses of a model had come. */
struct watch_mark {
	bool known; /* the model is watched */
	uint64_t uses, overflows;
};
void watch_map_mark(struct watch_map *map, const char *model, struct watch_mark *mark);
/* Was it used since? Also true when that cannot be told for sure: it rests, or events were lost. */
bool watch_map_used_since(struct watch_map *map, const char *model, const struct watch_mark *mark);
/* A directory with files of the model is not watched from now on, or is no longer unwatched. */
void watch_map_gap(struct watch_map *map, const char *model, bool begins, struct mono now);
/* For how long it was watched without a gap; -1: it is not watched, or not all of it. */
int64_t watch_map_watched_ms(struct watch_map *map, const char *model, struct mono now);

/* What the agent does with the files of a model, or of any model of a root, from now on. */
void watch_map_own(struct watch_map *map, const char *model, enum watch_own own);
void watch_map_own_root(struct watch_map *map, int root, enum watch_own own);
/* How many closings of a model's files were seen while the agent only opened. */
uint64_t watch_map_closings(struct watch_map *map, const char *model);
/* A stranger was among those who closed its files: it was used, or who shares what was closed. */
void watch_map_note(struct watch_map *map, const char *model, struct mono now);

#endif
