/* Builds error sentences. (pure) */
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, const char *fmt, ...)
{
	va_list ap;

	if (err == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -1;
}

int err_prefix(struct err *err, const char *fmt, ...)
{
	char prefix[sizeof(err->text) / 2];
	size_t len, kept;
	va_list ap;

	if (err == NULL)
		return -1;
	va_start(ap, fmt);
	vsnprintf(prefix, sizeof(prefix) - 2, fmt, ap);
	va_end(ap);
	len = strlen(prefix);
	prefix[len++] = ':';
	prefix[len++] = ' ';
	kept = strnlen(err->text, sizeof(err->text) - 1 - len);
	memmove(err->text + len, err->text, kept);
	memcpy(err->text, prefix, len);
	err->text[len + kept] = '\0';
	return -1;
}
