/* Keeps the watched directories of a root equal to what its layout describes. */
#include "agent/watch_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "agent/disk.h"
#include "agent/root.h"
#include "agent/watch.h"
#include "common/xmem.h"

/* Of one repository or model; as many as the shared store of a hub has. */
#define GROUP_MAX 256

struct watched {
	struct watch_dir *dir;
	int handle;
	uint64_t device, inode;
};

/* Models with files in directories that are not watched, a name for each directory or file. */
struct gaps {
	char **models;
	size_t count, capacity;
};

struct watch_group {
	char *key;
	unsigned version; /* 0: to be described again */
	unsigned round;
	struct watched *dirs;
	size_t count;
	size_t skipped; /* directories beyond GROUP_MAX */
	struct gaps gaps;
	UT_hash_handle hh;
};

struct watch_groups {
	struct watch_group *list;
	unsigned round;
};

struct wanted {
	char *path;
	size_t first, count; /* of the entries */
};

struct watch_plan {
	struct root *root;
	struct watch_groups *groups;
	struct watch_group *group; /* being described; NULL: none */
	unsigned version;
	bool again; /* something of the group could not be watched */
	struct wanted *dirs;
	size_t dir_count, dir_capacity;
	struct watch_entry *entries;
	size_t entry_count, entry_capacity;
	struct gaps gaps; /* of the group */
	struct watch_state state;
};

static void drop(struct watch *watch, struct watched *watched)
{
	watch_drop(watch, watched->dir);
	close(watched->handle);
}

static void add_gap(struct watch_plan *plan, const char *model)
{
	struct gaps *gaps = &plan->gaps;

	if (gaps->count > 0 && strcmp(gaps->models[gaps->count - 1], model) == 0)
		return;
	gaps->models = xgrow(gaps->models, gaps->count, &gaps->capacity, sizeof(*gaps->models));
	gaps->models[gaps->count++] = xstrdup(model);
}

static void end_gaps(struct watch *watch, struct gaps *gaps)
{
	for (size_t i = 0; i < gaps->count; i++) {
		watch_gap(watch, gaps->models[i], false);
		free(gaps->models[i]);
	}
	free(gaps->models);
	*gaps = (struct gaps){0};
}

static void drop_group(struct watch *watch, struct watch_groups *groups, struct watch_group *group)
{
	HASH_DEL(groups->list, group);
	for (size_t i = 0; i < group->count; i++)
		drop(watch, &group->dirs[i]);
	end_gaps(watch, &group->gaps);
	free(group->dirs);
	free(group->key);
	free(group);
}

/* ---- a group's directories ---- */

static bool take_over(struct watch_plan *plan, struct watched *next, const struct watch_want *want)
{
	struct watch_group *group = plan->group;

	for (size_t i = 0; i < group->count; i++) {
		struct watched *old = &group->dirs[i];

		if (old->device != next->device || old->inode != next->inode ||
		    watch_lost(plan->root->watch, old->dir))
			continue;
		close(next->handle);
		*next = *old;
		*old = group->dirs[--group->count];
		watch_fill(plan->root->watch, next->dir, want->entries, want->count);
		return true;
	}
	return false;
}

static bool watch_dir(struct watch_plan *plan, const struct wanted *wanted, struct watched *next)
{
	const struct root *root = plan->root;
	struct watch_want want = {
		.root = root->index,
		.restless = root->mount.remote,
		.entries = plan->entries + wanted->first,
		.count = wanted->count,
	};
	struct disk_stat st;
	int error;

	next->handle = disk_open_handle(root->fd, wanted->path);
	if (next->handle < 0)
		return false;
	if (disk_stat_fd(next->handle, &st) != 0)
		goto fail;
	next->device = st.device;
	next->inode = st.inode;
	if (take_over(plan, next, &want))
		return true;
	want.handle = next->handle;
	next->dir = watch_add(root->watch, &want);
	if (next->dir != NULL)
		return true;
fail:
	error = errno;
	close(next->handle);
	errno = error;
	return false;
}

static void note_unwatched(struct watch_plan *plan, const struct wanted *wanted)
{
	struct watch_state *state = &plan->state;

	plan->again = true;
	if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
		return; /* gone since the scan */
	for (size_t i = 0; i < wanted->count; i++)
		add_gap(plan, plan->entries[wanted->first + i].model);
	if (state->unwatched++ > 0)
		return;
	state->full = errno == EDQUOT;
	state->error = errno;
}

