/*
 * Whose files are opened: models of directories and names, the agent's own opens, directories that
 * rest.
 */
#include "agent/watch_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"
#include "tests/unit/kit.h"

#define ROOTS 3

static struct mono at(int64_t ms)
{
	return (struct mono){ms};
}

static struct watch_key key_of(int number)
{
	struct watch_key key = {.len = sizeof(number)};

	memcpy(key.bytes, &number, sizeof(number));
	return key;
}

/* A directory whose files belong to these models: "a b", or by name "x=a y=a y=b *=c". */
static struct watch_dir *put_models(struct watch_map *map, int number, int root, const char *what,
				    int64_t now)
{
	struct watch_key key = key_of(number);
	struct watch_dir *dir = watch_map_find(map, &key);
	struct watch_entry entries[16];
	char *text = xstrdup(what), *save = NULL;
	size_t count = 0;

	if (dir == NULL)
		dir = watch_map_add(map, &key, root);
	for (char *word = strtok_r(text, " ", &save); word != NULL;
	     word = strtok_r(NULL, " ", &save)) {
		char *equals = strchr(word, '=');

		if (equals != NULL)
			*equals = '\0';
		entries[count++] =
			(struct watch_entry){equals != NULL && strcmp(word, "*") != 0 ? word : NULL,
					     equals != NULL ? equals + 1 : word};
	}
	watch_map_fill(map, dir, entries, count, at(now));
	free(text);
	return dir;
}

static void event(struct watch_map *map, int number, unsigned what, const char *name, int64_t now)
{
	struct watch_key key = key_of(number);

	watch_map_event(map, &key, what, name, at(now));
}

static void opened(struct watch_map *map, int number, const char *name, int64_t now)
{
	event(map, number, WATCH_OPENED, name, now);
}

/* The models with news, one letter each, in the order of the alphabet. */
static const char *news(struct watch_map *map)
{
	static char letters[32];
	bool seen[256] = {false};
	struct mono when;
	size_t count = 0;
	char *name;

	while ((name = watch_map_news(map, &when)) != NULL) {
		seen[(unsigned char)*name] = true;
		free(name);
	}
	for (int c = 0; c < 256; c++) {
		if (seen[c])
			letters[count++] = (char)c;
	}
	letters[count] = '\0';
	return letters;
}

static int setup(void **state)
{
	struct watch_map *map = xcalloc(1, sizeof(*map));

	watch_map_init(map, ROOTS);
	*state = map;
	return 0;
}

static int teardown(void **state)
{
	watch_map_free(*state);
	free(*state);
	return 0;
}

/* ---- whose files ---- */

static void test_every_file_of_a_directory(void **state)
{
	struct watch_map *map = *state;
	struct mono when;
	char *name;

	put_models(map, 1, 0, "a", 1000);
	put_models(map, 2, 0, "b", 1000);
	assert_null(watch_map_news(map, &when));
	opened(map, 1, "any", 2000);
	event(map, 1, WATCH_CLOSED, "other", 2005);
	name = watch_map_news(map, &when);
	assert_string_equal(name, "a");
	assert_int_equal(when.ms, 2005);
	free(name);
	assert_string_equal(news(map), "");
	assert_int_equal(map->uses, 2);
}

static void test_names(void **state)
{
	struct watch_map *map = *state;

	put_models(map, 1, 0, "x=a y=a y=b z=b *=c", 1000);
	opened(map, 1, "x", 2000);
	assert_string_equal(news(map), "ac");
	opened(map, 1, "y", 2001);
	assert_string_equal(news(map), "abc");
	opened(map, 1, "z", 2002);
	assert_string_equal(news(map), "bc");
	opened(map, 1, "unknown", 2003);
	assert_string_equal(news(map), "c");
}

static void test_file_of_no_model(void **state)
{
	struct watch_map *map = *state;

	put_models(map, 1, 0, "x=a y=b", 1000);
	opened(map, 1, "new", 2000);
	assert_string_equal(news(map), "");
	opened(map, 9, "x", 2001);
	assert_string_equal(news(map), "");
	assert_int_equal(map->strays, 1);
}

