/*
 * Layout "directory": each folder directly in the root, or each match of a glob such as "*" or
 * "*" "/" "*", is one model. A removal renames it beside itself.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "agent/aside.h"
#include "agent/busy.h"
#include "agent/layout.h"
#include "agent/root.h"
#include "agent/tree.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/xmem.h"

#define LEASES_MAX 4096

struct dir_model {
	char *path;
	struct tree *tree;
	struct model_report report; /* as it was when it could be read last; name NULL: never */
	bool seen;
	UT_hash_handle hh;
};

struct dir_state {
	struct root *root;
	struct dir_model *models;
	bool complete;
	bool asides_checked; /* nothing of an earlier run is left */
	char **asides;	     /* paths of what was moved aside, as the scan found them */
	size_t aside_count, aside_capacity;
};

/* ---- scanning ---- */

static void name_model(char *buf, const char *root, const char *path)
{
	char hex[41];

	if (model_name_build(buf, "dir", root, path, "-") == 0)
		return;
	digest_hex40(hex, path, strlen(path));
	if (model_name_build_digest(buf, "dir", root, hex, "-") != 0)
		abort(); /* every part of it is valid */
}

static void judge(const struct root *root, const struct tree_sum *sum, struct model_report *report)
{
	report->status = MODEL_ERROR;
	if (sum->partial_active || clock_wall_ms() - sum->changed_ms < root->config.settle_ms) {
		report->status = MODEL_DOWNLOADING;
		snprintf(report->why, sizeof(report->why), "%s",
			 sum->partial_active ? "a download is under way" : "changed a moment ago");
	} else if (sum->odd != NULL) {
		snprintf(report->why, sizeof(report->why), "%s", sum->odd);
	} else if (sum->partial[0] != '\0') {
		snprintf(report->why, sizeof(report->why), "incomplete: %.60s was given up",
			 sum->partial);
	} else if (sum->files == 0) {
		snprintf(report->why, sizeof(report->why), "it has no files");
	} else {
		report->status = MODEL_DOWNLOADED;
	}
}

static void fill_report(const struct root *root, const struct dir_model *model,
			const struct tree_sum *sum, struct model_report *report)
{
	char name[MODEL_NAME_SIZE];

	memset(report, 0, sizeof(*report));
	name_model(name, root->config.name, model->path);
	report->name = xstrdup(name);
	report->locator = xstrdup(model->path);
	report->files = sum->files;
	report->logical_bytes = sum->logical_bytes;
	report->exclusive_bytes = sum->exclusive_bytes;
	report->generation = sum->generation;
	report->used_wall_ms = sum->used_ms;
	report->modified_wall_ms = sum->modified_ms;
	judge(root, sum, report);
}

static void free_report(struct model_report *report)
{
	free(report->name);
	free(report->locator);
	memset(report, 0, sizeof(*report));
}

static void unreadable(struct dir_state *state, struct dir_model *model, int error)
{
	struct model_report *report = &model->report;

	/* Part of it cannot be read: it is there, and nothing about it is certain. */
	if (report->name == NULL) {
		struct tree_sum nothing = {.generation = 1};

		fill_report(state->root, model, &nothing, report);
	}
	report->status = MODEL_ERROR;
	snprintf(report->why, sizeof(report->why), "unreadable: %s", strerror(error));
}

static void scan_model(struct dir_state *state, const char *path)
{
	struct dir_model *model;
	struct tree_sum sum;

	HASH_FIND_STR(state->models, path, model);
	if (model == NULL) {
		model = xcalloc(1, sizeof(*model));
		model->path = xstrdup(path);
		model->tree = tree_new();
		HASH_ADD_KEYPTR(hh, state->models, model->path, strlen(model->path), model);
	}
	model->seen = true;
	if (tree_read(model->tree, state->root, path, &sum) != 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
			model->seen = false;
		else
			unreadable(state, model, errno);
		return;
	}
	free_report(&model->report);
	fill_report(state->root, model, &sum, &model->report);
}

