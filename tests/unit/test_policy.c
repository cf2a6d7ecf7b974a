/* The eviction policy: each rule by a table. */
#include "coordinator/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/copies.h"
#include "tests/unit/kit.h"

#define NOW_MS INT64_C(1795429264051)
#define DAY    86400

enum { HELD = 1, PENDING = 2, DEFERRED = 4, GOING = 8 };

/* A cluster in the making, and its plan. */
struct scene {
	struct cluster cluster;
	struct limits limits[4];
	struct pins pins;
	struct copies *copies;
	struct policy_budget *budget;
	struct plan plan;
};

static void begin(struct scene *s, size_t nodes)
{
	static const char *const names[] = {"n0", "n1", "n2", "n3"};

	*s = (struct scene){.plan = {0}};
	cluster_init(&s->cluster, nodes);
	for (size_t i = 0; i < nodes; i++) {
		s->cluster.nodes[i].name = names[i];
		s->cluster.nodes[i].known = s->cluster.nodes[i].live = true;
		s->cluster.nodes[i].complete = true;
		setting_defaults(limits_settings, &s->limits[i]);
	}
}

static void add_root(struct scene *s, size_t node, const char *name, const char *line)
{
	assert_true(cluster_add_root(&s->cluster.nodes[node], name, line));
}

/* A disk of 1000 bytes. */
static void add_disk(struct scene *s, size_t node, int64_t available)
{
	char line[120];

	snprintf(line, sizeof(line),
		 "disk=1 layout=huggingface total_bytes=1000 available_bytes=%d mode=delete",
		 (int)available);
	add_root(s, node, "default", line);
}

static void add(struct scene *s, size_t node, const char *name, int64_t idle_s, int64_t bytes,
		unsigned flags)
{
	struct cluster_node *n = &s->cluster.nodes[node];
	struct cluster_model *model;

	assert_true(cluster_add_model(&s->cluster, n, name, strlen(name), NOW_MS - idle_s * 1000));
	model = &n->models[n->model_total - 1];
	model->bytes = bytes;
	model->held = flags & HELD;
	model->pending = flags & PENDING;
	model->going = flags & (PENDING | GOING);
	model->deferred = flags & DEFERRED;
}

static void count_copies(struct scene *s)
{
	s->copies = copies_new();
	for (size_t i = 0; i < s->cluster.count; i++) {
		const struct cluster_node *node = &s->cluster.nodes[i];
		const char *names[16];
		size_t count = 0;

		for (size_t j = 0; j < node->model_total; j++) {
			if (!node->models[j].going)
				names[count++] = node->models[j].name;
		}
		copies_set(s->copies, node->name, 1, names, count);
	}
}

static void plan(struct scene *s)
{
	struct policy_input input = {.cluster = &s->cluster,
				     .limits = s->limits,
				     .pins = &s->pins,
				     .now_ms = NOW_MS,
				     .copies = s->copies,
				     .budget = s->budget};

	for (size_t i = 0; i < s->cluster.count; i++)
		cluster_finish_node(&s->cluster.nodes[i]);
	policy_plan(&input, &s->plan);
}

static void end(struct scene *s)
{
	policy_plan_free(&s->plan);
	copies_free(s->copies);
	pins_free(&s->pins);
	cluster_free(&s->cluster);
}

/* "n0 hf:a@1 time_threshold; n1 ..." */
static void expect(const struct scene *s, const char *victims)
{
	char text[1024] = "";
	size_t used = 0;

	for (size_t i = 0; i < s->plan.victim_count; i++) {
		const struct plan_victim *v = &s->plan.victims[i];

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s %s",
					 i > 0 ? "; " : "", s->cluster.nodes[v->node].name,
					 s->cluster.nodes[v->node].models[v->model].name,
					 command_reason_name(v->reason));
	}
	assert_string_equal(text, victims);
}

static void expect_spared(const struct scene *s, const char *spared)
{
	char text[1024] = "";
	size_t used = 0;

	for (size_t i = 0; i < s->plan.spared_count; i++) {
		const struct plan_spared *p = &s->plan.spared[i];

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s %s",
					 i > 0 ? "; " : "",
					 s->cluster.nodes[p->node].models[p->model].name,
					 command_reason_name(p->rule), policy_spare_name(p->why));
	}
	assert_string_equal(text, spared);
}

/* ---- time ---- */

