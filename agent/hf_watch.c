/* Finds the directories of a repository that must be watched. */
#include "agent/hf_watch.h"

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

struct hf_watch *hf_watch_new(const struct hf_repo *repo)
{
	struct hf_watch *watch = xcalloc(1, sizeof(*watch));

	watch->revisions = repo->revision_count;
	for (size_t i = 0; i < repo->revision_count; i++) {
		const struct hf_revision *rev = &repo->revisions[i];

		for (size_t j = 0; j < rev->file_count; j++) {
			const struct hf_blob *blob = rev->files[j].blob;

			if (blob == NULL)
				continue;
			if (blob->kind == HF_BLOB_SHARED)
				add(&watch->payloads, blob->payload, i);
			else if (repo->revision_count > 1)
				add(&watch->names, blob->name, i);
			watch->blobs |= blob->kind == HF_BLOB_FILE;
		}
		add_folders(watch, repo, i);
	}
	return watch;
}

static void free_parts(struct parts *parts)
{
	for (size_t i = 0; i < parts->count; i++)
		free(parts->list[i].name);
	free(parts->list);
}

void hf_watch_free(struct hf_watch *watch)
{
	if (watch == NULL)
		return;
	free_parts(&watch->names);
	free_parts(&watch->payloads);
	free_parts(&watch->folders);
	free(watch);
}

bool hf_watch_shares(const struct hf_watch *watch)
{
	return watch->payloads.count > 0;
}

static void plan_dir(struct watch_plan *plan, const char *folder, const char *below)
{
	char path[5000];

	snprintf(path, sizeof(path), "%s/%s", folder, below);
	watch_plan_dir(plan, path);
}

void hf_watch_plan(const struct hf_watch *watch, struct watch_plan *plan, const char *folder,
		   const char *const *models)
{
	if (watch->blobs) {
		plan_dir(plan, folder, "blobs");
		/* With one revision each file is its. */
		if (watch->revisions == 1)
			watch_plan_entry(plan, NULL, models[0]);
		for (size_t i = 0; i < watch->names.count; i++)
			watch_plan_entry(plan, watch->names.list[i].name,
					 models[watch->names.list[i].revision]);
	}
	for (size_t i = 0; i < watch->folders.count; i++) {
		plan_dir(plan, folder, watch->folders.list[i].name);
		watch_plan_entry(plan, NULL, models[watch->folders.list[i].revision]);
	}
}

/* ---- the shared store ---- */

void hf_watch_gather(const struct hf_watch *watch, const char *const *models,
		     struct hf_watch_payloads *out)
{
	for (size_t i = 0; i < watch->payloads.count; i++) {
		const struct part *part = &watch->payloads.list[i];

		out->list = xgrow(out->list, out->count, &out->capacity, sizeof(*out->list));
		out->list[out->count++] =
			(struct hf_watch_payload){part->name, models[part->revision]};
	}
}

static int by_payload(const void *a, const void *b)
{
	const struct hf_watch_payload *x = a, *y = b;

	return strcmp(x->payload, y->payload);
}

void hf_watch_plan_store(struct hf_watch_payloads *payloads, struct watch_plan *plan)
{
	char path[16] = "", next[16];

	if (payloads->count > 0)
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
