/* A failure as one sentence, complete enough to be printed alone. */
#ifndef LARDER_ERR_H
#define LARDER_ERR_H

#include "common/attributes.h"

struct err {
	char text[512];
};

/*
 * Writes the sentence and returns -1, so that a function can end with
 * `return err_set(err, ...)`. `err` may be NULL when nobody wants to know.
 */
int err_set(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Puts `prefix` and ": " before the sentence that is there. Returns -1. */
int err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
