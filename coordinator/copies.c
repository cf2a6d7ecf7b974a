/* Counts copies of models over nodes. (pure) */
#include "coordinator/copies.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/model_name.h"
#include "common/xmem.h"

struct entry {
	char *identity; /* the name without its root */
	long nodes;	/* never shown below zero */
	size_t listed;	/* in how many nodes' lists it stands */
	UT_hash_handle hh;
};

struct holder {
	char *node;
	int64_t inventory;
	struct entry **entries;
	size_t count;
	UT_hash_handle hh;
};

struct copies {
	struct entry *entries;
	struct holder *holders;
};

struct copies *copies_new(void)
{
	return xcalloc(1, sizeof(struct copies));
}

static void release(struct copies *copies, struct holder *holder)
{
	for (size_t i = 0; i < holder->count; i++) {
		struct entry *entry = holder->entries[i];

		entry->nodes--;
		if (--entry->listed > 0)
			continue;
		HASH_DEL(copies->entries, entry);
		free(entry->identity);
		free(entry);
	}
	free(holder->entries);
	holder->entries = NULL;
	holder->count = 0;
}

void copies_free(struct copies *copies)
{
	struct holder *holder, *next;

	if (copies == NULL)
		return;
	HASH_ITER (hh, copies->holders, holder, next) {
		HASH_DEL(copies->holders, holder);
		release(copies, holder);
		free(holder->node);
		free(holder);
	}
	free(copies);
}

static struct entry *find(const struct copies *copies, const char *model)
{
	char identity[MODEL_NAME_SIZE];
	struct entry *entry;

	model_name_identity(identity, model);
	HASH_FIND_STR(copies->entries, identity, entry);
	return entry;
}

bool copies_current(const struct copies *copies, const char *node, int64_t inventory)
{
	struct holder *holder;

	HASH_FIND_STR(copies->holders, node, holder);
	return holder != NULL && holder->inventory == inventory;
}

static struct entry *find_or_add(struct copies *copies, const char *model)
{
	char identity[MODEL_NAME_SIZE];
	struct entry *entry = find(copies, model);

	if (entry != NULL)
		return entry;
	model_name_identity(identity, model);
	entry = xcalloc(1, sizeof(*entry));
	entry->identity = xstrdup(identity);
	HASH_ADD_KEYPTR(hh, copies->entries, entry->identity, strlen(entry->identity), entry);
	return entry;
}

static bool has(const struct holder *holder, const struct entry *entry)
{
	for (size_t i = 0; i < holder->count; i++) {
		if (holder->entries[i] == entry)
			return true;
	}
	return false;
}

void copies_set(struct copies *copies, const char *node, int64_t inventory,
		const char *const *models, size_t count)
{
	struct holder *holder;

	HASH_FIND_STR(copies->holders, node, holder);
	if (holder == NULL) {
		holder = xcalloc(1, sizeof(*holder));
		holder->node = xstrdup(node);
		HASH_ADD_KEYPTR(hh, copies->holders, holder->node, strlen(holder->node), holder);
	}
	release(copies, holder);
	holder->inventory = inventory;
	holder->entries = xcalloc(count, sizeof(*holder->entries));
	for (size_t i = 0; i < count; i++) {
		struct entry *entry = find_or_add(copies, models[i]);

		/* In two roots of one node it is still one copy. */
		if (has(holder, entry))
			continue;
		holder->entries[holder->count++] = entry;
		entry->listed++;
		entry->nodes++;
	}
}

void copies_drop(struct copies *copies, const char *node)
{
	struct holder *holder;

	HASH_FIND_STR(copies->holders, node, holder);
	if (holder == NULL)
		return;
	HASH_DEL(copies->holders, holder);
	release(copies, holder);
	free(holder->node);
	free(holder);
}

size_t copies_count(const struct copies *copies, const char *model)
{
	const struct entry *entry = find(copies, model);

	return entry != NULL && entry->nodes > 0 ? (size_t)entry->nodes : 0;
}

void copies_take(struct copies *copies, const char *model)
{
	struct entry *entry = find(copies, model);

	if (entry != NULL)
		entry->nodes--;
}

void copies_give_back(struct copies *copies, const char *model)
{
	struct entry *entry = find(copies, model);

	if (entry != NULL && entry->nodes < (long)entry->listed)
		entry->nodes++;
}
