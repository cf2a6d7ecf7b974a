/* Mends and tidies a Hugging Face cache. */
#include "agent/hf_tidy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/aside.h"
#include "agent/busy.h"
#include "agent/hf_lock.h"
#include "agent/hf_name.h"
#include "agent/hf_remove.h"
#include "agent/hf_repo.h"
#include "agent/hf_shell.h"
#include "agent/hf_store.h"
#include "agent/root.h"
#include "agent/watch.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/setting.h"
#include "common/xmem.h"

/* A link younger than this may still get its blob from the client that made it. */
#define LINK_SETTLE_MS 1000

/* ---- dangling links ---- */

static bool remove_link(const struct root *root, struct hf_repo *repo,
			const struct hf_revision *rev, const struct hf_file *file)
{
	const char *slash = strrchr(file->path, '/');
	const char *leaf = slash != NULL ? slash + 1 : file->path;
	char path[5000];
	int dir, lock = -1;
	bool removed = false;

	snprintf(path, sizeof(path), "snapshots/%s/%.*s", rev->commit, (int)(leaf - file->path),
		 file->path);
	dir = disk_open_dir(repo->fd, path);
	if (dir < 0)
		return false;
	/* A client that holds the lock is making the blob at this moment. */
	if (hf_lock_take(root->fd, repo->folder, file->blob->name, &lock) != HF_LOCK_HELD)
		removed = disk_unlink(dir, leaf) == 0;
	if (lock >= 0)
		close(lock);
	close(dir);
	return removed;
}

size_t hf_tidy_links(const struct root *root, struct hf_repo *repo, int64_t since_wall_ms)
{
	int64_t now = clock_wall_ms();
	size_t removed = 0;

	for (size_t i = 0; i < repo->revision_count; i++) {
		const struct hf_revision *rev = &repo->revisions[i];

		for (size_t j = 0; j < rev->file_count; j++) {
			const struct hf_file *file = &rev->files[j];

			if (file->blob == NULL || file->blob->kind != HF_BLOB_MISSING ||
			    file->stat.mtime_ms < since_wall_ms ||
			    now - file->stat.mtime_ms < LINK_SETTLE_MS)
				continue;
			removed += remove_link(root, repo, rev, file);
		}
	}
	if (removed > 0)
		log_info("+links-mended", LOG_STR("folder", repo->folder),
			 LOG_INT("links", removed));
	return removed;
}

/* ---- leftovers ---- */

struct tidying {
	const struct root *root;
	struct hf_repo *repo;
	char name[ASIDE_NAME_SIZE]; /* where it goes, in the repository's folder */
	int blobs_fd;
};

static bool old_enough(const struct root *root, const struct disk_stat *st)
{
	int64_t newest = st->ctime_ns / 1000000;

	if (st->mtime_ms > newest)
		newest = st->mtime_ms;
	if (root->atimes && st->atime_ms > newest)
		newest = st->atime_ms;
	return clock_wall_ms() - newest >= root->config.leftover_ms;
}

static bool not_in_use(const struct tidying *t, const struct hf_blob *blob)
{
	enum busy_answer answer = BUSY_IN_USE;
	int fd;

	watch_own_moment(t->root, WATCH_OWN_BOTH);
	fd = blob->kind == HF_BLOB_SHARED ? hf_store_open_payload(t->repo->store_fd, blob->payload)
					  : disk_open_file(t->blobs_fd, blob->name, false);
	if (fd >= 0)
		answer = busy_test(fd);
	watch_own_moment(t->root, WATCH_OWN_NONE);
	return fd >= 0 && (answer == BUSY_FREE || t->root->config.delete_without_leases);
}

/* Moves one entry of blobs/ aside, under the client's lock of `etag`. */
static bool move_aside(struct tidying *t, const char *name, const char *etag)
{
	int lock = -1;
	enum hf_lock_answer answer = hf_lock_take(t->root->fd, t->repo->folder, etag, &lock);
	bool moved = false;

	if (answer == HF_LOCK_TAKEN || answer == HF_LOCK_NONE)
		moved = disk_move(t->blobs_fd, name, t->repo->fd, t->name) == 0;
	if (lock >= 0)
		close(lock);
	return moved;
}

/* "<etag>.incomplete", "<etag>.<8 hex>.incomplete": the etag goes up to the first dot. */
static bool move_partial(struct tidying *t, const char *name)
{
	char etag[256];
	struct hf_blob *blob;

	/* A revision may have a file of such a name. */
	HASH_FIND_STR(t->repo->blobs, name, blob);
	if (blob != NULL && blob->revisions > 0)
		return false;
	if (!hf_lock_partial_stale(t->root, t->repo, t->blobs_fd, name,
				   t->root->config.leftover_ms))
		return false;
	snprintf(etag, sizeof(etag), "%.*s", (int)strcspn(name, "."), name);
	return move_aside(t, name, etag);
}

