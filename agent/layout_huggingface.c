/*
 * Finds the models in a Hugging Face hub cache: one per revision that has a snapshot. A repository
 * is read whole when one of its directories has changed, and otherwise only looked at for uses.
 * How one is removed is in hf_remove.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "agent/hf_access.h"
#include "agent/hf_evidence.h"
#include "agent/hf_known.h"
#include "agent/hf_lock.h"
#include "agent/hf_name.h"
#include "agent/hf_refs.h"
#include "agent/hf_remove.h"
#include "agent/hf_repo.h"
#include "agent/hf_store.h"
#include "agent/hf_tidy.h"
#include "agent/layout.h"
#include "agent/root.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/xmem.h"

/* For so long after a use all links of a revision are looked at: loaders go from one to the next.
 */
#define LIVELY_MS 600000
/* Links made from shortly before a removal's end are looked at for this long. */
#define MEND_BEFORE_MS 10000
#define MEND_FOR_MS    90000
/* A directory that changed this shortly before it was read may change again unseen. */
#define RACY_NS INT64_C(2000000000)

/* ---- what is remembered ---- */

static void free_content(struct hf_state *state, struct known_repo *known)
{
	for (size_t i = 0; i < known->dir_count; i++)
		free(known->dirs[i].path);
	for (size_t i = 0; i < known->revision_count; i++) {
		struct known_revision *rev = &known->revisions[i];

		free(rev->report.name);
		free(rev->report.locator);
		for (int j = 0; j < HF_SAMPLES; j++)
			free(rev->samples[j]);
	}
	free(known->dirs);
	free(known->revisions);
	free(known->shared);
	hf_watch_free(&state->book, known->watch);
	known->watch = NULL;
	known->dirs = NULL;
	known->revisions = NULL;
	known->shared = NULL;
	known->dir_count = known->revision_count = known->shared_count = 0;
}

static void forget(struct hf_state *state, struct known_repo *known)
{
	HASH_DEL(state->repos, known);
	free_content(state, known);
	free(known->folder);
	free(known);
}

/* ---- reading a repository ---- */

/* What a revision holds on the disk, for itself and together with others. */
static void measure(const struct hf_repo *repo, struct hf_revision *rev,
		    struct model_report *report)
{
	int index = (int)(rev - repo->revisions);
	bool blobs_go = !hf_repo_hides_uses(repo, index);

	for (size_t i = 0; i < rev->file_count; i++) {
		struct hf_file *file = &rev->files[i];
		const struct disk_stat *st = file->blob != NULL ? &file->blob->stat : &file->stat;
		bool own = file->blob == NULL || (blobs_go && file->blob->kind == HF_BLOB_FILE &&
						  file->blob->revisions == 1);

		if (file->stat.mtime_ms > report->modified_wall_ms)
			report->modified_wall_ms = file->stat.mtime_ms;
		if (st->mtime_ms > report->modified_wall_ms)
			report->modified_wall_ms = st->mtime_ms;
		/* A second link of the same revision to the same blob adds nothing. */
		if (file->blob != NULL) {
			if (file->blob->measured_for == index)
				continue;
			file->blob->measured_for = index;
		}
		report->logical_bytes += st->size_bytes;
		if (own && st->type == DISK_FILE && st->links == 1)
			report->exclusive_bytes += st->used_bytes;
	}
	report->files = (int64_t)rev->file_count;
}

