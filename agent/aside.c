/* Names of what was moved aside. (pure) */
#include "agent/aside.h"

#include <stdio.h>
#include <string.h>

static const char *const prefixes[] = {
	[ASIDE_WHOLE] = ASIDE_PREFIX "trash-",
	[ASIDE_REF] = ASIDE_PREFIX "ref-",
	[ASIDE_DONE] = ASIDE_PREFIX "done-",
};

int aside_name(char *buf, enum aside_kind kind, const char *txn, const char *rest)
{
	size_t used = (size_t)snprintf(buf, ASIDE_NAME_SIZE, "%s%s%s", prefixes[kind], txn,
				       kind == ASIDE_DONE ? "" : ".");

	if (kind == ASIDE_DONE)
		return 0;
	for (; *rest != '\0'; rest++) {
		if (used + 4 > ASIDE_NAME_SIZE)
			return -1;
		if (*rest == '/' || *rest == '%') {
			used += (size_t)snprintf(buf + used, ASIDE_NAME_SIZE - used, "%%%02X",
						 (unsigned char)*rest);
			continue;
		}
		buf[used++] = *rest;
	}
	buf[used] = '\0';
	return 0;
}

/* Undoes the escapes; false when there is one that aside_name does not make. */
static bool unescape(const char *text, char *out)
{
	for (; *text != '\0'; text++) {
		if (*text == '/')
			return false;
		if (*text != '%') {
			*out++ = *text;
			continue;
		}
		if (strncmp(text, "%2F", 3) == 0)
			*out++ = '/';
		else if (strncmp(text, "%25", 3) == 0)
			*out++ = '%';
		else
			return false;
		text += 2;
	}
	*out = '\0';
	return true;
}

/* No component may lead elsewhere than below the folder it is put back into. */
static bool leads_below(const char *path)
{
	while (true) {
		size_t len = strcspn(path, "/");

		if (len == 0 || (len == 1 && path[0] == '.') ||
		    (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (path[len] == '\0')
			return true;
		path += len + 1;
	}
}

bool aside_parse(const char *name, struct aside *out)
{
	if (strlen(name) >= ASIDE_NAME_SIZE)
		return false;
	for (int kind = ASIDE_WHOLE; kind <= ASIDE_DONE; kind++) {
		size_t len = strlen(prefixes[kind]);
		const char *txn = name + len;

		if (strncmp(name, prefixes[kind], len) != 0 ||
		    strspn(txn, "0123456789abcdef") != ASIDE_TXN_LEN)
			continue;
		out->kind = (enum aside_kind)kind;
		memcpy(out->txn, txn, ASIDE_TXN_LEN);
		out->txn[ASIDE_TXN_LEN] = out->rest[0] = '\0';
		if (kind == ASIDE_DONE)
			return txn[ASIDE_TXN_LEN] == '\0';
		return txn[ASIDE_TXN_LEN] == '.' && unescape(txn + ASIDE_TXN_LEN + 1, out->rest) &&
		       leads_below(out->rest) &&
		       (kind == ASIDE_REF || strchr(out->rest, '/') == NULL);
	}
	return false;
}
