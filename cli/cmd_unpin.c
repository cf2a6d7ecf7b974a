/* larderctl unpin: takes a pin back. */
#include "cli/args.h"
#include "cli/cmd.h"

static int show(const cJSON *answer)
{
	return cmd_print_done("unpinned", answer, "glob");
}

static int run(const struct cli *cli, const void *options, const cJSON *operands)
{
	const struct client_param params[] = {{"glob", cmd_operand(operands, 0)}, {0}};

	(void)options;
	return cmd_show(
		cli,
		&(struct client_request){.method = "DELETE", .path = "/v1/pins", .params = params},
		show);
}

const struct cmd cmd_unpin = {
	.name = "unpin",
	.operands = "GLOB",
	.summary = "take a pin back",
	.min_operands = 1,
	.max_operands = 1,
	.options = args_none,
	.notes = "GLOB is the pin as `larderctl pins` shows it, letter by letter: it removes this "
		 "one\n"
		 "pin, not all pins that it matches.\n\n"
		 "Example:\n"
		 "  larderctl unpin 'nim:*'\n",
	.outcomes = "  0   removed\n"
		    "  1   there is no such pin\n",
	.run = run,
};
