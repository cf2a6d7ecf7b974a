/* The journal's content. */
#include "agent/journal_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/journal_record.h"
#include "common/xmem.h"

/* One use, computed from two clocks, differs by what passes between the looks at them. */
#define SAME_USE_MS 1000

void journal_state_set_use(struct journal_state *j, const char *model, struct journal_time used,
			   const char *source, bool dirty)
{
	struct use_entry *use;
	bool later;

	HASH_FIND_STR(j->uses, model, use);
	if (use == NULL) {
		use = xcalloc(1, sizeof(*use));
		use->model = xstrdup(model);
		HASH_ADD_KEYPTR(hh, j->uses, use->model, strlen(use->model), use);
	}
	/* The second alone tells of uses after Redis' clock was set back. */
	later = used.redis_ms > use->used.redis_ms ||
		used.wall_ms > use->used.wall_ms + SAME_USE_MS;
	if (!later)
		return;
	if (used.redis_ms > use->used.redis_ms)
		use->used.redis_ms = used.redis_ms;
	if (used.wall_ms > use->used.wall_ms)
		use->used.wall_ms = used.wall_ms;
	use->dirty = dirty;
	snprintf(use->source, sizeof(use->source), "%s", source);
}

struct use_entry *journal_state_use(const struct journal_state *j, const char *model)
{
	struct use_entry *use;

	HASH_FIND_STR(j->uses, model, use);
	return use;
}

/* -1 when one of them is not known. */
static int64_t age_by(int64_t used_ms, int64_t now_ms)
{
	if (used_ms == 0 || now_ms == 0)
		return -1;
	return now_ms > used_ms ? now_ms - used_ms : 0;
}

int64_t journal_state_unused_ms(const struct use_entry *use, struct journal_time now)
{
	int64_t by_redis = age_by(use->used.redis_ms, now.redis_ms);
	int64_t by_wall = age_by(use->used.wall_ms, now.wall_ms);

	if (by_redis < 0 || by_wall < 0)
		return by_redis < 0 ? by_wall : by_redis;
	return by_redis < by_wall ? by_redis : by_wall;
}

void journal_state_forget_use(struct journal_state *j, const char *model)
{
	struct use_entry *use = journal_state_use(j, model);

	if (use == NULL)
		return;
	HASH_DEL(j->uses, use);
	free(use->model);
	free(use);
}

void journal_state_drop_claim(struct journal_state *j, const char *id)
{
	struct claim_entry *claim;

	HASH_FIND_STR(j->claims, id, claim);
	if (claim == NULL)
		return;
	HASH_DEL(j->claims, claim);
	cJSON_Delete(claim->record);
	free(claim->id);
	free(claim);
}

/* Takes the record over. */
void journal_state_set_claim(struct journal_state *j, const char *id, cJSON *record)
{
	struct claim_entry *claim;

	journal_state_drop_claim(j, id);
	claim = xcalloc(1, sizeof(*claim));
	claim->id = xstrdup(id);
	claim->record = record;
	HASH_ADD_KEYPTR(hh, j->claims, claim->id, strlen(claim->id), claim);
}

static void clear_intent(struct intent *intent)
{
	free(intent->root);
	free(intent->model);
	free(intent->locator);
	memset(intent, 0, sizeof(*intent));
}

struct intent *journal_state_intent(const struct journal_state *j, const char *txn)
{
	for (size_t i = 0; i < j->intent_count; i++) {
		if (strcmp(j->intents[i].txn, txn) == 0)
			return &j->intents[i];
	}
	return NULL;
}

void journal_state_add_intent(struct journal_state *j, const struct intent *intent)
{
	struct intent *copy;

	j->intents = xgrow(j->intents, j->intent_count, &j->intent_capacity, sizeof(*j->intents));
	copy = &j->intents[j->intent_count++];
	*copy = *intent;
	copy->root = xstrdup(intent->root);
	copy->model = xstrdup(intent->model);
	copy->locator = xstrdup(intent->locator);
}

void journal_state_drop_intent(struct journal_state *j, const char *txn)
{
	struct intent *intent = journal_state_intent(j, txn);

	if (intent == NULL)
		return;
	clear_intent(intent);
	*intent = j->intents[--j->intent_count];
}

void journal_state_add_receipt(struct journal_state *j, const struct receipt *receipt)
{
	j->receipts =
		xgrow(j->receipts, j->receipt_count, &j->receipt_capacity, sizeof(*j->receipts));
	j->receipts[j->receipt_count++] = *receipt;
}

void journal_state_drop_receipts(struct journal_state *j, int64_t up_to)
{
	size_t kept = 0;

	for (size_t i = 0; i < j->receipt_count; i++) {
		if (j->receipts[i].number > up_to)
			j->receipts[kept++] = j->receipts[i];
	}
	j->receipt_count = kept;
}

/* ---- what was evicted ---- */

static struct evicted_entry *find_evicted(const struct journal_state *j, const char *model)
{
	struct evicted_entry *entry;

	HASH_FIND_STR(j->evicted, model, entry);
	return entry;
}

static void drop_evicted(struct journal_state *j, struct evicted_entry *entry)
{
	HASH_DEL(j->evicted, entry);
	free(entry->model);
	free(entry);
}

