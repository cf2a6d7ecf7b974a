/* Looks after the node's name and keys in Redis. */
#include "agent/tend.h"

#include <stdlib.h>

#include "agent/agent.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/redis_script.h"
#include "common/xmem.h"

static const struct {
	enum node_key key;
	const char *type;
} node_keys[] = {
	{KEY_STATE, "hash"},	{KEY_LRU, "zset"},    {KEY_LRU_BEFORE, "zset"},
	{KEY_SIZE_GEN, "hash"}, {KEY_STATUS, "hash"}, {KEY_HOLD, "zset"},
	{KEY_HOLDERS, "hash"},	{KEY_CMD, "hash"},    {KEY_RECEIPTS, "stream"},
};

struct mending {
	void (*mended)(void *arg);
	void *arg;
};

static void got_named(const redisReply *reply, const char *why, void *arg)
{
	(void)why;
	(void)arg;
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
		log_warn("-nodes", LOG_STR("reason", reply->str));
}

static void got_mended(const redisReply *reply, const char *why, void *arg)
{
	struct mending *mending = arg;

	(void)why;
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
		log_warn("-mend", LOG_STR("reason", reply->str));
	if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0) {
		for (size_t i = 0; i < reply->elements; i++)
			log_warn("+mended", LOG_STR("key", reply->element[i]->str),
				 LOG_STR("reason", "somebody has put something else there"));
		mending->mended(mending->arg);
	}
	free(mending);
}

void tend_keys(struct redis_link *link, const struct agent *agent, void (*mended)(void *arg),
	       void *arg)
{
	const char *prefix = agent->options.redis.prefix;
	struct mending *mending = xcalloc(1, sizeof(*mending));
	struct redis_args args = {0};
	char key[KEY_SIZE];

	*mending = (struct mending){mended, arg};
	redis_args_start(&args, "SADD");
	redis_args_add(&args, key_cluster(key, prefix, KEY_NODES));
	redis_args_add(&args, agent->node);
	redis_link_command(link, &args, got_named, NULL);
	redis_script_start(&args, &script_mend, ARRAY_SIZE(node_keys));
	for (size_t i = 0; i < ARRAY_SIZE(node_keys); i++)
		redis_args_add(&args, key_node(key, prefix, agent->node, node_keys[i].key));
	for (size_t i = 0; i < ARRAY_SIZE(node_keys); i++)
		redis_args_add(&args, node_keys[i].type);
	redis_script_call(link, &script_mend, &args, got_mended, mending);
	redis_args_free(&args);
}
