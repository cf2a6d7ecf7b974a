/* Leftovers of a Hugging Face cache: which go, and what only looks like one. */
#include "agent/hf_tidy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/hf_remove.h"
#include "agent/hf_store.h"
#include "tests/unit/hub.h"

/* Everything that may go, all limits being 0. */
static bool tidied(struct hub *hub)
{
	char trash[4200];

	return hf_tidy_leftovers(&hub->root, -1, REPO, trash, sizeof(trash));
}

static void test_blob_of_nobody_goes(void **state)
{
	struct hub *hub = *state;

	hub_model(hub);
	put_file(hub->dir, REPO "/blobs/left", "over");
	assert_true(tidied(hub));
	assert_false(hub_has(hub, "blobs/left"));
	assert_false(tidied(hub));
	assert_true(hub_has(hub, "blobs/ww"));
	assert_true(hub_has(hub, "blobs/cc"));
}

static void test_blob_behind_an_absolute_link_stays(void **state)
{
	struct hub *hub = *state;
	char target[4600];

	hub_model(hub);
	hub_remove(hub, "snapshots/" A "/model.safetensors");
	snprintf(target, sizeof(target), "%s/" REPO "/blobs/ww", hub->dir);
	put_link(hub->dir, REPO "/snapshots/" A "/model.safetensors", target);
	assert_false(tidied(hub));
	assert_true(hub_has(hub, "blobs/ww"));
}

static void test_blob_below_a_folder_that_is_too_deep_stays(void **state)
{
	struct hub *hub = *state;
	char path[600] = REPO "/snapshots/" A;

	hub_model(hub);
	for (int i = 0; i < 70; i++)
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "/d");
	put_dir(hub->dir, path);
	put_file(hub->dir, REPO "/blobs/deep", "somebody's");
	assert_false(tidied(hub));
	assert_true(hub_has(hub, "blobs/deep"));
}

static void test_blob_behind_a_revision_that_is_a_link_stays(void **state)
{
	struct hub *hub = *state;

	hub_model(hub);
	put_link(hub->dir, REPO "/snapshots/" B, "../elsewhere");
	put_file(hub->dir, REPO "/blobs/left", "over");
	assert_false(tidied(hub));
	hub_remove(hub, "snapshots/" B);
	assert_true(tidied(hub));
}

/* A removal that was vetoed could not put it back yet. */
static void test_blobs_of_a_revision_that_is_moved_aside_stay(void **state)
{
	struct hub *hub = *state;
	struct removal_task task;

	hub_model(hub);
	task = hub_moved(hub, A, TXN_A);
	assert_false(tidied(hub));
	assert_int_equal(hf_remove_undo(&task), UNDO_DONE);
	hf_remove_end(&task);
	assert_true(hub_has(hub, "blobs/ww"));
	assert_true(hub_has(hub, "blobs/cc"));
}

static void test_partial_download_goes_whatever_the_revisions_are(void **state)
{
	struct hub *hub = *state;

	hub_model(hub);
	put_link(hub->dir, REPO "/snapshots/" A "/odd", "/elsewhere");
	put_file(hub->dir, REPO "/blobs/half.incomplete", "half");
	assert_true(tidied(hub));
	assert_false(hub_has(hub, "blobs/half.incomplete"));
}

/* Other clients than the hub's own may call their blobs what they like. */
static void test_blob_of_a_revision_stays_whatever_its_name(void **state)
{
	struct hub *hub = *state;

	hub_model(hub);
	put_file(hub->dir, REPO "/blobs/last.part", "weights");
	put_link(hub->dir, REPO "/snapshots/" A "/last.bin", "../../blobs/last.part");
	assert_false(tidied(hub));
	assert_true(hub_has(hub, "blobs/last.part"));
}

#define PAYLOAD "ab00000000000000000000000000000000000000000000000000000000000000"

/* A link to a payload of the shared store that no revision has. */
static void test_payload_of_nobody_stays_while_it_is_open(void **state)
{
	struct hub *hub = *state;
	char trash[4200];
	int store_fd, reader;

	hub_model(hub);
	put_file(hub->dir, "blobs/.huggingface-shared-blobs", "1\n");
	put_file(hub->dir, "blobs/ab/" PAYLOAD, "weights");
	put_file(hub->dir, "blobs/ab/" PAYLOAD ".refs", REPO "/blobs/left\n");
	put_link(hub->dir, REPO "/blobs/left", "../../blobs/ab/" PAYLOAD);
	store_fd = hf_store_open(hub->root.fd);
	reader = hf_store_open_payload(store_fd, PAYLOAD);
	assert_true(reader >= 0);
	hub->root.config.delete_without_leases = false;
	assert_false(hf_tidy_leftovers(&hub->root, store_fd, REPO, trash, sizeof(trash)));
	assert_true(hub_has(hub, "blobs/left"));
	close(reader);
	hub->root.config.delete_without_leases = true;
	assert_true(hf_tidy_leftovers(&hub->root, store_fd, REPO, trash, sizeof(trash)));
	assert_false(hub_has(hub, "blobs/left"));
	assert_false(exists(hub->dir, "blobs/ab/" PAYLOAD));
	close(store_fd);
}

