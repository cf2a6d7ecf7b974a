/* The agent's models: what scans find, when it was used, what Redis was told. */
#include "agent/inventory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"
#include "tests/unit/kit.h"

#define WALL INT64_C(1700000000000)
#define MONO INT64_C(500000000)
#define HOUR INT64_C(3600000)

struct scene {
	struct inventory inv;
	struct model_report reports[8];
	struct scan_report scan;
	int64_t now_ms, wall_ms, before_ms;
	int root, appeared;
};

static struct model_report *found(struct scene *s, const char *name, int64_t modified_wall_ms)
{
	struct model_report *report = &s->reports[s->scan.count++];

	*report = (struct model_report){
		.name = xstrdup(name),
		.locator = xstrdup(name),
		.status = MODEL_DOWNLOADED,
		.exclusive_bytes = 100,
		.generation = 7,
		.modified_wall_ms = modified_wall_ms,
	};
	return report;
}

static void appeared(struct model *model, void *arg)
{
	struct scene *s = arg;

	assert_non_null(model->name);
	s->appeared++;
}

static void merge(struct scene *s, bool complete)
{
	struct mono before = {s->before_ms};
	struct inventory_scan scan = {
		.root = s->root,
		.report = &s->scan,
		.now = {s->now_ms},
		.wall_ms = s->wall_ms,
		.before = s->before_ms != 0 ? &before : NULL,
		.appeared = appeared,
		.arg = s,
	};

	s->scan.models = s->reports;
	s->scan.complete = complete;
	inventory_merge(&s->inv, &scan);
	/* The reports were moved out. */
	for (size_t i = 0; i < s->scan.count; i++)
		assert_null(s->reports[i].name);
	s->scan = (struct scan_report){0};
}

/* One that must be there. */
static struct model *get(struct scene *s, const char *name)
{
	struct model *model = inventory_find(&s->inv, name);

	if (model == NULL) {
		fail_msg("%s is not there", name);
		abort();
	}
	return model;
}

/* Also what is gone and only kept until Redis was told. */
static struct model *kept(const struct scene *s, const char *name)
{
	for (struct model *model = s->inv.models; model != NULL; model = model->hh.next) {
		if (strcmp(model->name, name) == 0)
			return model;
	}
	return NULL;
}

static struct scene start(void)
{
	return (struct scene){.now_ms = MONO, .wall_ms = WALL};
}

static void pass(struct scene *s, int64_t ms)
{
	s->now_ms += ms;
	s->wall_ms += ms;
}

static void test_found(void **state)
{
	struct scene s = start();
	struct model *model;

	(void)state;
	found(&s, "dir:a@-", WALL - HOUR);
	found(&s, "dir:b@-", WALL - 2 * HOUR);
	merge(&s, true);
	assert_int_equal(s.appeared, 2);
	model = get(&s, "dir:a@-");
	assert_string_equal(model->report.locator, "dir:a@-");
	assert_int_equal(model->use.last.ms, MONO - HOUR);
	assert_int_equal(model->use.source, USE_DOWNLOAD);
	assert_null(inventory_find(&s.inv, "dir:c@-"));
	/* Found again: nothing appears. */
	found(&s, "dir:a@-", WALL - HOUR);
	found(&s, "dir:b@-", WALL - 2 * HOUR);
	merge(&s, true);
	assert_int_equal(s.appeared, 2);
	assert_ptr_equal(inventory_find(&s.inv, "dir:a@-"), model);
	inventory_free(&s.inv);
	assert_null(inventory_find(&s.inv, "dir:a@-"));
}

static void test_gone(void **state)
{
	struct scene s = start();
	struct model *model;

	(void)state;
	found(&s, "dir:a@-", WALL - HOUR);
	found(&s, "dir:b@-", WALL - HOUR);
	merge(&s, true);
	get(&s, "dir:a@-")->told = true;
	/* Something could not be read: what is missing may exist. */
	merge(&s, false);
	assert_non_null(inventory_find(&s.inv, "dir:a@-"));
	assert_non_null(inventory_find(&s.inv, "dir:b@-"));
	/* A scan of another root says nothing about this one. */
	s.root = 1;
	merge(&s, true);
	assert_non_null(inventory_find(&s.inv, "dir:a@-"));
	s.root = 0;
	merge(&s, true);
	assert_null(inventory_find(&s.inv, "dir:a@-"));
	assert_null(inventory_find(&s.inv, "dir:b@-"));
	/* What Redis knows is kept until it was told; the other is forgotten. */
	model = kept(&s, "dir:a@-");
	assert_non_null(model);
	assert_true(inventory_differs(model));
	assert_null(kept(&s, "dir:b@-"));
	inventory_free(&s.inv);
}

