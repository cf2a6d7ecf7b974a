/* larderctl inuse: whether a model's files are open or mapped on this host, and by whom. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/agent_option.h"
#include "cli/field.h"

static int show(const cJSON *answer)
{
	const char *open = field_text(answer, "open"), *who = field_text(answer, "processes");
	const char *model = field_text(answer, "model"), *why = field_text(answer, "why");

	if (*open == '\0')
		return EX_SOFTWARE;
	if (*why != '\0')
		cmd_print_line("%s: open: %s (%s)", model, open, why);
	else
		cmd_print_line("%s: open: %s", model, open);
	if (*who != '\0')
		cmd_print_line("  by %s", who);
	else if (strcmp(open, "yes") == 0)
		printf("  by a process that this agent cannot see\n");
	return EX_OK;
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct agent_options *o = base;

	return agent_post(cli, o->agent, "/v1/inuse", cmd_operand(operands, 0), show);
}

const struct cmd cmd_inuse = {
	.name = "inuse",
	.operands = "MODEL|PATH",
	.summary = "whether a model's files are open or mapped on this host, and by whom",
	.min_operands = 1,
	.max_operands = 1,
	.options = agent_options,
	.size = sizeof(struct agent_options),
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
