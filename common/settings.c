/* Settings from file, environment and flags; --help and the reference page from the same rows. */
#include "common/settings.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/file_io.h"
#include "common/json_doc.h"
#include "common/version.h"
#include "common/xmem.h"

#define FILE_MAX_BYTES (1 << 20)
#define NAME_SIZE      128
/* What load() returns instead of -1 when an argument, not the configuration, is to blame. */
#define BAD_FLAG (-2)

/* One leaf of the table: its row, the struct it lives in, and its dotted name. */
struct leaf {
	const struct setting *row;
	void *base;
	char path[NAME_SIZE]; /* "policy." */
	char name[NAME_SIZE]; /* "policy.max_models" */
};

typedef int (*leaf_fn)(const struct leaf *leaf, void *arg, struct err *err);

static int each_leaf(const struct setting *rows, void *base, const char *path, leaf_fn fn,
		     void *arg, struct err *err)
{
	for (; rows->key != NULL; rows++) {
		struct leaf leaf = {.row = rows, .base = base};

		snprintf(leaf.path, sizeof(leaf.path), "%s", path);
		snprintf(leaf.name, sizeof(leaf.name), "%s%s", path, rows->key);
		if (rows->type == SETTING_GROUP) {
			char below[NAME_SIZE + 1];

			snprintf(below, sizeof(below), "%s.", leaf.name);
			if (each_leaf(rows->group,
				      base != NULL ? (char *)base + rows->offset : NULL, below, fn,
				      arg, err) != 0)
				return -1;
		} else if (fn(&leaf, arg, err) != 0) {
			return -1;
		}
	}
	return 0;
}

/* "policy.max_models" -> "--policy-max-models" or "LARDER_POLICY_MAX_MODELS". */
static const char *spell(char *buf, const char *prefix, const char *name, char between, bool upper)
{
	size_t used = (size_t)snprintf(buf, NAME_SIZE + 16, "%s", prefix);

	for (; *name != '\0' && used < NAME_SIZE + 15; name++) {
		char c = *name == '.' || *name == '_' ? between : *name;

		buf[used++] = upper ? (char)toupper((unsigned char)c) : c;
	}
	buf[used] = '\0';
	return buf;
}

static int from_environment(const struct leaf *leaf, void *arg, struct err *err)
{
	char variable[NAME_SIZE + 16];
	const char *text = getenv(spell(variable, "LARDER_", leaf->name, '_', true));

	(void)arg;
	if (text == NULL)
		return 0;
	if (setting_apply_text(leaf->row, leaf->base, text, leaf->path, err) != 0)
		return err_prefix(err, "environment variable %s", variable);
	return 0;
}

struct flag {
	const char *name, *value;
	bool taken;
};

static int from_flag(const struct leaf *leaf, void *arg, struct err *err)
{
	struct flag *flag = arg;
	char spelled[NAME_SIZE + 16];

	if (leaf->row->flags & SETTING_SECRET)
		return 0;
	if (strcmp(spell(spelled, "--", leaf->name, '-', false), flag->name) != 0)
		return 0;
	flag->taken = true;
	if (flag->value == NULL)
		return err_set(err, "%s needs a value", flag->name);
	if (setting_apply_text(leaf->row, leaf->base, flag->value, leaf->path, err) != 0)
		return err_prefix(err, "%s", flag->name);
	return 0;
}

struct cmdline {
	const char *config;
	bool check, print_config, print_reference, help, version;
};

