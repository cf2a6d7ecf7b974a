/* larderctl hold: keeps a model on this host until a time, or until it is released. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/agent_option.h"
#include "cli/args.h"
#include "cli/field.h"
#include "cli/human.h"

#define LONGEST_MS INT64_C(2592000000) /* 30 days, as the API has it */

struct options {
	char *agent, *who, *id, *revision;
	int64_t for_ms;
};

#define ROW(name) .key = #name, .offset = offsetof(struct options, name)

static const struct setting options[] = {
	{.key = "for",
	 .offset = offsetof(struct options, for_ms),
	 .type = SETTING_DURATION,
	 .def = "10m",
	 .min = 1000,
	 .max = LONGEST_MS,
	 .help = "for so long; it then ends by itself"},
	{ROW(who), .type = SETTING_STRING, .allowed = "TEXT", .def = "larderctl",
	 .help = "who uses it, for others to read"},
	{ROW(id), .type = SETTING_STRING, .allowed = "ID",
	 .help = "renew the hold of that id, or choose it; default: a new one"},
	{ROW(revision), .type = SETTING_STRING, .allowed = "COMMIT",
	 .help = "of a repository: only this revision"},
	AGENT_OPTION(struct options),
	SETTING_END,
};

/* hf:org/name@rev is a model's name, org/name a repository. */
static cJSON *what(const char *operand)
{
	cJSON *body;

	if (*operand == '/' || strchr(operand, '@') != NULL)
		return agent_what(operand);
	body = cJSON_CreateObject();
	cJSON_AddStringToObject(body, "repo", operand);
	return body;
}

static int show(const cJSON *answer)
{
	const cJSON *models = cmd_list(answer, "models"), *model;
	char left[HUMAN_SIZE];

	if (models == NULL)
		return EX_SOFTWARE;
	cmd_print_line("held for %s: %s", human_duration(field_int(answer, "left_ms"), left),
		       field_text(answer, "id"));
	cJSON_ArrayForEach (model, models)
		cmd_print_line("  %s", field_string(model));
	if (models->child == NULL)
		printf("  nothing on this host yet; what comes is held\n");
	return EX_OK;
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	cJSON *body = what(cmd_operand(operands, 0));
	char ttl[DURATION_TEXT_SIZE];
	int code;

	cJSON_AddStringToObject(body, "ttl", duration_format(o->for_ms, ttl));
	cJSON_AddStringToObject(body, "who", o->who);
	if (o->id != NULL)
		cJSON_AddStringToObject(body, "id", o->id);
	if (o->revision != NULL)
		cJSON_AddStringToObject(body, "revision", o->revision);
	code = agent_show(
		cli, o->agent,
		&(struct client_request){.method = "POST", .path = "/v1/holds", .body = body},
		show);
	cJSON_Delete(body);
	return code;
}

const struct cmd cmd_hold = {
	.name = "hold",
	.operands = "MODEL|PATH|REPOSITORY",
	.summary = "keep a model on this host until a time, for launchers and jobs",
	.min_operands = 1,
	.max_operands = 1,
	.options = options,
	.size = sizeof(struct options),
	.notes = AGENT_WHAT_NOTES
	"ORGANISATION/NAME is a repository of the hub: all of its revisions that are here, and\n"
	"those that come.\n\n"
	"Examples:\n"
	"  larderctl hold hf:gpt2@607a30d783df --for 2h --who train-7\n"
	"  larderctl hold meta-llama/Llama-3.1-8B-Instruct --id train-7 --for 30m\n",
	.outcomes = "  0   held; the id releases or renews it\n"
		    "  1   it is being deleted\n",
	.run = run,
};
