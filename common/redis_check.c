/* Checks that Redis is as Larder needs it. */
#include "common/redis_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/redis_script.h"

#define VERSION_MIN 7

static void found(struct redis_check *check, const char *name, bool harmless, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

static void found(struct redis_check *check, const char *name, bool harmless, const char *fmt, ...)
{
	struct redis_problem *problem = &check->problems[check->count];
	va_list ap;

	if (check->count == REDIS_PROBLEMS_MAX)
		return;
	check->count++;
	problem->check = name;
	problem->harmless = harmless;
	va_start(ap, fmt);
	vsnprintf(problem->text, sizeof(problem->text), fmt, ap);
	va_end(ap);
	if (harmless)
		log_warn("-redis-check", LOG_STR("check", name), LOG_STR("reason", problem->text));
	else
		log_error("-redis-check", LOG_STR("check", name), LOG_STR("reason", problem->text));
}

static void check_policy(struct redis_check *check, const struct redis_link_server *server)
{
	const char *policy = server->maxmemory_policy;

	if (strcmp(policy, "noeviction") == 0)
		return;
	if (*policy == '\0')
		found(check, "policy", true,
		      "Redis does not tell its maxmemory-policy, which must be noeviction");
	else if (strcmp(server->maxmemory, "0") == 0)
		found(check, "policy", true,
		      "maxmemory-policy is %s: should maxmemory ever be set, Redis evicts Larder's "
		      "keys; set maxmemory-policy noeviction",
		      policy);
	else
		found(check, "policy", false,
		      "maxmemory-policy is %s, by which Redis may evict Larder's keys; set "
		      "maxmemory-policy noeviction",
		      policy);
}

static void check_server(struct redis_check *check, const struct redis_link_server *server)
{
	int major = atoi(server->version); /* NOLINT(cert-err34-c): what is no number is too old */

	if (major < VERSION_MIN)
		found(check, "version", false,
		      "Redis %s is too old; Larder needs Redis %d.0 or later, or Valkey",
		      server->version[0] != '\0' ? server->version : "of an unknown version",
		      VERSION_MIN);
	if (strcmp(server->mode, "cluster") == 0)
		found(check, "mode", false,
		      "Redis Cluster is not supported; use one master, with replicas and Sentinels "
		      "if you like");
	if (strcmp(server->role, "slave") == 0)
		found(check, "role", false,
		      "this Redis is a replica, which takes no writes; name its master in "
		      "redis.url, or Sentinels");
	check_policy(check, server);
}

static void found_rights(struct redis_check *check, const redisReply *reply)
{
	char list[256] = "";
	size_t used = 0;

	for (size_t i = 0; i < reply->elements && used < sizeof(list); i++) {
		if (reply->element[i]->type != REDIS_REPLY_STRING)
			return;
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
					 i > 0 ? "; " : "", reply->element[i]->str);
	}
	if (reply->elements > 0)
		found(check, "rights", false,
		      "Redis does not allow the user what Larder needs (docs/redis.md has the "
		      "rights): %s%s",
		      list, used >= sizeof(list) ? "..." : "");
}

static void got_rights(const redisReply *reply, const char *why, void *arg)
{
	struct redis_check *check = arg;

	(void)why;
	if (reply == NULL)
		return; /* the connection broke: it is asked again */
	if (reply->type == REDIS_REPLY_ARRAY)
		found_rights(check, reply);
	else if (reply->type == REDIS_REPLY_ERROR)
		found(check, "rights", false,
		      "Redis does not allow the user to run Larder's scripts (docs/redis.md has "
		      "the "
		      "rights): %s",
		      reply->str);
	if (check->done != NULL)
		check->done(check->arg);
}

void redis_check_start(struct redis_check *check, struct redis_link *link,
		       const struct redis_link_server *server)
{
	struct redis_args args = {0};
	char buf[REDIS_RIGHT_SIZE];
	const char *text;

	check->count = 0;
	check_server(check, server);
	redis_script_load(link, (const struct redis_script *[]){&script_rights, NULL});
	redis_script_start(&args, &script_rights, 0);
	for (size_t i = 0;; i++) {
		text = redis_right_text(check->rights, i, check->prefix, check->node, buf);
		if (text == NULL)
			break;
		redis_args_add(&args, text);
	}
	redis_script_call(link, &script_rights, &args, got_rights, check);
	redis_args_free(&args);
}
