/*
 * One revision of a Hugging Face cache goes: what it takes along, and how it comes back when
 * something fails on the way.
 */
#include "agent/hf_remove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/hf_refs.h"
#include "tests/unit/hub.h"

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
/* The linker puts these in the place of fsync and read. */
int __real_fsync(int fd);
int __wrap_fsync(int fd);
ssize_t __real_read(int fd, void *buf, size_t size);
ssize_t __wrap_read(int fd, void *buf, size_t size);
static int failing_syncs, failing_reads;

ssize_t __wrap_read(int fd, void *buf, size_t size)
{
	if (failing_reads == 0)
		return __real_read(fd, buf, size);
	failing_reads--;
	errno = EIO;
	return -1;
}

int __wrap_fsync(int fd)
{
	if (failing_syncs == 0)
		return __real_fsync(fd);
	failing_syncs--;
	errno = EIO;
	return -1;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

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

/* ---- undo ---- */

static enum undo_answer undo(struct removal_task *task)
{
	enum undo_answer answer = hf_remove_undo(task);

	hf_remove_end(task);
	return answer;
}

static void test_undone_it_is_as_it_was(void **state)
{
	struct hub *hub = *state;
	struct removal_task task;

	hub_model(hub);
	task = hub_moved(hub, A, TXN_A);
	assert_false(hub_has(hub, "snapshots/" A));
	assert_false(hub_has(hub, "refs/main"));
	assert_int_equal(undo(&task), UNDO_DONE);
	assert_whole(hub);
}

static void test_undone_although_the_folder_of_snapshots_is_gone(void **state)
{
	struct hub *hub = *state;
	struct removal_task task;
	struct stat repo, snapshots;

	hub_model(hub);
	assert_int_equal(fchmodat(hub->root.fd, REPO, 0751, 0), 0);
	task = hub_moved(hub, A, TXN_A);
	hub_remove(hub, "snapshots");
	assert_int_equal(undo(&task), UNDO_DONE);
	assert_whole(hub);
	/* Clients must be able to write there as before. */
	assert_int_equal(fstatat(hub->root.fd, REPO, &repo, 0), 0);
	assert_int_equal(fstatat(hub->root.fd, REPO "/snapshots", &snapshots, 0), 0);
	assert_int_equal(snapshots.st_mode, repo.st_mode);
	assert_int_equal(snapshots.st_uid, repo.st_uid);
}

static void test_undone_beside_what_a_client_has_begun(void **state)
{
	struct hub *hub = *state;
	struct removal_task task;

	hub_model(hub);
	task = hub_moved(hub, A, TXN_A);
	put_link(hub->dir, REPO "/snapshots/" A "/config.json", "../../blobs/cc");
	assert_int_equal(undo(&task), UNDO_DONE);
	assert_whole(hub);
}

/* Nothing can be put back so far: it is tried again, and not taken for removed. */
static void test_what_cannot_be_put_back_is_not_undone(void **state)
{
	struct hub *hub = *state;
	struct removal_task task;
	char trash[4200];

	hub_model(hub);
	task = hub_moved(hub, A, TXN_A);
	hub_remove(hub, "snapshots");
	put_file(hub->dir, REPO "/snapshots", "in its place");
	assert_int_equal(undo(&task), UNDO_FAILED);
	assert_true(hub_has(hub, WHOLE_A "/model.safetensors"));
	hub_remove(hub, "snapshots");
	task = hub_restarted(hub, A, TXN_A);
	assert_int_equal(hf_remove_recover(&task, trash, sizeof(trash)), REMOVAL_REFUSED);
	hf_remove_end(&task);
	assert_whole(hub);
}

static void test_merge_that_fails_is_not_the_end_of_the_model(void **state)
{
	struct hub *hub = *state;
	struct removal_task task;
	char trash[4200];

	hub_model(hub);
	put_link(hub->dir, REPO "/snapshots/" A "/sub/f", "../../../blobs/ww");
	task = hub_moved(hub, A, TXN_A);
	put_file(hub->dir, REPO "/snapshots/" A "/sub", "a file where ours is a folder");
	assert_int_equal(undo(&task), UNDO_FAILED);
	assert_true(hub_has(hub, WHOLE_A "/sub/f"));
	hub_remove(hub, "snapshots/" A "/sub");
	task = hub_restarted(hub, A, TXN_A);
	assert_int_equal(hf_remove_recover(&task, trash, sizeof(trash)), REMOVAL_REFUSED);
	hf_remove_end(&task);
	assert_whole(hub);
	assert_true(hub_has(hub, "snapshots/" A "/sub/f"));
}

/* What it says is not known: it may be of the revision, and would stay without it. */
static void test_ref_that_cannot_be_read_stops_the_removal(void **state)
{
	struct hub *hub = *state;
	int repo_fd;

	hub_model(hub);
	repo_fd = disk_open_dir(hub->root.fd, REPO);
	failing_reads = 1;
	assert_int_equal(hf_refs_aside(repo_fd, TXN_A, A), -1);
	assert_int_equal(errno, EIO);
	assert_whole(hub);
	close(repo_fd);
}

/* ---- commit ---- */

static void test_commit_that_is_not_durable_can_be_undone(void **state)
{
	struct hub *hub = *state;
	struct removal_task task;

	hub_model(hub);
	task = hub_moved(hub, A, TXN_A);
	failing_syncs = 1;
	assert_int_equal(hf_remove_commit(&task), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(undo(&task), UNDO_DONE);
	assert_whole(hub);
}

/* Its last rename could not be taken back: it is not undone, whatever undoing it says. */
static void test_what_stands_committed_is_not_undone(void **state)
{
	struct hub *hub = *state;
	struct removal_task task;
	char trash[4200];

	hub_model(hub);
	task = hub_moved(hub, A, TXN_A);
	assert_int_equal(hf_remove_commit(&task), 0);
	assert_int_equal(undo(&task), UNDO_FAILED);
	task = hub_restarted(hub, A, TXN_A);
	assert_int_equal(hf_remove_recover(&task, trash, sizeof(trash)), REMOVAL_DELETED);
	hf_remove_end(&task);
	assert_string_equal(trash, REPO "/" DONE_A);
	assert_false(hub_has(hub, "blobs/ww"));
	assert_false(hub_has(hub, "refs/main"));
}

#define HUB_TEST(test) cmocka_unit_test_setup_teardown(test, hub_open, hub_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		HUB_TEST(test_its_own_blobs_go_and_shared_ones_stay),
		HUB_TEST(test_blobs_stay_while_another_revision_has_an_absolute_link),
		HUB_TEST(test_blobs_stay_while_a_revision_is_a_link),
		HUB_TEST(test_blobs_stay_while_another_revision_is_moved_aside),
		HUB_TEST(test_undone_it_is_as_it_was),
		HUB_TEST(test_undone_although_the_folder_of_snapshots_is_gone),
		HUB_TEST(test_undone_beside_what_a_client_has_begun),
		HUB_TEST(test_what_cannot_be_put_back_is_not_undone),
		HUB_TEST(test_merge_that_fails_is_not_the_end_of_the_model),
		HUB_TEST(test_ref_that_cannot_be_read_stops_the_removal),
		HUB_TEST(test_commit_that_is_not_durable_can_be_undone),
		HUB_TEST(test_what_stands_committed_is_not_undone),
	};

	return RUN_TESTS(tests);
}
