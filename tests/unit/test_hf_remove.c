/*
 * One revision of a Hugging Face cache goes: what it takes along, and how it comes back when
 * something fails on the way.
 */
#include "agent/hf_remove.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/hub.h"

/* Where the blobs of the removed revision A are now. */
#define DONE_A	".larder-done-" TXN_A
#define WHOLE_A ".larder-trash-" TXN_A "." A

static void assert_whole(const struct hub *hub)
{
	char *ref = get_file(hub->dir, REPO "/refs/main", NULL);

	assert_string_equal(ref, A);
	free(ref);
	assert_true(hub_has(hub, "snapshots/" A "/model.safetensors"));
	assert_true(hub_has(hub, "snapshots/" A "/config.json"));
	assert_true(hub_has(hub, "blobs/ww"));
	assert_true(hub_has(hub, "blobs/cc"));
	assert_false(hub_has(hub, WHOLE_A));
	assert_false(hub_has(hub, DONE_A));
}

/* ---- what goes along ---- */

static void test_its_own_blobs_go_and_shared_ones_stay(void **state)
{
	struct hub *hub = *state;

	hub_model(hub);
	hub_put(hub, B, "config.json", "cc");
	hub_removed(hub, A, TXN_A);
	assert_false(hub_has(hub, "blobs/ww"));
	assert_true(hub_has(hub, "blobs/cc"));
	assert_true(hub_has(hub, "snapshots/" B "/config.json"));
}

/* A link that is not spelled as clients spell it may lead to any blob. */
static void test_blobs_stay_while_another_revision_has_an_absolute_link(void **state)
{
	struct hub *hub = *state;
	char target[4600];

	hub_model(hub);
	snprintf(target, sizeof(target), "%s/" REPO "/blobs/ww", hub->dir);
	put_link(hub->dir, REPO "/snapshots/" B "/model.safetensors", target);
	hub_removed(hub, A, TXN_A);
	assert_false(hub_has(hub, "snapshots/" A));
	assert_true(hub_has(hub, "blobs/ww"));
}

static void test_blobs_stay_while_a_revision_is_a_link(void **state)
{
	struct hub *hub = *state;

	hub_model(hub);
	put_link(hub->dir, REPO "/snapshots/" B, "../elsewhere");
	hub_removed(hub, A, TXN_A);
	assert_true(hub_has(hub, "blobs/ww"));
}

/* A was to be put back and could not be so far; nothing of it may go with B. */
static void test_blobs_stay_while_another_revision_is_moved_aside(void **state)
{
	struct hub *hub = *state;
	struct removal_task task;
	char trash[4200];

	hub_model(hub);
	hub_put(hub, B, "model.safetensors", "ww");
	hub_put(hub, B, "own.safetensors", "own");
	task = hub_moved(hub, A, TXN_A);
	hf_remove_end(&task);
	hub_removed(hub, B, TXN_B);
	task = hub_restarted(hub, A, TXN_A);
	assert_int_equal(hf_remove_recover(&task, trash, sizeof(trash)), REMOVAL_REFUSED);
	hf_remove_end(&task);
	assert_whole(hub);
}

#define HUB_TEST(test) cmocka_unit_test_setup_teardown(test, hub_open, hub_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HUB_TEST(test_its_own_blobs_go_and_shared_ones_stay),
		HUB_TEST(test_blobs_stay_while_another_revision_has_an_absolute_link),
		HUB_TEST(test_blobs_stay_while_a_revision_is_a_link),
		HUB_TEST(test_blobs_stay_while_another_revision_is_moved_aside),
	};

	return RUN_TESTS(tests);
}
