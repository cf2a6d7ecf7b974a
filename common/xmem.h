/*
 * Allocation that cannot fail: without memory the process ends (abort). Every step of Larder can
 * be repeated after a crash, so ending is safe, and no path has to carry an untested branch.
 * Sizes that come from outside are bounded before they get here.
 */
#ifndef LARDER_XMEM_H
#define LARDER_XMEM_H

#include <stddef.h>

#include "common/attributes.h"

void *xmalloc(size_t size) MUST_USE;
/* Zeroed, checks count * size for overflow. */
void *xcalloc(size_t count, size_t size) MUST_USE;
void *xrealloc(void *ptr, size_t size) MUST_USE;
char *xstrdup(const char *text) MUST_USE;
char *xstrndup(const char *text, size_t len) MUST_USE;
char *xasprintf(const char *fmt, ...) MUST_USE PRINTF_LIKE(1, 2);

/*
 * Makes room for one more element in a growing array: `*array` holds `count` elements of `size`
 * bytes and has room for `*capacity`. Doubles when full.
 */
void *xgrow(void *array, size_t count, size_t *capacity, size_t size) MUST_USE;

#endif
