/* larderctl doctor: judges what each node reports of itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/field.h"
#include "cli/human.h"

#define CLOCK_MS  10000
#define ROWS_MAX  20 /* of one check */
#define CHECKS	  (sizeof(names) / sizeof(names[0]))
#define NAME_SIZE 400

enum { LIVE, CLOCK, VERSION, ROOT, DISK };

static const struct {
	const char *check, *good;
} names[] = {
	[LIVE] = {"node", "alive"},
	[CLOCK] = {"node-clock", "as Redis'"},
	[VERSION] = {"node-version", "the coordinator's"},
	[ROOT] = {"root", "models are deleted in all of them"},
	[DISK] = {"disk", "all have the free space that the policy wants"},
};

struct review {
	struct findings *f;
	size_t rows[CHECKS];
};

/* Adds a row, unless there are many of the kind already; the rest is counted. */
static void add(struct review *r, int kind, const struct finding *finding, const char *text)
{
	struct finding found = *finding;

	found.check = names[kind].check;
	if (++r->rows[kind] <= ROWS_MAX)
		findings_add(r->f, &found, "%s", text);
}

static void judge_root(struct review *r, const char *node, const cJSON *root)
{
	const char *mode = field_text(root, "mode"), *note = field_text(root, "note");
	struct finding found = {.state = FINDING_BAD};
	char about[NAME_SIZE], text[NAME_SIZE];

	if (strcmp(mode, "delete") == 0)
		return;
	snprintf(about, sizeof(about), "%s %s", node, field_text(root, "name"));
	found.about = about;
	if (strcmp(mode, "unavailable") == 0) {
		found.advice = "mount it, or mend its path or rights; the agent's log says -root";
		snprintf(text, sizeof(text), "it is not there: %s", note);
	} else {
		found.state = FINDING_WARNING;
		found.advice = "set report_only to false, or mend what the note says";
		snprintf(text, sizeof(text), "nothing is deleted there: %s",
			 *note != '\0' ? note : "it is only reported");
	}
	add(r, ROOT, &found, text);
}

static void judge_clock(struct review *r, const char *name, const cJSON *node)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(node, "clock_ahead_ms");
	int64_t ahead_ms = cJSON_IsNumber(item) ? (int64_t)item->valuedouble : 0;
	struct finding found = {.about = name,
				.state = FINDING_WARNING,
				.advice = "synchronize it by NTP: files' access times are by it"};
	char buf[HUMAN_SIZE], text[80];

	if (llabs(ahead_ms) < CLOCK_MS)
		return;
	snprintf(text, sizeof(text), "%s %s Redis'", human_duration(llabs(ahead_ms), buf),
		 ahead_ms > 0 ? "ahead of" : "behind");
	add(r, CLOCK, &found, text);
}

static void judge_live(struct review *r, const char *name, const cJSON *node, const char *version)
{
	struct finding found = {.about = name, .state = FINDING_WARNING};
	const char *its = field_text(node, "version");
	const cJSON *roots = cJSON_GetObjectItemCaseSensitive(node, "roots"), *root;
	int64_t wanted = field_int(node, "wanted_bytes");
	char buf[HUMAN_SIZE], text[160];

	judge_clock(r, name, node);
	if (*its != '\0' && strcmp(its, version) != 0) {
		found.advice = "bring both to one version";
		snprintf(text, sizeof(text), "%.40s, and the coordinator %.40s", its, version);
		add(r, VERSION, &found, text);
	}
	if (wanted > 0) {
		found.state = FINDING_BAD;
		found.advice = "see in larderctl plan what keeps its models, and in larderctl "
			       "status whether eviction is on";
		snprintf(text, sizeof(text),
			 "%s are missing to the free space that the policy wants",
			 human_bytes(wanted, buf));
		add(r, DISK, &found, text);
	}
	cJSON_ArrayForEach (root, roots)
		judge_root(r, name, root);
}

static void judge_node(struct review *r, const cJSON *node, const char *version)
{
	const char *name = field_text(node, "node");
	struct finding found = {.about = name, .state = FINDING_BAD};
	char buf[HUMAN_SIZE], text[120];

	if (field_true(node, "live") && field_true(node, "registered")) {
		judge_live(r, name, node, version);
		return;
	}
	if (field_true(node, "live")) {
		found.state = FINDING_WARNING;
		found.advice = "wait; the agent's log says -register when it cannot";
		snprintf(text, sizeof(text), "it is registering");
	} else {
		found.advice = "start larder-agent there; its log says -redis-link when it cannot "
			       "reach Redis";
		human_duration(field_int(node, "heartbeat_age_ms"), buf);
		snprintf(text, sizeof(text), "not alive: its last heartbeat is %s old", buf);
	}
	add(r, LIVE, &found, text);
}

void doctor_nodes(struct findings *f, const cJSON *nodes, const char *version)
{
	struct review r = {.f = f};
	struct finding found = {.check = "nodes", .state = FINDING_GOOD};
	int count = cJSON_GetArraySize(nodes);
	const cJSON *node;

	if (count == 0) {
		found.state = FINDING_BAD;
		found.advice = "start larder-agent on the nodes, with the same redis.url and "
			       "redis.prefix";
		findings_add(f, &found, "no agent has registered");
		return;
	}
	findings_add(f, &found, "%d registered", count);
	cJSON_ArrayForEach (node, nodes)
		judge_node(&r, node, version);
	for (size_t i = 0; i < CHECKS; i++) {
		found.check = names[i].check;
		found.state = r.rows[i] == 0 ? FINDING_GOOD : FINDING_WARNING;
		if (r.rows[i] == 0)
			findings_add(f, &found, "%s", names[i].good);
		else if (r.rows[i] > ROWS_MAX)
			findings_add(f, &found, "and %zu more", r.rows[i] - ROWS_MAX);
	}
}
