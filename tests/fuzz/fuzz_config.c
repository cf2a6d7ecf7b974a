/*
 * The settings of both programs, from file, environment and flags. An input is the file, then a
 * line "%%", then lines LARDER_...=VALUE and --FLAG=VALUE. What is accepted is within its bounds,
 * and printed by --print-config it is a file with the same meaning.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/options.h"
#include "common/file_io.h"
#include "common/model_name.h"
#include "common/xmem.h"
#include "coordinator/options.h"
#include "tests/fuzz/fuzz.h"

#define ARGUMENTS_MAX 16
#define PATH_SIZE     32

/* The start of every command line. */
static char program_name[] = "program", config_flag[] = "-c";

struct input {
	char path[PATH_SIZE]; /* of the file, in memory */
	char *argv[ARGUMENTS_MAX + 4];
	int argc;
	char *variables[ARGUMENTS_MAX];
	size_t variable_count;
};

/* A file in memory with this text; its path goes into `path`. */
static int memory_file(const char *text, size_t len, char *path)
{
	int fd = memfd_create("config", MFD_CLOEXEC);

	REQUIRE(fd >= 0 && file_write_all(fd, text, len) == 0);
	snprintf(path, PATH_SIZE, "/proc/self/fd/%d", fd);
	return fd;
}

/* Flags that print something and end the program are not what is tested here. */
static bool is_setting(const char *flag)
{
	return strncmp(flag, "--", 2) == 0 && strchr(flag, '=') != NULL &&
	       strncmp(flag, "--config", 8) != 0;
}

static void take_lines(struct input *in, char *lines)
{
	while (lines != NULL) {
		char *line = fuzz_line(&lines), *equals = strchr(line, '=');

		if (in->argc < ARGUMENTS_MAX && is_setting(line))
			in->argv[in->argc++] = line;
		if (in->variable_count == ARGUMENTS_MAX || equals == NULL ||
		    strncmp(line, "LARDER_", 7) != 0)
			continue;
		*equals = '\0';
		setenv(line, equals + 1, 1);
		in->variables[in->variable_count++] = line;
	}
	in->argv[in->argc] = NULL;
}

static void clear_environment(const struct input *in)
{
	for (size_t i = 0; i < in->variable_count; i++)
		unsetenv(in->variables[i]);
}

static void check_coordinator(const void *base)
{
	const struct coordinator_options *o = base;

	REQUIRE(o->policy.unused_threshold_ms >= 0 && o->check_interval_ms >= 1000);
	REQUIRE(o->policy.min_copies >= 0 && o->hold_off_ms >= 0 && o->lease_ms >= 1000);
	REQUIRE(o->policy.min_free_space_bytes == SETTING_UNSET ||
		o->policy.min_free_space_bytes >= 0);
	REQUIRE(limits_check(&o->policy, NULL) == 0);
	REQUIRE(o->overrides == NULL || cJSON_IsArray(o->overrides));
	REQUIRE(o->redis.url != NULL);
}

static void check_agent(const void *base)
{
	const struct agent_options *o = base;
	int count = cJSON_GetArraySize(o->roots);

	REQUIRE(o->node_name == NULL || model_name_node_valid(o->node_name));
	REQUIRE(o->state_dir[0] == '/' && count >= 1);
	for (int i = 0; i < count; i++) {
		struct agent_root_options root = {0};

		REQUIRE(agent_root_options(o->roots, i, &root, NULL) == 0);
		REQUIRE(root.path[0] == '/' && model_name_root_valid(root.name));
		REQUIRE(root.settle_time_ms >= 0 && root.partial_timeout_ms >= 1000);
		agent_root_options_free(&root);
	}
}

/* The settings in force as a file: it is good, and says the same. */
static void check_printed(const struct settings_program *program, const void *base)
{
	cJSON *tree = setting_to_json(program->rows, base), *tree_again;
	char *text = cJSON_Print(tree);
	char path[PATH_SIZE], differs[128];
	char *argv[] = {program_name, config_flag, path, NULL};
	int fd = memory_file(text, strlen(text), path);
	void *again = xcalloc(1, program->size);
	struct settings_start start;
	struct err err = {""};

	if (settings_load(program, 3, argv, again, &start, &err) != 0)
		fprintf(stderr, "%s\n%s\n", err.text, text);
	REQUIRE(start.action == SETTINGS_RUN);
	REQUIRE(!setting_differs(program->rows, base, again, 0, differs, sizeof(differs)));
	tree_again = setting_to_json(program->rows, again);
	REQUIRE(cJSON_Compare(tree, tree_again, 1));
	REQUIRE(settings_check_file(program, path, &err) == 0);
	setting_free(program->rows, again);
	free(again);
	free(start.file);
	close(fd);
	cJSON_free(text);
	cJSON_Delete(tree);
	cJSON_Delete(tree_again);
}

static void load(const struct settings_program *program, struct input *in,
		 void (*check)(const void *base))
{
	void *base = xcalloc(1, program->size), *reloaded = xcalloc(1, program->size);
	struct settings_start start;
	struct err err = {""};
	char differs[128];
	int rc = settings_load(program, in->argc, in->argv, base, &start, &err);
	int rc_again = settings_reload(program, in->argc, in->argv, reloaded, &err);

	REQUIRE(rc == rc_again);
	if (rc != 0) {
		REQUIRE(err.text[0] != '\0');
		REQUIRE(start.action == SETTINGS_EXIT && start.file == NULL);
		REQUIRE(start.exit_code == 64 || start.exit_code == 78);
	} else {
		REQUIRE(start.action == SETTINGS_RUN && strcmp(start.file, in->path) == 0);
		REQUIRE(!setting_differs(program->rows, base, reloaded, 0, differs,
					 sizeof(differs)));
		check(base);
		clear_environment(in);
		check_printed(program, base);
	}
	free(start.file);
	setting_free(program->rows, base);
	setting_free(program->rows, reloaded);
	free(base);
	free(reloaded);
}

static void run(const struct settings_program *program, const char *text,
		void (*check)(const void *base))
{
	char *copy = xstrdup(text), *lines = strstr(copy, "\n%%\n");
	struct input in = {.argv = {program_name, config_flag, in.path}, .argc = 3};
	int fd;

	if (lines != NULL)
		*lines = '\0';
	fd = memory_file(copy, strlen(copy), in.path);
	take_lines(&in, lines != NULL ? lines + 4 : NULL);
	load(program, &in, check);
	clear_environment(&in);
	close(fd);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	run(&coordinator_program, text, check_coordinator);
	run(&agent_program, text, check_agent);
	free(text);
	return 0;
}