/* The largest files, which whoever loads the model reads, and its configuration. */
static void choose_samples(const struct hf_revision *rev, struct known_revision *known)
{
	const struct hf_file *best[HF_SAMPLES] = {NULL};

	for (size_t i = 0; i < rev->file_count; i++) {
		const struct hf_file *file = &rev->files[i];
		int place = strcmp(file->path, "config.json") == 0 ? 0 : 1;

		if (place == 0) {
			best[0] = file;
			continue;
		}
		while (place < HF_SAMPLES && best[place] != NULL &&
		       hf_evidence_size(best[place]) >= hf_evidence_size(file))
			place++;
		if (place == HF_SAMPLES)
			continue;
		memmove(&best[place + 1], &best[place],
			(size_t)(HF_SAMPLES - 1 - place) * sizeof(best[0]));
		best[place] = file;
	}
	for (int i = 0; i < HF_SAMPLES; i++) {
		if (best[i] != NULL)
			known->samples[i] =
				xasprintf("snapshots/%s/%s", rev->commit, best[i]->path);
	}
}

static void keep_revision(struct hf_state *state, struct known_repo *known, struct hf_repo *repo,
			  struct hf_revision *rev, bool downloading)
{
	struct known_revision *kept = &known->revisions[rev - repo->revisions];
	struct model_report *report = &kept->report;
	enum hf_verdict verdict = hf_evidence_verdict(state->root, repo, rev, downloading,
						      report->why, sizeof(report->why));
	int64_t asked_ms;

	report->status = verdict == HF_COMPLETE	     ? MODEL_DOWNLOADED
			 : verdict == HF_DOWNLOADING ? MODEL_DOWNLOADING
						     : MODEL_ERROR;
	report->generation = hf_repo_generation(repo, rev);
	report->locator = xasprintf("%s/%s", repo->folder, rev->commit);
	kept->changed_ms = rev->changed_ms;
	measure(repo, rev, report);
	report->used_wall_ms = hf_access_newest(state->root, rev);
	asked_ms = hf_refs_written_ms(repo->fd, rev->commit);
	if (asked_ms > report->used_wall_ms)
		report->used_wall_ms = asked_ms;
	kept->armed = hf_access_armed(rev);
	kept->found_used_ms = report->used_wall_ms;
	choose_samples(rev, kept);
	if (verdict == HF_DOWNLOADING)
		known->hot = true;
}

static void keep_shared(struct known_repo *known, struct hf_repo *repo)
{
	struct hf_blob *blob, *next;
	size_t capacity = 0;

	HASH_ITER (hh, repo->blobs, blob, next) {
		struct known_shared *shared;

		known->leftovers |= blob->revisions == 0;
		if (blob->kind == HF_BLOB_FILE && blob->revisions == 0)
			known->leftover_bytes += blob->stat.used_bytes;
		if (blob->kind != HF_BLOB_SHARED)
			continue;
		known->shared = xgrow(known->shared, known->shared_count, &capacity,
				      sizeof(*known->shared));
		shared = &known->shared[known->shared_count++];
		memcpy(shared->payload, blob->payload, sizeof(shared->payload));
		shared->used_bytes = blob->stat.links == 1 ? blob->stat.used_bytes : 0;
		shared->sole_revision =
			blob->revisions == 1 && !hf_repo_hides_uses(repo, blob->last_revision)
				? blob->last_revision
				: -1;
	}
}

/* A repository of which nothing but a download exists so far. */
static void keep_bare_download(struct known_repo *known, const struct hf_repo *repo,
			       bool downloading)
{
	struct model_report *report;

	known->revisions = xcalloc(1, sizeof(*known->revisions));
	known->revision_count = 1;
	report = &known->revisions[0].report;
	report->status = downloading ? MODEL_DOWNLOADING : MODEL_ERROR;
	report->locator = xasprintf("%s/", repo->folder);
	report->generation = 1;
	snprintf(report->why, sizeof(report->why), "%s",
		 downloading ? "a download is under way" : "incomplete: a download was given up");
}

