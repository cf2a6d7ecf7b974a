/*
 * Where Redis is: redis://[USER@]HOST[:PORT][/DB], rediss://... for TLS, unix:///PATH[?db=N], or
 * redis+sentinel://[USER@]HOST[:PORT],.../MASTER[/DB] (rediss+sentinel:// for TLS) when Sentinels
 * tell. A password never stands in it: it comes from a file or the environment.
 */
#ifndef LARDER_REDIS_URL_H
#define LARDER_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/redis_place.h"

#define REDIS_SENTINELS_MAX 16
#define REDIS_MASTER_MAX    63

struct redis_url {
	struct redis_place place; /* empty for a unix socket, and while only Sentinels know it */
	char path[108];		  /* of a unix socket */
	char user[128];
	int db;
	bool tls;
	struct redis_place sentinels[REDIS_SENTINELS_MAX];
	size_t sentinel_count;
	char master[REDIS_MASTER_MAX + 1]; /* what the Sentinels call it; empty without any */
};

int redis_url_parse(const char *text, struct redis_url *out, struct err *err) MUST_USE;

#endif
