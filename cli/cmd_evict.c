/* larderctl evict: eviction by hand, and what became of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/field.h"
#include "cli/receipts.h"
#include "cli/table.h"
#include "common/glob.h"

#define NOT_LEADER "not the leader; that is "

struct options {
	cJSON *nodes;
	bool force, wait;
	int64_t timeout_ms;
};

static const struct setting options[] = {
	{.key = "node",
	 .offset = offsetof(struct options, nodes),
	 .type = SETTING_JSON,
	 .allowed = "GLOB",
	 .help = "only on nodes whose name matches; may be given several times"},
	{.key = "force",
	 .offset = offsetof(struct options, force),
	 .type = SETTING_BOOL,
	 .help = "also what is held or was just used; never an open file or a pin"},
	{.key = "wait",
	 .offset = offsetof(struct options, wait),
	 .type = SETTING_BOOL,
	 .help = "wait until the nodes have said what became of it"},
	{.key = "timeout",
	 .offset = offsetof(struct options, timeout_ms),
	 .type = SETTING_DURATION,
	 .def = "10m",
	 .min = 0,
	 .max = 86400000,
	 .help = "with --wait, for so long"},
	SETTING_END,
};

/* ---- asking ---- */

static cJSON *make_body(const struct options *o, const cJSON *models)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddItemToObject(body, "models", cJSON_Duplicate(models, 1));
	if (o->nodes != NULL)
		cJSON_AddItemToObject(body, "nodes", cJSON_Duplicate(o->nodes, 1));
	if (o->force)
		cJSON_AddTrueToObject(body, "force");
	return body;
}

/* "not the leader; that is ID at HOST:PORT": the URL there, or NULL. The caller frees it. */
static char *leader_url(const struct client *client, const struct client_answer *answer)
{
	const char *why = field_text(answer->tree, "error");
	const char *at = strstr(why, " at ");

	if (answer->status != 503 || strncmp(why, NOT_LEADER, strlen(NOT_LEADER)) != 0 ||
	    at == NULL)
		return NULL;
	return client_url_at(client, at + strlen(" at "));
}

/* Asks the server, and once the leader that it names. */
static int ask_leader(const struct client *client, const cJSON *body, struct client_answer *answer)
{
	const struct client_request request = {
		.method = "POST", .path = "/v1/evictions", .body = body};
	struct client leader = *client;
	struct err err;
	char *url;
	int code = client_ask(client, &request, answer, &err);

	if (code == EX_OK)
		return code;
	url = leader_url(client, answer);
	if (url == NULL)
		return cmd_fail(code, &err);
	client_answer_free(answer);
	leader.url = url;
	code = cmd_ask(&leader, &request, answer);
	free(url);
	return code;
}

/* ---- judging ---- */

/* Why a command was not issued, where its word does not say it. */
static const char *explain(const char *outcome)
{
	static const struct {
		const char *outcome, *text;
	} texts[] = {
		{"used", "it was used just now"},
		{"held", "somebody uses it; --force evicts it nevertheless"},
		{"pending", "a command is under way already"},
		{"gone", "it is not there any more"},
		{"pinned", "larderctl pins shows by whom and why"},
		{"report_only", "nothing is deleted in its root"},
		{"fenced", "there is a later leader"},
		{"registering", "its node is registering now; try again"},
		{"restarted", "its node's agent has just restarted; try again"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcmp(texts[i].outcome, outcome) == 0)
			return texts[i].text;
	}
	return "";
}

static bool succeeded(const cJSON *command, bool wait)
{
	const cJSON *receipt = cJSON_GetObjectItemCaseSensitive(command, RECEIPTS_KEY);
	const char *outcome = field_text(command, "outcome");

	if (receipts_expected(command) && wait)
		outcome = field_text(receipt, "outcome");
	return strcmp(outcome, "gone") == 0 || strcmp(outcome, wait ? "deleted" : "issued") == 0;
}

/* Was each model that was asked for found on some node? */
static bool all_found(const cJSON *models, const cJSON *commands)
{
	const cJSON *model, *command;
	bool all = true;

	cJSON_ArrayForEach (model, models) {
		bool found = false;

		cJSON_ArrayForEach (command, commands)
			found |= glob_match(model->valuestring, field_text(command, "model"));
		if (!found)
			cmd_note("no such model on these nodes: %s", model->valuestring);
		all &= found;
	}
	return all;
}

