/* Forgets nodes that are gone. */
#include "coordinator/retire.h"

#include "common/log.h"
#include "common/redis_args.h"
#include "coordinator/cluster.h"
#include "coordinator/coordinator.h"

#define GONE_MS (7 * INT64_C(86400000))

static void drop_name(struct coordinator *c, const char *node)
{
	struct redis_args args = {0};
	char key[KEY_SIZE];

	redis_args_start(&args, "SREM");
	redis_args_add(&args, coordinator_key(c, key, KEY_NODES));
	redis_args_add(&args, node);
	redis_link_command(c->link, &args, NULL, NULL);
	redis_args_free(&args);
}

static void drop_keys(struct coordinator *c, const char *node)
{
	static const enum node_key keys[] = {KEY_STATE,	   KEY_LRU,    KEY_LRU_BEFORE,
					     KEY_SIZE_GEN, KEY_STATUS, KEY_HOLD,
					     KEY_HOLDERS,  KEY_CMD,    KEY_RECEIPTS};
	struct redis_args args = {0};
	char key[KEY_SIZE];

	redis_args_start(&args, "UNLINK");
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		redis_args_add(&args, key_node(key, c->options.redis.prefix, node, keys[i]));
	redis_link_command(c->link, &args, NULL, NULL);
	redis_args_free(&args);
}

void retire_if_gone(struct coordinator *c, const struct cluster_node *node, int64_t now_ms)
{
	if (node->blank) {
		log_info("+node-forgotten", LOG_STR("node", node->name));
		drop_name(c, node->name);
	} else if (node->heartbeat_ms > 0 && now_ms - node->heartbeat_ms >= GONE_MS &&
		   !caution_jumped_within(&c->caution, GONE_MS, clock_mono())) {
		log_info("+node-forgotten", LOG_STR("node", node->name),
			 LOG_INT("silent_ms", now_ms - node->heartbeat_ms));
		drop_name(c, node->name);
		drop_keys(c, node->name);
	}
}
