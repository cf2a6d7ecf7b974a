/* The names of keys and channels. (pure) */
#include "common/keys.h"

#include <stdio.h>
#include <string.h>

static const char *const node_suffixes[] = {
	[KEY_STATE] = "",	    [KEY_LRU] = ":lru",	     [KEY_LRU_BEFORE] = ":lru:before",
	[KEY_SIZE_GEN] = ":size",   [KEY_STATUS] = ":state", [KEY_HOLD] = ":hold",
	[KEY_HOLDERS] = ":holders", [KEY_CMD] = ":cmd",	     [KEY_RECEIPTS] = ":receipts",
	[KEY_WAKE] = ":wake",
};

static const char *const cluster_names[] = {
	[KEY_NODES] = "nodes",	     [KEY_PINS] = "pins",   [KEY_LOG] = "log",
	[KEY_LEADER] = "leader",     [KEY_EPOCH] = "epoch", [KEY_POLICY] = "policy",
	[KEY_PRESSURE] = "pressure", [KEY_DONE] = "done",   [KEY_CHANGED] = "changed",
};

int key_prefix_valid(const char *prefix, struct err *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789._-:";
	size_t len = strlen(prefix);

	if (len < 1 || len > KEY_PREFIX_MAX || strspn(prefix, allowed) != len)
		return err_set(err,
			       "a key prefix is 1 to %d of A-Z a-z 0-9 . _ - :", KEY_PREFIX_MAX);
	return 0;
}

const char *key_node(char *buf, const char *prefix, const char *node, enum node_key which)
{
	snprintf(buf, KEY_SIZE, "%s{%s}%s", prefix, node, node_suffixes[which]);
	return buf;
}

const char *key_cluster(char *buf, const char *prefix, enum cluster_key which)
{
	snprintf(buf, KEY_SIZE, "%s%s", prefix, cluster_names[which]);
	return buf;
}
