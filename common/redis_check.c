/* Checks that Redis is as Larder needs it. */
#include "common/redis_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/redis_script.h"

#define VERSION_MIN 7

static void found(struct redis_check *check, const struct redis_problem *problem, const char *fmt,
		  ...) PRINTF_LIKE(3, 4);

static void found(struct redis_check *check, const struct redis_problem *problem, const char *fmt,
		  ...)
{
	struct redis_problem *kept = &check->problems[check->count];
	va_list ap;

	if (check->count == REDIS_PROBLEMS_MAX)
		return;
	check->count++;
	*kept = *problem;
	va_start(ap, fmt);
	vsnprintf(kept->text, sizeof(kept->text), fmt, ap);
	va_end(ap);
	if (kept->harmless)
		log_warn("-redis-check", LOG_STR("check", kept->check),
			 LOG_STR("reason", kept->text), LOG_STR("advice", kept->advice));
	else
		log_error("-redis-check", LOG_STR("check", kept->check),
			  LOG_STR("reason", kept->text), LOG_STR("advice", kept->advice));
}

static void check_policy(struct redis_check *check, const struct redis_link_server *server)
{
	struct redis_problem problem = {.check = "policy", .harmless = true};
	const char *policy = server->maxmemory_policy;

	problem.advice = "set maxmemory-policy noeviction";
	if (strcmp(policy, "noeviction") == 0)
		return;
	if (*policy == '\0') {
		found(check, &problem, "Redis does not tell its maxmemory-policy");
	} else if (strcmp(server->maxmemory, "0") == 0) {
		found(check, &problem,
		      "maxmemory-policy is %s: should maxmemory ever be set, Redis evicts Larder's "
		      "keys",
		      policy);
	} else {
		problem.harmless = false;
		found(check, &problem,
		      "maxmemory-policy is %s, by which Redis may evict Larder's keys", policy);
	}
}

static void check_server(struct redis_check *check, const struct redis_link_server *server)
{
	struct redis_problem problem = {.check = "version"};
	int major = atoi(server->version); /* NOLINT(cert-err34-c): what is no number is too old */

	problem.advice = "use Redis 7.0 or later, or Valkey";
	if (major < VERSION_MIN)
		found(check, &problem, "Redis %s is too old",
		      server->version[0] != '\0' ? server->version : "of an unknown version");
	problem.check = "mode";
	problem.advice = "use one master, with replicas and Sentinels if you like";
	if (strcmp(server->mode, "cluster") == 0)
		found(check, &problem, "Redis Cluster is not supported");
	problem.check = "role";
	problem.advice = "name its master in redis.url, or Sentinels";
	if (strcmp(server->role, "slave") == 0)
		found(check, &problem, "this Redis is a replica, which takes no writes");
	check_policy(check, server);
}

static const struct redis_problem rights_problem = {
	.check = "rights", .advice = "give the user the rights that docs/redis.md has"};

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
		found(check, &rights_problem, "Redis does not allow the user %s%s", list,
		      used >= sizeof(list) ? "..." : "");
}

static void got_rights(const redisReply *reply, const char *why, void *arg)
{
	struct redis_check *check = arg;

	(void)why;
	if (reply == NULL)
		return; /* the connection broke: it is asked again */
	if (reply->type == REDIS_REPLY_ARRAY)
		found_rights(check, reply);
	else if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOSCRIPT", 8) == 0)
		found(check, &rights_problem,
		      "Redis does not allow the user SCRIPT LOAD x, or keeps no scripts: %s",
		      reply->str);
	else if (reply->type == REDIS_REPLY_ERROR)
		found(check, &rights_problem, "Redis does not run Larder's scripts: %s",
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