/* Keeps the path of something moved aside, as it may be of an earlier run. */
static void note_aside(struct dir_state *state, const char *folder, const char *name)
{
	struct aside aside;

	if (state->asides_checked || !aside_parse(name, &aside))
		return;
	state->asides = xgrow(state->asides, state->aside_count, &state->aside_capacity,
			      sizeof(*state->asides));
	state->asides[state->aside_count++] = xasprintf("%s%s", folder, name);
}

struct match {
	struct dir_state *state;
	int fd;
	char path[4096];  /* of the folder that is listed; "" or ends with '/' */
	const char *glob; /* what its entries must match */
};

static int match_entry(const char *name, void *arg)
{
	struct match *match = arg;
	const char *slash = strchr(match->glob, '/');
	struct match below = {.state = match->state};
	char pattern[256];
	struct disk_stat st;

	snprintf(pattern, sizeof(pattern), "%.*s",
		 (int)(slash != NULL ? (size_t)(slash - match->glob) : strlen(match->glob)),
		 match->glob);
	if (strncmp(name, ASIDE_PREFIX, strlen(ASIDE_PREFIX)) == 0) {
		note_aside(match->state, match->path, name);
		return 0;
	}
	if (fnmatch(pattern, name, FNM_PERIOD) != 0)
		return 0;
	if (disk_stat(match->fd, name, &st) != 0 || st.type != DISK_DIRECTORY)
		return 0;
	if ((size_t)snprintf(below.path, sizeof(below.path), "%s%s", match->path, name) >=
	    sizeof(below.path) - 1)
		return 0;
	if (slash == NULL) {
		scan_model(match->state, below.path);
		return 0;
	}
	strcat(below.path, "/"); /* NOLINT: room for it was checked above */
	below.glob = slash + 1;
	below.fd = disk_open_dir(match->fd, name);
	if (below.fd < 0) {
		match->state->complete = match->state->complete && errno == ENOENT;
		return 0;
	}
	if (disk_list(below.fd, match_entry, &below) != 0)
		match->state->complete = false;
	close(below.fd);
	return 0;
}

static void forget(struct dir_state *state, struct dir_model *model)
{
	HASH_DEL(state->models, model);
	tree_free(model->tree);
	free_report(&model->report);
	free(model->path);
	free(model);
}

static void forget_asides(struct dir_state *state)
{
	while (state->aside_count > 0)
		free(state->asides[--state->aside_count]);
}

static int dir_scan(void *arg, struct scan_report *out, struct err *err)
{
	struct dir_state *state = arg;
	struct match *match = xcalloc(1, sizeof(*match));
	struct dir_model *model, *next;
	int rc;

	state->complete = true;
	forget_asides(state); /* found again where they are still to be seen to */
	for (model = state->models; model != NULL; model = model->hh.next)
		model->seen = false;
	match->state = state;
	match->fd = state->root->fd;
	match->glob = state->root->config.glob != NULL ? state->root->config.glob : "*";
	rc = disk_list(match->fd, match_entry, match);
	free(match);
	if (rc != 0)
		return err_set(err, "cannot read %s: %s", state->root->config.path,
			       strerror(errno));
	HASH_ITER (hh, state->models, model, next) {
		struct model_report *report;

		if (!model->seen) {
			forget(state, model);
			continue;
		}
		report = scan_report_add(out);
		*report = model->report;
		report->name = xstrdup(report->name);
		report->locator = xstrdup(report->locator);
	}
	out->complete = state->complete;
	return 0;
}

static void dir_watch(void *arg, struct watch_plan *plan)
{
	const struct dir_state *state = arg;

	for (const struct dir_model *model = state->models; model != NULL; model = model->hh.next) {
		if (model->report.name != NULL)
			tree_watch(model->tree, plan, model->path, model->report.name);
	}
}

static void dir_doubt(void *arg, const char *locator)
{
	struct dir_state *state = arg;
	struct dir_model *model;

	HASH_FIND_STR(state->models, locator, model);
	if (model != NULL)
		tree_forget(model->tree);
}

static enum removal_outcome dir_recover(struct removal_task *task, char *trash, size_t size);
static void dir_end(struct removal_task *task);

