/* larderctl: the table of commands, the options that all of them have, and --help. */
#include <curl/curl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/args.h"
#include "cli/cmd.h"
#include "common/file_io.h"
#include "common/version.h"
#include "common/xmem.h"

#define DEFAULT_SERVER "http://127.0.0.1:9480"

static const struct cmd *const commands[] = {
	&cmd_status, &cmd_nodes, &cmd_models,  &cmd_plan,   &cmd_evict, &cmd_pin,
	&cmd_unpin,  &cmd_pins,	 &cmd_history, &cmd_touch,  &cmd_hold,	&cmd_release,
	&cmd_holds,  &cmd_inuse, &cmd_check,   &cmd_doctor,
};

struct general {
	char *server;
	char *token_file;
	char *ca_file;
	int output;
	int64_t timeout_ms;
	bool help, version;
};

enum { OUTPUT_TABLE, OUTPUT_JSON };

static const char *const outputs[] = {"table", "json", NULL};

static const struct setting general_options[] = {
	{.key = "server",
	 .offset = offsetof(struct general, server),
	 .type = SETTING_STRING,
	 .allowed = "URL",
	 .help = "a coordinator; default $LARDER_SERVER or " DEFAULT_SERVER},
	{.key = "token-file",
	 .offset = offsetof(struct general, token_file),
	 .type = SETTING_STRING,
	 .allowed = "FILE",
	 .help = "the bearer token; default $LARDER_TOKEN_FILE, or $LARDER_TOKEN itself"},
	{.key = "ca-file",
	 .offset = offsetof(struct general, ca_file),
	 .type = SETTING_STRING,
	 .allowed = "FILE",
	 .help = "https: who may sign the server's certificate; default $LARDER_CA_FILE"},
	{.key = "output",
	 .offset = offsetof(struct general, output),
	 .type = SETTING_CHOICE,
	 .choices = outputs,
	 .def = "table",
	 .help = "tables for people, or one JSON document for programs"},
	{.key = "timeout",
	 .offset = offsetof(struct general, timeout_ms),
	 .type = SETTING_DURATION,
	 .def = "30s",
	 .min = 1,
	 .max = 86400000,
	 .help = "for one request to the server"},
	{.key = "help",
	 .offset = offsetof(struct general, help),
	 .type = SETTING_BOOL,
	 .help = "print this and exit"},
	{.key = "version",
	 .offset = offsetof(struct general, version),
	 .type = SETTING_BOOL,
	 .help = "print the version and exit"},
	SETTING_END,
};

struct line {
	struct general general;
	const struct cmd *cmd;
	void *options; /* of the command */
	cJSON *operands;
};

/* ---- help ---- */

static void print_help(void)
{
	printf("larderctl: looks after the model caches of a GPU cluster's nodes\n\n"
	       "Usage: larderctl [OPTION...] COMMAND [OPTION...] [ARGUMENT...]\n\n"
	       "Commands; larderctl COMMAND --help tells more of each:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-26s%s\n", commands[i]->name, commands[i]->summary);
	printf("\nOptions, before or after the command:\n");
	args_print_help(general_options);
	printf("\nTables and JSON go to standard output, all else to standard error.\n");
}

static void print_command_help(const struct cmd *cmd)
{
	printf("larderctl %s: %s\n\nUsage: larderctl %s [OPTION...]%s%s\n", cmd->name, cmd->summary,
	       cmd->name, *cmd->operands != '\0' ? " " : "", cmd->operands);
	if (cmd->options->key != NULL) {
		printf("\nOptions:\n");
		args_print_help(cmd->options);
	}
	printf("\n%s\nExit status:\n%s  64  bad arguments\n", cmd->notes, cmd->outcomes);
	if (!cmd->offline && !cmd->diagnoses)
		printf("  69  the server cannot be reached, or cannot answer now\n"
		       "  70  its answer is not understood\n");
	printf("  74  the output cannot be written\n");
	if (!cmd->offline && !cmd->diagnoses)
		printf("  77  not permitted: the token is missing or wrong\n");
	if (!cmd->offline)
		printf("  78  the token or the CA file cannot be read\n");
	printf("\nlarderctl --help lists the options that all commands have.\n");
}

/* ---- the command line ---- */

static int take_command(struct line *line, const char *name, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i]->name, name) != 0)
			continue;
		line->cmd = commands[i];
		line->options = xcalloc(1, line->cmd->size + 1);
		setting_defaults(line->cmd->options, line->options);
		return 0;
	}
	return err_set(err, "unknown command \"%.60s\"; see larderctl --help", name);
}

