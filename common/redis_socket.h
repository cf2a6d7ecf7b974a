/* The socket of a link to Redis: plain, TLS or unix; what a bufferevent needs to become one. */
#ifndef LARDER_REDIS_SOCKET_H
#define LARDER_REDIS_SOCKET_H

#include "common/redis_link.h"

struct bufferevent;

/* One that is not connected; NULL with a sentence when TLS cannot be set up. */
struct bufferevent *redis_socket_new(struct event_base *base,
				     const struct redis_link_target *target,
				     struct err *err) MUST_USE;

/* Starts connecting. -1 with errno: it has failed, and the event callback may have been called. */
int redis_socket_connect(struct bufferevent *bev, struct evdns_base *dns,
			 const struct redis_link_target *target) MUST_USE;

/* When it is connected: no delay, and the kernel notices a peer that has gone. */
void redis_socket_tune(struct bufferevent *bev, const struct redis_link_target *target);

/* Writes what the events `what` of the bufferevent mean. */
void redis_socket_error(struct bufferevent *bev, const struct redis_link_target *target, short what,
			char *buf, size_t size);

/* "HOST:PORT" or the path, into `buf`; "" while it is not known. Returns `buf`. */
const char *redis_socket_name(const struct redis_link_target *target, char *buf, size_t size);

#endif
