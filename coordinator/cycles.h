/* When passes over the nodes run, and what they came to. */
#ifndef LARDER_CYCLES_H
#define LARDER_CYCLES_H

#include <stdbool.h>
#include <stdint.h>

#include "coordinator/cycle.h"
#include "coordinator/ledger.h"

struct coordinator;
struct cycles;

/* For a pass that only plans. */
struct cycle_plan_hooks {
	/* A part of the cluster and what would be done there; borrowed. */
	void (*part)(const struct cluster *cluster, const struct limits *limits,
		     const struct plan *plan, void *arg);
	/* The end; `result->stopped` says why if it did not go through. */
	void (*done)(const struct cycle_result *result, void *arg);
	void *arg;
};

struct cycles *cycles_new(struct coordinator *c);
void cycles_free(struct cycles *cycles);

/* Starts what is due. */
void cycles_tick(struct cycles *cycles);

/* A node's disk is filling: it is looked at as soon as possible. */
void cycles_pressure(struct cycles *cycles, const char *node);

/* Looks at all nodes now. */
void cycles_demand(struct cycles *cycles);

/*
 * The settings have changed: what is under way ends and begins anew, and the next regular cycle is
 * due by the new interval at the latest.
 */
void cycles_settings_changed(struct cycles *cycles);

/*
 * Plans for one node (copied), or for all when `node` is NULL; `as_if_deleting`: as it would be if
 * roots that only report did delete.
 */
void cycles_plan(struct cycles *cycles, const char *node, bool as_if_deleting,
		 const struct cycle_plan_hooks *hooks);

/* A command of a cycle has ended; `outcome` is a receipt's word, or "expired". */
void cycles_command_ended(struct cycles *cycles, const struct ledger_entry *entry,
			  const char *outcome, int64_t freed_bytes);

/* The ledger was cleared: cycles whose commands were open end without them. */
void cycles_ledger_cleared(struct cycles *cycles);

/* The cycle under way is given up, if there is one: nothing more is issued. `why` is a constant. */
void cycles_stop(struct cycles *cycles, const char *why);

/* A number for commands that no cycle issued. */
uint64_t cycles_next_id(struct cycles *cycles);

/* The results kept, newest first; NULL beyond the last. */
const struct cycle_result *cycles_result(const struct cycles *cycles, size_t index);

/* Milliseconds until the next regular cycle; negative when it is due or under way. */
int64_t cycles_due_ms(const struct cycles *cycles);

#endif
