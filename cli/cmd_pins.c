/* larderctl pins: the list of pins. */
#include <sysexits.h>

#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/field.h"
#include "cli/table.h"

static int show(const cJSON *answer)
{
	static const struct table_column columns[] = {TABLE_LEFT("GLOB"), TABLE_LEFT("UNTIL"),
						      TABLE_LEFT("BY"), TABLE_LEFT("WHY"),
						      TABLE_OPTIONAL("PROBLEM")};
	const cJSON *pins = cmd_list(answer, "pins"), *pin;
	struct table *t;

	if (pins == NULL)
		return EX_SOFTWARE;
	t = table_new(columns, ARRAY_SIZE(columns));
	cJSON_ArrayForEach (pin, pins) {
		int64_t until_ms = field_int(pin, "until_ms");

		table_text(t, field_text(pin, "glob"));
		if (until_ms > 0)
			table_time(t, until_ms);
		else
			table_text(t, "for ever");
		table_text(t, field_text(pin, "by"));
		table_text(t, field_text(pin, "why"));
		table_text(t, field_text(pin, "problem"));
	}
	cmd_print_table(t, "pins");
	return EX_OK;
}

static int run(const struct cli *cli, const void *options, const cJSON *operands)
{
	(void)options;
	(void)operands;
	return cmd_show(cli, &(struct client_request){.method = "GET", .path = "/v1/pins"}, show);
}

const struct cmd cmd_pins = {
	.name = "pins",
	.operands = "",
	.summary = "the pins, until when, by whom and why",
	.options = args_none,
	.notes = "A pin with a PROBLEM could not be read as a whole; it keeps what it matches for "
		 "ever.\n",
	.outcomes = "  0   printed\n",
	.run = run,
};