/* Exactly the threshold is not longer than it. */
static void test_time_is_strict(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 1);
	add_disk(&s, 0, 1000);
	add(&s, 0, "hf:exactly@1", 7 * DAY, 10, 0);
	add(&s, 0, "hf:longer@1", 7 * DAY + 1, 10, 0);
	add(&s, 0, "hf:new@1", 60, 10, 0);
	plan(&s);
	expect(&s, "n0 hf:longer@1 time_threshold");
	expect_spared(&s, "");
	assert_int_equal(policy_cutoff_ms(&s.limits[0], NOW_MS), NOW_MS - INT64_C(604800000));
	assert_int_equal(policy_cutoff_ms(&s.limits[0], 5), 0);
	end(&s);
}

/* Everything that can spare a model spares it, and is named. */
static void test_each_spares(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 1);
	add_disk(&s, 0, 1000);
	add_root(&s, 0, "ro", "disk=2 total_bytes=1000 available_bytes=1000 mode=report");
	add(&s, 0, "hf:a@1", 30 * DAY, 10, 0);
	add(&s, 0, "hf:b@1", 29 * DAY, 10, HELD);
	add(&s, 0, "hf:c@1", 28 * DAY, 10, PENDING);
	add(&s, 0, "hf:d@1", 27 * DAY, 10, DEFERRED);
	add(&s, 0, "hf:e@1", 26 * DAY, 10, 0);
	add(&s, 0, "hf+ro:f@1", 25 * DAY, 10, 0);
	add(&s, 0, "hf+gone:g@1", 24 * DAY, 10, 0);
	assert_int_equal(pins_add(&s.pins, "hf:e@*", "{\"until_ms\":0}", NULL), 0);
	assert_int_equal(pins_add(&s.pins, "hf:a@*", "{\"until_ms\":1}", NULL), 0);
	plan(&s);
	expect(&s, "n0 hf:a@1 time_threshold");
	expect_spared(&s, "hf:b@1 time_threshold held; hf:c@1 time_threshold pending; "
			  "hf:d@1 time_threshold deferred; hf:e@1 time_threshold pinned; "
			  "hf+ro:f@1 time_threshold report_only; "
			  "hf+gone:g@1 time_threshold report_only");
	end(&s);
}

/* Nothing is planned for a node that is not known, not live, or not there. */
static void test_suspect_nodes(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 3);
	for (size_t i = 0; i < 3; i++) {
		add_disk(&s, i, 0);
		add(&s, i, "hf:a@1", 30 * DAY, 10, 0);
		add(&s, i, "hf:b@1", DAY, 10, 0);
		s.limits[i].max_models = 1;
		s.limits[i].min_free_space_bytes = 900;
	}
	s.cluster.nodes[0].known = false;
	s.cluster.nodes[1].live = false;
	s.cluster.nodes[2].complete = false; /* the time rule needs only the oldest ones */
	plan(&s);
	expect(&s, "n2 hf:a@1 time_threshold");
	assert_int_equal(s.plan.shortfall_count, 0);
	end(&s);
}

/* ---- count ---- */

static void test_count(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 1);
	add_disk(&s, 0, 1000);
	s.limits[0].max_models = 2;
	add(&s, 0, "hf:old@1", 30 * DAY, 10, 0);
	add(&s, 0, "hf:a@1", 5 * DAY, 10, 0);
	add(&s, 0, "hf:b@1", 4 * DAY, 10, HELD);
	add(&s, 0, "hf:c@1", 3 * DAY, 10, 0);
	add(&s, 0, "hf:d@1", 2 * DAY, 10, 0);
	add(&s, 0, "hf:e@1", 3 * DAY + 1, 10, PENDING);
	plan(&s);
	/* Six, less the one by time and the one under way: two more must go, the held one stays. */
	expect(&s, "n0 hf:old@1 time_threshold; n0 hf:a@1 count_limit; n0 hf:c@1 count_limit");
	expect_spared(&s, "hf:b@1 count_limit held");
	assert_int_equal(s.plan.shortfall_count, 0);
	end(&s);
}

