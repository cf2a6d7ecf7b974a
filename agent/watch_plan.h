/*
 * Which directories of a root are watched: a layout describes them after each scan, in groups (a
 * repository, a model) of which it describes only those that have changed. On the worker's thread.
 */
#ifndef LARDER_WATCH_PLAN_H
#define LARDER_WATCH_PLAN_H

#include <stdbool.h>

struct root;
struct watch;
struct watch_plan;

/*
 * For a layout's `watch`: begins a group. True: it must be described now, since it is new or
 * `version` (never 0) is another. What follows is borrowed until the next group.
 */
bool watch_plan_group(struct watch_plan *plan, const char *key, unsigned version);
/* A directory of the group; `path` is below the root, and copied. */
void watch_plan_dir(struct watch_plan *plan, const char *path);
/* A file of that directory belongs to a model; `name` NULL: every file. */
void watch_plan_entry(struct watch_plan *plan, const char *name, const char *model);

/* After a scan: what the layout describes is watched, the rest no longer. */
void watch_plan_run(struct root *root);
/* The root is closed: nothing of it is watched any more. */
void watch_plan_forget(struct root *root);

void watch_plan_free(struct watch *watch, int root);

#endif
