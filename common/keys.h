/*
 * The names of Larder's keys and channels in Redis: the only place that knows them. Keys of one
 * node carry the node's name as hash tag, so that one script may touch them together. See
 * docs/redis.md.
 */
#ifndef LARDER_KEYS_H
#define LARDER_KEYS_H

#include <stddef.h>

#include "common/model_name.h"

#define KEY_PREFIX_MAX 32
#define KEY_SIZE       (KEY_PREFIX_MAX + NODE_NAME_MAX + 16)

enum node_key {
	KEY_STATE,	/* hash: incarnation, heartbeat, roots, counters, fence */
	KEY_LRU,	/* sorted set: DOWNLOADED model -> last used */
	KEY_LRU_BEFORE, /* the same, during a registration */
	KEY_SIZE_GEN,	/* hash: DOWNLOADED model -> "bytes generation source-of-last-use" */
	KEY_STATUS,	/* hash: model that is not DOWNLOADED -> why */
	KEY_HOLD,	/* sorted set: model -> in use until */
	KEY_HOLDERS,	/* hash: model that is held -> "source: who" */
	KEY_CMD,	/* hash: model -> delete command under way */
	KEY_RECEIPTS,	/* stream: outcomes not yet in the log */
	KEY_WAKE,	/* channel: commands as they are published */
};

enum cluster_key {
	KEY_NODES,    /* set of node names */
	KEY_PINS,     /* hash: glob -> until, by whom, why */
	KEY_LOG,      /* stream: the audit trail */
	KEY_LEADER,   /* hash: who leads since when */
	KEY_EPOCH,    /* string: the last epoch */
	KEY_POLICY,   /* string: the policy in force, JSON */
	KEY_PRESSURE, /* channel: names of nodes whose disk is filling */
	KEY_DONE,     /* channel: names of nodes that have new receipts */
	KEY_CHANGED,  /* channel: "pins" or "policy" changed */
};

/* 1 to 32 of A-Z, a-z, 0-9, '.', '_', '-' and ':'. */
int key_prefix_valid(const char *prefix, struct err *err) MUST_USE;

/* Both write into `buf` (KEY_SIZE bytes) and return it. */
const char *key_node(char *buf, const char *prefix, const char *node, enum node_key which);
const char *key_cluster(char *buf, const char *prefix, enum cluster_key which);

#endif
