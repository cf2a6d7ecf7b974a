/* larderctl touch: tells the agent of this host that a model is used now. */
#include "cli/agent_option.h"
#include "cli/args.h"

struct options {
	char *agent;
};

static const struct setting options[] = {
	AGENT_OPTION(struct options),
	SETTING_END,
};

static int show(const cJSON *answer)
{
	return cmd_print_done("touched", answer, "model");
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	cJSON *body = agent_what(cmd_operand(operands, 0));
	int code = agent_show(
		cli, o->agent,
		&(struct client_request){.method = "POST", .path = "/v1/touch", .body = body},
		show);

	cJSON_Delete(body);
	return code;
}

const struct cmd cmd_touch = {
	.name = "touch",
	.operands = "MODEL|PATH",
	.summary = "tell the agent of this host that a model is used now",
	.min_operands = 1,
	.max_operands = 1,
	.options = options,
	.size = sizeof(struct options),
	.notes = AGENT_WHAT_NOTES "\n"
				  "Examples:\n"
				  "  larderctl touch hf:gpt2@607a30d783df\n"
				  "  larderctl touch /models/llama/model.safetensors\n",
	.outcomes = "  0   noted\n"
		    "  1   this host has no such model, or it is being deleted\n",
	.run = run,
};
