/* A Redis command being put together: arguments are copied into one buffer. */
#ifndef LARDER_REDIS_ARGS_H
#define LARDER_REDIS_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"

struct redis_args {
	char *data;
	size_t used, room;
	size_t *ends; /* where each argument ends in data */
	size_t count, capacity;
};

/* Starts a new command in `args` (zeroed before its first use; buffers are kept and reused). */
void redis_args_start(struct redis_args *args, const char *command);
void redis_args_add(struct redis_args *args, const char *text);
void redis_args_add_len(struct redis_args *args, const char *data, size_t len);
void redis_args_add_int(struct redis_args *args, int64_t value);
void redis_args_addf(struct redis_args *args, const char *fmt, ...) PRINTF_LIKE(2, 3);

void redis_args_copy(struct redis_args *to, const struct redis_args *from);
void redis_args_free(struct redis_args *args);

/* The command in Redis' protocol, made by hiredis; free with redisFreeCommand. */
char *redis_args_format(const struct redis_args *args, size_t *len) MUST_USE;

#endif
