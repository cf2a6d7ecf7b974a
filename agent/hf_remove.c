/*
 * Removes one revision from a Hugging Face cache.
 *
 * The snapshot is renamed to <repository>/.larder-trash-<txn>.<commit>, which one rename undoes;
 * the commit renames that to .larder-done-<txn>; then the blobs that only it refers to follow into
 * it.
 */
#include "agent/hf_remove.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/aside.h"
#include "agent/busy.h"
#include "agent/hf_access.h"
#include "agent/hf_evidence.h"
#include "agent/hf_lock.h"
#include "agent/hf_merge.h"
#include "agent/hf_refs.h"
#include "agent/hf_repo.h"
#include "agent/hf_shell.h"
#include "agent/hf_store.h"
#include "agent/root.h"
#include "common/xmem.h"

/* Leases and locks that are held at once; a revision with more files is tested, then tested again.
 */
#define LEASES_MAX  4096
#define LOCKS_MAX   4096
#define CLEAN_TRIES 3

struct hf_removal {
	struct hf_repo repo;
	char *folder, *commit;
	int store_fd;
	char whole[ASIDE_NAME_SIZE], done[ASIDE_NAME_SIZE]; /* in the repository's folder */
};

static void split_locator(struct hf_removal *hr, const char *locator)
{
	const char *slash = strchr(locator, '/');

	hr->folder = xstrndup(locator, (size_t)(slash - locator));
	hr->commit = xstrdup(slash + 1);
}

/* NULL: its name is too long to be moved aside. */
static struct hf_removal *begin(struct removal_task *task)
{
	struct hf_removal *hr = xcalloc(1, sizeof(*hr));

	task->layout_data = hr;
	hr->repo.fd = -1;
	hr->store_fd = hf_store_open(task->root->fd);
	split_locator(hr, task->locator);
	if (aside_name(hr->whole, ASIDE_WHOLE, task->txn, hr->commit) != 0 ||
	    aside_name(hr->done, ASIDE_DONE, task->txn, "") != 0)
		return NULL;
	return hr;
}

static enum removal_outcome read_repo(struct removal_task *task, struct hf_removal *hr)
{
	struct err err;
	int error;

	hf_repo_free(&hr->repo);
	if (hf_repo_read(task->root->fd, hr->store_fd, hr->folder, &hr->repo, &error, &err) == 0)
		return REMOVAL_GOES_ON;
	if (error == ENOENT)
		return removal_end(task, REMOVAL_GONE, "it is not there any more");
	return removal_end(task, REMOVAL_FAILED, "unreadable: %s", strerror(error));
}

/* Would anything of it stay, whatever we try? */
static bool any_frozen(const struct hf_repo *repo, const struct hf_revision *rev)
{
	for (size_t i = 0; i < repo->dir_count; i++) {
		bool own = i >= rev->first_dir && i < rev->first_dir + rev->dir_count;
		bool above = strncmp(repo->dirs[i].path, "snapshots/", 10) != 0;

		if ((own || above) && repo->dirs[i].frozen)
			return true;
	}
	for (size_t i = 0; i < rev->file_count; i++) {
		const struct hf_file *file = &rev->files[i];

		if (file->stat.frozen ||
		    (file->blob != NULL && file->blob->revisions == 1 && file->blob->stat.frozen))
			return true;
	}
	return false;
}

/* When it was used last, from its access times and from when a client asked for it by name. */
static void saw_use(struct removal_task *task, int64_t accessed_ms, int64_t asked_ms)
{
	task->seen_used_wall_ms = accessed_ms > asked_ms ? accessed_ms : asked_ms;
}

enum removal_outcome hf_remove_check(struct removal_task *task)
{
	struct hf_removal *hr = begin(task);
	enum removal_outcome outcome;
	struct hf_revision *rev;
	enum hf_verdict verdict;
	int64_t stale;

