/*
 * What is wrong with the Redis at the other end of a link, from what it says of itself and from
 * what our user may do there. It is said in the log, and kept to be shown.
 */
#ifndef LARDER_REDIS_CHECK_H
#define LARDER_REDIS_CHECK_H

#include "common/redis_link.h"
#include "common/redis_rights.h"

#define REDIS_PROBLEMS_MAX 8

struct redis_problem {
	const char *check;  /* "version", "mode", "policy", "role", "rights" */
	bool harmless;	    /* until a setting of Redis changes */
	const char *advice; /* what to change */
	char text[320];	    /* what is wrong */
};

struct redis_check {
	struct redis_problem problems[REDIS_PROBLEMS_MAX];
	size_t count;
	/* What the user must be allowed, and with which keys; set before redis_check_start. */
	const struct redis_right *rights;
	const char *prefix, *node;
	/* Called when all is known; may be NULL. */
	void (*done)(void *arg);
	void *arg;
};

/*
 * Begins anew, when a link has come up: judges the server, and asks for the rights. `check` must
 * outlive the link.
 */
void redis_check_start(struct redis_check *check, struct redis_link *link,
		       const struct redis_link_server *server);

#endif
