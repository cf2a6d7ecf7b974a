/*
 * Where Redis is: redis://[USER@]HOST[:PORT][/DB], rediss://... for TLS, or unix:///PATH[?db=N].
 * A password never stands in it: it comes from a file or the environment.
 */
#ifndef LARDER_REDIS_URL_H
#define LARDER_REDIS_URL_H

#include <stdbool.h>

#include "common/err.h"

struct redis_url {
	char host[256]; /* empty for a unix socket */
	char path[108]; /* of a unix socket */
	char user[128];
	int port;
	int db;
	bool tls;
};

int redis_url_parse(const char *text, struct redis_url *out, struct err *err) MUST_USE;

#endif