static void test_comes_back(void **state)
{
	struct scene s = start();
	struct model *model;

	(void)state;
	found(&s, "dir:a@-", WALL - HOUR);
	merge(&s, true);
	get(&s, "dir:a@-")->told = true;
	merge(&s, true);
	assert_null(inventory_find(&s.inv, "dir:a@-"));
	pass(&s, HOUR);
	s.before_ms = s.now_ms - 60000;
	found(&s, "dir:a@-", WALL - HOUR); /* an old date, as tar and rsync set it */
	merge(&s, true);
	model = get(&s, "dir:a@-");
	assert_int_equal(s.appeared, 2);
	/* It was not there a minute ago, whatever its date says. */
	assert_int_equal(model->use.last.ms, s.now_ms - 60000);
	inventory_free(&s.inv);
}

static void test_new_between_scans(void **state)
{
	struct scene s = start();

	(void)state;
	s.before_ms = MONO - 60000;
	found(&s, "dir:a@-", WALL - 1000 * HOUR);
	found(&s, "dir:b@-", WALL - 1000);
	merge(&s, true);
	assert_int_equal(get(&s, "dir:a@-")->use.last.ms, MONO - 60000);
	assert_int_equal(get(&s, "dir:b@-")->use.last.ms, MONO - 1000);
	inventory_free(&s.inv);
}

/* Times that cannot be: the future is now, and before 2015 is unknown, which is now as well. */
static void test_absurd_times(void **state)
{
	static const struct {
		int64_t modified, used, expected;
	} rows[] = {
		{WALL + HOUR, 0, MONO},
		{INT64_MAX, 0, MONO},
		{0, 0, MONO},
		{-1, 0, MONO},
		{INT64_MIN, INT64_MIN, MONO},
		{INT64_C(1420070399999), 0, MONO},
		{INT64_C(1420070400000), 0, MONO - (WALL - INT64_C(1420070400000))},
		{0, WALL - HOUR, MONO - HOUR},
		{WALL - 3 * HOUR, WALL - HOUR, MONO - HOUR},
		{WALL - HOUR, WALL - 3 * HOUR, MONO - HOUR},
		{WALL - HOUR, WALL + HOUR, MONO},
		{WALL - HOUR, INT64_MAX, MONO},
		{WALL - HOUR, 12345, MONO - HOUR},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s = start();
		int64_t last;

		found(&s, "dir:a@-", rows[i].modified)->used_wall_ms = rows[i].used;
		merge(&s, true);
		last = get(&s, "dir:a@-")->use.last.ms;
		if (last != rows[i].expected)
			fail_msg("row %zu: %lld ms off", i, (long long)(last - rows[i].expected));
		inventory_free(&s.inv);
	}
}

/* A scan that finds nothing new is no use, however absurd the times are that it finds. */
static void test_same_again_is_no_use(void **state)
{
	static const struct {
		int64_t modified, used;
	} rows[] = {
		{WALL - HOUR, 0},
		{WALL - HOUR, WALL - 1000},
		{0, 0},
		{WALL - HOUR, WALL + 1000 * HOUR},
		{WALL + 1000 * HOUR, 0},
		{INT64_MAX, INT64_MAX},
		{WALL + 1000 * HOUR, WALL - HOUR},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct scene s = start();
		int64_t first;

		found(&s, "dir:a@-", rows[i].modified)->used_wall_ms = rows[i].used;
		merge(&s, true);
		first = get(&s, "dir:a@-")->use.last.ms;
		for (int scan = 0; scan < 3; scan++) {
			pass(&s, 60000);
			found(&s, "dir:a@-", rows[i].modified)->used_wall_ms = rows[i].used;
			merge(&s, true);
		}
		if (get(&s, "dir:a@-")->use.last.ms != first)
			fail_msg("row %zu: used again by being looked at", i);
		inventory_free(&s.inv);
	}
}

/* The wall clock jumps; what was known of uses neither grows old nor gets lost. */
static void test_clock_jumps(void **state)
{
	static const int64_t jumps[] = {-1000 * HOUR, -HOUR, HOUR, 1000 * HOUR, 100000 * HOUR};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		struct scene s = start();
		const struct model *model;
		int64_t before;

		found(&s, "dir:a@-", WALL - 5 * HOUR)->used_wall_ms = WALL - 2 * HOUR;
		merge(&s, true);
		model = get(&s, "dir:a@-");
		before = model->use.last.ms;
		assert_int_equal(before, MONO - 2 * HOUR);
		s.now_ms += 60000;
		s.wall_ms += jumps[i];
		found(&s, "dir:a@-", WALL - 5 * HOUR)->used_wall_ms = WALL - 2 * HOUR;
		merge(&s, true);
		assert_true(model->use.last.ms >= before);
		assert_true(model->use.last.ms <= s.now_ms);
		inventory_free(&s.inv);
	}
}