/* What an earlier run has moved aside and its journal does not know: put back, or finished. */
static bool dir_tidy(void *arg, char *trash, size_t size)
{
	struct dir_state *state = arg;

	while (state->aside_count > 0) {
		char *path = state->asides[--state->aside_count];
		const char *slash = strrchr(path, '/');
		struct aside aside;
		char *locator;
		struct removal_task task = {.root = state->root};
		enum removal_outcome outcome = REMOVAL_FAILED;

		trash[0] = '\0';
		if (aside_parse(slash != NULL ? slash + 1 : path, &aside) &&
		    !state->root->txn_known(state->root, aside.txn)) {
			locator =
				xasprintf("%.*s%s", slash != NULL ? (int)(slash - path + 1) : 0,
					  path, aside.kind == ASIDE_WHOLE ? aside.rest : "unknown");
			task.txn = aside.txn;
			task.locator = locator;
			outcome = dir_recover(&task, trash, size);
			log_warn("+removal-recovered", LOG_STR("path", path),
				 LOG_STR("how", outcome == REMOVAL_REFUSED   ? "undone"
						: outcome == REMOVAL_DELETED ? "finished"
									     : "failed"));
			dir_end(&task);
			free(locator);
		}
		free(path);
		if (outcome == REMOVAL_DELETED && trash[0] != '\0')
			return true;
	}
	state->asides_checked = true;
	return false;
}

static void *dir_open(struct root *root)
{
	struct dir_state *state = xcalloc(1, sizeof(*state));

	state->root = root;
	return state;
}

static void dir_close(void *arg)
{
	struct dir_state *state = arg;
	struct dir_model *model, *next;

	HASH_ITER (hh, state->models, model, next)
		forget(state, model);
	forget_asides(state);
	free(state->asides);
	free(state);
}

/* ---- removing ---- */

struct dir_removal {
	char parent[4096]; /* of the model, "." for the root */
	const char *leaf;
	uint64_t generation;				    /* as the check found it */
	char whole[ASIDE_NAME_SIZE], done[ASIDE_NAME_SIZE]; /* in the parent */
};

/* NULL: its name is too long to be moved aside. */
static struct dir_removal *begin(struct removal_task *task)
{
	struct dir_removal *dr = xcalloc(1, sizeof(*dr));
	const char *slash = strrchr(task->locator, '/');

	task->layout_data = dr;
	snprintf(dr->parent, sizeof(dr->parent), "%.*s",
		 slash != NULL ? (int)(slash - task->locator) : 1,
		 slash != NULL ? task->locator : ".");
	dr->leaf = slash != NULL ? slash + 1 : task->locator;
	if (aside_name(dr->whole, ASIDE_WHOLE, task->txn, dr->leaf) != 0 ||
	    aside_name(dr->done, ASIDE_DONE, task->txn, "") != 0)
		return NULL;
	return dr;
}

static enum removal_outcome dir_check(struct removal_task *task)
{
	struct dir_removal *dr = begin(task);
	struct tree *tree = tree_new();
	struct model_report report = {0};
	struct tree_sum sum;
	int rc, error;

	if (dr == NULL) {
		tree_free(tree);
		return removal_end(task, REMOVAL_REFUSED, "its name is too long");
	}
	rc = tree_read(tree, task->root, task->locator, &sum);
	error = errno;
	tree_free(tree);
	if (rc != 0 && (error == ENOENT || error == ENOTDIR || error == ELOOP))
		return removal_end(task, REMOVAL_GONE, "it is not there any more");
	if (rc != 0)
		return removal_end(task, REMOVAL_FAILED, "unreadable: %s", strerror(error));
	if (task->generation != 0 && sum.generation != task->generation)
		return removal_end(task, REMOVAL_REFUSED, "replaced: its files have changed");
	judge(task->root, &sum, &report);
	if (sum.odd != NULL || report.status == MODEL_DOWNLOADING ||
	    (report.status == MODEL_ERROR && task->generation != 0))
		return removal_end(task, REMOVAL_REFUSED, "%s", report.why);
	task->seen_used_wall_ms = sum.used_ms;
	if (removal_used_since(task))
		return removal_end(task, REMOVAL_REFUSED, "used: its files were read since");
	if (sum.frozen)
		return removal_end(task, REMOVAL_REFUSED, "immutable files");
	dr->generation = sum.generation;
	return REMOVAL_GOES_ON;
}