static int judge(const cJSON *models, const cJSON *commands, bool wait)
{
	const cJSON *command;
	bool good = all_found(models, commands);

	cJSON_ArrayForEach (command, commands)
		good &= succeeded(command, wait);
	return good ? EX_OK : EXIT_FAILURE;
}

/* ---- showing ---- */

static void add_command(struct table *t, const cJSON *command, bool wait)
{
	const cJSON *receipt = cJSON_GetObjectItemCaseSensitive(command, RECEIPTS_KEY);
	const char *outcome = field_text(command, "outcome");

	table_text(t, field_text(command, "node"));
	table_text(t, field_text(command, "model"));
	if (!wait || !receipts_expected(command)) {
		table_text(t, outcome);
		table_bytes(t, receipts_expected(command) ? field_int(command, "bytes") : -1);
		table_text(t, explain(outcome));
	} else if (receipt != NULL) {
		table_text(t, field_text(receipt, "outcome"));
		table_bytes(t, field_int(receipt, "bytes"));
		table_text(t, field_text(receipt, "why"));
	} else {
		table_text(t, "open");
		table_bytes(t, -1);
		table_text(t, "no answer yet; larderctl history will show it");
	}
}

static void show(const cJSON *commands, bool wait)
{
	const struct table_column columns[] = {
		TABLE_LEFT("NODE"), TABLE_LEFT("MODEL"), TABLE_LEFT("OUTCOME"),
		TABLE_RIGHT(wait ? "FREED" : "BYTES"), TABLE_OPTIONAL("WHY")};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));
	const cJSON *command;

	cJSON_ArrayForEach (command, commands)
		add_command(t, command, wait);
	table_print(t, stdout);
	table_free(t);
}

static void print_waited(const cJSON *tree)
{
	char *text = cJSON_PrintUnformatted(tree);

	printf("%s\n", text);
	cJSON_free(text);
}

/* Waits, if that is wanted, and says how it went. */
static int finish(const struct cli *cli, const struct options *o, const cJSON *models,
		  const struct client_answer *answer)
{
	cJSON *commands = cJSON_GetObjectItemCaseSensitive(answer->tree, "commands");
	struct err err;
	int code = EX_OK;

	if (cmd_list(answer->tree, "commands") == NULL)
		return EX_SOFTWARE;
	/* Any coordinator shows the trail; the leader may change meanwhile. */
	if (o->wait)
		code = receipts_wait(&cli->client, commands, o->timeout_ms, &err);
	if (!cli->json)
		show(commands, o->wait);
	else if (o->wait)
		print_waited(answer->tree);
	else
		cmd_print_json(answer);
	if (code != EX_OK)
		return cmd_fail(code, &err);
	code = judge(models, commands, o->wait);
	if (!field_true(answer->tree, "truncated"))
		return code;
	cmd_note("more models match than one request may name; the rest needs narrower globs, or "
		 "--node");
	return EXIT_FAILURE;
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	cJSON *body = make_body(o, operands);
	struct client_answer answer;
	int code = ask_leader(&cli->client, body, &answer);

	if (code == EX_OK)
		code = finish(cli, o, operands, &answer);
	client_answer_free(&answer);
	cJSON_Delete(body);
	return code;
}

const struct cmd cmd_evict = {
	.name = "evict",
	.operands = "MODEL...",
	.summary = "evict models by hand",
	.min_operands = 1,
	.max_operands = CMD_MANY,
	.options = options,
	.size = sizeof(struct options),
	.notes = "MODEL is a name as `larderctl models` shows it, or a glob with * and ?; quote "
		 "it. The\n"
		 "coordinator issues a command for each model on each node that has it; the node's "
		 "agent\n"
		 "may still refuse, when somebody uses the model. Pins are respected, --force or "
		 "not.\n"
		 "After the command, --timeout is for the waiting; before it, for each request. "
		 "With\n"
		 "--wait, -o json adds to each command its receipt, as GET /v1/evictions shows "
		 "it.\n\n"
		 "Examples:\n"
		 "  larderctl evict hf:gpt2@607a30d783df\n"
		 "  larderctl evict 'hf:meta-llama/*' --node 'gpu-a*' --wait\n",
	.outcomes =
		"  0   a command was issued for every model; with --wait, every model was deleted\n"
		"      (one that is gone already counts as done)\n"
		"  1   some models were not found, refused, or not deleted in time\n",
	.run = run,
};