static void test_folders_and_locks_are_no_use(void **state)
{
	static const char *const names[] = {"x.lock",	   "x.incomplete", "x.refs",
					    "x.lock.soft", "x.aria2",	   ""};
	struct watch_map *map = *state;

	put_models(map, 1, 0, "a", 1000);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		opened(map, 1, names[i], 2000);
	event(map, 1, WATCH_OPENED | WATCH_FOLDER, "", 2000);
	event(map, 1, WATCH_CLOSED | WATCH_FOLDER, "sub", 2000);
	assert_string_equal(news(map), "");
	opened(map, 1, ".lock", 2000); /* a whole name, not an ending */
	assert_string_equal(news(map), "a");
}

static void test_filled_anew(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "x=a y=b", 1000);

	opened(map, 1, "y", 1500); /* news that outlives the directory's interest in b */
	put_models(map, 1, 0, "x=a y=c", 2000);
	assert_string_equal(news(map), "b");
	assert_int_equal(watch_map_watched_ms(map, "b", at(3000)), -1);
	assert_int_equal(watch_map_watched_ms(map, "a", at(3000)), 2000);
	assert_int_equal(watch_map_watched_ms(map, "c", at(3000)), 1000);
	opened(map, 1, "y", 2500);
	assert_string_equal(news(map), "c");
	put_models(map, 2, 0, "a", 2600); /* part of it is new */
	assert_int_equal(watch_map_watched_ms(map, "a", at(3000)), 400);
	watch_map_drop(map, dir);
	assert_int_equal(watch_map_watched_ms(map, "c", at(3000)), -1);
	assert_int_equal(HASH_COUNT(map->models), 1);
}

static void test_gaps(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir;

	watch_map_gap(map, "a", true, at(1000)); /* nothing of it is watched */
	assert_int_equal(watch_map_watched_ms(map, "a", at(2000)), -1);
	dir = put_models(map, 1, 0, "a b", 2000); /* a part is */
	watch_map_gap(map, "a", true, at(2000));
	watch_map_gap(map, "a", false, at(3000));
	assert_int_equal(watch_map_watched_ms(map, "a", at(3000)), -1);
	assert_int_equal(watch_map_watched_ms(map, "b", at(3000)), 1000);
	watch_map_gap(map, "a", false, at(4000));
	assert_int_equal(watch_map_watched_ms(map, "a", at(5000)), 1000);
	watch_map_gap(map, "b", true, at(5000));
	watch_map_drop(map, dir);
	assert_int_equal(HASH_COUNT(map->models), 1);
	watch_map_gap(map, "b", false, at(6000));
	assert_int_equal(HASH_COUNT(map->models), 0);
}

static void test_one_key_one_directory(void **state)
{
	struct watch_map *map = *state;
	struct watch_key key = key_of(1);

	put_models(map, 1, 0, "a", 1000);
	assert_null(watch_map_add(map, &key, 1));
}

/* ---- rest ---- */

/* As the kernel would be told: how many directories have turned. */
static int turned(struct watch_map *map)
{
	int count = 0;

	while (watch_map_turning(map) != NULL)
		count++;
	return count;
}

static void hammer(struct watch_map *map, int number, const char *name, int times, int64_t now)
{
	for (int i = 0; i < times; i++)
		opened(map, number, name, now);
}

