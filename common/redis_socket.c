/* Makes, tunes and explains the socket of a link to Redis. */
#include "common/redis_socket.h"

#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/redis_tls.h"

#define KEEPALIVE_IDLE_S 30
#define USER_TIMEOUT_MS	 20000

struct bufferevent *redis_socket_new(struct event_base *base,
				     const struct redis_link_target *target, struct err *err)
{
	struct bufferevent *bev;

	if (target->url.tls)
		return redis_tls_bufferevent(base, target, err);
	bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL)
		err_set(err, "cannot make a connection");
	return bev;
}

int redis_socket_connect(struct bufferevent *bev, struct evdns_base *dns,
			 const struct redis_link_target *target)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	if (target->url.path[0] == '\0')
		return bufferevent_socket_connect_hostname(
			bev, dns, AF_UNSPEC, target->url.place.host, target->url.place.port);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", target->url.path);
	return bufferevent_socket_connect(bev, (struct sockaddr *)&addr, sizeof(addr));
}

void redis_socket_tune(struct bufferevent *bev, const struct redis_link_target *target)
{
	evutil_socket_t fd = bufferevent_getfd(bev);
	int on = 1, idle = KEEPALIVE_IDLE_S, user = USER_TIMEOUT_MS;

	if (target->url.path[0] != '\0')
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user, sizeof(user));
}

void redis_socket_error(struct bufferevent *bev, const struct redis_link_target *target, short what,
			char *buf, size_t size)
{
	int dns = bufferevent_socket_get_dns_error(bev);

	if (target->url.tls && redis_tls_error(bev, buf, size))
		return;
	if (dns != 0)
		snprintf(buf, size, "%s", evutil_gai_strerror(dns));
	else if (what & BEV_EVENT_EOF)
		snprintf(buf, size, "Redis closed the connection");
	else
		snprintf(buf, size, "%s", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

const char *redis_socket_name(const struct redis_link_target *target, char *buf, size_t size)
{
	const struct redis_place *place = &target->url.place;

	/* While nobody knows it, both are empty. */
	if (place->host[0] == '\0')
		snprintf(buf, size, "%s", target->url.path);
	else
		snprintf(buf, size, strchr(place->host, ':') != NULL ? "[%s]:%d" : "%s:%d",
			 place->host, place->port);
	return buf;
}
