/* larderctl plan: what a cycle would do now, and why. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/field.h"
#include "cli/human.h"
#include "cli/table.h"

struct options {
	char *node;
	bool as_if_deleting;
};

static const struct setting options[] = {
	{.key = "node",
	 .offset = offsetof(struct options, node),
	 .type = SETTING_STRING,
	 .allowed = "NODE",
	 .help = "only for this node"},
	{.key = "as-if-deleting",
	 .offset = offsetof(struct options, as_if_deleting),
	 .type = SETTING_BOOL,
	 .help = "as it would be if roots that only report did delete"},
	SETTING_END,
};

/* The first line: would the next cycle do this? */
static void print_state(const cJSON *answer)
{
	const char *why = field_text(answer, "observing_why");

	if (field_true(answer, "as_if_deleting"))
		printf("As if roots that only report did delete: nothing of this will be done.\n");
	else if (!field_true(answer, "enabled"))
		printf("Automatic eviction is disabled: nothing of this will be done.\n");
	else if (field_true(answer, "dry_run"))
		printf("Dry run: this will be logged, and nothing of it done.\n");
	else if (*why != '\0')
		cmd_print_line("Observing, nothing is issued now: %s.", why);
	else
		printf("Enabled: the next cycle will do this.\n");
}

static void print_victim_total(const cJSON *answer)
{
	int64_t nodes = field_int(answer, "nodes"), live = field_int(answer, "live_nodes");
	char buf[HUMAN_SIZE];

	if (live < nodes)
		printf("Nodes that are not live, or do not exist, are left alone: %" PRId64
		       " of %" PRId64 ".\n",
		       nodes - live, nodes);
	printf("\nVictims: %" PRId64 ", %s\n", field_int(answer, "victim_count"),
	       human_bytes(field_int(answer, "victim_bytes"), buf));
}

static void add_model(struct table *t, const cJSON *model, int64_t now_ms)
{
	int64_t used_ms = field_int(model, "last_used_ms");

	table_text(t, field_text(model, "node"));
	table_text(t, field_text(model, "model"));
	table_duration(t, used_ms > 0 && now_ms > used_ms ? now_ms - used_ms : -1);
	table_bytes(t, field_int(model, "bytes"));
}

static void print_victims(const cJSON *victims, int64_t now_ms)
{
	static const struct table_column columns[] = {
		TABLE_LEFT("NODE"),   TABLE_LEFT("MODEL"),	  TABLE_RIGHT("IDLE"),
		TABLE_RIGHT("BYTES"), TABLE_LEFT("USE KNOWN BY"), TABLE_LEFT("REASON")};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	const cJSON *model;

	cJSON_ArrayForEach (model, victims) {
		add_model(t, model, now_ms);
		table_text(t, field_text(model, "source"));
		table_text(t, field_text(model, "reason"));
	}
	table_print(t, stdout);
	table_free(t);
}

static void print_spared(const cJSON *spared, int64_t now_ms)
{
	static const struct table_column columns[] = {
		TABLE_LEFT("NODE"),	 TABLE_LEFT("MODEL"),	     TABLE_RIGHT("IDLE"),
		TABLE_RIGHT("BYTES"),	 TABLE_LEFT("USE KNOWN BY"), TABLE_LEFT("WANTED BY"),
		TABLE_LEFT("SPARED BY"), TABLE_OPTIONAL("HELD BY")};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	const cJSON *model;

	cJSON_ArrayForEach (model, spared) {
		add_model(t, model, now_ms);
		table_text(t, field_text(model, "source"));
		table_text(t, field_text(model, "rule"));
		table_text(t, field_text(model, "why"));
		table_text(t, field_text(model, "held_by"));
	}
	table_print(t, stdout);
	table_free(t);
}

/* "pinned 12.5 GiB, held 3.0 GiB", or numbers of models */
static void add_blocked(struct table *t, const cJSON *blocked, bool bytes)
{
	char text[400] = "", buf[HUMAN_SIZE];
	size_t used = 0;
	const cJSON *item;

	cJSON_ArrayForEach (item, blocked) {
		int64_t much = field_int(blocked, item->string);

		if (used >= sizeof(text))
			break;
		if (!bytes)
			snprintf(buf, sizeof(buf), "%" PRId64, much);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s",
					 used > 0 ? ", " : "", item->string,
					 bytes ? human_bytes(much, buf) : buf);
	}
	table_text(t, text);
}

static void print_targets(const cJSON *targets)
{
	static const struct table_column columns[] = {
		TABLE_LEFT("NODE"),    TABLE_LEFT("RULE"),     TABLE_OPTIONAL("DISK"),
		TABLE_RIGHT("WANTED"), TABLE_RIGHT("REACHED"), TABLE_LEFT("KEPT BY")};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	const cJSON *target;

	cJSON_ArrayForEach (target, targets) {
		bool bytes = strcmp(field_text(target, "rule"), "disk_space") == 0;
		void (*amount)(struct table *, int64_t) = bytes ? table_bytes : table_number;

		table_text(t, field_text(target, "node"));
		table_text(t, field_text(target, "rule"));
		table_text(t, field_text(target, "disk"));
		amount(t, field_int(target, "wanted"));
		amount(t, field_int(target, "reached"));
		if (field_true(target, "impossible"))
			table_text(t, "the disk is smaller");
		else
			add_blocked(t, cJSON_GetObjectItemCaseSensitive(target, "blocked"), bytes);
	}
	table_print(t, stdout);
	table_free(t);
}

static int show(const cJSON *answer)
{
	const cJSON *victims, *spared, *targets;
	int64_t now_ms = field_int(answer, "now_ms");

	if ((victims = cmd_list(answer, "victims")) == NULL ||
	    (spared = cmd_list(answer, "spared")) == NULL ||
	    (targets = cmd_list(answer, "targets_not_reached")) == NULL)
		return EX_SOFTWARE;
	print_state(answer);
	print_victim_total(answer);
	if (victims->child != NULL)
		print_victims(victims, now_ms);
	printf("\nSpared: %d\n", cJSON_GetArraySize(spared));
	if (spared->child != NULL)
		print_spared(spared, now_ms);
	printf("\nTargets not reached: %d\n", cJSON_GetArraySize(targets));
	if (targets->child != NULL)
		print_targets(targets);
	if (field_true(answer, "truncated"))
		cmd_note("the plan is longer than what is shown; the totals count all of it");
	return EX_OK;
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	const struct client_param params[] = {
		{"node", o->node}, {"as_if_deleting", o->as_if_deleting ? "true" : NULL}, {0}};

	(void)operands;
	return cmd_show(
		cli,
		&(struct client_request){.method = "GET", .path = "/v1/plan", .params = params},
		show);
}

const struct cmd cmd_plan = {
	.name = "plan",
	.operands = "",
	.summary = "what a cycle would evict now, what it would spare, and why; never acts",
	.options = options,
	.size = sizeof(struct options),
	.notes = "The reasons are time_threshold, count_limit and disk_space. A model that a rule "
		 "wants\n"
		 "gone is spared when it is pinned, held (somebody uses it), pending (a command is "
		 "under\n"
		 "way), too_young, last_copy, report_only (nothing is deleted in its root), "
		 "deferred\n"
		 "(could not be deleted lately), shared (frees nothing) or cap (enough for one "
		 "cycle,\n"
		 "or larger than a cap of bytes).\n\n"
		 "Example:\n"
		 "  larderctl plan --node gpu-a1\n",
	.outcomes = "  0   printed\n",
	.run = run,
};
