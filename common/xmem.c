/* Allocation that ends the process when there is no memory. (pure) */
#include "common/xmem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *xmalloc(size_t size)
{
	void *ptr = malloc(size > 0 ? size : 1);

	if (ptr == NULL)
		abort();
	return ptr;
}

void *xcalloc(size_t count, size_t size)
{
	void *ptr = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

	if (ptr == NULL)
		abort();
	return ptr;
}

void *xrealloc(void *ptr, size_t size)
{
	void *moved = realloc(ptr, size > 0 ? size : 1);

	if (moved == NULL)
		abort();
	return moved;
}

char *xstrdup(const char *text)
{
	return xstrndup(text, strlen(text));
}

char *xstrndup(const char *text, size_t len)
{
	char *copy = xmalloc(len + 1);

	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap, again;
	char *text;
	int len;

	va_start(ap, fmt);
	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0)
		abort();
	text = xmalloc((size_t)len + 1);
	vsnprintf(text, (size_t)len + 1, fmt, again);
	va_end(again);
	return text;
}

void *xgrow(void *array, size_t count, size_t *capacity, size_t size)
{
	size_t wanted;

	if (count < *capacity)
		return array;
	wanted = *capacity > 0 ? *capacity * 2 : 8;
	if (wanted > SIZE_MAX / size)
		abort();
	*capacity = wanted;
	return xrealloc(array, wanted * size);
}
