/* larderctl touch: tells the agent of this host that a model is used now. */
#include "cli/args.h"
#include "cli/cmd.h"

struct options {
	char *agent;
};

static const struct setting options[] = {
	{.key = "agent",
	 .offset = offsetof(struct options, agent),
	 .type = SETTING_STRING,
	 .allowed = "URL",
	 .def = "http://127.0.0.1:9481",
	 .help = "the agent"},
	SETTING_END,
};

static int show(const cJSON *answer)
{
	return cmd_print_done("touched", answer, "model");
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	const char *what = cmd_operand(operands, 0);
	cJSON *body = cJSON_CreateObject();
	struct cli agent = *cli;
	int code;

	agent.client.url = o->agent;
	cJSON_AddStringToObject(body, *what == '/' ? "path" : "model", what);
	code = cmd_show(
		&agent,
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
	.notes = "What begins with / is a path of this host: a model's folder, or something in it. "
		 "In a\n"
		 "Hugging Face cache that is models--NAME/snapshots/COMMIT.\n\n"
		 "Examples:\n"
		 "  larderctl touch hf:gpt2@607a30d783df\n"
		 "  larderctl touch /models/llama/model.safetensors\n",
	.outcomes = "  0   noted\n"
		    "  1   this host has no such model, or it is being deleted\n",
	.run = run,
};
