/*
 * Settings as tables: one row per setting drives the configuration file, the environment, the
 * flags, --help, --check, --print-config and the reference pages. This part is pure: rows, JSON
 * into a struct and back. Files, environment and flags are in settings.h.
 */
#ifndef LARDER_SETTING_H
#define LARDER_SETTING_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

enum setting_type {
	SETTING_BOOL,	  /* bool */
	SETTING_INT,	  /* int64_t; SETTING_UNSET when null */
	SETTING_DURATION, /* int64_t milliseconds; SETTING_UNSET when null */
	SETTING_STRING,	  /* char *, owned; NULL when null */
	SETTING_CHOICE,	  /* int: index into choices */
	SETTING_JSON,	  /* cJSON *, owned; NULL when null; checked by the row's own function */
	SETTING_GROUP,	  /* an object of further rows, in a struct at `offset` */
};

#define SETTING_UNSET INT64_C(-1)

enum {
	SETTING_NULLABLE = 1, /* null is a value: "not set" */
	SETTING_RELOAD = 2,   /* SIGHUP takes it over without a restart */
	SETTING_SECRET = 4,   /* from the environment only, never printed */
	SETTING_REQUIRED = 8, /* of an element of a list: must stand there */
};

struct setting {
	const char *key; /* one component; groups give the dots */
	enum setting_type type;
	unsigned flags;
	size_t offset;
	const char *def;	     /* as in a flag; NULL: null */
	int64_t min, max;	     /* SETTING_INT: the value; SETTING_DURATION: ms */
	const char *const *choices;  /* SETTING_CHOICE, NULL-terminated */
	const struct setting *group; /* SETTING_GROUP, ends with a row without key */
	/* SETTING_JSON and SETTING_STRING: further checks; may be NULL. */
	int (*check)(const cJSON *value, struct err *err);
	const char *allowed; /* SETTING_JSON and checked strings: what is allowed, in words */
	const char *help;
};

/* Ends a table. */
#define SETTING_END         \
	{                   \
		.key = NULL \
	}

/* Writes each row's default into `base`, which starts zeroed. Defaults are valid by test. */
void setting_defaults(const struct setting *rows, void *base);

/*
 * Takes over the keys that stand in `object`. `path` is where the object stands ("" at the top,
 * "policy." and so on below). Unknown keys, wrong types and values out of range are errors that
 * name the key, the value and what is allowed; `base` may then be half written.
 */
int setting_apply(const struct setting *rows, void *base, const cJSON *object, const char *path,
		  struct err *err) MUST_USE;

/* The same for one row and one value. */
int setting_apply_one(const struct setting *row, void *base, const cJSON *value, const char *path,
		      struct err *err) MUST_USE;

/* Takes a value as text, as it stands in a flag or in the environment. */
int setting_apply_text(const struct setting *row, void *base, const char *text, const char *path,
		       struct err *err) MUST_USE;

/* The settings as a JSON object; secrets are left out. The caller frees it. */
cJSON *setting_to_json(const struct setting *rows, const void *base) MUST_USE;

/* Frees strings and JSON trees and zeroes the pointers. */
void setting_free(const struct setting *rows, void *base);

/* Copies `from` into `to` (freed before): how a reload takes over its reloadable rows. */
void setting_copy(const struct setting *rows, void *to, const void *from, unsigned flags);

/*
 * Puts the first row without `flag` whose value differs into `path` (128 bytes) and returns true:
 * a reload names what needs a restart.
 */
bool setting_differs(const struct setting *rows, const void *a, const void *b, unsigned flag,
		     char *path, size_t size);

/* "an integer from 1 to 10, or null": for messages and the reference page. */
const char *setting_allowed(const struct setting *row, char *buf, size_t size);

#endif
