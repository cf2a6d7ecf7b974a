/* Commands from issue to end. (pure) */
#include "coordinator/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/model_name.h"
#include "common/xmem.h"

#define RETRY_MAX_MS (24 * INT64_C(3600000))
/* A failure is forgotten when nothing has been tried for so long. */
#define FORGET_MS (48 * INT64_C(3600000))

/* How many commands of a cycle are open; there is none without. */
struct cycle_open {
	uint64_t id;
	size_t open;
	UT_hash_handle hh;
};

struct record {
	char *key; /* "node model" */
	struct ledger_entry entry;
	struct cycle_open *cycle; /* NULL: not open */
	unsigned failures;
	struct mono failed, not_before;
	UT_hash_handle hh;
};

/* A node that ledger_each_node() has shown. */
struct node_seen {
	const char *name;
	UT_hash_handle hh;
};

struct ledger {
	struct record *records;
	struct cycle_open *cycles;
	size_t open;
	int64_t retry_ms;
	char *node, *model; /* of the entry that was returned last */
};

struct ledger *ledger_new(void)
{
	struct ledger *ledger = xcalloc(1, sizeof(*ledger));

	ledger->retry_ms = 3600000;
	return ledger;
}

static void set_open(struct ledger *ledger, struct record *record)
{
	struct cycle_open *cycle;

	HASH_FIND(hh, ledger->cycles, &record->entry.cycle, sizeof(cycle->id), cycle);
	if (cycle == NULL) {
		cycle = xcalloc(1, sizeof(*cycle));
		cycle->id = record->entry.cycle;
		HASH_ADD(hh, ledger->cycles, id, sizeof(cycle->id), cycle);
	}
	cycle->open++;
	ledger->open++;
	record->cycle = cycle;
}

static void set_ended(struct ledger *ledger, struct record *record)
{
	struct cycle_open *cycle = record->cycle;

	if (cycle == NULL)
		return;
	if (--cycle->open == 0) {
		HASH_DEL(ledger->cycles, cycle);
		free(cycle);
	}
	ledger->open--;
	record->cycle = NULL;
}

static void drop(struct ledger *ledger, struct record *record)
{
	set_ended(ledger, record);
	HASH_DEL(ledger->records, record);
	free((char *)record->entry.node);
	free((char *)record->entry.model);
	free(record->key);
	free(record);
}

void ledger_free(struct ledger *ledger)
{
	struct record *record, *next;

	if (ledger == NULL)
		return;
	HASH_ITER (hh, ledger->records, record, next)
		drop(ledger, record);
	free(ledger->node);
	free(ledger->model);
	free(ledger);
}

void ledger_set_retry(struct ledger *ledger, int64_t retry_ms)
{
	ledger->retry_ms = retry_ms;
}

static struct record *find(const struct ledger *ledger, const char *node, const char *model)
{
	/* What does not fit is longer than any name. */
	char key[NODE_NAME_MAX + 1 + MODEL_NAME_SIZE + 1];
	struct record *record;

	if (ledger->records == NULL)
		return NULL;
	snprintf(key, sizeof(key), "%s %s", node, model);
	HASH_FIND_STR(ledger->records, key, record);
	return record;
}

void ledger_issued(struct ledger *ledger, const struct ledger_entry *entry)
{
	struct record *record = find(ledger, entry->node, entry->model);

	if (record == NULL) {
		record = xcalloc(1, sizeof(*record));
		record->key = xasprintf("%s %s", entry->node, entry->model);
		record->entry.node = xstrdup(entry->node);
		record->entry.model = xstrdup(entry->model);
		HASH_ADD_KEYPTR(hh, ledger->records, record->key, strlen(record->key), record);
	}
	set_ended(ledger, record);
	memcpy(record->entry.id, entry->id, sizeof(record->entry.id));
	record->entry.cycle = entry->cycle;
	record->entry.reason = entry->reason;
	record->entry.deadline = entry->deadline;
	set_open(ledger, record);
}

/* Hands the entry out and keeps what is to be remembered of it. */
static void end(struct ledger *ledger, struct record *record, bool success, struct mono now,
		struct ledger_entry *ended)
{
	int64_t pause = ledger->retry_ms;

	free(ledger->node);
	free(ledger->model);
	ledger->node = xstrdup(record->entry.node);
	ledger->model = xstrdup(record->entry.model);
	*ended = record->entry;
	ended->node = ledger->node;
	ended->model = ledger->model;
	set_ended(ledger, record);
	if (success) {
		drop(ledger, record);
		return;
	}
	record->failures++;
	record->failed = now;
	for (unsigned i = 2; i < record->failures && pause < RETRY_MAX_MS; i++)
		pause *= 2;
	if (pause > RETRY_MAX_MS)
		pause = RETRY_MAX_MS;
	/* The first failure is tried again in the next cycle. */
	record->not_before.ms = record->failures < 2 ? now.ms : now.ms + pause;
}

bool ledger_receipt(struct ledger *ledger, const char *node, const char *model, const char *id,
		    bool success, struct mono now, struct ledger_entry *ended)
{
	struct record *record = find(ledger, node, model);

	if (record == NULL || record->cycle == NULL || strcmp(record->entry.id, id) != 0)
		return false;
	end(ledger, record, success, now, ended);
	return true;
}

void ledger_overdue(struct ledger *ledger, struct mono now,
		    void (*ended)(const struct ledger_entry *entry, void *arg), void *arg)
{
	struct record *record, *next;
	struct ledger_entry entry;

	HASH_ITER (hh, ledger->records, record, next) {
		if (record->cycle != NULL && mono_since(record->entry.deadline, now) >= 0) {
			end(ledger, record, false, now, &entry);
			ended(&entry, arg);
		} else if (record->cycle == NULL && mono_since(record->failed, now) > FORGET_MS) {
			drop(ledger, record);
		}
	}
}

enum ledger_state ledger_state(const struct ledger *ledger, const char *node, const char *model,
			       struct mono now)
{
	const struct record *record = find(ledger, node, model);

	if (record == NULL)
		return LEDGER_IDLE;
	if (record->cycle != NULL)
		return LEDGER_OPEN;
	return mono_since(record->not_before, now) < 0 ? LEDGER_DEFERRED : LEDGER_IDLE;
}

void ledger_each_node(const struct ledger *ledger, void (*node)(const char *name, void *arg),
		      void *arg)
{
	struct node_seen *all = NULL, *one, *next;

	for (const struct record *record = ledger->records; record != NULL;
	     record = record->hh.next) {
		if (record->cycle == NULL)
			continue;
		HASH_FIND_STR(all, record->entry.node, one);
		if (one != NULL)
			continue;
		one = xcalloc(1, sizeof(*one));
		one->name = record->entry.node;
		HASH_ADD_KEYPTR(hh, all, one->name, strlen(one->name), one);
		node(one->name, arg);
	}
	HASH_ITER (hh, all, one, next) {
		HASH_DEL(all, one);
		free(one);
	}
}

size_t ledger_count(const struct ledger *ledger)
{
	return ledger->open;
}

size_t ledger_count_cycle(const struct ledger *ledger, uint64_t cycle)
{
	struct cycle_open *found;

	HASH_FIND(hh, ledger->cycles, &cycle, sizeof(cycle), found);
	return found != NULL ? found->open : 0;
}

void ledger_clear(struct ledger *ledger)
{
	struct record *record, *next;

	HASH_ITER (hh, ledger->records, record, next) {
		if (record->cycle != NULL)
			drop(ledger, record);
	}
}