/* Makes the group what was described of it. */
static void end_group(struct watch_plan *plan)
{
	struct watch_group *group = plan->group;
	struct watched *dirs;
	size_t count = 0;

	if (group == NULL)
		return;
	dirs = xcalloc(plan->dir_count + 1, sizeof(*dirs));
	for (size_t i = 0; i < plan->dir_count; i++) {
		if (watch_dir(plan, &plan->dirs[i], &dirs[count]))
			count++;
		else
			note_unwatched(plan, &plan->dirs[i]);
		free(plan->dirs[i].path);
	}
	for (size_t i = 0; i < group->count; i++)
		drop(plan->root->watch, &group->dirs[i]);
	free(group->dirs);
	group->dirs = dirs;
	group->count = count;
	/* Those that go on do not end in between. */
	for (size_t i = 0; i < plan->gaps.count; i++)
		watch_gap(plan->root->watch, plan->gaps.models[i], true);
	end_gaps(plan->root->watch, &group->gaps);
	group->gaps = plan->gaps;
	plan->gaps = (struct gaps){0};
	/* What could not be watched is tried again after the next scan. */
	group->version = plan->again ? 0 : plan->version;
	plan->group = NULL;
	plan->dir_count = plan->entry_count = 0;
}

/* ---- describing ---- */

static bool any_lost(struct watch_plan *plan, const struct watch_group *group)
{
	for (size_t i = 0; i < group->count; i++) {
		if (watch_lost(plan->root->watch, group->dirs[i].dir))
			return true;
	}
	return false;
}

bool watch_plan_group(struct watch_plan *plan, const char *key, unsigned version)
{
	struct watch_group *group;

	end_group(plan);
	HASH_FIND_STR(plan->groups->list, key, group);
	if (group == NULL) {
		group = xcalloc(1, sizeof(*group));
		group->key = xstrdup(key);
		HASH_ADD_KEYPTR(hh, plan->groups->list, group->key, strlen(group->key), group);
	}
	group->round = plan->groups->round;
	if (group->version == version && !any_lost(plan, group))
		return false;
	plan->group = group;
	plan->version = version;
	plan->again = false;
	group->skipped = 0;
	return true;
}

void watch_plan_dir(struct watch_plan *plan, const char *path)
{
	struct wanted *dir;

	if (plan->dir_count == GROUP_MAX) {
		plan->group->skipped++;
		return;
	}
	plan->dirs = xgrow(plan->dirs, plan->dir_count, &plan->dir_capacity, sizeof(*plan->dirs));
	dir = &plan->dirs[plan->dir_count++];
	dir->path = xstrdup(path);
	dir->first = plan->entry_count;
	dir->count = 0;
}

void watch_plan_entry(struct watch_plan *plan, const char *name, const char *model)
{
	if (plan->group->skipped > 0) {
		add_gap(plan, model);
		return;
	}
	plan->entries = xgrow(plan->entries, plan->entry_count, &plan->entry_capacity,
			      sizeof(*plan->entries));
	plan->entries[plan->entry_count++] = (struct watch_entry){name, model};
	plan->dirs[plan->dir_count - 1].count++;
}

/* ---- the whole root ---- */

static void add_up(struct watch_state *state, const struct watch_group *group)
{
	state->dirs += group->count;
	if (group->skipped == 0)
		return;
	state->unwatched += group->skipped;
	state->full = true;
}

void watch_plan_run(struct root *root)
{
	struct watch_groups **groups;
	struct watch_plan plan = {.root = root};
	struct watch_group *group, *next;

	if (root->watch == NULL)
		return;
	groups = watch_groups(root->watch, root->index);
	if (*groups == NULL)
		*groups = xcalloc(1, sizeof(**groups));
	plan.groups = *groups;
	plan.groups->round++;
	root->config.layout->watch(root->layout_state, &plan);
	end_group(&plan);
	HASH_ITER (hh, plan.groups->list, group, next) {
		if (group->round != plan.groups->round)
			drop_group(root->watch, plan.groups, group);
		else
			add_up(&plan.state, group);
	}
	watch_set_state(root->watch, root->index, &plan.state);
	free(plan.dirs);
	free(plan.entries);
}

void watch_plan_free(struct watch *watch, int root)
{
	struct watch_groups **groups = watch_groups(watch, root);
	struct watch_group *group, *next;

	if (*groups == NULL)
		return;
	HASH_ITER (hh, (*groups)->list, group, next)
		drop_group(watch, *groups, group);
	free(*groups);
	*groups = NULL;
}

void watch_plan_forget(struct root *root)
{
	struct watch_state none = {0};

	if (root->watch == NULL)
		return;
	watch_plan_free(root->watch, root->index);
	watch_set_state(root->watch, root->index, &none);
}
