/*
 * What must survive a restart of the agent: last uses, claims, the highest epoch, removals under
 * way, and receipts that Redis has not confirmed. One append-only file of lines, each "<digest>
 * <JSON>"; a line that was cut off or damaged is left out. Its room is reserved ahead, so that a
 * removal can be recorded on a full disk.
 *
 * Functions marked (any thread) may be called from worker threads.
 */
#ifndef LARDER_JOURNAL_H
#define LARDER_JOURNAL_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/receipt.h"
#include "common/err.h"

#define TXN_LEN 16

struct journal;

/* A removal under way. */
struct intent {
	char txn[TXN_LEN + 1];
	char *root;
	char *model;
	char *locator;
	char command[COMMAND_TEXT_MAX]; /* as it came; empty when the agent began it itself */
};

/* An eviction of which the model's return is noticed. Times are wall milliseconds, if not said. */
struct journal_evicted {
	char id[COMMAND_ID_MAX + 1]; /* of the command */
	enum evict_reason reason;
	int64_t at_wall_ms;
	int64_t unused_ms;    /* for how long it had not been used then */
	int64_t last_used_ms; /* Redis' clock */
	int64_t bytes;	      /* that came free */
};

/* Opens or creates DIR/journal and locks it against a second agent. */
struct journal *journal_open(const char *dir, struct err *err) MUST_USE;
void journal_close(struct journal *journal);

/* Names this journal; a new one gets a new name, so that its receipts count from one again. */
const char *journal_id(const struct journal *journal);

int64_t journal_epoch(const struct journal *journal);
/* Durable when it returns 0. */
int journal_raise_epoch(struct journal *journal, int64_t epoch) MUST_USE;

/*
 * A last use on two clocks: Redis' and this machine's. Either may jump while the agent is not
 * running, but hardly both. 0: not known on that one.
 */
struct journal_time {
	int64_t redis_ms, wall_ms;
};

/*
 * For how long the model has not been used at `now`, by the clock that says less; -1 when unknown.
 * `*source` is borrowed.
 */
int64_t journal_unused_ms(const struct journal *journal, const char *model, struct journal_time now,
			  const char **source);
/* Keeps the later on each clock; written with the next journal_flush. */
void journal_note_use(struct journal *journal, const char *model, struct journal_time used,
		      const char *source);
void journal_forget_use(struct journal *journal, const char *model);
/* Writes what was noted of one model, so that it outlives this process. 0, or -1 with errno. */
int journal_keep_use(struct journal *journal, const char *model) MUST_USE;
/* Writes what was noted, and makes the file small again when it has grown. 0, or -1 with errno. */
int journal_flush(struct journal *journal) MUST_USE;

/*
 * Keeps a claim under its id, in place of an earlier one: `record` is a journal_record("claim"),
 * which it takes over. Durable when it returns 0, if that is asked for; else soon.
 */
int journal_claim(struct journal *journal, const char *id, cJSON *record, bool durable) MUST_USE;
int journal_unclaim(struct journal *journal, const char *id) MUST_USE;
/*
 * Calls `keep` for every claim that is kept; records are borrowed. One for which it returns false
 * is kept no longer.
 */
void journal_claims(struct journal *journal, bool (*keep)(const cJSON *record, void *arg),
		    void *arg);

/* A model was evicted; kept with the receipt's durability or soon after. */
void journal_note_evicted(struct journal *journal, const char *model,
			  const struct journal_evicted *eviction);
/*
 * The model is back: its eviction, which is forgotten then. False when there is none. `receipt`
 * (may be NULL: it came too late to matter) gets its number and is kept until it is confirmed.
 */
bool journal_evicted(struct journal *journal, const char *model, struct journal_evicted *out);
int journal_back(struct journal *journal, const char *model, struct receipt *receipt) MUST_USE;

/* (any thread) Durable when it returns 0. */
int journal_begin(struct journal *journal, const struct intent *intent) MUST_USE;

/*
 * (any thread) The removal has ended; `receipt` (may be NULL) gets its number and is kept until it
 * is confirmed.
 */
int journal_end(struct journal *journal, const char *txn, struct receipt *receipt) MUST_USE;

/* Removals that were under way when the journal was opened. Borrowed until journal_close. */
const struct intent *journal_intents(const struct journal *journal, size_t *count);

/* (any thread) Is that removal under way, or to be finished? */
bool journal_has_intent(struct journal *journal, const char *txn);

/* Receipts to be confirmed, oldest first, at most `max` into `out`. Returns how many. */
size_t journal_receipts(struct journal *journal, struct receipt *out, size_t max);
void journal_confirmed(struct journal *journal, int64_t up_to);

#endif
