/* larderctl check: is this configuration file good? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "agent/options.h"
#include "cli/args.h"
#include "cli/cmd.h"
#include "common/file_io.h"
#include "common/json_doc.h"
#include "common/xmem.h"
#include "coordinator/options.h"

#define FILE_MAX_BYTES (1 << 20)

struct options {
	bool agent, coordinator;
};

static const struct setting options[] = {
	{.key = "agent",
	 .offset = offsetof(struct options, agent),
	 .type = SETTING_BOOL,
	 .help = "it is larder-agent's"},
	{.key = "coordinator",
	 .offset = offsetof(struct options, coordinator),
	 .type = SETTING_BOOL,
	 .help = "it is larder-coordinator's"},
	SETTING_END,
};

/* By what only an agent's file has. One that cannot be read is no agent's. */
static bool looks_like_agent(const char *path)
{
	static const char *const keys[] = {"roots", "state_dir", "beat_interval"};
	size_t len = 0;
	char *text = file_read(path, FILE_MAX_BYTES, &len, NULL);
	cJSON *tree = text != NULL ? json_doc_parse(text, len, NULL) : NULL;
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		found |= cJSON_GetObjectItemCaseSensitive(tree, keys[i]) != NULL;
	cJSON_Delete(tree);
	free(text);
	return found;
}

static void print_json(const char *path, const char *program, const char *error)
{
	cJSON *json = cJSON_CreateObject();
	char *text;

	cJSON_AddStringToObject(json, "file", path);
	cJSON_AddStringToObject(json, "program", program);
	cJSON_AddBoolToObject(json, "good", error == NULL);
	if (error != NULL)
		cJSON_AddStringToObject(json, "error", error);
	text = cJSON_PrintUnformatted(json);
	printf("%s\n", text);
	cJSON_free(text);
	cJSON_Delete(json);
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	const char *path = cmd_operand(operands, 0);
	const struct settings_program *program;
	struct err err;
	bool good;

	if (o->agent && o->coordinator) {
		cmd_note("--agent and --coordinator exclude each other");
		return EX_USAGE;
	}
	program = o->agent || (!o->coordinator && looks_like_agent(path)) ? &agent_program
									  : &coordinator_program;
	good = settings_check_file(program, path, &err) == 0;
	if (cli->json) {
		print_json(path, program->name, good ? NULL : err.text);
	} else if (good) {
		cmd_print_line("%s: good", path);
	}
	if (good)
		return EX_OK;
	return cmd_fail(EX_CONFIG, &err);
}

const struct cmd cmd_check = {
	.name = "check",
	.operands = "FILE",
	.summary = "check a configuration file of the coordinator or of the agent",
	.min_operands = 1,
	.max_operands = 1,
	.offline = true,
	.options = options,
	.size = sizeof(struct options),
	.notes = "Without an option, a file with roots, state_dir or beat_interval is the agent's. "
		 "The\n"
		 "program's own --check also takes variables and flags into account. -o json "
		 "prints\n"
		 "{\"file\", \"program\", \"good\"} and, if it is bad, \"error\".\n\n"
		 "Example:\n"
		 "  larderctl check /etc/larder/coordinator.json\n",
	.outcomes = "  0   good\n"
		    "  78  bad, or it cannot be read\n",
	.run = run,
};
