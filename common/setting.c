/* Rows of settings: JSON into a struct and back. (pure) */
#include "common/setting.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/json_doc.h"
#include "common/xmem.h"

#define PATH_SIZE 128

static void *field(const struct setting *row, void *base)
{
	return (char *)base + row->offset;
}

static const void *field_const(const struct setting *row, const void *base)
{
	return (const char *)base + row->offset;
}

static const char *choice_list(const struct setting *row, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (int i = 0; row->choices[i] != NULL && used < size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%s\"%s\"", i > 0 ? ", " : "",
					 row->choices[i]);
	return buf;
}

const char *setting_allowed(const struct setting *row, char *buf, size_t size)
{
	const char *or_null = row->flags & SETTING_NULLABLE ? ", or null" : "";
	char min[DURATION_TEXT_SIZE], max[DURATION_TEXT_SIZE], list[160];

	switch (row->type) {
	case SETTING_BOOL: snprintf(buf, size, "true or false"); break;
	case SETTING_INT:
		snprintf(buf, size, "an integer from %" PRId64 " to %" PRId64 "%s", row->min,
			 row->max, or_null);
		break;
	case SETTING_DURATION:
		snprintf(buf, size,
			 "a duration from %s to %s such as '2h', '30m', '45s' or a "
			 "whole number of seconds%s",
			 duration_format(row->min, min), duration_format(row->max, max), or_null);
		break;
	case SETTING_CHOICE: snprintf(buf, size, "%s", choice_list(row, list, sizeof(list))); break;
	default:
		snprintf(buf, size, "%s%s",
			 row->allowed != NULL	       ? row->allowed
			 : row->type == SETTING_STRING ? "a string"
						       : "an object",
			 or_null);
	}
	return buf;
}

static int refuse(const struct setting *row, const cJSON *value, const char *path, struct err *err)
{
	char shown[80], allowed[256];

	return err_set(err, "%s%s: found %s (%s); allowed is %s", path, row->key,
		       json_doc_show(value, shown, sizeof(shown)), json_doc_type(value),
		       setting_allowed(row, allowed, sizeof(allowed)));
}

static int apply_duration(const struct setting *row, int64_t *out, const cJSON *value,
			  const char *path, struct err *err)
{
	struct duration d = {0};
	struct err why;
	int64_t ms;

	if (cJSON_IsString(value)) {
		if (duration_parse(value->valuestring, &d, &why) != 0)
			return err_set(err, "%s%s: %s", path, row->key, why.text);
	} else if (json_doc_int64(value, &d.seconds) != 0 || d.seconds < 0) {
		return refuse(row, value, path, err);
	}
	ms = duration_ms(d);
	if (ms < row->min || ms > row->max)
		return refuse(row, value, path, err);
	*out = ms;
	return 0;
}

static int apply_choice(const struct setting *row, int *out, const cJSON *value, const char *path,
			struct err *err)
{
	if (cJSON_IsString(value)) {
		for (int i = 0; row->choices[i] != NULL; i++) {
			if (strcmp(row->choices[i], value->valuestring) == 0) {
				*out = i;
				return 0;
			}
		}
	}
	return refuse(row, value, path, err);
}

static int apply_null(const struct setting *row, void *at)
{
	if (row->type == SETTING_INT || row->type == SETTING_DURATION) {
		*(int64_t *)at = SETTING_UNSET;
	} else if (row->type == SETTING_STRING) {
		free(*(char **)at);
		*(char **)at = NULL;
	} else if (row->type == SETTING_JSON) {
		cJSON_Delete(*(cJSON **)at);
		*(cJSON **)at = NULL;
	}
	return 0;
}

/* Strings and JSON trees, which a row's own function may check. */
static int apply_owned(const struct setting *row, void *at, const cJSON *value, const char *path,
		       struct err *err)
{
	struct err why;

	if (row->type == SETTING_STRING && !cJSON_IsString(value))
		return refuse(row, value, path, err);
	/* From the environment or the command line; a file has been looked at. */
	if (row->type == SETTING_STRING && !json_doc_is_utf8(value->valuestring))
		return err_set(err, "%s%s: it is not UTF-8", path, row->key);
	if (row->check != NULL && row->check(value, &why) != 0)
		return err_set(err, "%s%s: %s", path, row->key, why.text);
	apply_null(row, at);
	if (row->type == SETTING_STRING)
		*(char **)at = xstrdup(value->valuestring);
	else
		*(cJSON **)at = cJSON_Duplicate(value, 1);
	return 0;
}

