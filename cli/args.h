/*
 * Options of the command line as rows of settings (common/setting.h): "limit" is --limit N. A
 * SETTING_BOOL is a switch, a SETTING_JSON a list of texts, one for each time it is given. In the
 * help, `allowed` stands for the value of texts and lists.
 */
#ifndef LARDER_CLI_ARGS_H
#define LARDER_CLI_ARGS_H

#include "common/setting.h"

/* For commands without options. */
extern const struct setting args_none[];

/*
 * Takes argv[*at] if it is an option of these rows: returns 1, and `*at` is at the last argument
 * that was used. 0: it is none of them. -1: it is, but its value is bad.
 */
int args_take(const struct setting *rows, void *base, char **argv, int *at,
	      struct err *err) MUST_USE;

/* The lines of a help text that describe the rows. */
void args_print_help(const struct setting *rows);

#endif
