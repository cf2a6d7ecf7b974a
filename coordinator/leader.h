/*
 * Who leads: a lease in Redis and an epoch that grows with each change. Losing the lease is noticed
 * by our own clock before anything is issued.
 */
#ifndef LARDER_LEADER_H
#define LARDER_LEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/redis_link.h"

struct leader;

struct leader_hooks {
	void (*gained)(int64_t epoch, void *arg);
	void (*lost)(const char *why, void *arg);
	void *arg;
};

/* `prefix` and `address` are borrowed. */
struct leader *leader_new(struct redis_link *link, const char *prefix, const char *address,
			  int64_t lease_ms, const struct leader_hooks *hooks);
void leader_free(struct leader *leader);

void leader_tick(struct leader *leader);

/* Redis is not connected: the lease goes on by our clock until it ends. */
void leader_link_down(struct leader *leader);

/* Do we lead now, with time left to issue something? */
bool leader_leads(const struct leader *leader);

int64_t leader_epoch(const struct leader *leader);

/* An agent has seen a later epoch than ours: take a new one above it. */
void leader_outdated(struct leader *leader, int64_t seen_epoch);

/* Who leads, as far as is known: id and address, "" when nobody does. Borrowed. */
const char *leader_id(const struct leader *leader);
const char *leader_address(const struct leader *leader);
const char *leader_own_id(const struct leader *leader);

/* Gives the leadership up, if it is ours; `done` (may be NULL) is called once that is known. */
void leader_resign(struct leader *leader, void (*done)(void *arg), void *arg);

#endif
