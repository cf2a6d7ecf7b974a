/* A private Redis. */
#include "tests/bench/server.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"

#define START_MS 10000

redisContext *server_connect(const struct server *server)
{
	redisContext *redis = redisConnectUnix(server->socket);

	if (redis == NULL || redis->err != 0)
		bench_fail("cannot connect to %s: %s", server->socket,
			   redis != NULL ? redis->errstr : "no memory");
	return redis;
}

static bool answers(struct server *server)
{
	redisContext *redis = redisConnectUnix(server->socket);
	redisReply *reply = NULL;
	bool pong;

	if (redis != NULL && redis->err == 0)
		reply = redisCommand(redis, "PING");
	pong = reply != NULL && reply->type == REDIS_REPLY_STATUS;
	if (reply != NULL)
		freeReplyObject(reply);
	if (redis != NULL)
		redisFree(redis);
	return pong;
}

void server_start(struct server *server, const char *name)
{
	const char *program = getenv("LARDER_REDIS_SERVER");
	char dir[160], log[180];

	memset(server, 0, sizeof(*server));
	snprintf(dir, sizeof(dir), "%.80s", bench_dir());
	snprintf(server->socket, sizeof(server->socket), "%.80s/%.16s.sock", dir, name);
	snprintf(server->url, sizeof(server->url), "unix://%s", server->socket);
	snprintf(log, sizeof(log), "%.80s/%.16s.log", dir, name);
	server->pid = bench_spawn(
		(const char *const[]){program != NULL ? program : "redis-server", LARDER_REDIS_CONF,
				      "--port", "0", "--unixsocket", server->socket, "--dir", dir,
				      "--appendonly", "no", "--save", "", NULL},
		NULL, log);
	for (int64_t began = bench_now_ns(); !answers(server); bench_sleep_ms(20)) {
		if (bench_ms_since(began) > START_MS)
			bench_fail("%s does not start, see its log %s",
				   program != NULL ? program : "redis-server", log);
	}
	server->redis = server_connect(server);
}

void server_stop(struct server *server)
{
	redisFree(server->redis);
	bench_end(server->pid);
}

static redisReply *must_be_good(struct server *server, redisReply *reply)
{
	if (reply == NULL)
		bench_fail("Redis: %s", server->redis->errstr);
	if (reply->type == REDIS_REPLY_ERROR)
		bench_fail("Redis: %s", reply->str);
	return reply;
}

redisReply *server_ask(struct server *server, const char *fmt, ...)
{
	redisReply *reply;
	va_list ap;

	va_start(ap, fmt);
	reply = redisvCommand(server->redis, fmt, ap);
	va_end(ap);
	return must_be_good(server, reply);
}

void server_append(struct server *server, const struct redis_args *args)
{
	size_t len;
	char *text = redis_args_format(args, &len);

	if (redisAppendFormattedCommand(server->redis, text, len) != REDIS_OK)
		bench_fail("Redis: %s", server->redis->errstr);
	redisFreeCommand(text);
}

redisReply *server_answer(struct server *server)
{
	void *reply = NULL;

	if (redisGetReply(server->redis, &reply) != REDIS_OK)
		reply = NULL;
	return must_be_good(server, reply);
}

static double field_of(const char *info, const char *field)
{
	size_t len = strlen(field);

	for (const char *line = info; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, field, len) == 0 && line[len] == ':')
			return strtod(line + len + 1, NULL);
	}
	bench_fail("INFO has no field %s", field);
}

double server_info(struct server *server, const char *section, const char *field)
{
	redisReply *reply = server_ask(server, "INFO %s", section);
	double value = field_of(reply->str, field);

	freeReplyObject(reply);
	return value;
}

struct server_use server_use(struct server *server)
{
	redisReply *cpu = server_ask(server, "INFO cpu"), *net = server_ask(server, "INFO stats");
	struct server_use use = {
		.cpu_ms = 1000 * (field_of(cpu->str, "used_cpu_sys_main_thread") +
				  field_of(cpu->str, "used_cpu_user_main_thread")),
		.bytes = field_of(net->str, "total_net_input_bytes") +
			 field_of(net->str, "total_net_output_bytes"),
	};

	freeReplyObject(cpu);
	freeReplyObject(net);
	return use;
}

void server_say_commands(struct server *server)
{
	redisReply *reply = server_ask(server, "INFO commandstats");
	char *rest = NULL;

	for (char *line = strtok_r(reply->str, "\r\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\r\n", &rest))
		bench_say("  %s", line);
	freeReplyObject(reply);
}
