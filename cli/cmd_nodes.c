/* larderctl nodes: what each node reports of itself, one line for each cache directory. */
#include <stdio.h>
#include <sysexits.h>

#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/field.h"
#include "cli/table.h"

struct options {
	char *node;
};

static const struct setting options[] = {
	{.key = "node",
	 .offset = offsetof(struct options, node),
	 .type = SETTING_STRING,
	 .allowed = "GLOB",
	 .help = "only nodes whose name matches"},
	SETTING_END,
};

/* What is the node's own stands in its first line only, so that a column can be summed up. */
static void add_root(struct table *t, const cJSON *node, const cJSON *root, bool first)
{
	table_text(t, field_text(node, "node"));
	table_text(t, !field_true(node, "live")	       ? "no"
		      : field_true(node, "registered") ? "yes"
						       : "registering");
	table_duration(t, first ? field_int(node, "heartbeat_age_ms") : -1);
	table_number(t, first ? field_int(node, "models") : -1);
	table_bytes(t, first ? field_int(node, "model_bytes") : -1);
	table_bytes(t, first ? field_int(node, "wanted_bytes") : -1);
	table_text(t, field_text(root, "name"));
	table_text(t, field_text(root, "layout"));
	table_text(t, field_text(root, "mode"));
	table_bytes(t, field_int(root, "available_bytes"));
	table_bytes(t, field_int(root, "total_bytes"));
	table_text(t, field_text(root, "note"));
}

static int show(const cJSON *answer)
{
	static const struct table_column columns[] = {
		TABLE_LEFT("NODE"),	  TABLE_LEFT("LIVE"),	TABLE_RIGHT("HEARTBEAT"),
		TABLE_RIGHT("MODELS"),	  TABLE_RIGHT("BYTES"), TABLE_RIGHT("WANTED"),
		TABLE_LEFT("ROOT"),	  TABLE_LEFT("LAYOUT"), TABLE_LEFT("MODE"),
		TABLE_RIGHT("AVAILABLE"), TABLE_RIGHT("TOTAL"), TABLE_OPTIONAL("NOTE"),
	};
	const cJSON *nodes = cmd_list(answer, "nodes"), *node, *root;
	struct table *t;

	if (nodes == NULL)
		return EX_SOFTWARE;
	t = table_new(columns, ARRAY_SIZE(columns));
	cJSON_ArrayForEach (node, nodes) {
		const cJSON *roots = cJSON_GetObjectItemCaseSensitive(node, "roots");

		if (cJSON_GetArraySize(roots) == 0)
			add_root(t, node, NULL, true);
		cJSON_ArrayForEach (root, roots)
			add_root(t, node, root, root == roots->child);
	}
	cmd_print_table(t, "nodes");
	return EX_OK;
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	const struct client_param params[] = {{"node", o->node}, {0}};

	(void)operands;
	return cmd_show(
		cli,
		&(struct client_request){.method = "GET", .path = "/v1/nodes", .params = params},
		show);
}

const struct cmd cmd_nodes = {
	.name = "nodes",
	.operands = "",
	.summary = "the nodes with their cache directories and disks",
	.options = options,
	.size = sizeof(struct options),
	.notes = "HEARTBEAT is the age of the last sign of life. WANTED is what is missing to the "
		 "free\n"
		 "space that the policy asks for. MODE is delete, report (nothing is deleted "
		 "there) or\n"
		 "unavailable. Roots that share a disk show the same space.\n\n"
		 "Example:\n"
		 "  larderctl nodes --node 'gpu-a*'\n",
	.outcomes = "  0   printed\n",
	.run = run,
};