	if (hr == NULL)
		return removal_end(task, REMOVAL_REFUSED, "its name is too long");
	if (hr->commit[0] == '\0')
		return removal_end(task, REMOVAL_REFUSED, "it has no revision yet");
	outcome = read_repo(task, hr);
	if (outcome != REMOVAL_GOES_ON)
		return outcome;
	rev = hf_repo_find(&hr->repo, hr->commit);
	if (rev == NULL)
		return removal_end(task, REMOVAL_GONE, "it is not there any more");
	if (rev->barred)
		return removal_end(task, REMOVAL_REFUSED, "odd: %s", rev->odd);
	if (task->generation != 0 && hf_repo_generation(&hr->repo, rev) != task->generation)
		return removal_end(task, REMOVAL_REFUSED, "replaced: its files have changed");
	verdict = hf_evidence_verdict(task->root, &hr->repo, rev,
				      hf_downloading(task->root, &hr->repo, &stale), task->why,
				      sizeof(task->why));
	if (verdict == HF_DOWNLOADING || (verdict == HF_BROKEN && task->generation != 0))
		return REMOVAL_REFUSED;
	saw_use(task, hf_access_newest(task->root, rev),
		hf_refs_written_ms(hr->repo.fd, hr->commit));
	if (removal_used_since(task))
		return removal_end(task, REMOVAL_REFUSED, "used: its files were read since");
	hf_access_arm(task->root, &hr->repo, rev);
	if (any_frozen(&hr->repo, rev))
		return removal_end(task, REMOVAL_REFUSED, "immutable files");
	return REMOVAL_GOES_ON;
}

/* ---- CLAIM ---- */

static int open_file(struct hf_removal *hr, int snapshot_fd, int blobs_fd,
		     const struct hf_file *file)
{
	if (file->blob == NULL)
		return disk_open_file(snapshot_fd, file->path, false);
	if (file->blob->kind == HF_BLOB_SHARED)
		return hf_store_open_payload(hr->store_fd, file->blob->payload);
	return disk_open_file(blobs_fd, file->blob->name, false);
}

/* True for what has bytes of its own that somebody could have open. */
static bool leasable(const struct hf_file *file)
{
	if (file->blob == NULL)
		return file->stat.type == DISK_FILE;
	return file->blob->kind == HF_BLOB_FILE || file->blob->kind == HF_BLOB_SHARED;
}

static const struct disk_stat *content_stat(const struct hf_file *file)
{
	return file->blob != NULL ? &file->blob->stat : &file->stat;
}

/* Tests or takes the lease of each file of the revision, which is below `snapshot` now. */
static enum removal_outcome lease_files(struct removal_task *task, const struct hf_revision *rev,
					const char *snapshot, bool hold)
{
	struct hf_removal *hr = task->layout_data;
	int snapshot_fd = disk_open_dir(hr->repo.fd, snapshot);
	int blobs_fd = disk_open_dir(hr->repo.fd, "blobs");
	enum removal_outcome outcome = REMOVAL_GOES_ON;

	for (size_t i = 0; i < rev->file_count && outcome == REMOVAL_GOES_ON; i++) {
		const struct hf_file *file = &rev->files[i];
		enum busy_answer answer;
		int fd;

		if (!leasable(file) || busy_holds(task->busy, content_stat(file)))
			continue;
		fd = open_file(hr, snapshot_fd, blobs_fd, file);
		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0)
			answer = errno == EWOULDBLOCK ? BUSY_IN_USE : BUSY_UNKNOWN;
		else
			answer = hold ? busy_take(task->busy, fd) : busy_test(fd);
		task->tested += fd >= 0 && !hold;
		if (answer == BUSY_IN_USE) {
			task->open_device = content_stat(file)->device;
			task->open_inode = content_stat(file)->inode;
		}
		if (answer == BUSY_IN_USE)
			outcome = removal_end(task, REMOVAL_REFUSED, "busy: %.60s is open",
					      file->path);
		else if (answer == BUSY_UNKNOWN && !task->root->config.delete_without_leases)
			outcome = removal_end(task, REMOVAL_REFUSED,
					      "unknown: cannot tell whether %.40s "
					      "is open",
					      file->path);
	}
	if (snapshot_fd >= 0)
		close(snapshot_fd);
	if (blobs_fd >= 0)
		close(blobs_fd);
	return outcome;
}

enum removal_outcome hf_remove_look(struct removal_task *task)
{
	struct hf_removal *hr = begin(task);
	enum removal_outcome outcome;
	struct hf_revision *rev;
	char snapshot[512];

	if (hr == NULL || hr->commit[0] == '\0')
		return removal_end(task, REMOVAL_REFUSED, "unknown: it has no revision yet");
	outcome = read_repo(task, hr);
	if (outcome != REMOVAL_GOES_ON)
		return outcome;
	rev = hf_repo_find(&hr->repo, hr->commit);
	if (rev == NULL)
		return removal_end(task, REMOVAL_GONE, "it is not there any more");
	snprintf(snapshot, sizeof(snapshot), "snapshots/%s", hr->commit);
	return lease_files(task, rev, snapshot, false);
}