static void test_access_grows(void **state)
{
	struct scene s = start();
	const struct model *model;

	(void)state;
	found(&s, "dir:a@-", WALL - 9 * HOUR)->used_wall_ms = WALL - 8 * HOUR;
	merge(&s, true);
	model = get(&s, "dir:a@-");
	assert_int_equal(model->use.source, USE_ATIME);
	pass(&s, HOUR);
	found(&s, "dir:a@-", WALL - 9 * HOUR)->used_wall_ms = WALL + HOUR / 2;
	merge(&s, true);
	assert_int_equal(model->use.last.ms, MONO + HOUR / 2);
	assert_int_equal(model->used_wall_ms, WALL + HOUR / 2);
	/* Files replaced by older ones: the use stays. */
	found(&s, "dir:a@-", WALL - 9 * HOUR)->used_wall_ms = WALL - 9 * HOUR;
	merge(&s, true);
	assert_int_equal(model->use.last.ms, MONO + HOUR / 2);
	assert_int_equal(model->used_wall_ms, WALL + HOUR / 2);
	inventory_free(&s.inv);
}

static void tell(struct model *model)
{
	model->told = true;
	model->told_status = model->report.status;
	model->told_source = model->use.source;
	model->told_bytes = model->report.exclusive_bytes;
	model->told_generation = model->report.generation;
}

static void test_differs(void **state)
{
	struct scene s = start();
	struct model *model;

	(void)state;
	found(&s, "dir:a@-", WALL);
	merge(&s, true);
	model = get(&s, "dir:a@-");
	assert_true(inventory_differs(model));
	tell(model);
	assert_false(inventory_differs(model));
	assert_int_equal(inventory_told_downloaded(&s.inv), 1);
	model->report.exclusive_bytes++;
	assert_true(inventory_differs(model));
	tell(model);
	model->report.generation++;
	assert_true(inventory_differs(model));
	tell(model);
	model->use.source = USE_PROBE;
	assert_true(inventory_differs(model));
	tell(model);
	model->report.status = MODEL_ERROR;
	assert_true(inventory_differs(model));
	tell(model);
	assert_int_equal(inventory_told_downloaded(&s.inv), 0);
	/* Sizes count only of what may be evicted. */
	model->report.exclusive_bytes++;
	model->report.generation++;
	assert_false(inventory_differs(model));
	model->gone = true;
	assert_true(inventory_differs(model));
	model->told = false;
	assert_false(inventory_differs(model));
	inventory_free(&s.inv);
}

static void test_untold(void **state)
{
	struct scene s = start();
	struct model *a, *b;

	(void)state;
	found(&s, "dir:a@-", WALL);
	found(&s, "dir:b@-", WALL);
	found(&s, "dir:c@-", WALL);
	merge(&s, true);
	a = get(&s, "dir:a@-");
	b = get(&s, "dir:b@-");
	tell(a);
	tell(b);
	a->hold_until.ms = MONO + 1;
	b->telling = true;
	get(&s, "dir:c@-")->gone = true;
	inventory_untold(&s.inv);
	assert_true(inventory_differs(a) && inventory_differs(b));
	assert_true(a->hold_changed);
	assert_true(b->hold_changed);
	assert_false(b->telling);
	assert_int_equal(HASH_COUNT(s.inv.models), 2);
	inventory_free(&s.inv);
}

static void test_generation(void **state)
{
	char buf[INVENTORY_GENERATION_SIZE];

	(void)state;
	assert_string_equal(inventory_generation(0, buf), "0");
	assert_string_equal(inventory_generation(0xabc, buf), "abc");
	assert_string_equal(inventory_generation(UINT64_MAX, buf), "ffffffffffffffff");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),	     cmocka_unit_test(test_gone),
		cmocka_unit_test(test_comes_back),   cmocka_unit_test(test_new_between_scans),
		cmocka_unit_test(test_absurd_times), cmocka_unit_test(test_same_again_is_no_use),
		cmocka_unit_test(test_clock_jumps),  cmocka_unit_test(test_access_grows),
		cmocka_unit_test(test_differs),	     cmocka_unit_test(test_untold),
		cmocka_unit_test(test_generation),
	};

	return RUN_TESTS(tests);
}
