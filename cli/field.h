/*
 * Fields of the API's answers. A missing field is no error: servers of other versions know fewer or
 * more of them, and a table then shows "-".
 */
#ifndef LARDER_CLI_FIELD_H
#define LARDER_CLI_FIELD_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

/* The text, or "". Borrowed. */
const char *field_text(const cJSON *object, const char *key);

/* The same of an item of a list. */
const char *field_string(const cJSON *item);

/* The integer; -1 when there is none. */
int64_t field_int(const cJSON *object, const char *key);

bool field_true(const cJSON *object, const char *key);

/* The sum of an object's integers: counts by reason. */
int64_t field_sum(const cJSON *object, const char *key);

#endif
