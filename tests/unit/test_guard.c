/* The agent's veto: every reason, their order, and that what is not known is never a yes. */
#include "agent/guard.h"

#include <string.h>

#include "tests/unit/kit.h"

#define NOW INT64_C(1700000000000)

/* A command and a model of which nothing speaks against a removal. */
struct scene {
	struct command command;
	struct use use;
	struct guard_model model;
	struct guard_facts facts;
};

static void set_up(struct scene *s)
{
	*s = (struct scene){
		.command = {.id = "id",
			    .last_used_ms = NOW - 1000000,
			    .generation = "abc",
			    .deadline_ms = NOW + 1,
			    .epoch = 5,
			    .reason = REASON_TIME_THRESHOLD},
		.use = {.known = true, .score_ms = NOW - 1000000},
		.model = {.status = MODEL_DOWNLOADED,
			  .generation = "abc",
			  .age_ms = 1000000,
			  .hold_left_ms = 0},
		.facts = {.redis_now_ms = NOW,
			  .highest_epoch = 5,
			  .pins_known = true,
			  .min_age_ms = 600000},
	};
	s->facts.command = &s->command;
	s->facts.model = &s->model;
	s->model.use = &s->use;
}

static void old_epoch(struct scene *s)
{
	s->facts.highest_epoch = 6;
}

static void no_clock(struct scene *s)
{
	s->facts.redis_now_ms = 0;
}

static void too_late(struct scene *s)
{
	s->command.deadline_ms = NOW;
}

static void other_clock(struct scene *s)
{
	s->command.deadline_ms = NOW + COMMAND_TTL_MAX_MS + CLOCK_JUMP_MS + 1;
}

static void used_later(struct scene *s)
{
	s->command.last_used_ms = NOW + 1;
}

static void no_model(struct scene *s)
{
	s->facts.model = NULL;
}

static void removing(struct scene *s)
{
	s->model.removing = true;
}

static void root_refuses(struct scene *s)
{
	s->facts.root_refuses = "report_only is set";
}

static void sources_wait(struct scene *s)
{
	s->facts.sources_wait = "engines were not asked yet";
}

static void node_objects(struct scene *s)
{
	s->facts.node_objects = "an engine serves something";
}

static void holds_lost(struct scene *s)
{
	s->facts.holds_lost = "there are too many claims";
}

static void unseen(struct scene *s)
{
	s->model.unseen = true;
}

static void downloading(struct scene *s)
{
	s->model.status = MODEL_DOWNLOADING;
}

static void error(struct scene *s)
{
	s->model.status = MODEL_ERROR;
}

static void replaced(struct scene *s)
{
	s->model.generation = "abd";
}

static void pins_unknown(struct scene *s)
{
	s->facts.pins_known = false;
}

static void pinned(struct scene *s)
{
	s->facts.pinned = true;
}

static void held(struct scene *s)
{
	s->model.hold_left_ms = 1;
}

static void used_since(struct scene *s)
{
	s->use.score_ms = s->command.last_used_ms + 1;
}

static void untold_use(struct scene *s)
{
	s->use.dirty = true;
}

static void too_young(struct scene *s)
{
	s->model.age_ms = s->facts.min_age_ms - 1;
}

/* In the order in which they are said. */
static const struct {
	void (*set)(struct scene *s);
	enum guard_answer answer;
	const char *why;
} reasons[] = {
	{old_epoch, GUARD_REFUSE, "epoch"},
	{no_clock, GUARD_WAIT, "clock"},
	{too_late, GUARD_REFUSE, "deadline"},
	{other_clock, GUARD_REFUSE, "clock: the command is from before"},
	{used_later, GUARD_REFUSE, "clock: the command is from before"},
	{no_model, GUARD_GONE, ""},
	{removing, GUARD_WAIT, "under way"},
	{root_refuses, GUARD_REFUSE, "root: report_only is set"},
	{downloading, GUARD_REFUSE, "downloading"},
	{error, GUARD_REFUSE, "status"},
	{replaced, GUARD_REFUSE, "replaced"},
	{pins_unknown, GUARD_WAIT, "pins"},
	{pinned, GUARD_REFUSE, "pinned"},
	{held, GUARD_REFUSE, "held: "},
	{sources_wait, GUARD_WAIT, "sources: engines were not asked yet"},
	{node_objects, GUARD_REFUSE, "unmapped: an engine serves something"},
	{holds_lost, GUARD_REFUSE, "unknown: there are too many claims"},
	{unseen, GUARD_REFUSE, "unknown: it is not watched"},
	{used_since, GUARD_REFUSE, "used"},
	{untold_use, GUARD_REFUSE, "used"},
	{too_young, GUARD_REFUSE, "too_young"},
};

static void expect(const struct scene *s, enum guard_answer answer, const char *why)
{
	char buf[96] = "";
	enum guard_answer got = guard_judge(&s->facts, buf, sizeof(buf));

	if (got != answer || strncmp(buf, why, strlen(why)) != 0)
		fail_msg("%d \"%s\" instead of %d \"%s\"", got, buf, answer, why);
}