/* A blob that goes when revision `index` goes. */
static bool goes_with(const struct hf_blob *blob, int index)
{
	return blob->revisions == 1 && blob->last_revision == index &&
	       (blob->kind == HF_BLOB_FILE || blob->kind == HF_BLOB_SHARED);
}

static enum removal_outcome lock_blobs(struct removal_task *task, int index)
{
	struct hf_removal *hr = task->layout_data;
	struct hf_blob *blob, *next;
	int taken = 0;

	HASH_ITER (hh, hr->repo.blobs, blob, next) {
		int fd = -1;

		if (!goes_with(blob, index) || taken == LOCKS_MAX)
			continue;
		switch (hf_lock_take(task->root->fd, hr->folder, blob->name, &fd)) {
		case HF_LOCK_TAKEN:
			busy_keep(task->busy, fd);
			taken++;
			break;
		case HF_LOCK_HELD:
			return removal_end(task, REMOVAL_REFUSED,
					   "busy: a client holds the lock of a file");
		case HF_LOCK_NONE: return REMOVAL_GOES_ON;
		case HF_LOCK_FAILED:
			return removal_end(task, REMOVAL_REFUSED, "unknown: cannot lock a file: %s",
					   strerror(errno));
		}
	}
	return REMOVAL_GOES_ON;
}

enum removal_outcome hf_remove_take(struct removal_task *task)
{
	struct hf_removal *hr = task->layout_data;
	struct hf_revision *rev = hf_repo_find(&hr->repo, hr->commit);
	char snapshot[512];
	enum removal_outcome outcome;

	snprintf(snapshot, sizeof(snapshot), "snapshots/%s", hr->commit);
	task->busy = busy_new(LEASES_MAX);
	outcome = lock_blobs(task, (int)(rev - hr->repo.revisions));
	if (outcome == REMOVAL_GOES_ON)
		outcome = lease_files(task, rev, snapshot, true);
	if (outcome != REMOVAL_GOES_ON)
		return outcome;
	/* From here on whoever opens a file is seen by its lease; who came before and has left: */
	saw_use(task, hf_access_newest_now(task->root, &hr->repo, rev),
		hf_refs_written_ms(hr->repo.fd, hr->commit));
	if (removal_used_since(task))
		return removal_end(task, REMOVAL_REFUSED, "used: read a moment ago");
	return REMOVAL_GOES_ON;
}

/* ---- MOVE, LOOK AGAIN, undo, COMMIT ---- */

static int move_aside(struct hf_removal *hr)
{
	int snapshots = disk_open_dir(hr->repo.fd, "snapshots");
	int rc, saved;

	if (snapshots < 0)
		return -1;
	rc = disk_move(snapshots, hr->commit, hr->repo.fd, hr->whole);
	saved = errno;
	close(snapshots);
	errno = saved;
	return rc;
}

enum removal_outcome hf_remove_move(struct removal_task *task)
{
	struct hf_removal *hr = task->layout_data;
	int error;

	/* Refs first: a ref without its snapshot makes clients give the repository up. */
	if (hf_refs_aside(hr->repo.fd, task->txn, hr->commit) == 0 && move_aside(hr) == 0)
		return REMOVAL_GOES_ON;
	error = errno;
	hf_refs_restore(hr->repo.fd, task->txn);
	if (error == ENOENT)
		return removal_end(task, REMOVAL_GONE, "it is not there any more");
	return removal_end(task, REMOVAL_FAILED, "cannot be moved: %s", strerror(error));
}

static bool same_files(const struct hf_revision *a, const struct hf_revision *b)
{
	if (a->file_count != b->file_count || a->dir_count != b->dir_count)
		return false;
	for (size_t i = 0; i < a->file_count; i++) {
		if (a->files[i].stat.inode != b->files[i].stat.inode ||
		    strcmp(a->files[i].path, b->files[i].path) != 0)
			return false;
	}
	return true;
}

/* What was moved must be what was checked: nothing added, nothing else in its place. */
static bool same_as_checked(struct hf_removal *hr)
{
	size_t count = hr->repo.revision_count;

	return hf_repo_read_moved(&hr->repo, ".", hr->whole) == 0 &&
	       hr->repo.revision_count == count + 1 && !hr->repo.revisions[count].barred &&
	       same_files(hf_repo_find(&hr->repo, hr->commit), &hr->repo.revisions[count]);
}