static void test_count_not_reached(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 1);
	add_disk(&s, 0, 1000);
	s.limits[0].max_models = 1;
	add(&s, 0, "hf:a@1", 60, 10, 0);
	add(&s, 0, "hf:b@1", 5 * DAY, 10, HELD);
	add(&s, 0, "hf:c@1", 2 * 60, 10, 0);
	plan(&s);
	expect(&s, "");
	assert_int_equal(s.plan.shortfall_count, 1);
	assert_int_equal(s.plan.shortfalls[0].rule, REASON_COUNT_LIMIT);
	assert_int_equal(s.plan.shortfalls[0].wanted, 1);
	assert_int_equal(s.plan.shortfalls[0].reached, 3);
	assert_int_equal(s.plan.shortfalls[0].blocked[SPARE_HELD], 1);
	assert_int_equal(s.plan.shortfalls[0].blocked[SPARE_TOO_YOUNG], 2);
	end(&s);
}

/* ---- space ---- */

/* Bytes that are on their way out already count; not one model more than needed goes. */
static void test_space(void **state)
{
	static const struct {
		int64_t floor;
		const char *victims;
	} cases[] = {
		{100, ""},
		{150, ""}, /* 100 are available, 50 are on their way */
		{151, "n0 hf:b@1 disk_space"},
		{250, "n0 hf:b@1 disk_space"},
		{251, "n0 hf:b@1 disk_space; n0 hf:c@1 disk_space"},
		{1000, "n0 hf:b@1 disk_space; n0 hf:c@1 disk_space; n0 hf:d@1 disk_space"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene s;

		begin(&s, 1);
		add_disk(&s, 0, 100);
		s.limits[0].min_free_space_bytes = cases[i].floor;
		add(&s, 0, "hf:a@1", 6 * DAY, 50, PENDING);
		add(&s, 0, "hf:b@1", 5 * DAY, 100, 0);
		add(&s, 0, "hf:c@1", 4 * DAY, 100, 0);
		add(&s, 0, "hf:d@1", 3 * DAY, 100, 0);
		add(&s, 0, "hf:young@1", 60, 100, 0);
		plan(&s);
		expect(&s, cases[i].victims);
		assert_int_equal(s.plan.shortfall_count, cases[i].floor == 1000);
		if (cases[i].floor == 1000) {
			assert_int_equal(s.plan.shortfalls[0].reached, 450);
			assert_int_equal(s.plan.shortfalls[0].blocked[SPARE_TOO_YOUNG], 100);
			assert_false(s.plan.shortfalls[0].impossible);
		}
		end(&s);
	}
}

/* A floor above the disk's size is never reached: trying would empty the disk. */
static void test_impossible_floor(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 1);
	add_disk(&s, 0, 100);
	s.limits[0].min_free_space_bytes = 1001;
	add(&s, 0, "hf:a@1", 6 * DAY, 50, 0);
	plan(&s);
	expect(&s, "");
	assert_int_equal(s.plan.shortfall_count, 1);
	assert_true(s.plan.shortfalls[0].impossible);
	assert_true(policy_needs_all(&s.limits[0], &s.cluster.nodes[0]));
	end(&s);
}

static void test_marks(void **state)
{
	static const struct {
		int64_t available;
		const char *victims;
	} cases[] = {
		{101, ""}, /* 89.9 % used */
		{100, "n0 hf:a@1 disk_space"},
		{199, "n0 hf:a@1 disk_space"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene s;

		begin(&s, 1);
		add_disk(&s, 0, cases[i].available);
		s.limits[0].start_evicting_at_percent = i == 2 ? 80 : 90;
		s.limits[0].stop_evicting_at_percent = i == 2 ? 79 : 80;
		add(&s, 0, "hf:a@1", 6 * DAY, 100, 0);
		add(&s, 0, "hf:b@1", 5 * DAY, 100, 0);
		plan(&s);
		expect(&s, cases[i].victims);
		end(&s);
	}
}

/* Two disks of one node are two floors; two roots on one disk are one. */
static void test_disks(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 1);
	add_disk(&s, 0, 100);
	add_root(&s, 0, "b", "disk=1 total_bytes=1000 available_bytes=100 mode=delete");
	add_root(&s, 0, "c", "disk=2 total_bytes=1000 available_bytes=150 mode=delete");
	add_root(&s, 0, "d", "disk=3 total_bytes=1000 available_bytes=0 mode=unavailable");
	/* The first by its name; the disk is that of another root all the same. */
	add_root(&s, 0, "0", "disk=2 total_bytes=1000 available_bytes=150 mode=unavailable");
	s.limits[0].min_free_space_bytes = 160;
	add(&s, 0, "hf:a@1", 3 * DAY, 100, 0);
	add(&s, 0, "hf+b:b@1", 4 * DAY, 60, 0);
	add(&s, 0, "hf+c:c@1", 2 * DAY, 60, 0);
	add(&s, 0, "hf+c:d@1", 1 * DAY, 60, 0);
	add(&s, 0, "hf+d:e@1", 5 * DAY, 60, 0);
	plan(&s);
	expect(&s, "n0 hf+b:b@1 disk_space; n0 hf+c:c@1 disk_space");
	end(&s);
}

