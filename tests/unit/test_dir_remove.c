/* A folder that is a model goes, and comes back when something fails on the way. */
#include "agent/dir_remove.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/removal.h"
#include "agent/root.h"
#include "tests/unit/kit.h"

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
int __real_fsync(int fd);
int __wrap_fsync(int fd);
static int failing_syncs;
static const char *replaced_dir; /* while a sync fails, a client makes the model anew here */

int __wrap_fsync(int fd)
{
	if (failing_syncs == 0)
		return __real_fsync(fd);
	failing_syncs--;
	if (replaced_dir != NULL)
		put_file(replaced_dir, "engines/llama/new.bin", "new");
	replaced_dir = NULL;
	errno = EIO;
	return -1;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

struct place {
	char *dir;
	struct root root;
	struct removal_task task;
};

#define TXN   "0123456789abcdef"
#define WHOLE "engines/.larder-trash-" TXN ".llama"
#define DONE  "engines/.larder-done-" TXN

static char root_name[] = "disk";

/* A model whose removal has come to its MOVE, and past it. */
static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	p->dir = temp_dir();
	put_file(p->dir, "engines/llama/weights.bin", "weights");
	p->root = (struct root){
		.config = {.name = root_name,
			   .path = p->dir,
			   .layout = &layout_directory,
			   .delete_without_leases = true},
	};
	p->root.fd = disk_open_root(p->dir);
	assert_int_equal(disk_stat_fd(p->root.fd, &p->root.identity), 0);
	p->task = (struct removal_task){.root = &p->root, .txn = TXN, .locator = "engines/llama"};
	assert_int_equal(dir_remove_check(&p->task), REMOVAL_GOES_ON);
	assert_int_equal(dir_remove_take(&p->task), REMOVAL_GOES_ON);
	assert_int_equal(dir_remove_move(&p->task), REMOVAL_GOES_ON);
	assert_true(exists(p->dir, WHOLE "/weights.bin"));
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	dir_remove_end(&p->task);
	root_close(&p->root);
	temp_remove(p->dir);
	free(p);
	return 0;
}

static void assert_whole(const struct place *p)
{
	assert_true(exists(p->dir, "engines/llama/weights.bin"));
	assert_false(exists(p->dir, WHOLE));
	assert_false(exists(p->dir, DONE));
}

static void test_undone_it_is_as_it_was(void **state)
{
	struct place *p = *state;

	assert_int_equal(dir_remove_undo(&p->task), UNDO_DONE);
	assert_whole(p);
}

/* Somebody has said `mkdir -p` in the wrong moment. */
static void test_undone_although_an_empty_folder_stands_there(void **state)
{
	struct place *p = *state;

	put_dir(p->dir, "engines/llama");
	assert_int_equal(dir_remove_undo(&p->task), UNDO_DONE);
	assert_whole(p);
}

static void test_new_model_in_its_place_stays(void **state)
{
	struct place *p = *state;

	put_file(p->dir, "engines/llama/new.bin", "new");
	assert_int_equal(dir_remove_undo(&p->task), UNDO_REPLACED);
	assert_true(exists(p->dir, "engines/llama/new.bin"));
	assert_true(exists(p->dir, WHOLE "/weights.bin"));
}

static void test_commit_that_is_not_durable_can_be_undone(void **state)
{
	struct place *p = *state;

	failing_syncs = 1;
	assert_int_equal(dir_remove_commit(&p->task), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(dir_remove_undo(&p->task), UNDO_DONE);
	assert_whole(p);
}

static void test_what_stands_committed_is_not_undone(void **state)
{
	struct place *p = *state;

	assert_int_equal(dir_remove_commit(&p->task), 0);
	assert_int_equal(dir_remove_undo(&p->task), UNDO_FAILED);
	assert_true(exists(p->dir, DONE "/weights.bin"));
}

/* ---- the whole removal ---- */

/* Without a commit nothing is cleaned: not even when the model cannot come back either. */
static void test_neither_committed_nor_undone_it_is_tried_again(void **state)
{
	struct place *p = *state;
	struct err err = {""};
	char *journal_dir = temp_dir();
	struct journal *journal = journal_open(journal_dir, &err);
	struct removal_request *req =
		removal_request_new(&p->root, "dir:engines/llama@-", "engines/llama");

	assert_non_null(journal);
	assert_int_equal(dir_remove_undo(&p->task), UNDO_DONE);
	dir_remove_end(&p->task);
	failing_syncs = 1;
	replaced_dir = p->dir;
	assert_false(removal_run(req, journal));
	assert_int_equal(req->outcome, REMOVAL_FAILED);
	assert_contains(req->why, "cannot be committed");
	assert_true(req->stuck);
	assert_true(exists(p->dir, "engines/llama/new.bin"));
	req->recover = true;
	assert_true(removal_run(req, journal));
	assert_contains(req->trash, "engines/.larder-done-");
	assert_true(exists(p->dir, "engines/llama/new.bin"));
	assert_false(exists(p->dir, "engines/llama/weights.bin"));
	removal_finish(req);
	assert_int_equal(req->outcome, REMOVAL_DELETED);
	removal_request_free(req);
	journal_close(journal);
	temp_remove(journal_dir);
}

#define PLACE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PLACE_TEST(test_undone_it_is_as_it_was),
		PLACE_TEST(test_undone_although_an_empty_folder_stands_there),
		PLACE_TEST(test_new_model_in_its_place_stays),
		PLACE_TEST(test_commit_that_is_not_durable_can_be_undone),
		PLACE_TEST(test_what_stands_committed_is_not_undone),
		PLACE_TEST(test_neither_committed_nor_undone_it_is_tried_again),
	};

	return RUN_TESTS(tests);
}