int setting_apply_one(const struct setting *row, void *base, const cJSON *value, const char *path,
		      struct err *err)
{
	void *at = field(row, base);
	char below[PATH_SIZE];
	int64_t number;

	if (cJSON_IsNull(value) && (row->flags & SETTING_NULLABLE))
		return apply_null(row, at);
	switch (row->type) {
	case SETTING_BOOL:
		if (!cJSON_IsBool(value))
			return refuse(row, value, path, err);
		*(bool *)at = cJSON_IsTrue(value);
		return 0;
	case SETTING_INT:
		if (json_doc_int64(value, &number) != 0 || number < row->min || number > row->max)
			return refuse(row, value, path, err);
		*(int64_t *)at = number;
		return 0;
	case SETTING_DURATION: return apply_duration(row, at, value, path, err);
	case SETTING_CHOICE: return apply_choice(row, at, value, path, err);
	case SETTING_STRING:
	case SETTING_JSON: return apply_owned(row, at, value, path, err);
	case SETTING_GROUP:
		if (!cJSON_IsObject(value))
			return refuse(row, value, path, err);
		snprintf(below, sizeof(below), "%s%s.", path, row->key);
		return setting_apply(row->group, at, value, below, err);
	}
	return -1;
}

static int unknown_key(const struct setting *rows, const char *key, const char *path,
		       struct err *err)
{
	char known[320] = "";
	size_t used = 0;

	for (; rows->key != NULL && used < sizeof(known); rows++) {
		if (!(rows->flags & SETTING_SECRET))
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
						 used > 0 ? ", " : "", rows->key);
	}
	return err_set(err, "unknown key %s%.60s; allowed are %s", path, key, known);
}

int setting_apply(const struct setting *rows, void *base, const cJSON *object, const char *path,
		  struct err *err)
{
	const cJSON *item;

	if (!cJSON_IsObject(object))
		return err_set(err, "%s%sfound %s; allowed is an object", path, *path ? ": " : "",
			       json_doc_type(object));
	cJSON_ArrayForEach (item, object) {
		const struct setting *row = rows;

		while (row->key != NULL &&
		       (strcmp(row->key, item->string) != 0 || (row->flags & SETTING_SECRET)))
			row++;
		if (row->key == NULL)
			return unknown_key(rows, item->string, path, err);
		if (setting_apply_one(row, base, item, path, err) != 0)
			return -1;
	}
	for (const struct setting *row = rows; row->key != NULL; row++) {
		if ((row->flags & SETTING_REQUIRED) &&
		    cJSON_GetObjectItemCaseSensitive(object, row->key) == NULL)
			return err_set(err, "%s%s is missing", path, row->key);
	}
	return 0;
}

int setting_apply_text(const struct setting *row, void *base, const char *text, const char *path,
		       struct err *err)
{
	bool number = *text != '\0' && strspn(text, "-0123456789") == strlen(text);
	bool as_json = row->type == SETTING_BOOL || row->type == SETTING_INT ||
		       row->type == SETTING_JSON || row->type == SETTING_GROUP ||
		       (row->type == SETTING_DURATION && number) ||
		       ((row->flags & SETTING_NULLABLE) && strcmp(text, "null") == 0);
	cJSON *value = NULL;
	int rc;

	if (as_json)
		value = json_doc_parse(text, strlen(text), NULL);
	if (value == NULL)
		value = cJSON_CreateString(text);
	rc = setting_apply_one(row, base, value, path, err);
	cJSON_Delete(value);
	return rc;
}

void setting_defaults(const struct setting *rows, void *base)
{
	for (; rows->key != NULL; rows++) {
		if (rows->type == SETTING_GROUP)
			setting_defaults(rows->group, field(rows, base));
		else if (rows->def == NULL)
			apply_null(rows, field(rows, base));
		else if (setting_apply_text(rows, base, rows->def, "", NULL) != 0)
			abort(); /* a table with a default that it would refuse */
	}
}