static void name_revisions(const struct root *root, struct known_repo *known,
			   const struct hf_repo *repo)
{
	const char **commits = xcalloc(repo->revision_count + 1, sizeof(*commits));
	char name[MODEL_NAME_SIZE];
	unsigned len;

	for (size_t i = 0; i < repo->revision_count; i++)
		commits[i] = repo->revisions[i].commit;
	len = hf_name_revision_len(commits, repo->revision_count);
	for (size_t i = 0; i < known->revision_count; i++) {
		hf_name_build(name, root->config.name, repo->folder,
			      commits[i] != NULL ? commits[i] : "-", len);
		known->revisions[i].report.name = xstrdup(name);
	}
	free(commits);
}

static struct hf_watch *watch_of(struct hf_state *state, const struct known_repo *known,
				 const struct hf_repo *repo)
{
	const char **names = xcalloc(known->revision_count + 1, sizeof(*names));
	struct hf_watch *watch;

	for (size_t i = 0; i < known->revision_count; i++)
		names[i] = known->revisions[i].report.name;
	watch = hf_watch_new(&state->book, repo, names);
	free(names);
	return watch;
}

static void keep_repo(struct hf_state *state, struct known_repo *known, struct hf_repo *repo)
{
	int64_t now_ns = clock_wall_ms() * 1000000;
	int64_t partial_bytes = 0;
	bool downloading = hf_downloading(state->root, repo, &partial_bytes);

	free_content(state, known);
	known->leftovers = partial_bytes > 0;
	known->leftover_bytes = downloading ? 0 : partial_bytes;
	known->hot = downloading;
	known->revisions = xcalloc(repo->revision_count, sizeof(*known->revisions));
	known->revision_count = repo->revision_count;
	for (size_t i = 0; i < repo->revision_count; i++)
		keep_revision(state, known, repo, &repo->revisions[i], downloading);
	keep_shared(known, repo);
	if (repo->revision_count == 0 && repo->partial_count > 0) {
		free(known->revisions);
		keep_bare_download(known, repo, downloading);
	}
	name_revisions(state->root, known, repo);
	known->watch = watch_of(state, known, repo);
	known->dirs = repo->dirs;
	known->dir_count = repo->dir_count;
	repo->dirs = NULL;
	repo->dir_count = 0;
	for (size_t i = 0; i < known->dir_count; i++) {
		if (known->dirs[i].ctime_ns > now_ns - RACY_NS)
			known->hot = true;
	}
	if (repo->marked) {
		root_unarmed(state->root);
		/* A file system's times lag behind the clock by a tick of the kernel. */
		known->marked_from_ms = repo->began_ms - 10;
		known->marked_to_ms = clock_wall_ms();
	}
}

/* ---- scanning ---- */

static bool unchanged(const struct known_repo *known, int repo_fd)
{
	if (known->hot || known->dir_count == 0)
		return false;
	for (size_t i = 0; i < known->dir_count; i++) {
		struct disk_stat st;

		if (disk_stat(repo_fd, known->dirs[i].path, &st) != 0 ||
		    st.type != DISK_DIRECTORY || st.inode != known->dirs[i].inode ||
		    st.mtime_ns != known->dirs[i].mtime_ns ||
		    st.ctime_ns != known->dirs[i].ctime_ns)
			return false;
	}
	return true;
}

static void look_at_samples(struct root *root, struct known_revision *rev, int repo_fd)
{
	for (int j = 0; j < HF_SAMPLES; j++) {
		struct disk_stat st;

		if (rev->samples[j] == NULL || disk_stat(repo_fd, rev->samples[j], &st) != 0)
			continue;
		if (st.atime_ms > rev->report.used_wall_ms)
			rev->report.used_wall_ms = st.atime_ms;
		root_rearm_atime(root, repo_fd, rev->samples[j], &st);
	}
}

/* All links of a revision, and the blobs, of which it cannot be told here whose they are. */
static void look_at_all(struct root *root, const struct known_repo *known,
			struct known_revision *rev, int repo_fd)
{
	const char *commit = strchr(rev->report.locator, '/') + 1;
	char folder[512];
	size_t len = (size_t)snprintf(folder, sizeof(folder), "snapshots/%s", commit);

