/*
 * Turns victims into commands, under the leader's epoch: the only writer of the nodes' commands.
 */
#ifndef LARDER_ISSUE_H
#define LARDER_ISSUE_H

#include <stdbool.h>
#include <stdint.h>

#include "common/command.h"
#include "coordinator/cluster.h"

struct coordinator;

struct issue_item {
	char *model; /* owned by the batch */
	char id[COMMAND_ID_MAX + 1];
	int64_t last_used_ms;
	enum evict_reason reason;
	bool force;
	/* the answer */
	const char
		*outcome; /* "issued", "used", "held", "pending", "gone", or why none was tried */
	int64_t bytes;	  /* that it is expected to free; 0 when not issued */
};

/* Commands for one node. Made by issue_batch_new, freed by the module after `done`. */
struct issue_batch {
	char *node;
	char incarnation[17];
	uint64_t cycle;
	struct issue_item *items;
	size_t count, capacity;
	/* Called once; the batch is freed when it returns. */
	void (*done)(struct issue_batch *batch, void *arg);
	void *arg;
	struct coordinator *owner;
};

struct issue_batch *issue_batch_new(struct coordinator *c, const char *node,
				    const char *incarnation, uint64_t cycle);
/* `last_used_ms`: the score that the decision saw; 0 for a model in ERROR by hand. */
void issue_batch_add(struct issue_batch *batch, const char *model, int64_t last_used_ms,
		     enum evict_reason reason, bool force);

/*
 * Issues the batch if we lead; `done` is called in any case, never from inside this call. What was
 * issued stands in the ledger then.
 */
void issue_send(struct issue_batch *batch);

/*
 * For a batch that is done, of a plan that has taken its models from the copies: what was not
 * issued counts again only where it is known to stay. Another command under way for it keeps it
 * taken; what is gone is gone; of a node that was not as the plan saw it no copy counts until it is
 * read anew.
 */
void issue_settle_copies(const struct issue_batch *batch);

#endif