/*
 * Models that share all their bytes free nothing: they go last, one at a time, and the next one
 * when the first may not.
 */
static void test_shared_bytes(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 1);
	add_disk(&s, 0, 100);
	s.limits[0].min_free_space_bytes = 900;
	add(&s, 0, "hf:shared@1", 6 * DAY, 0, 0);
	add(&s, 0, "hf:shared@2", 5 * DAY, 0, 0);
	add(&s, 0, "hf:own@1", 4 * DAY, 50, 0);
	plan(&s);
	expect(&s, "n0 hf:shared@1 disk_space; n0 hf:own@1 disk_space");
	assert_int_equal(s.plan.shortfalls[0].blocked[SPARE_SHARED], 1);
	end(&s);

	begin(&s, 2);
	add_disk(&s, 0, 100);
	s.limits[0].min_free_space_bytes = 900;
	s.limits[0].min_copies = 1;
	add(&s, 0, "hf:last@1", 6 * DAY, 0, 0);
	add(&s, 0, "hf:shared@1", 5 * DAY, 0, 0);
	add(&s, 1, "hf:shared@1", DAY, 0, 0);
	count_copies(&s);
	plan(&s);
	expect(&s, "n0 hf:shared@1 disk_space");
	expect_spared(&s, "hf:last@1 disk_space last_copy");
	end(&s);
}

/* ---- copies ---- */

static void test_last_copies(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 3);
	for (size_t i = 0; i < 3; i++) {
		s.limits[i].min_copies = 1;
		add(&s, i, "hf:a@1", 30 * DAY, 10, 0);
	}
	add(&s, 0, "hf:alone@1", 40 * DAY, 10, 0);
	count_copies(&s);
	plan(&s);
	expect(&s, "n0 hf:a@1 time_threshold; n1 hf:a@1 time_threshold");
	expect_spared(&s, "hf:alone@1 time_threshold last_copy; hf:a@1 time_threshold last_copy");
	end(&s);
}

/* Copies that are wanted but were not counted: nothing goes. */
static void test_copies_not_counted(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 1);
	s.limits[0].min_copies = 1;
	add(&s, 0, "hf:a@1", 30 * DAY, 10, 0);
	plan(&s);
	expect(&s, "");
	expect_spared(&s, "hf:a@1 time_threshold last_copy");
	end(&s);
}

/* Another instance on the same node keeps the copy, unless it is on its way out itself. */
static void test_twins(void **state)
{
	static const unsigned flags[] = {0, PENDING, GOING};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct scene s;

		begin(&s, 1);
		s.limits[0].min_copies = 1;
		add(&s, 0, "hf:a@1", 30 * DAY, 10, 0);
		add(&s, 0, "hf+b:a@1", DAY, 10, flags[i]);
		count_copies(&s);
		plan(&s);
		expect(&s, flags[i] != 0 ? "" : "n0 hf:a@1 time_threshold");
		end(&s);
	}
}

/* A node that asks for no copies gives one up all the same: the others must see it. */
static void test_copies_of_others(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 2);
	s.limits[1].min_copies = 1;
	add(&s, 0, "hf:a@1", 30 * DAY, 10, 0);
	add(&s, 1, "hf:a@1", 30 * DAY, 10, 0);
	count_copies(&s);
	plan(&s);
	expect(&s, "n0 hf:a@1 time_threshold");
	expect_spared(&s, "hf:a@1 time_threshold last_copy");
	end(&s);
}

/* ---- caps ---- */