	for (size_t i = 0; i < known->dir_count; i++) {
		const char *path = known->dirs[i].path;
		int64_t newest;

		if (strncmp(path, folder, len) != 0 || (path[len] != '/' && path[len] != '\0'))
			continue;
		newest = hf_access_look(root, repo_fd, path);
		if (newest > rev->report.used_wall_ms)
			rev->report.used_wall_ms = newest;
	}
	hf_access_look(root, repo_fd, "blobs");
	rev->armed = true;
}

static void look_at_uses(struct root *root, struct known_repo *known, int repo_fd)
{
	int64_t now = clock_wall_ms();

	if (!root->atimes)
		return;
	for (size_t i = 0; i < known->revision_count; i++) {
		struct known_revision *rev = &known->revisions[i];
		const struct model_report *report = &rev->report;

		look_at_samples(root, rev, repo_fd);
		if (!rev->armed || (report->used_wall_ms > rev->changed_ms &&
				    now - report->used_wall_ms < LIVELY_MS))
			look_at_all(root, known, rev, repo_fd);
	}
}

/* For a while after a removal: links that a client made to what had just gone. */
static void mend(struct hf_state *state, struct known_repo *known, struct hf_repo *repo)
{
	if (known->mend_from_ms == 0 || !root_writable(state->root))
		return;
	if (hf_tidy_links(state->root, repo, known->mend_from_ms) == 0 &&
	    clock_wall_ms() - known->mend_from_ms > MEND_FOR_MS)
		known->mend_from_ms = 0;
	else
		known->hot = true;
}

static struct known_repo *add_repo(struct hf_state *state, const char *folder)
{
	struct known_repo *known = xcalloc(1, sizeof(*known));

	known->folder = xstrdup(folder);
	HASH_ADD_KEYPTR(hh, state->repos, known->folder, strlen(known->folder), known);
	return known;
}

/* It stands there, and could not be read. */
static void take_problem(struct hf_state *state, struct known_repo *known, int error)
{
	const char *why = error == ELOOP     ? "it, or a folder in it, is a link: left alone"
			  : error == ENOTDIR ? "it, or a folder in it, is no folder: left alone"
					     : NULL;

	known->seen = true;
	if (known->problem != error)
		log_warn("-repo", LOG_STR("folder", known->folder),
			 LOG_STR("reason", why != NULL ? why : strerror(error)));
	known->problem = error;
	if (why != NULL) {
		free_content(state, known);
		known->leftover_bytes = 0;
		known->leftovers = false;
	} else {
		/* Not readable is not gone: what was known of it stays, and is not complete. */
		state->complete = false;
	}
}

static void scan_repo(struct hf_state *state, const char *folder)
{
	struct known_repo *known;
	struct hf_repo repo;
	int error, fd;

	HASH_FIND_STR(state->repos, folder, known);
	fd = disk_open_dir(state->root->fd, folder);
	if (fd >= 0 && known != NULL && unchanged(known, fd)) {
		known->seen = true;
		look_at_uses(state->root, known, fd);
		close(fd);
		return;
	}
	if (fd >= 0)
		close(fd);
	if (hf_repo_read(state->root->fd, state->store_fd, folder, &repo, &error, NULL) != 0) {
		if (error != ENOENT)
			take_problem(state, known != NULL ? known : add_repo(state, folder), error);
		return;
	}
	if (known == NULL)
		known = add_repo(state, folder);
	known->seen = true;
	known->problem = 0;
	keep_repo(state, known, &repo);
	look_at_uses(state->root, known, repo.fd);
	mend(state, known, &repo);
	hf_repo_free(&repo);
}

static int scan_entry(const char *name, void *arg)
{
	struct hf_state *state = arg;

	if (hf_name_layout(name) != NULL)
		scan_repo(state, name);
	if (state->root->breathe != NULL)
		state->root->breathe(state->root);
	return 0;
}