static void test_busy_directory_rests(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "a", 1000);
	struct watch_mark mark;

	hammer(map, 1, "x", 99, 2000);
	assert_false(dir->resting);
	assert_int_equal(turned(map), 0);
	assert_int_equal(watch_map_wait_ms(map, at(2000)), -1);
	hammer(map, 1, "x", 1, 2000);
	assert_true(dir->resting);
	assert_int_equal(turned(map), 1);
	assert_int_equal(watch_map_wait_ms(map, at(2100)), WATCH_REST_MS - 100);
	assert_string_equal(news(map), "a");
	/* Who asks while it rests must take it for used. */
	watch_map_mark(map, "a", &mark);
	assert_true(watch_map_used_since(map, "a", &mark));
	watch_map_wake(map, at(2000 + WATCH_REST_MS - 1));
	assert_true(dir->resting);
	watch_map_wake(map, at(2000 + WATCH_REST_MS));
	assert_false(dir->resting);
	assert_int_equal(turned(map), 1);
	assert_string_equal(news(map), "a");
	watch_map_mark(map, "a", &mark);
	assert_false(watch_map_used_since(map, "a", &mark));
}

static void test_slow_directory_does_not_rest(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "a", 1000);

	for (int i = 0; i < 100; i++)
		opened(map, 1, "x", 2000 + i * 50);
	assert_false(dir->resting);
}

static void test_still_busy_after_its_rest(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "a", 1000);

	hammer(map, 1, "x", 100, 2000);
	watch_map_wake(map, at(2500));
	opened(map, 1, "x", 2510);
	assert_true(dir->resting);
	watch_map_wake(map, at(3010));
	opened(map, 1, "x", 4000); /* it was quiet for a while */
	assert_false(dir->resting);
}

/* Others in the directory must not look used because one of its models is. */
static void test_shared_directory_rests_late(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "x=a y=b", 1000);

	hammer(map, 1, "x", 900, 2000);
	assert_false(dir->resting);
	assert_string_equal(news(map), "a");
	hammer(map, 1, "x", 100, 2000);
	assert_true(dir->resting);
	watch_map_wake(map, at(2500));
	assert_string_equal(news(map), "ab");
}

static void test_shared_directory_rests_soon_when_all_are_busy(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "x=a y=b", 1000);

	put_models(map, 2, 0, "c", 1000)->restless = true;
	hammer(map, 2, "x", 20000, 2000);
	hammer(map, 1, "x", 50, 2100);
	assert_true(dir->resting);
}

/* What one directory may do alone, a thousand may not. */
static void test_all_are_busy(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "a", 1000);

	put_models(map, 2, 0, "c", 1000)->restless = true;
	hammer(map, 2, "x", 2000, 2000);
	hammer(map, 1, "x", 5, 2100);
	assert_false(dir->resting);
	hammer(map, 1, "x", 1, 2100);
	assert_true(dir->resting);
}

static void test_restless(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "a", 1000);

	dir->restless = true;
	hammer(map, 1, "x", 10000, 2000);
	assert_false(dir->resting);
}

/* The agent's own scans list them too: no number of looks is a use. */
static void test_many_looks_at_folders(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "a", 1000);

	for (int i = 0; i < 100000; i++)
		event(map, 1, WATCH_OPENED | WATCH_FOLDER, "", 2000);
	assert_false(dir->resting);
	assert_string_equal(news(map), "");
}

static void test_dropped_while_it_rests(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "a", 1000);

	hammer(map, 1, "x", 100, 2000);
	assert_true(dir->resting);
	watch_map_drop(map, dir);
	watch_map_wake(map, at(9000));
	assert_int_equal(turned(map), 0);
	assert_int_equal(watch_map_wait_ms(map, at(9000)), -1);
	assert_string_equal(news(map), "a");
	assert_int_equal(HASH_COUNT(map->models), 0);
}

/* ---- lost events ---- */

static bool root_1(int root, void *arg)
{
	(void)arg;
	return root == 1;
}

static void test_overflow(void **state)
{
	struct watch_map *map = *state;
	struct watch_mark a, b;

	put_models(map, 1, 0, "a", 1000);
	put_models(map, 2, 1, "b", 1000);
	watch_map_mark(map, "a", &a);
	watch_map_mark(map, "b", &b);
	watch_map_overflow(map, root_1, NULL, at(2000));
	/* What was not seen may have been anybody's, whatever can be read later. */
	assert_true(watch_map_used_since(map, "a", &a));
	assert_true(watch_map_used_since(map, "b", &b));
	assert_string_equal(news(map), "b");
}

