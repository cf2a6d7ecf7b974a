/* The coordinator's parts, put together. Everything here belongs to the loop's thread. */
#ifndef LARDER_COORDINATOR_H
#define LARDER_COORDINATOR_H

#include <stdbool.h>

#include "common/daemon.h"
#include "common/keys.h"
#include "common/pins.h"
#include "common/redis_check.h"
#include "common/redis_link.h"
#include "coordinator/caution.h"
#include "coordinator/ledger.h"
#include "coordinator/options.h"

struct copies;
struct cycles;
struct follow;
struct http_server;
struct leader;
struct redis_sentinel;

struct coordinator {
	struct coordinator_options options;
	struct daemon *daemon;
	struct redis_link *link, *subscriber;
	struct redis_sentinel *sentinel; /* who tells where Redis is, or NULL */
	char *redis_password;
	struct redis_link_server server; /* what Redis said of itself last */
	struct redis_check check;	 /* and what is wrong with that */
	struct leader *leader;
	int64_t epoch_led; /* the last one that was ours */
	struct caution caution;
	struct ledger *ledger;
	struct copies *copies;
	struct cycles *cycles;
	struct follow *follow;
	struct http_server *http;
	char *http_token;
	char address[300]; /* where this one's API is, for others */
	bool stopping;
};

/* The limits in force on a node. */
void coordinator_limits(const struct coordinator *c, const char *node, struct limits *out);

/* Writes the policy to Redis for the agents, again should it be lost; only the leader does. */
void coordinator_publish_policy(struct coordinator *c);

/* A key of the cluster, into `buf` (KEY_SIZE). */
static inline const char *coordinator_key(const struct coordinator *c, char *buf,
					  enum cluster_key which)
{
	return key_cluster(buf, c->options.redis.prefix, which);
}

#endif
