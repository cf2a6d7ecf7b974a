/* TLS towards Redis: certificate chain, host name check and client certificate. */
#ifndef LARDER_REDIS_TLS_H
#define LARDER_REDIS_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

struct bufferevent;
struct event_base;
struct redis_link_target;

/*
 * A client bufferevent that verifies the server's chain and name. Files are read anew each time,
 * so that rotated certificates are taken over at the next reconnect. NULL on error.
 */
struct bufferevent *redis_tls_bufferevent(struct event_base *base,
					  const struct redis_link_target *target,
					  struct err *err) MUST_USE;

/* Writes what TLS complained about, if it did. */
bool redis_tls_error(struct bufferevent *bev, char *buf, size_t size);

#endif