/* ---- shells ---- */

#define SHELL ".locks/.larder-trash-" TXN_A "." REPO

static char *recovered(struct hub *hub)
{
	static char trash[4200];

	return hf_tidy_asides(&hub->root, ".locks", trash, sizeof(trash)) ? trash : NULL;
}

static void test_empty_shell_of_a_killed_agent_is_emptied(void **state)
{
	struct hub *hub = *state;

	put_dir(hub->dir, SHELL "/blobs");
	put_dir(hub->dir, SHELL "/snapshots");
	assert_string_equal(recovered(hub), SHELL);
}

/* The agent was killed just after it had moved the folder, which a client had open. */
static void test_shell_that_a_client_has_put_files_into_is_put_back(void **state)
{
	struct hub *hub = *state;

	put_file(hub->dir, SHELL "/blobs/ww", "weights");
	put_dir(hub->dir, SHELL "/snapshots");
	assert_null(recovered(hub));
	assert_true(hub_has(hub, "blobs/ww"));
	assert_false(exists(hub->dir, SHELL));
}

/* The journal knows the removal: the search for what nobody knows passes it over. */
static void recover_known(struct hub *hub, const char *expected)
{
	struct removal_task task = {.root = &hub->root, .txn = TXN_A, .locator = REPO "/" A};
	char trash[4200];

	assert_int_equal(hf_remove_recover(&task, trash, sizeof(trash)), REMOVAL_DELETED);
	assert_string_equal(trash, expected);
	hf_remove_end(&task);
}

static void test_shell_of_a_removal_in_the_journal_is_put_back(void **state)
{
	struct hub *hub = *state;

	put_file(hub->dir, SHELL "/blobs/ww", "weights");
	recover_known(hub, "");
	assert_true(hub_has(hub, "blobs/ww"));
	assert_false(exists(hub->dir, SHELL));
}

static void test_empty_shell_of_a_removal_in_the_journal_is_emptied(void **state)
{
	struct hub *hub = *state;

	put_dir(hub->dir, SHELL "/blobs");
	recover_known(hub, SHELL);
}

static void test_shell_whose_place_is_taken_is_kept(void **state)
{
	struct hub *hub = *state;

	put_file(hub->dir, SHELL "/blobs/ww", "weights");
	hub_model(hub);
	assert_null(recovered(hub));
	assert_true(exists(hub->dir, SHELL "/blobs/ww"));
}

static void test_what_no_removal_has_named_is_kept(void **state)
{
	struct hub *hub = *state;

	put_file(hub->dir, ".locks/.larder-done-" TXN_A "/blobs/ww", "weights");
	put_file(hub->dir, ".locks/.larder-trash-" TXN_B ".foreign/file", "somebody's");
	assert_null(recovered(hub));
	assert_true(exists(hub->dir, ".locks/.larder-done-" TXN_A "/blobs/ww"));
	assert_true(exists(hub->dir, ".locks/.larder-trash-" TXN_B ".foreign/file"));
}

#define HUB_TEST(test) cmocka_unit_test_setup_teardown(test, hub_open, hub_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HUB_TEST(test_blob_of_nobody_goes),
		HUB_TEST(test_blob_behind_an_absolute_link_stays),
		HUB_TEST(test_blob_below_a_folder_that_is_too_deep_stays),
		HUB_TEST(test_blob_behind_a_revision_that_is_a_link_stays),
		HUB_TEST(test_blobs_of_a_revision_that_is_moved_aside_stay),
		HUB_TEST(test_partial_download_goes_whatever_the_revisions_are),
		HUB_TEST(test_blob_of_a_revision_stays_whatever_its_name),
		HUB_TEST(test_payload_of_nobody_stays_while_it_is_open),
		HUB_TEST(test_empty_shell_of_a_killed_agent_is_emptied),
		HUB_TEST(test_shell_that_a_client_has_put_files_into_is_put_back),
		HUB_TEST(test_shell_of_a_removal_in_the_journal_is_put_back),
		HUB_TEST(test_empty_shell_of_a_removal_in_the_journal_is_emptied),
		HUB_TEST(test_shell_whose_place_is_taken_is_kept),
		HUB_TEST(test_what_no_removal_has_named_is_kept),
	};

	return RUN_TESTS(tests);
}