struct leasing {
	struct removal_task *task;
	bool hold;
	enum removal_outcome outcome;
};

static int lease_file(const struct tree_file *file, void *arg)
{
	struct leasing *leasing = arg;
	struct removal_task *task = leasing->task;
	enum busy_answer answer;
	int fd;

	if (busy_holds(task->busy, &file->stat))
		return 0;
	fd = disk_open_file(file->dir_fd, file->name, false);
	if (fd < 0 && errno == ENOENT)
		return 0;
	task->open_device = file->stat.device;
	task->open_inode = file->stat.inode;
	if (fd < 0)
		answer = errno == EWOULDBLOCK ? BUSY_IN_USE : BUSY_UNKNOWN;
	else
		answer = leasing->hold ? busy_take(task->busy, fd) : busy_test(fd);
	task->tested += fd >= 0 && !leasing->hold;
	if (answer == BUSY_IN_USE)
		leasing->outcome =
			removal_end(task, REMOVAL_REFUSED, "busy: %.60s is open", file->name);
	else if (answer == BUSY_UNKNOWN && !task->root->config.delete_without_leases)
		leasing->outcome =
			removal_end(task, REMOVAL_REFUSED,
				    "unknown: cannot tell whether %.40s is open", file->name);
	return leasing->outcome == REMOVAL_GOES_ON ? 0 : 1;
}

static enum removal_outcome lease_tree(struct removal_task *task, const char *path, bool hold)
{
	struct leasing leasing = {task, hold, REMOVAL_GOES_ON};
	int fd = disk_open_dir(task->root->fd, path);
	int rc;

	if (fd < 0)
		return removal_end(task, errno == ENOENT ? REMOVAL_GONE : REMOVAL_FAILED,
				   "cannot be opened: %s", strerror(errno));
	rc = tree_each_file(fd, lease_file, &leasing);
	close(fd);
	if (rc < 0)
		return removal_end(task, REMOVAL_REFUSED, "unknown: a folder cannot be read: %s",
				   strerror(errno));
	return leasing.outcome;
}

static enum removal_outcome dir_look(struct removal_task *task)
{
	return lease_tree(task, task->locator, false);
}

/*
 * What stands at `path` must be what was checked: nothing added, nothing else in its place, and
 * nothing read since.
 */
static enum removal_outcome same_as_checked(struct removal_task *task, const char *path)
{
	const struct dir_removal *dr = task->layout_data;
	struct root quiet = *task->root;
	struct tree *tree = tree_new();
	struct tree_sum sum;
	bool same;

	quiet.leases = false; /* trying one would break those that are held */
	same = tree_read(tree, &quiet, path, &sum) == 0 && sum.generation == dr->generation;
	tree_free(tree);
	if (!same)
		return removal_end(task, REMOVAL_REFUSED, "replaced: its files have changed");
	task->seen_used_wall_ms = sum.used_ms;
	if (removal_used_since(task))
		return removal_end(task, REMOVAL_REFUSED, "used: read a moment ago");
	return REMOVAL_GOES_ON;
}

static enum removal_outcome dir_take(struct removal_task *task)
{
	enum removal_outcome outcome;

	task->busy = busy_new(LEASES_MAX);
	outcome = lease_tree(task, task->locator, true);
	/* From here on whoever opens a file is seen by its lease; who came before and has left: */
	return outcome == REMOVAL_GOES_ON ? same_as_checked(task, task->locator) : outcome;
}

/* Renames an entry of the model's parent. */
static int rename_in_parent(struct removal_task *task, const char *from, const char *to, bool sync)
{
	struct dir_removal *dr = task->layout_data;
	int parent = disk_open_dir(task->root->fd, dr->parent);
	int rc, saved;

	if (parent < 0)
		return -1;
	rc = disk_move(parent, from, parent, to);
	if (rc == 0 && sync)
		rc = disk_sync(parent);
	saved = errno;
	close(parent);
	errno = saved;
	return rc;
}

static enum removal_outcome dir_move(struct removal_task *task)
{
	struct dir_removal *dr = task->layout_data;