static bool move_orphan(struct tidying *t, struct hf_blob *blob)
{
	const struct hf_store_link link = {
		.hub_fd = t->repo->hub_fd,
		.store_fd = t->repo->store_fd,
		.payload = blob->payload,
		.blobs_fd = t->blobs_fd,
		.name = blob->name,
		.trash_fd = t->repo->fd,
		.trash_name = t->name,
	};

	if (blob->revisions > 0 || !old_enough(t->root, &blob->stat) ||
	    (blob->kind != HF_BLOB_FILE && blob->kind != HF_BLOB_SHARED) || !not_in_use(t, blob))
		return false;
	if (blob->kind == HF_BLOB_FILE)
		return move_aside(t, blob->name, blob->name);
	return hf_store_release(&link);
}

static bool move_one(struct tidying *t)
{
	struct hf_blob *blob, *next;

	for (size_t i = 0; i < t->repo->partial_count; i++) {
		if (move_partial(t, t->repo->partials[i].path))
			return true;
	}
	/* One that nobody seems to use may be the one that they do. */
	if (hf_repo_hides_uses(t->repo, -1))
		return false;
	HASH_ITER (hh, t->repo->blobs, blob, next) {
		if (move_orphan(t, blob))
			return true;
	}
	return false;
}

bool hf_tidy_leftovers(const struct root *root, int store_fd, const char *folder, char *trash,
		       size_t size)
{
	struct hf_repo repo;
	struct tidying t = {.root = root, .repo = &repo};
	char txn[ASIDE_TXN_LEN + 1];
	bool moved = false;
	int error;

	clock_random_hex(txn, ASIDE_TXN_LEN / 2);
	if (root->config.leftover_ms == SETTING_UNSET ||
	    aside_name(t.name, ASIDE_DONE, txn, "") != 0 ||
	    hf_repo_read(root->fd, store_fd, folder, &repo, &error, NULL) != 0)
		return false;
	t.blobs_fd = disk_open_dir(repo.fd, "blobs");
	if (t.blobs_fd >= 0) {
		moved = move_one(&t);
		close(t.blobs_fd);
	}
	if (moved)
		log_info("+leftover", LOG_STR("folder", folder));
	hf_repo_free(&repo);
	snprintf(trash, size, "%s/%s", folder, t.name);
	return moved;
}

/* ---- what nobody knows ---- */

struct aside_search {
	struct root *root;
	bool found;
	struct aside aside;
	char name[ASIDE_NAME_SIZE];
};

/* Refs come last: they go where their snapshot goes. */
static int find_aside(const char *name, void *arg)
{
	struct aside_search *search = arg;
	struct aside aside;

	if (!aside_parse(name, &aside) || search->root->txn_known(search->root, aside.txn) ||
	    (search->found && aside.kind == ASIDE_REF))
		return 0;
	search->found = true;
	search->aside = aside;
	snprintf(search->name, sizeof(search->name), "%s", name);
	return aside.kind != ASIDE_REF;
}

/* Ends a removal of this repository by its own recovery. */
static void recover(struct root *root, const char *folder, const struct aside *aside, char *trash,
		    size_t size)
{
	char *locator =
		xasprintf("%s/%s", folder, aside->kind == ASIDE_WHOLE ? aside->rest : "unknown");
	struct removal_task task = {.root = root, .txn = aside->txn, .locator = locator};
	enum removal_outcome outcome = hf_remove_recover(&task, trash, size);

	log_warn("+removal-recovered", LOG_STR("folder", folder), LOG_STR("txn", aside->txn),
		 LOG_STR("how", outcome == REMOVAL_REFUSED ? "undone: the journal does not know it"
				: outcome == REMOVAL_DELETED
					? "finished: the journal does not know it"
					: "failed"));
	hf_remove_end(&task);
	free(locator);
}

/* One of them. True: there may be more; `trash` says whether something is to be emptied first. */
static bool tidy_aside(struct root *root, const char *folder, char *trash, size_t size)
{
	struct aside_search search = {.root = root};
	int dir = disk_open_dir(root->fd, folder);
	struct disk_stat st;
	bool again;

	trash[0] = '\0';
	if (dir < 0)
		return false;
	again = disk_list(dir, find_aside, &search) >= 0 && search.found;
	if (again && hf_name_layout(folder) != NULL) {
		recover(root, folder, &search.aside, trash, size);
		/* Still there: it could not be done, and is tried at the next start. */
		again = trash[0] != '\0' || disk_stat(dir, search.name, &st) != 0;
	} else if (again) {
		/* Outside of a repository there are only empty shells of some. */
		again = search.aside.kind == ASIDE_WHOLE &&
			hf_name_layout(search.aside.rest) != NULL;
		if (again && hf_shell_recover(root, dir, search.name, search.aside.rest))
			snprintf(trash, size, "%s/%s", folder, search.name);
		else
			again = disk_stat(dir, search.name, &st) != 0;
	}
	close(dir);
	return again;
}

bool hf_tidy_asides(struct root *root, const char *folder, char *trash, size_t size)
{
	while (tidy_aside(root, folder, trash, size)) {
		if (trash[0] != '\0')
			return true;
	}
	return false;
}
