/* Options of the command line. */
#include "cli/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"

#define HELP_COLUMN 28

const struct setting args_none[] = {SETTING_END};

static const struct {
	char letter;
	const char *key;
} letters[] = {{'h', "help"}, {'o', "output"}};

static char letter_of(const struct setting *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(letters); i++) {
		if (strcmp(letters[i].key, row->key) == 0)
			return letters[i].letter;
	}
	return '\0';
}

/*
 * True when `arg` is the row's option; `*value` gets what stands in the same argument, or NULL.
 * --limit=5, --limit 5, -o json, -ojson.
 */
static bool is_option(const struct setting *row, const char *arg, const char **value)
{
	size_t len = strlen(row->key);

	*value = NULL;
	if (strncmp(arg, "--", 2) == 0) {
		arg += 2;
		if (strncmp(arg, row->key, len) != 0 || (arg[len] != '\0' && arg[len] != '='))
			return false;
		*value = arg[len] == '=' ? arg + len + 1 : NULL;
		return true;
	}
	if (arg[0] != '-' || arg[1] == '\0' || arg[1] != letter_of(row))
		return false;
	*value = arg[2] != '\0' ? arg + 2 : NULL;
	return true;
}

static int add_to_list(const struct setting *row, void *base, const char *value)
{
	cJSON **list = (void *)((char *)base + row->offset);

	if (*list == NULL)
		*list = cJSON_CreateArray();
	cJSON_AddItemToArray(*list, cJSON_CreateString(value));
	return 1;
}

int args_take(const struct setting *rows, void *base, char **argv, int *at, struct err *err)
{
	const char *value;

	while (rows->key != NULL && !is_option(rows, argv[*at], &value))
		rows++;
	if (rows->key == NULL)
		return 0;
	if (value == NULL && rows->type == SETTING_BOOL)
		value = "true";
	if (value == NULL)
		value = argv[++*at];
	if (value == NULL)
		return err_set(err, "--%s needs a value", rows->key);
	if (rows->type == SETTING_JSON)
		return add_to_list(rows, base, value);
	return setting_apply_text(rows, base, value, "--", err) == 0 ? 1 : -1;
}

/* " N", " DUR", " table|json", " GLOB", or nothing for a switch. */
static char *value_name(const struct setting *row)
{
	char *name, *longer;

	switch (row->type) {
	case SETTING_BOOL: return xstrdup("");
	case SETTING_INT: return xstrdup(" N");
	case SETTING_DURATION: return xstrdup(" DUR");
	case SETTING_CHOICE: break;
	default: return xasprintf(" %s", row->allowed);
	}
	name = xasprintf(" %s", row->choices[0]);
	for (int i = 1; row->choices[i] != NULL; i++) {
		longer = xasprintf("%s|%s", name, row->choices[i]);
		free(name);
		name = longer;
	}
	return name;
}

void args_print_help(const struct setting *rows)
{
	for (; rows->key != NULL; rows++) {
		char letter = letter_of(rows);
		char *value = value_name(rows);
		int used = letter != '\0' ? printf("  -%c, --%s%s", letter, rows->key, value)
					  : printf("  --%s%s", rows->key, value);

		/* A name that reaches into the second column has its text on the next line. */
		if (used >= HELP_COLUMN)
			used = printf("\n") - 1;
		printf("%*s%s", HELP_COLUMN - used, "", rows->help);
		if (rows->def != NULL && rows->type != SETTING_BOOL)
			printf("; default %s", rows->def);
		printf("\n");
		free(value);
	}
}