enum removal_outcome hf_remove_look_again(struct removal_task *task)
{
	struct hf_removal *hr = task->layout_data;
	enum removal_outcome outcome = REMOVAL_GOES_ON;

	if (!same_as_checked(hr))
		return removal_end(task, REMOVAL_REFUSED, "replaced: its files have changed");
	/* What was too much to be held is tested again; what is held must have held until then. */
	if (busy_partial(task->busy))
		outcome = lease_files(task, hf_repo_find(&hr->repo, hr->commit), hr->whole, false);
	if (outcome == REMOVAL_GOES_ON && !task->root->config.delete_without_leases &&
	    !busy_intact(task->busy))
		return removal_end(task, REMOVAL_REFUSED, "busy: opened at the last moment");
	if (outcome != REMOVAL_GOES_ON)
		return outcome;
	saw_use(task,
		hf_access_newest_moved(task->root, &hr->repo,
				       &hr->repo.revisions[hr->repo.revision_count - 1]),
		hf_refs_aside_written_ms(hr->repo.fd, task->txn));
	if (removal_used_since(task))
		return removal_end(task, REMOVAL_REFUSED, "used: read a moment ago");
	return REMOVAL_GOES_ON;
}

/* Is it away, under the one name or the other? Unless it is certain that it is not. */
static bool is_away(const struct hf_removal *hr)
{
	struct disk_stat st;

	return disk_stat(hr->repo.fd, hr->whole, &st) == 0 || errno != ENOENT ||
	       disk_stat(hr->repo.fd, hr->done, &st) == 0 || errno != ENOENT;
}

enum undo_answer hf_remove_undo(struct removal_task *task)
{
	struct hf_removal *hr = task->layout_data;

	if (is_away(hr) && hf_merge(hr->repo.fd, hr->whole, hr->commit) != 0)
		return UNDO_FAILED;
	hf_refs_restore(hr->repo.fd, task->txn);
	return UNDO_DONE;
}

int hf_remove_commit(struct removal_task *task)
{
	struct hf_removal *hr = task->layout_data;
	int rc, saved;

	if (disk_move(hr->repo.fd, hr->whole, hr->repo.fd, hr->done) != 0)
		return -1;
	/* Blobs may only go once this is certain. */
	rc = disk_sync(hr->repo.fd);
	saved = errno;
	if (rc != 0 && disk_move(hr->repo.fd, hr->done, hr->repo.fd, hr->whole) != 0)
		saved = EIO; /* it cannot be undone either: it is finished later */
	errno = saved;
	return rc;
}

/* ---- CLEAN ---- */

static void trash_blob(struct removal_task *task, struct hf_blob *blob, int blobs_fd, int done_fd,
		       size_t number)
{
	struct hf_removal *hr = task->layout_data;
	char name[48];
	const struct hf_store_link link = {
		.hub_fd = task->root->fd,
		.store_fd = hr->store_fd,
		.payload = blob->payload,
		.blobs_fd = blobs_fd,
		.name = blob->name,
		.trash_fd = done_fd,
		.trash_name = name,
	};
	bool moved;

	snprintf(name, sizeof(name), ASIDE_PREFIX "blob-%zu", number);
	if (blob->kind == HF_BLOB_SHARED)
		moved = hf_store_release(&link);
	else
		moved = disk_move(blobs_fd, blob->name, done_fd, name) == 0;
	if (!moved)
		errno = 0; /* stays behind, as a leftover */
}

/* A client at work in the repository may make a look at it fail; what is kept now stays for days.
 */
static bool read_for_clean(struct removal_task *task, struct hf_removal *hr)
{
	for (int tries = 0; tries < CLEAN_TRIES; tries++) {
		size_t count;

		if (read_repo(task, hr) != REMOVAL_GOES_ON)
			continue;
		count = hr->repo.revision_count;
		if (hf_repo_read_moved(&hr->repo, ".", hr->done) == 0 &&
		    hr->repo.revision_count == count + 1)
			return true;
	}
	return false;
}

/*
 * Blobs that only the moved revision refers to. The repository is read again: since the first look
 * a client may have made new snapshots that use the same blobs.
 */