static int hf_scan(void *arg, struct scan_report *out, struct err *err)
{
	struct hf_state *state = arg;
	struct known_repo *known, *next;

	state->complete = true;
	state->store_fd = hf_store_open(state->root->fd);
	for (known = state->repos; known != NULL; known = known->hh.next)
		known->seen = false;
	if (disk_list(state->root->fd, scan_entry, state) != 0) {
		if (state->store_fd >= 0)
			close(state->store_fd);
		return err_set(err, "cannot read %s: %s", state->root->config.path,
			       strerror(errno));
	}
	HASH_ITER (hh, state->repos, known, next) {
		if (!known->seen)
			forget(state, known);
	}
	hf_known_report(state, out);
	out->complete = state->complete;
	if (state->store_fd >= 0)
		close(state->store_fd);
	return 0;
}

static void hf_watch(void *arg, struct watch_plan *plan)
{
	const struct hf_state *state = arg;
	struct hf_watch_payloads payloads = {0};

	for (const struct known_repo *known = state->repos; known != NULL; known = known->hh.next)
		hf_watch_plan(known->watch, plan, known->folder, &payloads);
	hf_watch_plan_store(&state->book, plan, &payloads);
	/* What the plan has borrowed are the names themselves. */
	free(payloads.list);
}

static void hf_doubt(void *arg, const char *locator)
{
	struct hf_state *state = arg;
	struct known_repo *known;

	HASH_FIND(hh, state->repos, locator, strcspn(locator, "/"), known);
	if (known == NULL)
		return;
	known->hot = true;
	known->mend_from_ms = clock_wall_ms() - MEND_BEFORE_MS;
}

/* What an earlier run has moved aside and its journal does not know: looked for once. */
static bool recover_unknown(struct hf_state *state, char *trash, size_t size)
{
	struct root *root = state->root;

	if (state->asides_checked)
		return false;
	for (const struct known_repo *known = state->repos; known != NULL; known = known->hh.next) {
		if (hf_tidy_asides(root, known->folder, trash, size))
			return true;
	}
	if (hf_tidy_asides(root, ".locks", trash, size) || hf_tidy_asides(root, ".", trash, size))
		return true;
	state->asides_checked = true;
	return false;
}

static bool hf_tidy(void *arg, char *trash, size_t size)
{
	struct hf_state *state = arg;
	struct known_repo *known;
	bool moved = false;

	if (recover_unknown(state, trash, size))
		return true;
	state->store_fd = hf_store_open(state->root->fd);
	for (known = state->repos; known != NULL && !moved; known = known->hh.next) {
		if (!known->leftovers)
			continue;
		known->hot = true;
		moved = known->leftovers =
			hf_tidy_leftovers(state->root, state->store_fd, known->folder, trash, size);
	}
	if (state->store_fd >= 0)
		close(state->store_fd);
	return moved;
}

static void *hf_open(struct root *root)
{
	struct hf_state *state = xcalloc(1, sizeof(*state));

	state->root = root;
	return state;
}

static void hf_close(void *arg)
{
	struct hf_state *state = arg;
	struct known_repo *known, *next;

	HASH_ITER (hh, state->repos, known, next)
		forget(state, known);
	free(state);
}

const struct layout layout_huggingface = {
	.name = "huggingface",
	.open = hf_open,
	.close = hf_close,
	.scan = hf_scan,
	.watch = hf_watch,
	.doubt = hf_doubt,
	.tidy = hf_tidy,
	.look = hf_remove_look,
	.check = hf_remove_check,
	.take = hf_remove_take,
	.move = hf_remove_move,
	.look_again = hf_remove_look_again,
	.undo = hf_remove_undo,
	.commit = hf_remove_commit,
	.clean = hf_remove_clean,
	.recover = hf_remove_recover,
	.finish = hf_remove_finish,
	.end = hf_remove_end,
};
