/*
 * A Redis of the benchmark's own, on a Unix socket in its folder, with the settings of
 * docs/redis.conf; a plain blocking connection to it, and what it says of itself.
 */
#ifndef LARDER_BENCH_SERVER_H
#define LARDER_BENCH_SERVER_H

#include <hiredis/hiredis.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/redis_args.h"

struct server {
	char socket[108];
	char url[128]; /* for Larder's programs */
	pid_t pid;
	redisContext *redis;
};

/* Starts it (LARDER_REDIS_SERVER names another program than redis-server) and connects. */
void server_start(struct server *server, const char *name);
void server_stop(struct server *server);

/* One more connection; free with redisFree. */
redisContext *server_connect(const struct server *server);

/* A command whose answer must not be an error; free it with freeReplyObject. */
redisReply *server_ask(struct server *server, const char *fmt, ...);

/* Appends a command to the pipeline; server_answer gets the answers in their order. */
void server_append(struct server *server, const struct redis_args *args);
redisReply *server_answer(struct server *server);

/* What it has used so far. */
struct server_use {
	double cpu_ms; /* of the main thread */
	double bytes;  /* in and out */
};
struct server_use server_use(struct server *server);

/* A number of INFO, such as "used_memory". */
double server_info(struct server *server, const char *section, const char *field);

/* The calls of each command and their cost, on standard error, for whoever looks for a cause. */
void server_say_commands(struct server *server);

#endif