static void test_marks(void **state)
{
	struct watch_map *map = *state;
	struct watch_mark mark;

	watch_map_mark(map, "a", &mark);
	assert_false(mark.known);
	assert_false(watch_map_used_since(map, "a", &mark));
	put_models(map, 1, 0, "x=a y=b", 1000);
	opened(map, 1, "x", 1500);
	assert_false(watch_map_used_since(map, "a", &mark)); /* nothing was known at the time */
	watch_map_mark(map, "a", &mark);
	opened(map, 1, "y", 1600);
	assert_false(watch_map_used_since(map, "a", &mark));
	opened(map, 1, "x", 1700);
	assert_true(watch_map_used_since(map, "a", &mark));
}

/* What was seen of a model goes with its last directory; whether it was used nobody knows then. */
static void test_mark_of_a_model_that_was_forgotten(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "a", 1000);
	struct watch_mark mark;

	watch_map_mark(map, "a", &mark);
	opened(map, 1, "x", 1500);
	assert_string_equal(news(map), "a");
	watch_map_drop(map, dir);
	assert_int_equal(HASH_COUNT(map->models), 0);
	assert_true(watch_map_used_since(map, "a", &mark));
}

/* ---- the agent's own ---- */

static void test_own_opens_of_a_model(void **state)
{
	struct watch_map *map = *state;
	struct watch_mark mark;

	put_models(map, 1, 0, "x=a y=a y=b z=b", 1000);
	watch_map_mark(map, "a", &mark);
	watch_map_own(map, "a", WATCH_OWN_OPENS);
	opened(map, 1, "x", 2000);
	opened(map, 1, "y", 2000);
	assert_string_equal(news(map), "");
	opened(map, 1, "z", 2000);
	assert_string_equal(news(map), "b");
	assert_int_equal(watch_map_closings(map, "a"), 0);
	event(map, 1, WATCH_CLOSED, "x", 2001);
	assert_int_equal(watch_map_closings(map, "a"), 1);
	assert_string_equal(news(map), "");
	assert_false(watch_map_used_since(map, "a", &mark));
	watch_map_own(map, "a", WATCH_OWN_CLOSES);
	event(map, 1, WATCH_CLOSED, "x", 2002);
	assert_string_equal(news(map), "");
	opened(map, 1, "x", 2003);
	assert_string_equal(news(map), "a");
	watch_map_own(map, "a", WATCH_OWN_NONE);
	event(map, 1, WATCH_CLOSED, "x", 2004);
	assert_string_equal(news(map), "a");
	watch_map_own(map, "a", WATCH_OWN_CLOSES); /* it was refused before it opened anything */
	event(map, 1, WATCH_CLOSED, "x", 2005);
	assert_string_equal(news(map), "a");
	/* The next time counts afresh. */
	watch_map_own(map, "a", WATCH_OWN_OPENS);
	assert_int_equal(watch_map_closings(map, "a"), 0);
	watch_map_own(map, "a", WATCH_OWN_NONE);
}

/* Whose closing it was is known only afterwards; what was closed may have been read for another. */
static void test_stranger_in_a_window_is_a_use_of_all_who_share_the_file(void **state)
{
	struct watch_map *map = *state;
	struct watch_mark b, c;

	put_models(map, 1, 0, "w=a w=b x=a x=c", 1000);
	watch_map_mark(map, "b", &b);
	watch_map_mark(map, "c", &c);
	watch_map_own(map, "a", WATCH_OWN_OPENS);
	opened(map, 1, "w", 2000);
	event(map, 1, WATCH_CLOSED, "w", 2001);
	assert_string_equal(news(map), "");
	watch_map_note(map, "a", at(2002));
	assert_string_equal(news(map), "ab");
	assert_true(watch_map_used_since(map, "b", &b));
	assert_false(watch_map_used_since(map, "c", &c));
	/* The next window begins with nobody. */
	watch_map_own(map, "a", WATCH_OWN_NONE);
	watch_map_own(map, "a", WATCH_OWN_OPENS);
	watch_map_note(map, "a", at(2003));
	assert_string_equal(news(map), "a");
	watch_map_own(map, "a", WATCH_OWN_NONE);
}

