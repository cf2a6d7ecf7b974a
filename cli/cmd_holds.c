/* larderctl holds: what keeps models on this host: callers, engines, pods, open files. */
#include <sysexits.h>

#include "cli/agent_option.h"
#include "cli/args.h"
#include "cli/field.h"
#include "cli/table.h"

static void add(struct table *t, const cJSON *hold, const char *model)
{
	table_text(t, field_text(hold, "id"));
	table_text(t, field_text(hold, "source"));
	table_text(t, field_text(hold, "who"));
	table_duration(t, field_int(hold, "left_ms"));
	table_text(t, model);
}

static int show(const cJSON *answer)
{
	static const struct table_column columns[] = {TABLE_LEFT("ID"), TABLE_LEFT("SOURCE"),
						      TABLE_LEFT("WHO"), TABLE_RIGHT("LEFT"),
						      TABLE_LEFT("MODEL")};
	const cJSON *holds = cmd_list(answer, "holds"), *hold;
	struct table *t;

	if (holds == NULL)
		return EX_SOFTWARE;
	t = table_new(columns, ARRAY_SIZE(columns));
	cJSON_ArrayForEach (hold, holds) {
		const cJSON *models = cJSON_GetObjectItemCaseSensitive(hold, "models"), *model;

		if (models == NULL || models->child == NULL)
			add(t, hold, "");
		cJSON_ArrayForEach (model, models)
			add(t, hold, field_string(model));
	}
	cmd_print_table(t, "holds");
	return EX_OK;
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct agent_options *o = base;

	(void)operands;
	return agent_show(cli, o->agent,
			  &(struct client_request){.method = "GET", .path = "/v1/holds"}, show);
}

const struct cmd cmd_holds = {
	.name = "holds",
	.operands = "",
	.summary = "what keeps models on this host: callers, engines, pods, open files",
	.options = agent_options,
	.size = sizeof(struct agent_options),
	.notes =
		"SOURCE is hold (a caller asked), probe (an engine serves it), pod (a pod mentions "
		"it) or\n"
		"open (a file was found open or mapped). All of them end by themselves unless they "
		"are\n"
		"renewed. A line without a MODEL keeps what has not come yet.\n",
	.outcomes = "  0   printed\n",
	.run = run,
};
