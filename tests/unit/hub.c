/* Makes a Hugging Face cache and takes removals of its revisions through their steps. */
#include "tests/unit/hub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/hf_remove.h"

static bool nobody_knows(struct root *root, const char *txn)
{
	(void)root;
	(void)txn;
	return false;
}

int hub_open(void **state)
{
	struct hub *hub = calloc(1, sizeof(*hub));

	assert_non_null(hub);
	hub->dir = temp_dir();
	put_dir(hub->dir, ".locks");
	/* Wherever the directory of temporary files lies: leases are not what is tested here. */
	hub->root = (struct root){
		.config = {.path = hub->dir,
			   .layout = &layout_huggingface,
			   .delete_without_leases = true},
		.txn_known = nobody_knows,
	};
	hub->root.fd = disk_open_root(hub->dir);
	assert_true(hub->root.fd >= 0);
	*state = hub;
	return 0;
}

int hub_close(void **state)
{
	struct hub *hub = *state;

	root_close(&hub->root);
	temp_remove(hub->dir);
	free(hub);
	return 0;
}

void hub_put(const struct hub *hub, const char *commit, const char *path, const char *blob)
{
	char where[300], target[300];

	snprintf(where, sizeof(where), REPO "/blobs/%s", blob);
	put_file(hub->dir, where, blob);
	snprintf(where, sizeof(where), REPO "/snapshots/%s/%s", commit, path);
	snprintf(target, sizeof(target), "../../blobs/%s", blob);
	put_link(hub->dir, where, target);
}

void hub_model(const struct hub *hub)
{
	hub_put(hub, A, "model.safetensors", "ww");
	hub_put(hub, A, "config.json", "cc");
	put_file(hub->dir, REPO "/refs/main", A);
}

bool hub_has(const struct hub *hub, const char *path)
{
	char full[300];

	snprintf(full, sizeof(full), REPO "/%s", path);
	return exists(hub->dir, full);
}

void hub_remove(const struct hub *hub, const char *path)
{
	char full[4600];

	snprintf(full, sizeof(full), "%s/" REPO "/%s", hub->dir, path);
	assert_int_equal(remove(full), 0);
}

struct removal_task hub_restarted(struct hub *hub, const char *commit, const char *txn)
{
	return (struct removal_task){
		.root = &hub->root,
		.txn = txn,
		.locator = strcmp(commit, A) == 0 ? REPO "/" A : REPO "/" B,
	};
}

struct removal_task hub_moved(struct hub *hub, const char *commit, const char *txn)
{
	struct removal_task task = hub_restarted(hub, commit, txn);

	assert_int_equal(hf_remove_check(&task), REMOVAL_GOES_ON);
	assert_int_equal(hf_remove_take(&task), REMOVAL_GOES_ON);
	assert_int_equal(hf_remove_move(&task), REMOVAL_GOES_ON);
	return task;
}

void hub_removed(struct hub *hub, const char *commit, const char *txn)
{
	struct removal_task task = hub_moved(hub, commit, txn);
	char trash[4200];

	assert_int_equal(hf_remove_look_again(&task), REMOVAL_GOES_ON);
	assert_int_equal(hf_remove_commit(&task), 0);
	hf_remove_clean(&task, trash, sizeof(trash));
	hf_remove_end(&task);
}
