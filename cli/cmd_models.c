/* larderctl models: the models on the nodes, a page at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/field.h"
#include "cli/table.h"

#define LIMIT_MAX  1000
#define OFFSET_MAX 100000

struct options {
	char *node, *model;
	int sort;
	bool reverse, why;
	int64_t limit, offset;
};

enum { SORT_LAST_USED, SORT_SIZE, SORT_NAME };

static const char *const sorts[] = {"last_used", "size", "name", NULL};

#define ROW(name) .key = #name, .offset = offsetof(struct options, name)

static const struct setting options[] = {
	{ROW(node), .type = SETTING_STRING, .allowed = "GLOB",
	 .help = "only on nodes whose name matches"},
	{ROW(model), .type = SETTING_STRING, .allowed = "GLOB",
	 .help = "only models whose name matches"},
	{ROW(sort), .type = SETTING_CHOICE, .choices = sorts, .def = "last_used",
	 .help = "least recently used, largest or alphabetically first"},
	{ROW(reverse), .type = SETTING_BOOL, .help = "the other way round"},
	{ROW(why), .type = SETTING_BOOL,
	 .help = "say where the last use is known from, and who holds it"},
	{ROW(limit), .type = SETTING_INT, .def = "100", .min = 1, .max = LIMIT_MAX,
	 .help = "at most so many"},
	{ROW(offset), .type = SETTING_INT, .def = "0", .min = 0, .max = OFFSET_MAX,
	 .help = "leave so many out at the beginning"},
	SETTING_END,
};

static void add_flags(struct table *t, const cJSON *model)
{
	static const char *const flags[] = {"held", "pinned", "pending"};
	char text[32] = "";
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		if (field_true(model, flags[i]))
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
						 used > 0 ? "," : "", flags[i]);
	}
	table_text(t, text);
}

static int show_rows(const cJSON *answer, bool why)
{
	static const struct table_column columns[] = {
		TABLE_LEFT("NODE"),    TABLE_LEFT("MODEL"),	   TABLE_LEFT("STATUS"),
		TABLE_RIGHT("IDLE"),   TABLE_RIGHT("BYTES"),	   TABLE_LEFT("FLAGS"),
		TABLE_OPTIONAL("WHY"), TABLE_LEFT("USE KNOWN BY"), TABLE_LEFT("HELD BY"),
	};
	const cJSON *models = cmd_list(answer, "models"), *model;
	int64_t total = field_int(answer, "total"), offset = field_int(answer, "offset");
	struct table *t;

	if (models == NULL)
		return EX_SOFTWARE;
	t = table_new(columns, ARRAY_SIZE(columns) - (why ? 0 : 2));
	cJSON_ArrayForEach (model, models) {
		table_text(t, field_text(model, "node"));
		table_text(t, field_text(model, "model"));
		table_text(t, field_text(model, "status"));
		table_duration(t, field_int(model, "idle_ms"));
		table_bytes(t, field_int(model, "bytes"));
		add_flags(t, model);
		table_text(t, field_text(model, "why"));
		if (!why)
			continue;
		table_text(t, field_text(model, "source"));
		table_text(t, field_text(model, "held_by"));
	}
	offset += (int64_t)table_rows(t);
	cmd_print_table(t, "models");
	if (offset < total)
		cmd_note("%" PRId64 " of %" PRId64 " models; go on with --offset %" PRId64, offset,
			 total, offset);
	return EX_OK;
}

static int show(const cJSON *answer)
{
	return show_rows(answer, false);
}

static int show_why(const cJSON *answer)
{
	return show_rows(answer, true);
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	/* The largest come first, but the least recently used and the first of the alphabet too. */
	const char *order = o->sort == SORT_SIZE ? "asc" : "desc";
	char limit[24], offset[24];
	const struct client_param params[] = {
		{"node", o->node},
		{"model", o->model},
		{"limit", limit},
		{"offset", offset},
		{"sort", sorts[o->sort]},
		{"order", o->reverse ? order : NULL},
		{0},
	};

	(void)operands;
	snprintf(limit, sizeof(limit), "%" PRId64, o->limit);
	snprintf(offset, sizeof(offset), "%" PRId64, o->offset);
	return cmd_show(
		cli,
		&(struct client_request){.method = "GET", .path = "/v1/models", .params = params},
		o->why ? show_why : show);
}

const struct cmd cmd_models = {
	.name = "models",
	.operands = "",
	.summary = "the models on the nodes: last use, size, what keeps them",
	.options = options,
	.size = sizeof(struct options),
	.notes = "BYTES is what deleting the model now would free. FLAGS are held (somebody uses "
		 "it),\n"
		 "pinned and pending (a delete command is under way). Globs have * and ?.\n\n"
		 "With --why: USE KNOWN BY is the source of the last use (probe: an engine says "
		 "that it serves\n"
		 "the model; hold, api: a caller said so; pod: a pod mentions it; open: a file was "
		 "found open or\n"
		 "mapped; watch: a file was seen to be opened; atime: access times; download), "
		 "HELD BY who\n"
		 "uses it now.\n\n"
		 "Examples:\n"
		 "  larderctl models --why\n"
		 "  larderctl models --sort size --limit 10\n"
		 "  larderctl models --node gpu-a1 --model 'hf:meta-llama/*'\n",
	.outcomes = "  0   printed\n",
	.run = run,
};
