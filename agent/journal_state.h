/*
 * What the journal holds, in memory: last uses, claims, removals under way, receipts, and
 * what was evicted lately. Records change it; it can be written as records again.
 */
#ifndef LARDER_JOURNAL_STATE_H
#define LARDER_JOURNAL_STATE_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "agent/journal.h"
#include "agent/receipt.h"

/* Evictions of which a model's return is noticed; the oldest are forgotten first. */
#define JOURNAL_EVICTED_MAX 10000

struct use_entry {
	char *model;
	char source[16];
	struct journal_time used;
	bool dirty;
	UT_hash_handle hh;
};

struct claim_entry {
	char *id;
	cJSON *record;
	UT_hash_handle hh;
};

struct evicted_entry {
	char *model;
	struct journal_evicted eviction;
	UT_hash_handle hh; /* oldest first */
};

struct journal_state {
	char id[17];
	int64_t epoch, next_number;
	struct use_entry *uses;
	struct claim_entry *claims;
	struct evicted_entry *evicted;
	struct intent *intents;
	size_t intent_count, intent_capacity;
	struct receipt *receipts;
	size_t receipt_count, receipt_capacity;
};

void journal_state_free(struct journal_state *state);

/* One record, as it was read. What is not understood changes nothing. */
void journal_state_replay(struct journal_state *state, const cJSON *record);

/* Calls `each` with records that make this state; they become the callee's. */
void journal_state_records(struct journal_state *state, void (*each)(cJSON *record, void *arg),
			   void *arg);

/* Keeps the later on each clock. */
void journal_state_set_use(struct journal_state *state, const char *model, struct journal_time used,
			   const char *source, bool dirty);
/* By the clock that says less, -1 when unknown on both. What lies in the future is now. */
int64_t journal_state_unused_ms(const struct use_entry *use, struct journal_time now);
struct use_entry *journal_state_use(const struct journal_state *state, const char *model);
void journal_state_forget_use(struct journal_state *state, const char *model);

/* Takes the record over. */
void journal_state_set_claim(struct journal_state *state, const char *id, cJSON *record);
void journal_state_drop_claim(struct journal_state *state, const char *id);

/* Strings of the intent are copied. */
void journal_state_add_intent(struct journal_state *state, const struct intent *intent);
struct intent *journal_state_intent(const struct journal_state *state, const char *txn);
void journal_state_drop_intent(struct journal_state *state, const char *txn);

void journal_state_add_receipt(struct journal_state *state, const struct receipt *receipt);
void journal_state_drop_receipts(struct journal_state *state, int64_t up_to);

void journal_state_set_evicted(struct journal_state *state, const char *model,
			       const struct journal_evicted *eviction);
const struct journal_evicted *journal_state_evicted(const struct journal_state *state,
						    const char *model);
void journal_state_drop_evicted(struct journal_state *state, const char *model);

#endif
