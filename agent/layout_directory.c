/*
 * Layout "directory": each folder directly in the root, or each match of a glob such as "*" or
 * "*" "/" "*", is one model. How one is removed is in dir_remove.c.
 */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "agent/aside.h"
#include "agent/dir_remove.h"
#include "agent/layout.h"
#include "agent/root.h"
#include "agent/tree.h"
#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"
#include "common/xmem.h"

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
	dir_judge(root, sum, report);
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
			outcome = dir_remove_recover(&task, trash, size);
			log_warn("+removal-recovered", LOG_STR("path", path),
				 LOG_STR("how", outcome == REMOVAL_REFUSED   ? "undone"
						: outcome == REMOVAL_DELETED ? "finished"
									     : "failed"));
			dir_remove_end(&task);
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

const struct layout layout_directory = {
	.name = "directory",
	.open = dir_open,
	.close = dir_close,
	.scan = dir_scan,
	.watch = dir_watch,
	.doubt = dir_doubt,
	.tidy = dir_tidy,
	.look = dir_remove_look,
	.check = dir_remove_check,
	.take = dir_remove_take,
	.move = dir_remove_move,
	.look_again = dir_remove_look_again,
	.undo = dir_remove_undo,
	.commit = dir_remove_commit,
	.clean = dir_remove_clean,
	.recover = dir_remove_recover,
	.finish = dir_remove_finish,
	.end = dir_remove_end,
};
