/* Puts Redis commands together. */
#include "common/redis_args.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"

void redis_args_start(struct redis_args *args, const char *command)
{
	args->used = 0;
	args->count = 0;
	redis_args_add(args, command);
}

static void make_room(struct redis_args *args, size_t len)
{
	if (args->room - args->used >= len)
		return;
	while (args->room - args->used < len)
		args->room = args->room > 0 ? args->room * 2 : 512;
	args->data = xrealloc(args->data, args->room);
}

void redis_args_add_len(struct redis_args *args, const char *data, size_t len)
{
	make_room(args, len);
	if (len > 0)
		memcpy(args->data + args->used, data, len);
	args->used += len;
	args->ends = xgrow(args->ends, args->count, &args->capacity, sizeof(*args->ends));
	args->ends[args->count++] = args->used;
}

void redis_args_add(struct redis_args *args, const char *text)
{
	redis_args_add_len(args, text, strlen(text));
}

void redis_args_add_int(struct redis_args *args, int64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRId64, value);

	redis_args_add_len(args, text, (size_t)len);
}

void redis_args_addf(struct redis_args *args, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(text))
		abort(); /* a format of ours that can grow beyond its bounds */
	redis_args_add_len(args, text, (size_t)len);
}

static size_t start_of(const struct redis_args *args, size_t index)
{
	return index > 0 ? args->ends[index - 1] : 0;
}

void redis_args_copy(struct redis_args *to, const struct redis_args *from)
{
	to->data = xmalloc(from->used);
	memcpy(to->data, from->data, from->used);
	to->used = to->room = from->used;
	to->ends = xmalloc(from->count * sizeof(*to->ends));
	memcpy(to->ends, from->ends, from->count * sizeof(*to->ends));
	to->count = to->capacity = from->count;
}

void redis_args_free(struct redis_args *args)
{
	free(args->data);
	free(args->ends);
	memset(args, 0, sizeof(*args));
}

char *redis_args_format(const struct redis_args *args, size_t *len)
{
	const char **argv = xmalloc(args->count * sizeof(*argv));
	size_t *lens = xmalloc(args->count * sizeof(*lens));
	char *command = NULL;
	long long size;

	for (size_t i = 0; i < args->count; i++) {
		argv[i] = args->data + start_of(args, i);
		lens[i] = args->ends[i] - start_of(args, i);
	}
	/* An int in hiredis 0.14, a long long from 1.0 on. */
	size = redisFormatCommandArgv(&command, (int)args->count, argv, lens);
	free(argv);
	free(lens);
	if (size < 0)
		abort(); /* out of memory: nothing else makes it fail */
	*len = (size_t)size;
	return command;
}
