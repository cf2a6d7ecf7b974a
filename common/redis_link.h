/*
 * One connection to Redis on a libevent loop: hiredis formats and parses, a bufferevent carries.
 *
 * - It keeps itself connected: full-jitter back-off, and UP only after the server has answered.
 * - Every command ends in exactly one callback, with a reply or with the reason why there is none;
 *   never from inside redis_link_command itself.
 * - A command that is not answered in time drops the connection, since one that skipped an answer
 *   cannot be trusted. READONLY and LOADING drop it too, after the callback.
 * - A link made with channels is a subscriber: it takes no commands, it delivers messages.
 *
 * All functions belong to the loop's thread. Replies are borrowed until the callback returns.
 */
#ifndef LARDER_REDIS_LINK_H
#define LARDER_REDIS_LINK_H

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/redis_args.h"
#include "common/redis_info.h"
#include "common/redis_url.h"

struct evdns_base;
struct redis_link;

/* Why a command got no reply: compared by pointer, printed as it is. */
extern const char *const redis_link_err_down;	 /* not connected, never sent */
extern const char *const redis_link_err_lost;	 /* sent, but the connection broke */
extern const char *const redis_link_err_timeout; /* sent, but not answered in time */
extern const char *const redis_link_err_full;	 /* too much is waiting to be sent */
extern const char *const redis_link_err_closed;	 /* the link was freed */

typedef void (*redis_link_cb)(const redisReply *reply, const char *why, void *arg);

/* Finds out where Redis is, when that is not fixed, and whether what answers there is meant. */
struct redis_link_guide {
	/* Before each attempt: writes the place, or returns why it is not known now (borrowed). */
	const char *(*locate)(struct redis_place *place, void *arg);
	/* Asked first on each connection, ends with NULL; what must not answer an error. */
	const char *const *question;
	/* NULL, or why this connection must not be used (borrowed). */
	const char *(*judge)(const redisReply *answer, void *arg);
	/* A connection to this place broke, or could not be made. */
	void (*lost)(const struct redis_place *place, void *arg);
	/* A link follows this guide from now on, or not any more: redis_link_relocate is for it. */
	void (*follow)(struct redis_link *link, bool follows, void *arg);
	void *arg;
};

/* How to reach Redis. It is copied; what it points to is borrowed and must outlive the link. */
struct redis_link_target {
	struct redis_url url;
	const char *user; /* NULL: the url's, or none */
	const char *password;
	const char *ca_file, *cert_file,
		*key_file;	    /* TLS; NULL: the system's CAs, no client cert */
	const char *server_name;    /* checked in the certificate; NULL: the host */
	const char *client_name;    /* shown by CLIENT LIST */
	int64_t connect_timeout_ms; /* until the server has answered */
	int64_t command_timeout_ms;
	const struct redis_link_guide *guide; /* NULL: the url says where Redis is */
};

struct redis_link_hooks {
	/* The server has answered. `server` is NULL for a subscriber. */
	void (*up)(const struct redis_link_server *server, void *arg);
	/* Was up, is down. Pending commands have had their callbacks already. */
	void (*down)(const char *why, void *arg);
	/* Subscribers: one message. `payload` ends with a NUL that `len` does not count. */
	void (*message)(const char *channel, const char *payload, size_t len, void *arg);
	void *arg;
};

/*
 * Makes a link and starts connecting. `channels` is NULL, or a NULL-terminated list for a
 * subscriber (copied). `dns` resolves host names without blocking.
 */
struct redis_link *redis_link_new(struct event_base *base, struct evdns_base *dns,
				  const struct redis_link_target *target,
				  const char *const *channels,
				  const struct redis_link_hooks *hooks) MUST_USE;

/* Ends all pending commands with redis_link_err_closed and frees the link. Not from a callback. */
void redis_link_free(struct redis_link *link);

/* For guides: the place has become known, or is another one. Not from a callback of the link. */
void redis_link_relocate(struct redis_link *link);

/* Breaks the connection, if there is one, and tries again soon. Not from a callback of the link. */
void redis_link_again(struct redis_link *link, const char *why);

/* Why the link is not up, as far as it is known; "" at first. Borrowed until the next failure. */
const char *redis_link_last_error(const struct redis_link *link);

bool redis_link_is_up(const struct redis_link *link);

/* Sends a command; `args` stays the caller's. `cb` may be NULL. */
void redis_link_command(struct redis_link *link, const struct redis_args *args, redis_link_cb cb,
			void *arg);

/* Commands that were sent and are not answered. */
size_t redis_link_pending(const struct redis_link *link);

#endif