static int take_option(struct line *line, char **argv, int *at, struct err *err)
{
	int taken = 0;

	/* What the command calls its own wins. */
	if (line->cmd != NULL)
		taken = args_take(line->cmd->options, line->options, argv, at, err);
	if (taken == 0)
		taken = args_take(general_options, &line->general, argv, at, err);
	if (taken == 0)
		return err_set(err, "unknown option \"%.60s\"; see larderctl %s%s--help", argv[*at],
			       line->cmd != NULL ? line->cmd->name : "",
			       line->cmd != NULL ? " " : "");
	return taken < 0 ? -1 : 0;
}

static int check_operands(const struct line *line, struct err *err)
{
	int count = cJSON_GetArraySize(line->operands);
	const struct cmd *cmd = line->cmd;

	if (cmd == NULL)
		return err_set(err, "no command; see larderctl --help");
	if (count < cmd->min_operands || count > cmd->max_operands)
		return err_set(err, "usage: larderctl %s [OPTION...]%s%s; see larderctl %s --help",
			       cmd->name, *cmd->operands != '\0' ? " " : "", cmd->operands,
			       cmd->name);
	return 0;
}

static int parse(struct line *line, int argc, char **argv, struct err *err)
{
	bool options_end = false;

	setting_defaults(general_options, &line->general);
	line->operands = cJSON_CreateArray();
	for (int i = 1; i < argc; i++) {
		int rc = 0;

		if (!options_end && strcmp(argv[i], "--") == 0)
			options_end = true;
		else if (!options_end && argv[i][0] == '-' && argv[i][1] != '\0')
			rc = take_option(line, argv, &i, err);
		else if (line->cmd == NULL)
			rc = take_command(line, argv[i], err);
		else
			cJSON_AddItemToArray(line->operands, cJSON_CreateString(argv[i]));
		if (rc != 0)
			return -1;
	}
	return line->general.help || line->general.version ? 0 : check_operands(line, err);
}

/* ---- running it ---- */

/* The option, or else the variable unless it is empty, or else NULL. */
static const char *or_variable(const char *option, const char *variable)
{
	const char *value = getenv(variable);

	if (option != NULL)
		return option;
	return value != NULL && *value != '\0' ? value : NULL;
}

/* The bearer token (to be freed), or NULL when none is set. It becomes part of a header. */
static int find_token(const struct general *general, char **token, struct err *err)
{
	const char *file = or_variable(general->token_file, "LARDER_TOKEN_FILE");
	const char *text = or_variable(NULL, "LARDER_TOKEN");

	*token = NULL;
	if (file != NULL)
		*token = file_read_secret(file, err);
	else if (text != NULL)
		*token = xstrdup(text);
	else
		return 0;
	if (*token == NULL)
		return -1;
	for (const char *p = *token; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~')
			return err_set(err, "%.200s: the token has bytes that no token has",
				       file != NULL ? file : "LARDER_TOKEN");
	}
	return 0;
}

static int run(const struct line *line, struct cli *cli)
{
	const char *server = or_variable(line->general.server, "LARDER_SERVER");
	char *token = NULL;
	struct err err;
	int code = EX_CONFIG;

	if (find_token(&line->general, &token, &err) != 0) {
		cmd_fail(code, &err);
		goto out;
	}
	cli->client = (struct client){
		.url = server != NULL ? server : DEFAULT_SERVER,
		.token = token,
		.ca_file = or_variable(line->general.ca_file, "LARDER_CA_FILE"),
		.timeout_ms = line->general.timeout_ms,
	};
	curl_global_init(CURL_GLOBAL_DEFAULT);
	code = line->cmd->run(cli, line->options, line->operands);
	curl_global_cleanup();
out:
	free(token);
	return code;
}

static int do_line(const struct line *line)
{
	struct cli cli = {.json = line->general.output == OUTPUT_JSON};

	if (line->general.version)
		printf("larderctl %s\n", LARDER_VERSION);
	else if (line->general.help && line->cmd == NULL)
		print_help();
	else if (line->general.help)
		print_command_help(line->cmd);
	else if (line->cmd->offline)
		return line->cmd->run(&cli, line->options, line->operands);
	else
		return run(line, &cli);
	return EX_OK;
}

int main(int argc, char **argv)
{
	struct line line = {0};
	struct err err;
	int code;

	/* Servers send UTF-8, wherever we are. Without this, human_text escapes it. */
	setlocale(LC_CTYPE, "C.UTF-8");
	code = parse(&line, argc, argv, &err) == 0 ? do_line(&line) : cmd_fail(EX_USAGE, &err);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		cmd_note("the output cannot be written");
		code = EX_IOERR;
	}
	if (line.cmd != NULL)
		setting_free(line.cmd->options, line.options);
	free(line.options);
	cJSON_Delete(line.operands);
	setting_free(general_options, &line.general);
	return code;
}