static cJSON *value_to_json(const struct setting *row, const void *base)
{
	const void *at = field_const(row, base);
	char text[DURATION_TEXT_SIZE];

	switch (row->type) {
	case SETTING_BOOL: return cJSON_CreateBool(*(const bool *)at);
	case SETTING_INT:
		if (*(const int64_t *)at == SETTING_UNSET && (row->flags & SETTING_NULLABLE))
			return cJSON_CreateNull();
		snprintf(text, sizeof(text), "%" PRId64, *(const int64_t *)at);
		return cJSON_CreateRaw(text);
	case SETTING_DURATION:
		if (*(const int64_t *)at == SETTING_UNSET && (row->flags & SETTING_NULLABLE))
			return cJSON_CreateNull();
		return cJSON_CreateString(duration_format(*(const int64_t *)at, text));
	case SETTING_CHOICE: return cJSON_CreateString(row->choices[*(const int *)at]);
	case SETTING_STRING:
		return *(char *const *)at != NULL ? cJSON_CreateString(*(char *const *)at)
						  : cJSON_CreateNull();
	case SETTING_JSON:
		return *(cJSON *const *)at != NULL ? json_doc_copy(*(cJSON *const *)at)
						   : cJSON_CreateNull();
	case SETTING_GROUP: return setting_to_json(row->group, at);
	}
	return cJSON_CreateNull();
}

cJSON *setting_to_json(const struct setting *rows, const void *base)
{
	cJSON *object = cJSON_CreateObject();

	for (; rows->key != NULL; rows++) {
		if (!(rows->flags & SETTING_SECRET))
			cJSON_AddItemToObject(object, rows->key, value_to_json(rows, base));
	}
	return object;
}

void setting_free(const struct setting *rows, void *base)
{
	for (; rows->key != NULL; rows++) {
		if (rows->type == SETTING_GROUP)
			setting_free(rows->group, field(rows, base));
		else
			apply_null(rows, field(rows, base));
	}
}

static void copy_value(const struct setting *row, void *to, const void *from)
{
	switch (row->type) {
	case SETTING_BOOL: *(bool *)to = *(const bool *)from; break;
	case SETTING_INT:
	case SETTING_DURATION: *(int64_t *)to = *(const int64_t *)from; break;
	case SETTING_CHOICE: *(int *)to = *(const int *)from; break;
	case SETTING_STRING:
		free(*(char **)to);
		*(char **)to = *(char *const *)from != NULL ? xstrdup(*(char *const *)from) : NULL;
		break;
	case SETTING_JSON:
		cJSON_Delete(*(cJSON **)to);
		*(cJSON **)to = *(cJSON *const *)from != NULL
					? cJSON_Duplicate(*(cJSON *const *)from, 1)
					: NULL;
		break;
	case SETTING_GROUP: break;
	}
}

void setting_copy(const struct setting *rows, void *to, const void *from, unsigned flags)
{
	for (; rows->key != NULL; rows++) {
		if (rows->type == SETTING_GROUP)
			setting_copy(rows->group, field(rows, to), field_const(rows, from), flags);
		else if ((rows->flags & flags) == flags)
			copy_value(rows, field(rows, to), field_const(rows, from));
	}
}

bool setting_differs(const struct setting *rows, const void *a, const void *b, unsigned flag,
		     char *path, size_t size)
{
	for (; rows->key != NULL; rows++) {
		cJSON *left, *right;
		bool same;

		if (rows->type == SETTING_GROUP) {
			size_t used = (size_t)snprintf(path, size, "%s.", rows->key);

			if (used < size &&
			    setting_differs(rows->group, field_const(rows, a), field_const(rows, b),
					    flag, path + used, size - used))
				return true;
			continue;
		}
		if (rows->flags & (flag | SETTING_SECRET))
			continue;
		left = value_to_json(rows, a);
		right = value_to_json(rows, b);
		same = cJSON_Compare(left, right, 1);
		cJSON_Delete(left);
		cJSON_Delete(right);
		if (!same) {
			snprintf(path, size, "%s", rows->key);
			return true;
		}
	}
	return false;
}
