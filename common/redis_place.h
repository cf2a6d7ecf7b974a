/* Where a server listens, as urls and Sentinels write it. (pure) */
#ifndef LARDER_REDIS_PLACE_H
#define LARDER_REDIS_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct redis_place {
	char host[256]; /* a name or an address, IPv6 without brackets; empty: none */
	int port;
};

/*
 * Takes "HOST[:PORT]", where HOST may be an IPv6 address in brackets; the first `len` bytes of
 * `text`. Without a port it becomes `port`.
 */
int redis_place_parse(const char *text, size_t len, int port, struct redis_place *out,
		      struct err *err) MUST_USE;

/* Takes host and port as a Sentinel tells them, as two texts. */
int redis_place_set(const char *host, const char *port, struct redis_place *out,
		    struct err *err) MUST_USE;

bool redis_place_same(const struct redis_place *a, const struct redis_place *b);

/*
 * Takes what a Sentinel publishes on +switch-master, "MASTER OLD_HOST OLD_PORT HOST PORT" (Redis'
 * documentation of Sentinel, "Pub/Sub messages"). False when it is about another master, or is
 * something else.
 */
bool redis_place_switched(const char *payload, const char *master, struct redis_place *out);

#endif
