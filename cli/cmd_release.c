/* larderctl release: ends a hold before its time. */
#include "cli/agent_option.h"

static int show(const cJSON *answer)
{
	return cmd_print_done("released", answer, "id");
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct agent_options *o = base;
	const struct client_param params[] = {{"id", cmd_operand(operands, 0)}, {0}};

	return agent_show(
		cli, o->agent,
		&(struct client_request){.method = "DELETE", .path = "/v1/holds", .params = params},
		show);
}

const struct cmd cmd_release = {
	.name = "release",
	.operands = "ID",
	.summary = "end a hold on this host before its time",
	.min_operands = 1,
	.max_operands = 1,
	.options = agent_options,
	.size = sizeof(struct agent_options),
	.notes = "ID is what `larderctl hold` printed. The model counts as used until now.\n\n"
		 "Example:\n"
		 "  larderctl release train-7\n",
	.outcomes = "  0   released\n"
		    "  1   there is no such hold\n",
	.run = run,
};
