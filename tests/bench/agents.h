/*
 * Agents without disks, any number in one process: the product's inventory, messages and, where
 * asked for, journal, orders and beat, over models of a fleet (fleet.h).
 */
#ifndef LARDER_BENCH_AGENTS_H
#define LARDER_BENCH_AGENTS_H

#include "agent/agent.h"
#include "tests/bench/fleet.h"

/*
 * The agent of one node: its inventory holds the fleet's models. `told`: Redis knows them already
 * (fleet_register). It has no journal, no orders and no beat yet.
 */
struct agent *agents_new(const struct fleet *fleet, size_t node, const struct server *server,
			 bool told);

#endif
