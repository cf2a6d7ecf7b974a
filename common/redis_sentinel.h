/*
 * Follows the master that Redis Sentinels tell of, and guides links to it: one connection to one of
 * the Sentinels, on which it asks for the master and then hears of fail-overs. It asks again, and
 * the next Sentinel, when a link to the master broke, or what answered there was no master.
 * What a Sentinel says is only ever a hint: a link comes up when the server itself says, by ROLE,
 * that it is the master. As https://redis.io/docs/latest/develop/reference/sentinel-clients/ has
 * it.
 */
#ifndef LARDER_REDIS_SENTINEL_H
#define LARDER_REDIS_SENTINEL_H

#include "common/daemon.h"
#include "common/redis_link.h"
#include "common/shared_options.h"

struct redis_sentinel;

/*
 * Starts to follow the master of `target`, and becomes its guide. `*out` is NULL when the target's
 * url names Redis itself: then there is nothing to follow. `target` and what it borrows must
 * outlive it. Belongs to the loop's thread.
 */
int redis_sentinel_start(struct daemon *daemon, const struct sentinel_options *options,
			 struct redis_link_target *target, struct redis_sentinel **out,
			 struct err *err) MUST_USE;

/* After the links that it guides. May be NULL. */
void redis_sentinel_free(struct redis_sentinel *sentinel);

#endif