void journal_state_drop_evicted(struct journal_state *j, const char *model)
{
	struct evicted_entry *entry = find_evicted(j, model);

	if (entry != NULL)
		drop_evicted(j, entry);
}

void journal_state_set_evicted(struct journal_state *j, const char *model,
			       const struct journal_evicted *eviction)
{
	struct evicted_entry *entry;

	journal_state_drop_evicted(j, model);
	if (HASH_COUNT(j->evicted) >= JOURNAL_EVICTED_MAX)
		drop_evicted(j, j->evicted);
	entry = xcalloc(1, sizeof(*entry));
	entry->model = xstrdup(model);
	entry->eviction = *eviction;
	HASH_ADD_KEYPTR(hh, j->evicted, entry->model, strlen(entry->model), entry);
}

const struct journal_evicted *journal_state_evicted(const struct journal_state *j,
						    const char *model)
{
	const struct evicted_entry *entry = find_evicted(j, model);

	return entry != NULL ? &entry->eviction : NULL;
}

/* ---- records ---- */

static void replay_receipt(struct journal_state *j, const cJSON *r)
{
	struct receipt receipt;

	if (journal_record_read_receipt(r, &receipt) != 0)
		return;
	journal_state_add_receipt(j, &receipt);
	if (receipt.number >= j->next_number)
		j->next_number = receipt.number + 1;
}

static void replay_intent(struct journal_state *j, const cJSON *r)
{
	struct intent intent;

	journal_record_read_intent(r, &intent);
	/* Without a number of its own nothing could end it. */
	if (strlen(intent.txn) == TXN_LEN && journal_state_intent(j, intent.txn) == NULL)
		journal_state_add_intent(j, &intent);
}

static void replay_evicted(struct journal_state *j, const cJSON *r)
{
	struct journal_evicted eviction;

	if (journal_record_read_evicted(r, &eviction) == 0)
		journal_state_set_evicted(j, journal_record_text(r, "model"), &eviction);
}

void journal_state_replay(struct journal_state *j, const cJSON *r)
{
	const char *kind = journal_record_text(r, "k");

	if (strcmp(kind, "journal") == 0) {
		snprintf(j->id, sizeof(j->id), "%s", journal_record_text(r, "id"));
		if (journal_record_number(r, "next") > j->next_number)
			j->next_number = journal_record_number(r, "next");
		if (journal_record_number(r, "epoch") > j->epoch)
			j->epoch = journal_record_number(r, "epoch");
	} else if (strcmp(kind, "use") == 0) {
		journal_state_set_use(j, journal_record_text(r, "model"), journal_record_used(r),
				      journal_record_text(r, "source"), false);
	} else if (strcmp(kind, "forget") == 0) {
		journal_state_forget_use(j, journal_record_text(r, "model"));
	} else if (strcmp(kind, "claim") == 0) {
		journal_state_set_claim(j, journal_record_text(r, "id"), cJSON_Duplicate(r, true));
	} else if (strcmp(kind, "unclaim") == 0) {
		journal_state_drop_claim(j, journal_record_text(r, "id"));
	} else if (strcmp(kind, "evicted") == 0) {
		replay_evicted(j, r);
	} else if (strcmp(kind, "back") == 0) {
		journal_state_drop_evicted(j, journal_record_text(r, "model"));
	} else if (strcmp(kind, "epoch") == 0) {
		if (journal_record_number(r, "epoch") > j->epoch)
			j->epoch = journal_record_number(r, "epoch");
	} else if (strcmp(kind, "intent") == 0) {
		replay_intent(j, r);
	} else if (strcmp(kind, "end") == 0) {
		journal_state_drop_intent(j, journal_record_text(r, "txn"));
	} else if (strcmp(kind, "receipt") == 0) {
		journal_state_drop_intent(j, journal_record_text(r, "txn"));
		replay_receipt(j, r);
	} else if (strcmp(kind, "confirmed") == 0) {
		journal_state_drop_receipts(j, journal_record_number(r, "number"));
	}
}

/* ---- as a whole ---- */

void journal_state_records(struct journal_state *j, void (*each)(cJSON *record, void *arg),
			   void *arg)
{
	each(journal_record_header(j->id, j->next_number, j->epoch), arg);
	for (struct use_entry *use = j->uses; use != NULL; use = use->hh.next) {
		use->dirty = false;
		each(journal_record_use(use->model, use->used, use->source), arg);
	}
	for (struct claim_entry *claim = j->claims; claim != NULL; claim = claim->hh.next)
		each(cJSON_Duplicate(claim->record, true), arg);
	for (struct evicted_entry *e = j->evicted; e != NULL; e = e->hh.next)
		each(journal_record_evicted(e->model, &e->eviction), arg);
	for (size_t i = 0; i < j->intent_count; i++)
		each(journal_record_intent(&j->intents[i]), arg);
	for (size_t i = 0; i < j->receipt_count; i++)
		each(journal_record_receipt(&j->receipts[i]), arg);
}

void journal_state_free(struct journal_state *j)
{
	while (j->uses != NULL)
		journal_state_forget_use(j, j->uses->model);
	while (j->claims != NULL)
		journal_state_drop_claim(j, j->claims->id);
	while (j->evicted != NULL)
		drop_evicted(j, j->evicted);
	for (size_t i = 0; i < j->intent_count; i++)
		clear_intent(&j->intents[i]);
	free(j->intents);
	free(j->receipts);
}