	if (rename_in_parent(task, dr->leaf, dr->whole, false) == 0)
		return REMOVAL_GOES_ON;
	if (errno == ENOENT)
		return removal_end(task, REMOVAL_GONE, "it is not there any more");
	return removal_end(task, REMOVAL_FAILED, "cannot be moved: %s", strerror(errno));
}

static const char *in_parent(char *buf, size_t size, const struct dir_removal *dr, const char *name)
{
	snprintf(buf, size, "%s/%s", dr->parent, name);
	return buf;
}

static enum removal_outcome dir_look_again(struct removal_task *task)
{
	struct dir_removal *dr = task->layout_data;
	char moved[sizeof(dr->parent) + ASIDE_NAME_SIZE];
	enum removal_outcome outcome;

	in_parent(moved, sizeof(moved), dr, dr->whole);
	outcome = same_as_checked(task, moved);
	if (outcome != REMOVAL_GOES_ON)
		return outcome;
	/* What was too much to be held is tested again; what is held must have held until then. */
	if (busy_partial(task->busy))
		outcome = lease_tree(task, moved, false);
	if (outcome == REMOVAL_GOES_ON && !task->root->config.delete_without_leases &&
	    !busy_intact(task->busy))
		return removal_end(task, REMOVAL_REFUSED, "busy: opened at the last moment");
	return outcome;
}

static enum undo_answer dir_undo(struct removal_task *task)
{
	struct dir_removal *dr = task->layout_data;

	if (rename_in_parent(task, dr->whole, dr->leaf, false) == 0 || errno == ENOENT)
		return UNDO_DONE;
	return errno == EEXIST || errno == ENOTEMPTY ? UNDO_REPLACED : UNDO_FAILED;
}

static int dir_commit(struct removal_task *task)
{
	struct dir_removal *dr = task->layout_data;

	return rename_in_parent(task, dr->whole, dr->done, true);
}

static void dir_clean(struct removal_task *task, char *trash, size_t size)
{
	struct dir_removal *dr = task->layout_data;

	busy_free(task->busy);
	task->busy = NULL;
	in_parent(trash, size, dr, dr->done);
}

static bool exists(struct removal_task *task, const char *name)
{
	struct dir_removal *dr = task->layout_data;
	int parent = disk_open_dir(task->root->fd, dr->parent);
	struct disk_stat st;
	bool there;

	if (parent < 0)
		return false;
	there = disk_stat(parent, name, &st) == 0;
	close(parent);
	return there;
}

static enum removal_outcome dir_recover(struct removal_task *task, char *trash, size_t size)
{
	struct dir_removal *dr = begin(task);

	trash[0] = '\0';
	if (dr == NULL)
		return REMOVAL_REFUSED; /* such a one is never begun */
	if (!exists(task, dr->done)) {
		switch (dir_undo(task)) {
		case UNDO_FAILED: return REMOVAL_FAILED;
		case UNDO_DONE:
			/* Back, never begun, or already emptied: the disk tells. */
			return exists(task, dr->leaf) ? REMOVAL_REFUSED : REMOVAL_DELETED;
		case UNDO_REPLACED:
			if (dir_commit(task) != 0)
				return REMOVAL_FAILED;
		}
	}
	dir_clean(task, trash, size);
	return REMOVAL_DELETED;
}

static void dir_finish(struct removal_task *task)
{
	(void)task;
}

static void dir_end(struct removal_task *task)
{
	busy_free(task->busy);
	task->busy = NULL;
	free(task->layout_data);
	task->layout_data = NULL;
}

const struct layout layout_directory = {
	.name = "directory",
	.open = dir_open,
	.close = dir_close,
	.scan = dir_scan,
	.watch = dir_watch,
	.doubt = dir_doubt,
	.tidy = dir_tidy,
	.look = dir_look,
	.check = dir_check,
	.take = dir_take,
	.move = dir_move,
	.look_again = dir_look_again,
	.undo = dir_undo,
	.commit = dir_commit,
	.clean = dir_clean,
	.recover = dir_recover,
	.finish = dir_finish,
	.end = dir_end,
};
