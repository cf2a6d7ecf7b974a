/* larderctl inuse: whether a model's files are open or mapped on this host, and by whom. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/agent_option.h"
#include "cli/args.h"
#include "cli/field.h"

struct options {
	char *agent;
};

static const struct setting options[] = {
	AGENT_OPTION(struct options),
	SETTING_END,
};

static int show(const cJSON *answer)
{
	const char *open = field_text(answer, "open"), *who = field_text(answer, "processes");

	if (*open == '\0')
		return EX_SOFTWARE;
	printf("%s: open: %s", field_text(answer, "model"), open);
	if (*field_text(answer, "why") != '\0')
		printf(" (%s)", field_text(answer, "why"));
	printf("\n");
	if (*who != '\0')
		printf("  by %s\n", who);
	else if (strcmp(open, "yes") == 0)
		printf("  by a process that this agent cannot see\n");
	return EX_OK;
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	cJSON *body = agent_what(cmd_operand(operands, 0));
	int code = agent_show(
		cli, o->agent,
		&(struct client_request){.method = "POST", .path = "/v1/inuse", .body = body},
		show);

	cJSON_Delete(body);
	return code;
}

const struct cmd cmd_inuse = {
	.name = "inuse",
	.operands = "MODEL|PATH",
	.summary = "whether a model's files are open or mapped on this host, and by whom",
	.min_operands = 1,
	.max_operands = 1,
	.options = options,
	.size = sizeof(struct options),
	.notes = AGENT_WHAT_NOTES
	"The answer is yes, no or unknown (the file system cannot tell). Engines that have loaded\n"
	"a model have closed its files: `larderctl models --why` says what else is known. Names "
	"of\n"
	"processes are those that the agent sees in /proc.\n\n"
	"Example:\n"
	"  larderctl inuse hf:gpt2@607a30d783df\n",
	.outcomes = "  0   printed\n"
		    "  1   this host has no such model, or it is being deleted\n",
	.run = run,
};
