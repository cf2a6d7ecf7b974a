/* The commands that Larder and its scripts run, as docs/redis.md has them for users. (pure) */
#include "common/redis_rights.h"

#include <stdio.h>

#define NODE(command, key, rest)                        \
	{                                               \
		command, rest, REDIS_RIGHT_OF_NODE, key \
	}
#define CLUSTER(command, key, rest)                        \
	{                                                  \
		command, rest, REDIS_RIGHT_OF_CLUSTER, key \
	}
#define RIGHT(command)                             \
	{                                          \
		command, "", REDIS_RIGHT_NO_KEY, 0 \
	}
#define RIGHTS_END                                \
	{                                         \
		NULL, NULL, REDIS_RIGHT_NO_KEY, 0 \
	}

const struct redis_right redis_rights_agent[] = {
	RIGHT("SCRIPT LOAD x"),
	RIGHT("TIME"),
	CLUSTER("GET", KEY_POLICY, ""),
	CLUSTER("HGETALL", KEY_PINS, ""),
	CLUSTER("SADD", KEY_NODES, "x"),
	NODE("HMGET", KEY_STATE, "x"),
	NODE("HSET", KEY_STATE, "x x"),
	NODE("HDEL", KEY_STATE, "x"),
	NODE("HINCRBY", KEY_STATE, "x 1"),
	NODE("HLEN", KEY_SIZE_GEN, ""),
	NODE("HGETALL", KEY_CMD, ""),
	NODE("ZADD", KEY_LRU, "1 x"),
	NODE("ZCARD", KEY_LRU, ""),
	NODE("ZSCORE", KEY_LRU, "x"),
	NODE("ZREM", KEY_LRU, "x"),
	NODE("ZRANGEBYSCORE", KEY_HOLD, "0 1"),
	NODE("ZUNIONSTORE", KEY_LRU, "0"),
	NODE("UNLINK", KEY_LRU, ""),
	NODE("TYPE", KEY_LRU, ""),
	NODE("XADD", KEY_RECEIPTS, "* x x"),
	NODE("XLEN", KEY_RECEIPTS, ""),
	NODE("SUBSCRIBE", KEY_WAKE, ""),
	CLUSTER("SUBSCRIBE", KEY_CHANGED, ""),
	CLUSTER("PUBLISH", KEY_PRESSURE, "x"),
	CLUSTER("PUBLISH", KEY_DONE, "x"),
	RIGHTS_END,
};

const struct redis_right redis_rights_coordinator[] = {
	RIGHT("SCRIPT LOAD x"),
	RIGHT("TIME"),
	CLUSTER("GET", KEY_POLICY, ""),
	CLUSTER("SET", KEY_POLICY, "x"),
	CLUSTER("HMGET", KEY_LEADER, "x"),
	CLUSTER("HSET", KEY_LEADER, "x x"),
	CLUSTER("PEXPIRE", KEY_LEADER, "1"),
	CLUSTER("PTTL", KEY_LEADER, ""),
	CLUSTER("DEL", KEY_LEADER, ""),
	CLUSTER("SET", KEY_EPOCH, "1"),
	CLUSTER("SSCAN", KEY_NODES, "0"),
	CLUSTER("SREM", KEY_NODES, "x"),
	CLUSTER("HGETALL", KEY_PINS, ""),
	CLUSTER("HSET", KEY_PINS, "x x"),
	CLUSTER("HDEL", KEY_PINS, "x"),
	CLUSTER("XADD", KEY_LOG, "* x x"),
	CLUSTER("XREVRANGE", KEY_LOG, "+ -"),
	NODE("HGETALL", KEY_STATE, ""),
	NODE("HMGET", KEY_STATE, "x"),
	NODE("HSET", KEY_STATE, "x x"),
	NODE("HGET", KEY_SIZE_GEN, "x"),
	NODE("HSET", KEY_CMD, "x x"),
	NODE("HDEL", KEY_CMD, "x"),
	NODE("ZRANGE", KEY_LRU, "0 1"),
	NODE("ZRANGEBYSCORE", KEY_LRU, "0 1"),
	NODE("ZSCORE", KEY_HOLD, "x"),
	NODE("XRANGE", KEY_RECEIPTS, "- +"),
	NODE("XDEL", KEY_RECEIPTS, "1-1"),
	NODE("UNLINK", KEY_STATE, ""),
	NODE("PUBLISH", KEY_WAKE, "x"),
	CLUSTER("PUBLISH", KEY_CHANGED, "x"),
	CLUSTER("SUBSCRIBE", KEY_PRESSURE, ""),
	CLUSTER("SUBSCRIBE", KEY_DONE, ""),
	RIGHTS_END,
};

const char *redis_right_text(const struct redis_right *rights, size_t index, const char *prefix,
			     const char *node, char *buf)
{
	const struct redis_right *right = &rights[index];
	char key[KEY_SIZE] = "";

	if (right->command == NULL)
		return NULL;
	if (right->where == REDIS_RIGHT_OF_NODE)
		key_node(key, prefix, node, (enum node_key)right->key);
	else if (right->where == REDIS_RIGHT_OF_CLUSTER)
		key_cluster(key, prefix, (enum cluster_key)right->key);
	snprintf(buf, REDIS_RIGHT_SIZE, "%s%s%s%s%s", right->command, *key != '\0' ? " " : "", key,
		 right->rest[0] != '\0' ? " " : "", right->rest);
	return buf;
}
