/* larderctl pin: keeps the models that a glob matches. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/field.h"
#include "cli/human.h"

#define LONGEST_MS INT64_C(3153600000000) /* 100 years, as the API has it */

struct options {
	int64_t for_ms;
	char *why, *by;
};

static const struct setting options[] = {
	{.key = "for",
	 .offset = offsetof(struct options, for_ms),
	 .type = SETTING_DURATION,
	 .min = 1000,
	 .max = LONGEST_MS,
	 .help = "for so long, such as 7d; without it for ever"},
	{.key = "why",
	 .offset = offsetof(struct options, why),
	 .type = SETTING_STRING,
	 .allowed = "TEXT",
	 .help = "the reason, for others to read"},
	{.key = "by",
	 .offset = offsetof(struct options, by),
	 .type = SETTING_STRING,
	 .allowed = "NAME",
	 .help = "who wants it; default: your user name"},
	SETTING_END,
};

static const char *user_name(void)
{
	const char *name = getenv("USER");
	const struct passwd *user;

	if (name != NULL && *name != '\0')
		return name;
	user = getpwuid(geteuid());
	return user != NULL ? user->pw_name : "";
}

static int show(const cJSON *answer)
{
	int64_t until_ms = field_int(answer, "until_ms");
	char buf[HUMAN_SIZE], what[HUMAN_SIZE + 16];

	snprintf(what, sizeof(what), "pinned %s%s:", until_ms > 0 ? "until " : "for ever",
		 human_time(until_ms, buf));
	return cmd_print_done(what, answer, "glob");
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	cJSON *body = cJSON_CreateObject();
	char ttl[DURATION_TEXT_SIZE];
	int code;

	cJSON_AddStringToObject(body, "glob", cmd_operand(operands, 0));
	if (o->for_ms != SETTING_UNSET)
		cJSON_AddStringToObject(body, "ttl", duration_format(o->for_ms, ttl));
	cJSON_AddStringToObject(body, "by", o->by != NULL ? o->by : user_name());
	cJSON_AddStringToObject(body, "why", o->why != NULL ? o->why : "");
	code = cmd_show(
		cli, &(struct client_request){.method = "POST", .path = "/v1/pins", .body = body},
		show);
	cJSON_Delete(body);
	return code;
}

const struct cmd cmd_pin = {
	.name = "pin",
	.operands = "GLOB",
	.summary = "keep the models that a glob matches",
	.min_operands = 1,
	.max_operands = 1,
	.options = options,
	.size = sizeof(struct options),
	.notes = "A pinned model is never evicted, not by hand either. A second pin of the same "
		 "glob\n"
		 "replaces the first. Globs have * and ?; quote them.\n\n"
		 "Examples:\n"
		 "  larderctl pin 'hf:meta-llama/Llama-3.1-8B-Instruct@*' --for 7d --why "
		 "'benchmarks'\n"
		 "  larderctl pin 'nim:*'\n",
	.outcomes = "  0   pinned\n",
	.run = run,
};
