/* Counts copies of models over nodes. (pure) */
#include "coordinator/copies.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/model_name.h"
#include "common/xmem.h"

struct entry {
	char *identity; /* the name without its root */
	size_t listed;	/* in how many nodes' lists it stands */
	size_t taken;	/* and how many of these are giving it up */
	UT_hash_handle hh;
};

/* One node's copy of a model. */
struct copy {
	struct entry *entry;
	bool taken;
};

struct holder {
	char *node;
	int64_t inventory;
	struct copy *copies;
	size_t count;
	UT_hash_handle hh;
};

struct copies {
	const struct copies *base; /* of a draft, which has no holders of its own */
	struct entry *entries;
	struct holder *holders;
};

struct copies *copies_new(void)
{
	return xcalloc(1, sizeof(struct copies));
}

struct copies *copies_draft(const struct copies *base)
{
	struct copies *draft = copies_new();

	draft->base = base;
	return draft;
}

static void free_entry(struct copies *copies, struct entry *entry)
{
	HASH_DEL(copies->entries, entry);
	free(entry->identity);
	free(entry);
}

static void drop_copy(struct copies *copies, struct copy *copy)
{
	struct entry *entry = copy->entry;

	entry->taken -= copy->taken;
	if (--entry->listed == 0)
		free_entry(copies, entry);
}

static void release(struct copies *copies, struct holder *holder)
{
	for (size_t i = 0; i < holder->count; i++)
		drop_copy(copies, &holder->copies[i]);
	free(holder->copies);
	holder->copies = NULL;
	holder->count = 0;
}

void copies_free(struct copies *copies)
{
	struct holder *holder, *next_holder;
	struct entry *entry, *next_entry;

	if (copies == NULL)
		return;
	HASH_ITER (hh, copies->holders, holder, next_holder) {
		HASH_DEL(copies->holders, holder);
		release(copies, holder);
		free(holder->node);
		free(holder);
	}
	HASH_ITER (hh, copies->entries, entry, next_entry)
		free_entry(copies, entry);
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

static struct holder *find_holder(const struct copies *copies, const char *node)
{
	struct holder *holder;

	HASH_FIND_STR(copies->holders, node, holder);
	return holder;
}

bool copies_current(const struct copies *copies, const char *node, int64_t inventory)
{
	const struct holder *holder = find_holder(copies, node);

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

static struct copy *find_copy(const struct holder *holder, const struct entry *entry)
{
	for (size_t i = 0; i < holder->count; i++) {
		if (holder->copies[i].entry == entry)
			return &holder->copies[i];
	}
	return NULL;
}

static void add_copy(struct holder *holder, const struct holder *before, struct entry *entry)
{
	const struct copy *earlier;
	struct copy *copy;

	/* In two roots of one node it is still one copy. */
	if (find_copy(holder, entry) != NULL)
		return;
	earlier = find_copy(before, entry);
	copy = &holder->copies[holder->count++];
	*copy = (struct copy){entry, earlier != NULL && earlier->taken};
	entry->listed++;
	entry->taken += copy->taken;
}

void copies_set(struct copies *copies, const char *node, int64_t inventory,
		const char *const *models, size_t count)
{
	struct holder *holder = find_holder(copies, node), before;

	if (holder == NULL) {
		holder = xcalloc(1, sizeof(*holder));
		holder->node = xstrdup(node);
		HASH_ADD_KEYPTR(hh, copies->holders, holder->node, strlen(holder->node), holder);
	}
	before = *holder;
	holder->inventory = inventory;
	holder->copies = xcalloc(count, sizeof(*holder->copies));
	holder->count = 0;
	for (size_t i = 0; i < count; i++)
		add_copy(holder, &before, find_or_add(copies, models[i]));
	release(copies, &before);
}

void copies_drop(struct copies *copies, const char *node)
{
	struct holder *holder = find_holder(copies, node);

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
	size_t taken = entry != NULL ? entry->taken : 0;
	size_t listed;

	if (copies->base != NULL)
		listed = copies_count(copies->base, model);
	else
		listed = entry != NULL ? entry->listed : 0;
	return listed > taken ? listed - taken : 0;
}

static struct copy *copy_of(const struct copies *copies, const char *node, const char *model)
{
	const struct holder *holder = find_holder(copies, node);
	const struct entry *entry = find(copies, model);

	return holder != NULL && entry != NULL ? find_copy(holder, entry) : NULL;
}

void copies_take(struct copies *copies, const char *node, const char *model)
{
	struct copy *copy = copy_of(copies->base != NULL ? copies->base : copies, node, model);

	if (copy == NULL || copy->taken)
		return;
	if (copies->base != NULL) {
		find_or_add(copies, model)->taken++;
		return;
	}
	copy->taken = true;
	copy->entry->taken++;
}

void copies_give_back(struct copies *copies, const char *node, const char *model)
{
	struct copy *copy = copy_of(copies, node, model);
	struct entry *entry = find(copies, model);

	if (copies->base != NULL && entry != NULL && entry->taken > 0)
		entry->taken--;
	if (copy == NULL || !copy->taken)
		return;
	copy->taken = false;
	copy->entry->taken--;
}

void copies_gone(struct copies *copies, const char *node, const char *model)
{
	struct holder *holder = find_holder(copies, node);
	struct copy *copy = copy_of(copies, node, model);

	if (copy == NULL || !copy->taken)
		return;
	drop_copy(copies, copy);
	*copy = holder->copies[--holder->count];
}
