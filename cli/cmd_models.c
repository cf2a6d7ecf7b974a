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
	bool reverse;
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

static int show(const cJSON *answer)
{
	static const struct table_column columns[] = {
		TABLE_LEFT("NODE"),    TABLE_LEFT("MODEL"),  TABLE_LEFT("STATUS"),
		TABLE_RIGHT("IDLE"),   TABLE_RIGHT("BYTES"), TABLE_LEFT("FLAGS"),
		TABLE_OPTIONAL("WHY"),
	};
	const cJSON *models = cmd_list(answer, "models"), *model;
	int64_t total = field_int(answer, "total"), offset = field_int(answer, "offset");
	struct table *t;

	if (models == NULL)
		return EX_SOFTWARE;
	t = table_new(columns, ARRAY_SIZE(columns));
	cJSON_ArrayForEach (model, models) {
		table_text(t, field_text(model, "node"));
		table_text(t, field_text(model, "model"));
		table_text(t, field_text(model, "status"));
		table_duration(t, field_int(model, "idle_ms"));
		table_bytes(t, field_int(model, "bytes"));
		add_flags(t, model);
		table_text(t, field_text(model, "why"));
	}
	offset += (int64_t)table_rows(t);
	cmd_print_table(t, "models");
	if (offset < total)
		cmd_note("%" PRId64 " of %" PRId64 " models; go on with --offset %" PRId64, offset,
			 total, offset);
	return EX_OK;
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
		show);
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
		 "Examples:\n"
		 "  larderctl models --sort size --limit 10\n"
		 "  larderctl models --node gpu-a1 --model 'hf:meta-llama/*'\n",
	.outcomes = "  0   printed\n",
	.run = run,
};