static void test_own_opens_of_a_root(void **state)
{
	struct watch_map *map = *state;

	put_models(map, 1, 0, "a", 1000);
	put_models(map, 2, 1, "b", 1000);
	watch_map_own_root(map, 0, WATCH_OWN_OPENS);
	opened(map, 1, "x", 2000);
	opened(map, 2, "x", 2000);
	assert_string_equal(news(map), "b");
	event(map, 1, WATCH_CLOSED, "x", 2000);
	assert_string_equal(news(map), "a");
	watch_map_own_root(map, 0, WATCH_OWN_CLOSES);
	event(map, 1, WATCH_CLOSED, "x", 2000);
	assert_string_equal(news(map), "");
	event(map, 1, WATCH_CLOSED | WATCH_OPENED, "x", 2000); /* fanotify merges them */
	assert_string_equal(news(map), "a");
	watch_map_own_root(map, 0, WATCH_OWN_BOTH);
	event(map, 1, WATCH_CLOSED | WATCH_OPENED, "x", 2000);
	assert_string_equal(news(map), "");
	watch_map_own_root(map, 0, WATCH_OWN_NONE);
	opened(map, 1, "x", 2000);
	assert_string_equal(news(map), "a");
}

/* Whatever happens is seen while a removal depends on it. */
static void test_no_rest_in_a_window(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "x=a y=b", 1000);

	watch_map_own(map, "b", WATCH_OWN_OPENS);
	hammer(map, 1, "x", 5000, 2000);
	assert_false(dir->resting);
	watch_map_own(map, "b", WATCH_OWN_NONE);
	opened(map, 1, "x", 2000);
	assert_true(dir->resting);
}

static void test_window_outlives_the_directory(void **state)
{
	struct watch_map *map = *state;
	struct watch_dir *dir = put_models(map, 1, 0, "a", 1000);

	watch_map_own(map, "a", WATCH_OWN_OPENS);
	watch_map_drop(map, dir);
	assert_int_equal(HASH_COUNT(map->models), 1);
	watch_map_own(map, "a", WATCH_OWN_CLOSES);
	watch_map_own(map, "a", WATCH_OWN_NONE);
	assert_int_equal(HASH_COUNT(map->models), 0);
	watch_map_own(map, "a", WATCH_OWN_OPENS); /* of nobody */
	watch_map_note(map, "a", at(2000));
	assert_string_equal(news(map), "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_every_file_of_a_directory),
		TEST(test_names),
		TEST(test_file_of_no_model),
		TEST(test_folders_and_locks_are_no_use),
		TEST(test_filled_anew),
		TEST(test_gaps),
		TEST(test_one_key_one_directory),
		TEST(test_busy_directory_rests),
		TEST(test_slow_directory_does_not_rest),
		TEST(test_still_busy_after_its_rest),
		TEST(test_shared_directory_rests_late),
		TEST(test_shared_directory_rests_soon_when_all_are_busy),
		TEST(test_all_are_busy),
		TEST(test_restless),
		TEST(test_many_looks_at_folders),
		TEST(test_dropped_while_it_rests),
		TEST(test_overflow),
		TEST(test_marks),
		TEST(test_mark_of_a_model_that_was_forgotten),
		TEST(test_own_opens_of_a_model),
		TEST(test_stranger_in_a_window_is_a_use_of_all_who_share_the_file),
		TEST(test_own_opens_of_a_root),
		TEST(test_no_rest_in_a_window),
		TEST(test_window_outlives_the_directory),
	};

	return RUN_TESTS(tests);
}
