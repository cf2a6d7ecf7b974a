/* Finds the directories of a repository that must be watched. */
#include "agent/hf_watch.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/hf_repo.h"
#include "agent/watch_plan.h"
#include "common/xmem.h"

struct part {
	char *name; /* of a blob, of a payload, or of a folder below the repository's */
	size_t revision;
};

struct parts {
	struct part *list;
	size_t count, capacity;
};

struct hf_watch {
	unsigned version; /* never 0 */
	char **models;
	size_t revisions;
	bool blobs; /* some file is a blob of the repository's own */
	struct parts names, payloads, folders;
};

static void add(struct parts *parts, const char *name, size_t revision)
{
	parts->list = xgrow(parts->list, parts->count, &parts->capacity, sizeof(*parts->list));
	parts->list[parts->count++] = (struct part){xstrdup(name), revision};
}

/* The folders of a revision, where files stand that are no links. */
static void add_folders(struct hf_watch *watch, const struct hf_repo *repo, size_t revision)
{
	const struct hf_revision *rev = &repo->revisions[revision];
	bool own = false;

	for (size_t i = 0; i < rev->file_count && !own; i++)
		own = rev->files[i].blob == NULL && rev->files[i].stat.type == DISK_FILE;
	for (size_t i = 0; own && i < rev->dir_count; i++)
		add(&watch->folders, repo->dirs[rev->first_dir + i].path, revision);
}

/* Never 0, and no number that was used a moment ago. */
static unsigned next_version(struct hf_watch_book *book)
{
	if (++book->version == 0)
		book->version = 1;
	return book->version;
}

static void add_files(struct hf_watch *watch, const struct hf_repo *repo, size_t revision)
{
	const struct hf_revision *rev = &repo->revisions[revision];

	for (size_t i = 0; i < rev->file_count; i++) {
		const struct hf_blob *blob = rev->files[i].blob;

		if (blob == NULL)
			continue;
		if (blob->kind == HF_BLOB_SHARED)
			add(&watch->payloads, blob->payload, revision);
		else if (repo->revision_count > 1)
			add(&watch->names, blob->name, revision);
		watch->blobs |= blob->kind == HF_BLOB_FILE;
	}
}

struct hf_watch *hf_watch_new(struct hf_watch_book *book, const struct hf_repo *repo,
			      const char *const *models)
{
	struct hf_watch *watch = xcalloc(1, sizeof(*watch));

	watch->version = next_version(book);
	watch->revisions = repo->revision_count;
	watch->models = xcalloc(repo->revision_count + 1, sizeof(*watch->models));
	for (size_t i = 0; i < repo->revision_count; i++) {
		watch->models[i] = xstrdup(models[i]);
		add_files(watch, repo, i);
		add_folders(watch, repo, i);
	}
	if (watch->payloads.count > 0)
		book->store = watch->version;
	return watch;
}

static void free_parts(struct parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		free(parts->list[i].name);
	free(parts->list);
}

void hf_watch_free(struct hf_watch_book *book, struct hf_watch *watch)
{
	if (watch == NULL)
		return;
	if (watch->payloads.count > 0)
		book->store = next_version(book);
	for (size_t i = 0; i < watch->revisions; i++)
		free(watch->models[i]);
	free(watch->models);
	free_parts(&watch->names);
	free_parts(&watch->payloads);
	free_parts(&watch->folders);
	free(watch);
}

/* ---- describing ---- */

static void plan_dir(struct watch_plan *plan, const char *folder, const char *below)
{
	char path[5000];

	snprintf(path, sizeof(path), "%s/%s", folder, below);
	watch_plan_dir(plan, path);
}

static void plan_own(const struct hf_watch *watch, struct watch_plan *plan, const char *folder)
{
	if (watch->blobs) {
		plan_dir(plan, folder, "blobs");
		/* With one revision each file is its. */
		if (watch->revisions == 1)
			watch_plan_entry(plan, NULL, watch->models[0]);
		for (size_t i = 0; i < watch->names.count; i++)
			watch_plan_entry(plan, watch->names.list[i].name,
					 watch->models[watch->names.list[i].revision]);
	}
	for (size_t i = 0; i < watch->folders.count; i++) {
		plan_dir(plan, folder, watch->folders.list[i].name);
		watch_plan_entry(plan, NULL, watch->models[watch->folders.list[i].revision]);
	}
}

void hf_watch_plan(const struct hf_watch *watch, struct watch_plan *plan, const char *folder,
		   struct hf_watch_payloads *payloads)
{
	if (watch == NULL)
		return;
	if (watch_plan_group(plan, folder, watch->version))
		plan_own(watch, plan, folder);
	for (size_t i = 0; i < watch->payloads.count; i++) {
		const struct part *part = &watch->payloads.list[i];

		payloads->list = xgrow(payloads->list, payloads->count, &payloads->capacity,
				       sizeof(*payloads->list));
		payloads->list[payloads->count++] =
			(struct hf_watch_payload){part->name, watch->models[part->revision]};
	}
}

static int by_payload(const void *a, const void *b)
{
	const struct hf_watch_payload *x = a, *y = b;

	return strcmp(x->payload, y->payload);
}

void hf_watch_plan_store(const struct hf_watch_book *book, struct watch_plan *plan,
			 struct hf_watch_payloads *payloads)
{
	char path[16] = "", next[16];

	if (book->store == 0 || !watch_plan_group(plan, "blobs", book->store) ||
	    payloads->count == 0)
		return;
	qsort(payloads->list, payloads->count, sizeof(*payloads->list), by_payload);
	for (size_t i = 0; i < payloads->count; i++) {
		const struct hf_watch_payload *one = &payloads->list[i];

		snprintf(next, sizeof(next), "blobs/%.2s", one->payload);
		if (strcmp(next, path) != 0)
			watch_plan_dir(plan, next);
		memcpy(path, next, sizeof(path));
		watch_plan_entry(plan, one->payload, one->model);
	}
}
