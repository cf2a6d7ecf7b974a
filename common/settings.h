/*
 * Loads a program's settings: defaults < file < environment < flags. One table (setting.h) per
 * program. Flags are --KEY with dots and underscores as dashes, variables LARDER_KEY in upper
 * case: policy.max_models is --policy-max-models and LARDER_POLICY_MAX_MODELS.
 */
#ifndef LARDER_SETTINGS_H
#define LARDER_SETTINGS_H

#include "common/setting.h"

struct settings_program {
	const char *name;     /* "larder-agent" */
	const char *summary;  /* one line for --help */
	const char *file;     /* the default configuration file, read if it exists */
	const char *file_env; /* the variable that names another file, "LARDER_AGENT_CONFIG" */
	const struct setting *rows;
	size_t size; /* of the struct that the rows describe */
	/* Looks at the file's tree before it is taken over; may be NULL. */
	int (*check_file)(const cJSON *file, struct err *err);
	/* What single rows cannot see; may be NULL. */
	int (*check)(const void *base, struct err *err);
};

enum settings_action {
	SETTINGS_RUN,  /* start the program */
	SETTINGS_EXIT, /* --help, --check and the like have done their work */
};

/* How a program goes on after its settings were loaded. */
struct settings_start {
	enum settings_action action;
	char *file;    /* that was read, or NULL; the caller frees it */
	int exit_code; /* for SETTINGS_EXIT, or EX_USAGE (64) or EX_CONFIG (78) after an error */
};

/*
 * Reads the command line, file and environment into `base` (zeroed by the caller). Handles --help,
 * --version, --check, --print-config and --print-reference itself, on standard output. Returns -1
 * with a sentence when the program must not start.
 */
int settings_load(const struct settings_program *program, int argc, char **argv, void *base,
		  struct settings_start *start, struct err *err) MUST_USE;

/* Loads a file on top of defaults and environment, and flags again: for SIGHUP. */
int settings_reload(const struct settings_program *program, int argc, char **argv, void *base,
		    struct err *err) MUST_USE;

/* Checks one file alone on top of the defaults: `larderctl check FILE`. */
int settings_check_file(const struct settings_program *program, const char *path,
			struct err *err) MUST_USE;

#endif
