/* larderctl touch: tells the agent of this host that a model is used now. */
#include "cli/agent_option.h"

static int show(const cJSON *answer)
{
	return cmd_print_done("touched", answer, "model");
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct agent_options *o = base;

	return agent_post(cli, o->agent, "/v1/touch", cmd_operand(operands, 0), show);
}

const struct cmd cmd_touch = {
	.name = "touch",
	.operands = "MODEL|PATH",
	.summary = "tell the agent of this host that a model is used now",
	.min_operands = 1,
	.max_operands = 1,
	.options = agent_options,
	.size = sizeof(struct agent_options),
	.notes = AGENT_WHAT_NOTES "\n"
				  "Examples:\n"
				  "  larderctl touch hf:gpt2@607a30d783df\n"
				  "  larderctl touch /models/llama/model.safetensors\n",
	.outcomes = "  0   noted\n"
		    "  1   this host has no such model, or it is being deleted\n",
	.run = run,
};
