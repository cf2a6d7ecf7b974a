/*
 * Strict JSON on cJSON: one pass over the text checks what cJSON lets through and collects the
 * text of each number; a second pass over the tree hands these out, in the same order. (pure)
 */
#include "common/json_doc.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"

struct span {
	const char *start;
	size_t len;
};

struct check {
	const char *text;
	size_t len;
	size_t at;
	struct span *numbers;
	size_t count, capacity, used;
	struct err *err;
};

static int line_of(const struct check *ck)
{
	int line = 1;

	for (size_t i = 0; i < ck->at && i < ck->len; i++)
		line += ck->text[i] == '\n';
	return line;
}

static int complain(const struct check *ck, const char *what)
{
	return err_set(ck->err, "line %d: %s", line_of(ck), what);
}

static bool in_set(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static size_t digits(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && p[n] >= '0' && p[n] <= '9')
		n++;
	return n;
}

/* The length of the JSON number at `p`, or 0 when it is none. */
static size_t number_length(const char *p, const char *end)
{
	const char *start = p;
	size_t n;

	p += p < end && *p == '-';
	n = digits(p, end);
	if (n == 0 || (n > 1 && *p == '0'))
		return 0;
	p += n;
	if (p < end && *p == '.') {
		n = digits(p + 1, end);
		if (n == 0)
			return 0;
		p += 1 + n;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		p += p < end && (*p == '+' || *p == '-');
		n = digits(p, end);
		if (n == 0)
			return 0;
		p += n;
	}
	return (size_t)(p - start);
}

static int check_number(struct check *ck)
{
	const char *p = ck->text + ck->at;
	size_t len = number_length(p, ck->text + ck->len);
	char next = ck->at + len < ck->len ? p[len] : '\0';

	if (len == 0 || len > 64 || (next != '\0' && !in_set(next, " \t\r\n,]}")))
		return complain(ck, "not a JSON number");
	ck->numbers = xgrow(ck->numbers, ck->count, &ck->capacity, sizeof(*ck->numbers));
	ck->numbers[ck->count++] = (struct span){p, len};
	ck->at += len;
	return 0;
}

/* The length of the UTF-8 sequence at `p`, or 0 when it is not well-formed (RFC 3629). */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (len == 0 || p[0] > 0xf4 || left < len)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

bool json_doc_is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t left = strlen(text), len;

	for (; left > 0; p += len, left -= len) {
		len = utf8_length(p, left);
		if (len == 0)
			return false;
	}
	return true;
}

/* The length of the escape at `p`, which is a backslash, or 0 when it is none (RFC 8259, 7). */
static size_t escape_length(const char *p, size_t left)
{
	if (left < 2 || !in_set(p[1], "\"\\/bfnrtu"))
		return 0;
	if (p[1] != 'u')
		return 2;
	if (left < 6)
		return 0;
	for (size_t i = 2; i < 6; i++) {
		if (!in_set(p[i], "0123456789abcdefABCDEF"))
			return 0;
	}
	return 6;
}

static int check_string(struct check *ck)
{
	for (ck->at++; ck->at < ck->len; ck->at++) {
		unsigned char c = (unsigned char)ck->text[ck->at];
		size_t len;

		if (c == '"') {
			ck->at++;
			return 0;
		}
		if (c < 0x20)
			return complain(ck, "a control character in a string");
		if (c == '\\') {
			if (ck->len - ck->at >= 6 && memcmp(ck->text + ck->at, "\\u0000", 6) == 0)
				return complain(ck, "\\u0000 in a string");
			len = escape_length(ck->text + ck->at, ck->len - ck->at);
			if (len == 0)
				return complain(ck, "a string has an unknown escape");
			ck->at += len - 1;
			continue;
		}
		len = utf8_length((const unsigned char *)ck->text + ck->at, ck->len - ck->at);
		if (len == 0)
			return complain(ck, "a string is not UTF-8");
		ck->at += len - 1;
	}
	return complain(ck, "a string does not end");
}

