/*
 * Claims in force on this agent's models: the loop's side of claim.h. Sources make and renew
 * claims; here they meet the inventory, the journal and removals under way.
 */
#ifndef LARDER_HOLDS_H
#define LARDER_HOLDS_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/claim.h"
#include "common/attributes.h"

struct agent;
struct model;

/* What became of a claim. */
struct hold_result {
	size_t matched;	 /* models it protects now; more may come */
	size_t too_late; /* of these: removals that cannot be stopped any more */
	bool refused;	 /* there are too many claims */
	bool unkept;	 /* it holds, but could not be written down: not over a restart */
};

/*
 * Makes or renews a claim, which it takes over: notes a use of each model it names, stops their
 * removals, and keeps it over a restart. It holds from the moment this returns.
 */
struct hold_result holds_set(struct agent *agent, struct claim *claim);

/* Why models may be in use that no claim in force names, or NULL. */
const char *holds_lost(const struct agent *agent);

/* Ends a claim before its time. False when there is none of that id. */
bool holds_drop(struct agent *agent, const char *id);

/* Ends claims whose id begins with `prefix` and that `keep` (borrowed) does not want. */
void holds_drop_others(struct agent *agent, const char *prefix,
		       bool (*keep)(const struct claim *claim, void *arg), void *arg);

/* A model has just been found: whatever names it protects it from now on. */
void holds_apply(struct agent *agent, struct model *model);

/* Takes over what the journal kept, once Redis' clock is known. */
void holds_restore(struct agent *agent);

void holds_tick(struct agent *agent, struct mono now);

/* The facts of a model that references are compared with. */
struct model_ref_facts holds_facts(const struct agent *agent, const struct model *model);

#endif