/* Flags that are no settings. Returns how many arguments were used, 0 if none of them, or -1. */
static int common_flag(const char *arg, const char *next, struct cmdline *cmd, struct err *err)
{
	static const struct {
		const char *name;
		size_t offset;
	} switches[] = {
		{"--check", offsetof(struct cmdline, check)},
		{"--print-config", offsetof(struct cmdline, print_config)},
		{"--print-reference", offsetof(struct cmdline, print_reference)},
		{"--help", offsetof(struct cmdline, help)},
		{"-h", offsetof(struct cmdline, help)},
		{"--version", offsetof(struct cmdline, version)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(switches); i++) {
		if (strcmp(arg, switches[i].name) == 0) {
			*(bool *)((char *)cmd + switches[i].offset) = true;
			return 1;
		}
	}
	if (strncmp(arg, "--config=", 9) == 0) {
		cmd->config = arg + 9;
		return 1;
	}
	if (strcmp(arg, "--config") == 0 || strcmp(arg, "-c") == 0) {
		if (next == NULL)
			return err_set(err, "%s needs a file", arg);
		cmd->config = next;
		return 2;
	}
	return 0;
}

/* Walks the arguments; settings are applied to `base` unless it is NULL. */
static int read_flags(const struct settings_program *program, int argc, char **argv, void *base,
		      struct cmdline *cmd, struct err *err)
{
	for (int i = 1; i < argc; i++) {
		int used = common_flag(argv[i], argv[i + 1], cmd, err);
		char name[NAME_SIZE + 16];
		struct flag flag = {.name = name};
		const char *equals;

		if (used < 0)
			return -1;
		if (used > 0) {
			i += used - 1;
			continue;
		}
		equals = strchr(argv[i], '=');
		snprintf(name, sizeof(name), "%.*s",
			 (int)(equals != NULL ? equals - argv[i] : (long)strlen(argv[i])), argv[i]);
		flag.value = equals != NULL ? equals + 1 : argv[i + 1];
		if (base == NULL) {
			i += equals == NULL && strncmp(name, "--", 2) == 0;
			continue;
		}
		if (each_leaf(program->rows, base, "", from_flag, &flag, err) != 0)
			return -1;
		if (!flag.taken)
			return err_set(err, "unknown argument %.60s; see %s --help", argv[i],
				       program->name);
		i += equals == NULL;
	}
	return 0;
}

static int from_file(const struct settings_program *program, const char *path, void *base,
		     struct err *err)
{
	size_t len;
	char *text = file_read(path, FILE_MAX_BYTES, &len, err);
	cJSON *tree = NULL;
	int rc = -1;

	if (text == NULL)
		return -1;
	tree = json_doc_parse(text, len, err);
	if (tree == NULL ||
	    (program->check_file != NULL && cJSON_IsObject(tree) &&
	     program->check_file(tree, err) != 0) ||
	    setting_apply(program->rows, base, tree, "", err) != 0)
		err_prefix(err, "%s", path);
	else
		rc = 0;
	cJSON_Delete(tree);
	free(text);
	return rc;
}

/* Which file to read: the flag's, the variable's, or the default one if it is there. */
static const char *choose_file(const struct settings_program *program, const struct cmdline *cmd)
{
	if (cmd->config != NULL)
		return cmd->config;
	if (getenv(program->file_env) != NULL)
		return getenv(program->file_env);
	return access(program->file, F_OK) == 0 ? program->file : NULL;
}

static int load(const struct settings_program *program, int argc, char **argv, void *base,
		const char *file, struct err *err)
{
	struct cmdline ignored = {0};

	setting_defaults(program->rows, base);
	if (file != NULL && from_file(program, file, base, err) != 0)
		return -1;
	if (each_leaf(program->rows, base, "", from_environment, NULL, err) != 0)
		return -1;
	if (read_flags(program, argc, argv, base, &ignored, err) != 0)
		return BAD_FLAG;
	if (program->check != NULL && program->check(base, err) != 0)
		return file != NULL ? err_prefix(err, "%s", file) : -1;
	return 0;
}

static int print_help_leaf(const struct leaf *leaf, void *arg, struct err *err)
{
	char spelled[NAME_SIZE + 16], allowed[320];

	(void)arg;
	(void)err;
	if (leaf->row->flags & SETTING_SECRET) {
		printf("  %s (environment only)\n      %s.\n",
		       spell(spelled, "LARDER_", leaf->name, '_', true), leaf->row->help);
		return 0;
	}
	printf("  %s=VALUE\n      %s.\n      %s; default %s\n",
	       spell(spelled, "--", leaf->name, '-', false), leaf->row->help,
	       setting_allowed(leaf->row, allowed, sizeof(allowed)),
	       leaf->row->def != NULL ? leaf->row->def : "null");
	return 0;
}

static void print_help(const struct settings_program *program)
{
	printf("%s: %s\n\nUsage: %s [--config FILE] [--SETTING=VALUE ...]\n\n"
	       "  -c, --config FILE   read the settings from FILE (JSON); default %s if it "
	       "exists,\n"
	       "                      or the file that %s names\n"
	       "  --check             check the settings and exit: 0 good, 78 bad\n"
	       "  --print-config      print the settings in force, secrets left out, and exit\n"
	       "  --print-reference   print the reference page of all settings and exit\n"
	       "  --version           print the version and exit\n"
	       "  -h, --help          print this and exit\n\n"
	       "Settings, each also a key of FILE and a variable LARDER_...; flags win over\n"
	       "variables, variables over the file:\n\n",
	       program->name, program->summary, program->name, program->file, program->file_env);
	each_leaf(program->rows, NULL, "", print_help_leaf, NULL, NULL);
	printf("\nExit status: 0 stopped by a signal, 64 bad arguments, 78 bad configuration,\n"
	       "1 anything else.\n");
}

static int print_reference_leaf(const struct leaf *leaf, void *arg, struct err *err)
{
	char variable[NAME_SIZE + 16], allowed[320];
	const struct setting *row = leaf->row;

	(void)arg;
	(void)err;
	spell(variable, "LARDER_", leaf->name, '_', true);
	setting_allowed(row, allowed, sizeof(allowed));
	for (char *p = allowed; *p != '\0'; p++) {
		if (*p == '|')
			*p = '/';
	}
	printf("| `%s` | %s | `%s` | %s | %s | `%s` |\n",
	       row->flags & SETTING_SECRET ? "(environment only)" : leaf->name, row->help,
	       row->def != NULL ? row->def : "null", allowed,
	       row->flags & SETTING_RELOAD ? "yes" : "no", variable);
	return 0;
}

static void print_reference(const struct settings_program *program)
{
	printf("# Settings of %s\n\nMade by `%s --print-reference` from the table in its source. "
	       "A key is also a flag\n(`policy.max_models` is `--policy-max-models`). Flags win "
	       "over variables, variables over the file.\n\n"
	       "| key | meaning | default | allowed | SIGHUP takes it over | variable |\n"
	       "|---|---|---|---|---|---|\n",
	       program->name, program->name);
	each_leaf(program->rows, NULL, "", print_reference_leaf, NULL, NULL);
}

static void print_config(const struct settings_program *program, const void *base)
{
	cJSON *tree = setting_to_json(program->rows, base);
	char *text = cJSON_Print(tree);

	printf("%s\n", text);
	cJSON_free(text);
	cJSON_Delete(tree);
}

int settings_load(const struct settings_program *program, int argc, char **argv, void *base,
		  struct settings_start *start, struct err *err)
{
	struct cmdline cmd = {0};
	const char *path;
	int rc;

	*start = (struct settings_start){.action = SETTINGS_EXIT, .exit_code = EX_USAGE};
	if (read_flags(program, argc, argv, NULL, &cmd, err) != 0)
		return -1;
	if (cmd.help || cmd.version || cmd.print_reference) {
		if (cmd.help)
			print_help(program);
		else if (cmd.version)
			printf("%s %s\n", program->name, LARDER_VERSION);
		else
			print_reference(program);
		start->exit_code = 0;
		return 0;
	}
	path = choose_file(program, &cmd);
	rc = load(program, argc, argv, base, path, err);
	start->exit_code = rc == 0 ? 0 : rc == BAD_FLAG ? EX_USAGE : EX_CONFIG;
	if (rc != 0)
		return -1;
	if (path != NULL)
		start->file = xstrdup(path);
	if (cmd.print_config)
		print_config(program, base);
	else if (cmd.check)
		printf("%s: good\n", path != NULL ? path : "defaults");
	else
		start->action = SETTINGS_RUN;
	return 0;
}

int settings_reload(const struct settings_program *program, int argc, char **argv, void *base,
		    struct err *err)
{
	struct cmdline cmd = {0};

	if (read_flags(program, argc, argv, NULL, &cmd, err) != 0)
		return -1;
	return load(program, argc, argv, base, choose_file(program, &cmd), err) != 0 ? -1 : 0;
}

int settings_check_file(const struct settings_program *program, const char *path, struct err *err)
{
	void *base = xcalloc(1, program->size);
	int rc;

	setting_defaults(program->rows, base);
	rc = from_file(program, path, base, err);
	if (rc == 0 && program->check != NULL && program->check(base, err) != 0)
		rc = err_prefix(err, "%s", path);
	setting_free(program->rows, base);
	free(base);
	return rc;
}
