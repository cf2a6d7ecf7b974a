/*
 * Strict JSON on top of cJSON. cJSON alone keeps numbers as doubles, takes duplicate keys and some
 * malformed numbers; here a document is RFC 8259 or an error, and integers keep all their digits.
 */
#ifndef LARDER_JSON_DOC_H
#define LARDER_JSON_DOC_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* Largest nesting and most members of one object that a document may have. */
#define JSON_DOC_DEPTH_MAX   32
#define JSON_DOC_MEMBERS_MAX 4096

/*
 * Parses exactly one value. Refuses: anything after it, numbers that JSON does not allow, control
 * characters, \u0000, invalid UTF-8, duplicate keys, too much nesting. Each number keeps its text
 * in `valuestring`. The caller frees the result with cJSON_Delete. NULL on error.
 */
cJSON *json_doc_parse(const char *text, size_t len, struct err *err) MUST_USE;

/* An integer without fraction or exponent that fits; -1 for everything else. */
int json_doc_int64(const cJSON *item, int64_t *out) MUST_USE;

/* "string", "integer", "number", "true", ... for messages. */
const char *json_doc_type(const cJSON *item);

/* The value as it would stand in a file, shortened to `size` bytes, for messages. */
const char *json_doc_show(const cJSON *item, char *buf, size_t size);

/*
 * A copy to be printed: numbers keep the text they had in the document. cJSON itself prints
 * 2000000000000000 as 2e+15. The caller frees it with cJSON_Delete().
 */
cJSON *json_doc_copy(const cJSON *item);

/* Is the text well-formed UTF-8, so that it can stand in a document (RFC 8259, 8.1)? */
bool json_doc_is_utf8(const char *text);

/*
 * The value on one line. A text may hold whatever bytes a file's name has; what is not UTF-8 in it
 * is printed as \ufffd, the sign for just that, since JSON is UTF-8. Free with free().
 */
char *json_doc_print(const cJSON *item) MUST_USE;

/* cJSON's numbers are doubles; this adds an integer with all its digits. */
void json_doc_add_int64(cJSON *object, const char *key, int64_t value);

#endif
