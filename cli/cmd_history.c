/* larderctl history: what was evicted, and what was not. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/field.h"
#include "cli/table.h"

#define LIMIT_MAX 1000

struct options {
	char *node, *model;
	int64_t limit;
	bool refaults;
};

#define ROW(name) .key = #name, .offset = offsetof(struct options, name)

static const struct setting options[] = {
	{ROW(node), .type = SETTING_STRING, .allowed = "GLOB",
	 .help = "only on nodes whose name matches"},
	{ROW(model), .type = SETTING_STRING, .allowed = "GLOB",
	 .help = "only models whose name matches"},
	{ROW(refaults), .type = SETTING_BOOL,
	 .help = "models that came back soon after their eviction"},
	{ROW(limit), .type = SETTING_INT, .def = "50", .min = 1, .max = LIMIT_MAX,
	 .help = "only the newest so many"},
	SETTING_END,
};

static void add_eviction(struct table *t, const cJSON *one)
{
	table_time(t, field_int(one, "at_ms"));
	table_text(t, field_text(one, "node"));
	table_text(t, field_text(one, "model"));
	table_text(t, field_text(one, "outcome"));
	table_text(t, field_text(one, "reason"));
	table_bytes(t, field_int(one, "bytes"));
	table_duration(t, field_int(one, "took_ms"));
	table_text(t, field_text(one, "why"));
}

static void add_refault(struct table *t, const cJSON *one)
{
	table_time(t, field_int(one, "at_ms"));
	table_text(t, field_text(one, "node"));
	table_text(t, field_text(one, "model"));
	table_text(t, field_text(one, "reason"));
	table_bytes(t, field_int(one, "bytes"));
	table_duration(t, field_int(one, "away_ms"));
	table_duration(t, field_int(one, "unused_ms"));
}

static int show(const cJSON *answer, const char *key, const struct table_column *columns,
		size_t count, void (*add)(struct table *t, const cJSON *one))
{
	const cJSON *list = cmd_list(answer, key), *one;
	struct table *t;

	if (list == NULL)
		return EX_SOFTWARE;
	t = table_new(columns, count);
	cJSON_ArrayForEach (one, list)
		add(t, one);
	cmd_print_table(t, key);
	return EX_OK;
}

static int show_evictions(const cJSON *answer)
{
	static const struct table_column columns[] = {TABLE_LEFT("AT"),	    TABLE_LEFT("NODE"),
						      TABLE_LEFT("MODEL"),  TABLE_LEFT("OUTCOME"),
						      TABLE_LEFT("REASON"), TABLE_RIGHT("FREED"),
						      TABLE_RIGHT("TOOK"),  TABLE_OPTIONAL("WHY")};

	return show(answer, "evictions", columns, ARRAY_SIZE(columns), add_eviction);
}

static int show_refaults(const cJSON *answer)
{
	static const struct table_column columns[] = {TABLE_LEFT("AT"),
						      TABLE_LEFT("NODE"),
						      TABLE_LEFT("MODEL"),
						      TABLE_LEFT("REASON"),
						      TABLE_RIGHT("BYTES"),
						      TABLE_RIGHT("BACK AFTER"),
						      TABLE_RIGHT("WAS UNUSED FOR")};

	return show(answer, "refaults", columns, ARRAY_SIZE(columns), add_refault);
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	char limit[24];
	const struct client_param params[] = {
		{"node", o->node}, {"model", o->model}, {"limit", limit}, {0}};

	(void)operands;
	snprintf(limit, sizeof(limit), "%" PRId64, o->limit);
	return cmd_show(
		cli,
		&(struct client_request){.method = "GET",
					 .path = o->refaults ? "/v1/refaults" : "/v1/evictions",
					 .params = params},
		o->refaults ? show_refaults : show_evictions);
}

const struct cmd cmd_history = {
	.name = "history",
	.operands = "",
	.summary = "what was evicted and what was not, newest first",
	.options = options,
	.size = sizeof(struct options),
	.notes = "OUTCOME is deleted, gone (it was not there any more), refused or failed. The "
		 "trail\n"
		 "keeps the last 10,000 outcomes. With --refaults: models that came back within "
		 "the agents'\n"
		 "refault_window, after how long, and for how long they had been unused when they "
		 "were\n"
		 "evicted. Many of them mean that the threshold or the floor is set too tight.\n\n"
		 "Example:\n"
		 "  larderctl history --node gpu-a1 --limit 20\n",
	.outcomes = "  0   printed\n",
	.run = run,
};
