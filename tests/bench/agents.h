/*
 * Agents without disks, any number in one process: the product's inventory, messages and, where
 * asked for, journal, orders and beat, over models of a fleet (fleet.h).
 */
#ifndef LARDER_BENCH_AGENTS_H
#define LARDER_BENCH_AGENTS_H

#include "agent/agent.h"
#include "tests/bench/fleet.h"
#include "tests/bench/server.h"

/*
 * The agent of one node: its inventory holds the fleet's models, of which Redis knows nothing yet.
 * It has no journal, no orders and no beat.
 */
struct agent *agents_new(const struct fleet *fleet, size_t node, const struct server *server);

/*
 * Registers all nodes by the product's own messages, and lets each beat once. `keep` takes their
 * agents, which then know what Redis has answered (it needs a journal, or journal_note_use left
 * out); NULL: they are freed.
 */
void agents_register(const struct fleet *fleet, struct server *server, struct agent **keep);

/* The incarnation that all of these are registered with. */
const char *agents_incarnation(void);

#endif