static void test_caps(void **state)
{
	struct policy_budget budget = {.evictions = 3, .bytes = 100, .bytes_cap = 100};
	struct scene s;

	(void)state;
	begin(&s, 2);
	s.limits[0].max_evictions_per_node = 2;
	s.limits[1].max_bytes_per_node = 55;
	add(&s, 0, "hf:a@1", 33 * DAY, 20, 0);
	add(&s, 0, "hf:b@1", 32 * DAY, 20, 0);
	add(&s, 0, "hf:c@1", 31 * DAY, 20, 0);
	add(&s, 1, "hf:d@1", 33 * DAY, 60, 0);
	add(&s, 1, "hf:e@1", 32 * DAY, 50, 0);
	add(&s, 1, "hf:f@1", 31 * DAY, 5, 0);
	s.budget = &budget;
	plan(&s);
	expect(&s, "n0 hf:a@1 time_threshold; n0 hf:b@1 time_threshold; n1 hf:e@1 time_threshold");
	expect_spared(&s, "hf:c@1 time_threshold cap; hf:d@1 time_threshold cap; "
			  "hf:f@1 time_threshold cap");
	assert_int_equal(budget.evictions, 0);
	assert_int_equal(budget.bytes, 10);
	end(&s);
}

/* What is larger than a cap fits into no cycle: the next ones go, and the shortfall says so. */
static void test_too_large_for_the_caps(void **state)
{
	struct policy_budget budget = {.evictions = 9, .bytes = 300, .bytes_cap = 300};
	struct scene s;

	(void)state;
	begin(&s, 2);
	s.budget = &budget;
	s.limits[1].max_bytes_per_node = 200;
	for (size_t i = 0; i < 2; i++) {
		add_disk(&s, i, 100);
		s.limits[i].min_free_space_bytes = 500;
		add(&s, i, "hf:large@1", 6 * DAY, i == 0 ? 301 : 201, 0);
		add(&s, i, "hf:fits@1", 5 * DAY, i == 0 ? 100 : 200, 0);
	}
	plan(&s);
	expect(&s, "n0 hf:fits@1 disk_space; n1 hf:fits@1 disk_space");
	expect_spared(&s, "hf:large@1 disk_space cap; hf:large@1 disk_space cap");
	assert_int_equal(s.plan.shortfall_count, 2);
	assert_int_equal(s.plan.shortfalls[0].blocked[SPARE_CAP], 301);
	assert_int_equal(s.plan.shortfalls[1].blocked[SPARE_CAP], 201);
	end(&s);
}

/* What the caps keep is a copy that stays: the next node may give its own up. */
static void test_caps_give_copies_back(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, 2);
	s.limits[0].min_copies = s.limits[1].min_copies = 1;
	s.limits[0].max_bytes_per_node = 5;
	add(&s, 0, "hf:a@1", 30 * DAY, 10, 0);
	add(&s, 1, "hf:a@1", 30 * DAY, 10, 0);
	count_copies(&s);
	plan(&s);
	expect(&s, "n1 hf:a@1 time_threshold");
	expect_spared(&s, "hf:a@1 time_threshold cap");
	end(&s);
}

/* ---- what must be read ---- */

static void test_needs_all(void **state)
{
	struct scene s;
	struct cluster_node *node;

	(void)state;
	begin(&s, 1);
	node = &s.cluster.nodes[0];
	add_disk(&s, 0, 100);
	node->model_count = 5;
	assert_false(policy_needs_all(&s.limits[0], node));
	s.limits[0].max_models = 5;
	assert_false(policy_needs_all(&s.limits[0], node));
	s.limits[0].max_models = 4;
	assert_true(policy_needs_all(&s.limits[0], node));
	s.limits[0].max_models = SETTING_UNSET;
	s.limits[0].min_free_space_bytes = 100;
	assert_false(policy_needs_all(&s.limits[0], node));
	s.limits[0].min_free_space_bytes = 101;
	assert_true(policy_needs_all(&s.limits[0], node));
	s.limits[0].min_free_space_bytes = SETTING_UNSET;
	s.limits[0].max_bytes_per_node = 1;
	assert_true(policy_needs_all(&s.limits[0], node));
	s.limits[0].max_bytes_per_node = SETTING_UNSET;
	node->attention = 1;
	assert_true(policy_needs_all(&s.limits[0], node));
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time_is_strict),
		cmocka_unit_test(test_each_spares),
		cmocka_unit_test(test_suspect_nodes),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_count_not_reached),
		cmocka_unit_test(test_space),
		cmocka_unit_test(test_impossible_floor),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_shared_bytes),
		cmocka_unit_test(test_last_copies),
		cmocka_unit_test(test_copies_not_counted),
		cmocka_unit_test(test_twins),
		cmocka_unit_test(test_copies_of_others),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_too_large_for_the_caps),
		cmocka_unit_test(test_caps_give_copies_back),
		cmocka_unit_test(test_needs_all),
	};

	return RUN_TESTS(tests);
}
