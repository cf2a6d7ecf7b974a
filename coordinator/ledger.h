/*
 * What was asked of whom, until when (pure): each command from its issue to its end, and how long a
 * model that could not be deleted is left alone.
 */
#ifndef LARDER_LEDGER_H
#define LARDER_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/clock.h"
#include "common/command.h"

struct ledger;

struct ledger_entry {
	const char *node, *model;
	char id[COMMAND_ID_MAX + 1];
	uint64_t cycle; /* that issued it */
	enum evict_reason reason;
	struct mono deadline;
};

enum ledger_state {
	LEDGER_IDLE,
	LEDGER_OPEN,	 /* a command for it is under way */
	LEDGER_DEFERRED, /* failed lately, and is not to be tried yet */
};

struct ledger *ledger_new(void);
void ledger_free(struct ledger *ledger);

/* `retry_ms` is the pause after a second failure; it doubles with each further one. */
void ledger_set_retry(struct ledger *ledger, int64_t retry_ms);

/* Takes note of a command; the strings are copied. */
void ledger_issued(struct ledger *ledger, const struct ledger_entry *entry);

/*
 * A receipt has come. True when the command was open: `*ended` is then filled, with strings that
 * live until the next call. `success`: the model is gone from the disk.
 */
bool ledger_receipt(struct ledger *ledger, const char *node, const char *model, const char *id,
		    bool success, struct mono now, struct ledger_entry *ended);

/* Ends the commands whose deadline has passed, and calls `ended` for each. */
void ledger_overdue(struct ledger *ledger, struct mono now,
		    void (*ended)(const struct ledger_entry *entry, void *arg), void *arg);

enum ledger_state ledger_state(const struct ledger *ledger, const char *node, const char *model,
			       struct mono now);

/* Nodes with open commands: calls `node` once for each. */
void ledger_each_node(const struct ledger *ledger, void (*node)(const char *name, void *arg),
		      void *arg);

/* How many are open, of all or of one cycle. */
size_t ledger_count(const struct ledger *ledger);
size_t ledger_count_cycle(const struct ledger *ledger, uint64_t cycle);

/* Forgets all open commands: another coordinator leads now. */
void ledger_clear(struct ledger *ledger);

#endif
