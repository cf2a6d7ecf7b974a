/* Removes one folder that is a model: it is renamed beside itself, then goes to the trash. */
#include "agent/dir_remove.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/aside.h"
#include "agent/busy.h"
#include "agent/root.h"
#include "agent/tree.h"
#include "common/clock.h"
#include "common/xmem.h"

#define LEASES_MAX 4096

void dir_judge(const struct root *root, const struct tree_sum *sum, struct model_report *report)
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

enum removal_outcome dir_remove_check(struct removal_task *task)
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
	dir_judge(task->root, &sum, &report);
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

enum removal_outcome dir_remove_look(struct removal_task *task)
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

enum removal_outcome dir_remove_take(struct removal_task *task)
{
	enum removal_outcome outcome;

	task->busy = busy_new(LEASES_MAX);
	outcome = lease_tree(task, task->locator, true);
	/* From here on whoever opens a file is seen by its lease; who came before and has left: */
	return outcome == REMOVAL_GOES_ON ? same_as_checked(task, task->locator) : outcome;
}

static int open_parent(const struct removal_task *task)
{
	const struct dir_removal *dr = task->layout_data;

	return disk_open_dir(task->root->fd, dr->parent);
}

/* Closes it, and leaves errno alone. Returns `rc`. */
static int close_parent(int parent, int rc)
{
	int saved = errno;

	close(parent);
	errno = saved;
	return rc;
}

enum removal_outcome dir_remove_move(struct removal_task *task)
{
	struct dir_removal *dr = task->layout_data;
	int parent = open_parent(task);

	if (parent >= 0 &&
	    close_parent(parent, disk_move(parent, dr->leaf, parent, dr->whole)) == 0)
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

enum removal_outcome dir_remove_look_again(struct removal_task *task)
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

static bool exists(const struct removal_task *task, const char *name)
{
	int parent = open_parent(task);
	struct disk_stat st;

	return parent >= 0 && close_parent(parent, disk_stat(parent, name, &st)) == 0;
}

/* Back to its place, where somebody may have made an empty folder meanwhile. */
static int put_back(int parent, const struct dir_removal *dr)
{
	if (disk_move(parent, dr->whole, parent, dr->leaf) == 0)
		return 0;
	if (errno != EEXIST || disk_rmdir(parent, dr->leaf) != 0)
		return -1;
	return disk_move(parent, dr->whole, parent, dr->leaf);
}

enum undo_answer dir_remove_undo(struct removal_task *task)
{
	const struct dir_removal *dr = task->layout_data;
	int parent = open_parent(task);

	if (parent < 0)
		return errno == ENOENT ? UNDO_DONE : UNDO_FAILED;
	if (close_parent(parent, put_back(parent, dr)) == 0)
		return UNDO_DONE;
	switch (errno) {
	case ENOENT: return exists(task, dr->done) ? UNDO_FAILED : UNDO_DONE;
	case EEXIST:
	case ENOTEMPTY:
	case ENOTDIR: return UNDO_REPLACED;
	default: return UNDO_FAILED;
	}
}

static int commit(int parent, const struct dir_removal *dr)
{
	int rc, saved;

	if (disk_move(parent, dr->whole, parent, dr->done) != 0)
		return -1;
	rc = disk_sync(parent);
	saved = errno;
	if (rc != 0 && disk_move(parent, dr->done, parent, dr->whole) != 0)
		saved = EIO; /* it cannot be undone either: it is finished later */
	errno = saved;
	return rc;
}

int dir_remove_commit(struct removal_task *task)
{
	int parent = open_parent(task);

	return parent >= 0 ? close_parent(parent, commit(parent, task->layout_data)) : -1;
}

void dir_remove_clean(struct removal_task *task, char *trash, size_t size)
{
	struct dir_removal *dr = task->layout_data;

	busy_free(task->busy);
	task->busy = NULL;
	in_parent(trash, size, dr, dr->done);
}

enum removal_outcome dir_remove_recover(struct removal_task *task, char *trash, size_t size)
{
	struct dir_removal *dr = begin(task);

	trash[0] = '\0';
	if (dr == NULL)
		return REMOVAL_REFUSED; /* such a one is never begun */
	if (!exists(task, dr->done)) {
		switch (dir_remove_undo(task)) {
		case UNDO_FAILED: return REMOVAL_FAILED;
		case UNDO_DONE:
			/* Back, never begun, or already emptied: the disk tells. */
			return exists(task, dr->leaf) ? REMOVAL_REFUSED : REMOVAL_DELETED;
		case UNDO_REPLACED:
			if (dir_remove_commit(task) != 0)
				return REMOVAL_FAILED;
		}
	}
	dir_remove_clean(task, trash, size);
	return REMOVAL_DELETED;
}

void dir_remove_finish(struct removal_task *task)
{
	(void)task;
}

void dir_remove_end(struct removal_task *task)
{
	busy_free(task->busy);
	task->busy = NULL;
	free(task->layout_data);
	task->layout_data = NULL;
}