static void trash_blobs(struct removal_task *task)
{
	struct hf_removal *hr = task->layout_data;
	struct hf_blob *blob, *next;
	int blobs_fd, done_fd, index;
	size_t number = 0;

	if (!read_for_clean(task, hr))
		return; /* unknown means keep */
	index = (int)hr->repo.revision_count - 1;
	if (hf_repo_hides_uses(&hr->repo, index))
		return;
	blobs_fd = disk_open_dir(hr->repo.fd, "blobs");
	done_fd = disk_open_dir(hr->repo.fd, hr->done);
	HASH_ITER (hh, hr->repo.blobs, blob, next) {
		if (blobs_fd >= 0 && done_fd >= 0 && goes_with(blob, index))
			trash_blob(task, blob, blobs_fd, done_fd, number++);
	}
	if (blobs_fd >= 0)
		close(blobs_fd);
	if (done_fd >= 0)
		close(done_fd);
}

/* A client has downloaded the same revision anew, since the one that goes was moved away. */
static bool is_back(const struct hf_removal *hr)
{
	char snapshot[512];
	int fd;

	snprintf(snapshot, sizeof(snapshot), "snapshots/%s", hr->commit);
	fd = disk_open_dir(hr->repo.fd, snapshot);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* What the official tool forgets. Any of it may be missing. */
static void trash_notes(struct hf_removal *hr)
{
	char name[512];
	int trees = disk_open_dir(hr->repo.fd, "trees");
	int absent = disk_open_dir(hr->repo.fd, ".no_exist");
	int done = disk_open_dir(hr->repo.fd, hr->done);
	int rc = 0;

	snprintf(name, sizeof(name), "%s.json", hr->commit);
	if (trees >= 0) {
		rc |= disk_unlink(trees, name);
		close(trees);
	}
	if (absent >= 0 && done >= 0)
		rc |= disk_move(absent, hr->commit, done, ASIDE_PREFIX "no_exist");
	if (absent >= 0)
		close(absent);
	if (done >= 0)
		close(done);
	if (rc != 0)
		errno = 0;
}

void hf_remove_clean(struct removal_task *task, char *trash, size_t size)
{
	struct hf_removal *hr = task->layout_data;

	trash_blobs(task);
	/* What could not be read again keeps its blobs; the rest is done all the same. */
	if (hr->repo.fd < 0)
		hr->repo.fd = disk_open_dir(task->root->fd, hr->folder);
	busy_free(task->busy);
	task->busy = NULL;
	/* The notes on a revision that is back are those of its client, and its names are right. */
	if (is_back(hr)) {
		hf_refs_restore(hr->repo.fd, task->txn);
	} else {
		trash_notes(hr);
		hf_refs_drop(hr->repo.fd, task->txn);
	}
	snprintf(trash, size, "%s/%s", hr->folder, hr->done);
}

enum removal_outcome hf_remove_recover(struct removal_task *task, char *trash, size_t size)
{
	struct hf_removal *hr = begin(task);
	struct disk_stat st;

	trash[0] = '\0';
	if (hr == NULL)
		return REMOVAL_REFUSED; /* such a one is never begun */
	hr->repo.fd = disk_open_dir(task->root->fd, hr->folder);
	if (hr->repo.fd < 0 && errno != ENOENT)
		return REMOVAL_FAILED;
	if (hr->repo.fd < 0) {
		hf_shell_recover_txn(task->root, hr->folder, task->txn, trash, size);
		return REMOVAL_DELETED;
	}
	if (disk_stat(hr->repo.fd, hr->done, &st) != 0) {
		bool aside = disk_stat(hr->repo.fd, hr->whole, &st) == 0;

		if (hf_remove_undo(task) != UNDO_DONE)
			return REMOVAL_FAILED;
		/* Back, never begun, or already cleaned: the disk tells. */
		if (aside)
			return REMOVAL_REFUSED;
		if (read_repo(task, hr) != REMOVAL_GOES_ON)
			return REMOVAL_FAILED;
		return hf_repo_find(&hr->repo, hr->commit) != NULL ? REMOVAL_REFUSED
								   : REMOVAL_DELETED;
	}
	hf_remove_clean(task, trash, size);
	return REMOVAL_DELETED;
}

/* After the last revision the repository's folder goes too. */
void hf_remove_finish(struct removal_task *task)
{
	struct hf_removal *hr = task->layout_data;

	hf_shell_remove(task->root, hr->folder, hr->repo.fd, task->txn);
}

void hf_remove_end(struct removal_task *task)
{
	struct hf_removal *hr = task->layout_data;

	busy_free(task->busy);
	task->busy = NULL;
	if (hr == NULL)
		return;
	if (hr->store_fd >= 0)
		close(hr->store_fd);
	hf_repo_free(&hr->repo);
	free(hr->folder);
	free(hr->commit);
	free(hr);
	task->layout_data = NULL;
}