static void test_go(void **state)
{
	struct scene s;

	(void)state;
	set_up(&s);
	expect(&s, GUARD_GO, "");
	s.command.epoch = 6; /* a later leader may speak first here */
	expect(&s, GUARD_GO, "");
	s.model.age_ms = s.facts.min_age_ms;
	expect(&s, GUARD_GO, "");
	s.use.score_ms = s.command.last_used_ms;
	expect(&s, GUARD_GO, "");
	s.facts.min_age_ms = 0;
	s.model.age_ms = 0;
	expect(&s, GUARD_GO, "");
}

static void test_each_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		struct scene s;

		set_up(&s);
		reasons[i].set(&s);
		expect(&s, reasons[i].answer, reasons[i].why);
	}
}

/* Of several reasons the first is said, and no two of them cancel each other. */
static void test_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		for (size_t j = i + 1; j < ARRAY_SIZE(reasons); j++) {
			struct scene s;

			set_up(&s);
			reasons[j].set(&s);
			reasons[i].set(&s);
			/* A deadline cannot be judged without the time. */
			if (reasons[i].set == downloading && reasons[j].set == error)
				continue; /* one status only */
			expect(&s, reasons[i].answer, reasons[i].why);
		}
	}
}

/* Whatever else holds, GO needs every single fact to be right. */
static void test_all_subsets(void **state)
{
	(void)state;
	for (unsigned set = 0; set < 1u << ARRAY_SIZE(reasons); set++) {
		struct scene s;
		char why[96];

		set_up(&s);
		for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
			if (set & 1u << i)
				reasons[i].set(&s);
		}
		assert_int_equal(guard_judge(&s.facts, why, sizeof(why)) == GUARD_GO, set == 0);
	}
}

static void test_manual(void **state)
{
	struct scene s;

	(void)state;
	/* By hand, age does not matter; everything else does. */
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		set_up(&s);
		s.command.reason = REASON_MANUAL;
		reasons[i].set(&s);
		if (reasons[i].set == too_young || reasons[i].set == node_objects ||
		    reasons[i].set == holds_lost || reasons[i].set == unseen)
			expect(&s, GUARD_GO, "");
		else if (reasons[i].set == error)
			expect(&s, GUARD_REFUSE, "replaced");
		else
			expect(&s, reasons[i].answer, reasons[i].why);
	}
}

static void test_force(void **state)
{
	struct scene s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		bool lifted = reasons[i].set == held || reasons[i].set == used_since ||
			      reasons[i].set == untold_use || reasons[i].set == too_young ||
			      reasons[i].set == sources_wait || reasons[i].set == node_objects ||
			      reasons[i].set == holds_lost || reasons[i].set == unseen;

		set_up(&s);
		s.command.reason = REASON_MANUAL;
		s.command.force = true;
		reasons[i].set(&s);
		if (lifted)
			expect(&s, GUARD_GO, "");
		else if (reasons[i].set == error)
			expect(&s, GUARD_REFUSE, "replaced");
		else
			expect(&s, reasons[i].answer, reasons[i].why);
	}
}

/* A model in ERROR: only an operator may name it, and only without a generation. */
static void test_error_status(void **state)
{
	struct scene s;

	(void)state;
	set_up(&s);
	s.model.status = MODEL_ERROR;
	strcpy(s.command.generation, "0");
	expect(&s, GUARD_REFUSE, "status");
	s.command.reason = REASON_MANUAL;
	expect(&s, GUARD_GO, "");
	s.use.dirty = true; /* uses of broken models are not told: they do not count */
	expect(&s, GUARD_GO, "");
	s.model.hold_left_ms = 1;
	expect(&s, GUARD_REFUSE, "held");
	s.model.hold_left_ms = 0;
	strcpy(s.command.generation, "abc");
	expect(&s, GUARD_REFUSE, "replaced");
	/* The other way round: "0" is no key to a good model. */
	set_up(&s);
	s.command.reason = REASON_MANUAL;
	strcpy(s.command.generation, "0");
	expect(&s, GUARD_REFUSE, "replaced");
	s.command.force = true;
	expect(&s, GUARD_REFUSE, "replaced");
}

static void test_long_root_reason(void **state)
{
	struct scene s;
	char longest[300], why[96];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	set_up(&s);
	s.facts.root_refuses = longest;
	assert_int_equal(guard_judge(&s.facts, why, sizeof(why)), GUARD_REFUSE);
	assert_int_equal(strlen(why), 6 + 80);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_go),	     cmocka_unit_test(test_each_reason),
		cmocka_unit_test(test_order),	     cmocka_unit_test(test_all_subsets),
		cmocka_unit_test(test_manual),	     cmocka_unit_test(test_force),
		cmocka_unit_test(test_error_status), cmocka_unit_test(test_long_root_reason),
	};

	return RUN_TESTS(tests);
}