static int check_text(struct check *ck)
{
	int depth = 0;

	while (ck->at < ck->len) {
		char c = ck->text[ck->at];

		if (c == '"') {
			if (check_string(ck) != 0)
				return -1;
			continue;
		}
		if (c == '-' || (c >= '0' && c <= '9')) {
			if (check_number(ck) != 0)
				return -1;
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		else if (!in_set(c, " \t\r\n,:truefalsn"))
			return complain(ck, "not JSON");
		if (depth > JSON_DOC_DEPTH_MAX)
			return complain(ck, "nested too deeply");
		ck->at++;
	}
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int check_keys(const cJSON *object, struct err *err)
{
	const char **keys = NULL;
	size_t count = 0, capacity = 0;
	int rc = 0;
	const cJSON *item;

	cJSON_ArrayForEach (item, object) {
		keys = xgrow(keys, count, &capacity, sizeof(*keys));
		keys[count++] = item->string;
		if (count > JSON_DOC_MEMBERS_MAX) {
			rc = err_set(err, "an object has more than %d members",
				     JSON_DOC_MEMBERS_MAX);
			break;
		}
	}
	if (rc == 0 && count > 1) {
		qsort(keys, count, sizeof(*keys), by_key);
		for (size_t i = 1; i < count && rc == 0; i++) {
			if (strcmp(keys[i - 1], keys[i]) == 0)
				rc = err_set(err, "key \"%.100s\" stands twice", keys[i]);
		}
	}
	free(keys);
	return rc;
}

/* Gives each number its text, in document order, and refuses duplicate keys. */
static int finish_tree(cJSON *item, struct check *ck)
{
	cJSON *child;

	if (cJSON_IsNumber(item)) {
		if (ck->used == ck->count)
			return err_set(ck->err, "not JSON");
		item->valuestring =
			xstrndup(ck->numbers[ck->used].start, ck->numbers[ck->used].len);
		ck->used++;
	}
	if (cJSON_IsObject(item) && check_keys(item, ck->err) != 0)
		return -1;
	cJSON_ArrayForEach (child, item) {
		if (finish_tree(child, ck) != 0)
			return -1;
	}
	return 0;
}

cJSON *json_doc_parse(const char *text, size_t len, struct err *err)
{
	struct check ck = {.text = text, .len = len, .err = err};
	const char *end = NULL;
	cJSON *tree = NULL;

	if (check_text(&ck) != 0)
		goto out;
	tree = cJSON_ParseWithLengthOpts(text, len, &end, 0);
	if (tree != NULL) {
		while (end < text + len && in_set(*end, " \t\r\n"))
			end++;
	}
	if (tree == NULL || end != text + len) {
		if (end != NULL)
			ck.at = (size_t)(end - text);
		complain(&ck, len == 0 ? "the text is empty" : "not JSON");
		cJSON_Delete(tree);
		tree = NULL;
		goto out;
	}
	if (finish_tree(tree, &ck) != 0) {
		cJSON_Delete(tree);
		tree = NULL;
	}
out:
	free(ck.numbers);
	return tree;
}

int json_doc_int64(const cJSON *item, int64_t *out)
{
	const char *text;
	char *end;

	if (!cJSON_IsNumber(item) || item->valuestring == NULL)
		return -1;
	text = item->valuestring;
	if (strpbrk(text, ".eE") != NULL)
		return -1;
	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' ? 0 : -1;
}

const char *json_doc_type(const cJSON *item)
{
	if (cJSON_IsString(item))
		return "a string";
	if (cJSON_IsNumber(item))
		return item->valuestring != NULL && strpbrk(item->valuestring, ".eE") == NULL
			       ? "an integer"
			       : "a number";
	if (cJSON_IsBool(item))
		return "a boolean";
	if (cJSON_IsNull(item))
		return "null";
	return cJSON_IsArray(item) ? "a list" : "an object";
}

const char *json_doc_show(const cJSON *item, char *buf, size_t size)
{
	char *text;

	if (cJSON_IsNumber(item) && item->valuestring != NULL) {
		snprintf(buf, size, "%s", item->valuestring);
		return buf;
	}
	text = cJSON_PrintUnformatted(item);
	snprintf(buf, size, "%s", text != NULL ? text : "?");
	cJSON_free(text);
	return buf;
}

char *json_doc_print(const cJSON *item)
{
	static const char sign[] = "\\ufffd";
	char *text = cJSON_PrintUnformatted(item);
	const unsigned char *p = (const unsigned char *)text;
	size_t left, used = 0;
	char *out;

	if (text == NULL)
		abort();
	left = strlen(text);
	out = xmalloc(left * strlen(sign) + 1);
	while (left > 0) {
		size_t len = utf8_length(p, left), taken = len > 0 ? len : 1;

		memcpy(out + used, len > 0 ? (const char *)p : sign, len > 0 ? len : strlen(sign));
		used += len > 0 ? len : strlen(sign);
		p += taken;
		left -= taken;
	}
	out[used] = '\0';
	cJSON_free(text);
	return out;
}

void json_doc_add_int64(cJSON *object, const char *key, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	cJSON_AddRawToObject(object, key, text);
}

cJSON *json_doc_copy(const cJSON *item)
{
	cJSON *copy;
	const cJSON *child;

	if (cJSON_IsNumber(item) && item->valuestring != NULL)
		return cJSON_CreateRaw(item->valuestring);
	if (!cJSON_IsArray(item) && !cJSON_IsObject(item))
		return cJSON_Duplicate(item, 1);
	copy = cJSON_IsArray(item) ? cJSON_CreateArray() : cJSON_CreateObject();
	cJSON_ArrayForEach (child, item) {
		if (cJSON_IsArray(item))
			cJSON_AddItemToArray(copy, json_doc_copy(child));
		else
			cJSON_AddItemToObject(copy, child->string, json_doc_copy(child));
	}
	return copy;
}
