/* Counts copies of models over nodes. (pure) */
#include "coordinator/copies.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/model_name.h"
#include "common/xmem.h"
#include "coordinator/cluster.h"

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
	bool kept;	     /* by the copies_keep() under way */
	struct copy *copies; /* by the address of their entry */
	size_t count, capacity;
	UT_hash_handle hh;
};

struct copies {
	const struct copies *base; /* of a draft, whose holders list what it has taken */
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

static void drop_copy(struct copies *copies, struct copy *copy)
{
	struct entry *entry = copy->entry;

	entry->taken -= copy->taken;
	if (--entry->listed > 0)
		return;
	HASH_DEL(copies->entries, entry);
	free(entry->identity);
	free(entry);
}

static void release(struct copies *copies, struct holder *holder)
{
	for (size_t i = 0; i < holder->count; i++)
		drop_copy(copies, &holder->copies[i]);
	free(holder->copies);
}

static void drop_holder(struct copies *copies, struct holder *holder)
{
	HASH_DEL(copies->holders, holder);
	release(copies, holder);
	free(holder->node);
	free(holder);
}

void copies_free(struct copies *copies)
{
	struct holder *holder, *next;

	if (copies == NULL)
		return;
	HASH_ITER (hh, copies->holders, holder, next)
		drop_holder(copies, holder);
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

static struct holder *find_holder(const struct copies *copies, const char *node)
{
	struct holder *holder;

	HASH_FIND_STR(copies->holders, node, holder);
	return holder;
}

static struct holder *find_or_add_holder(struct copies *copies, const char *node)
{
	struct holder *holder = find_holder(copies, node);

	if (holder != NULL)
		return holder;
	holder = xcalloc(1, sizeof(*holder));
	holder->node = xstrdup(node);
	HASH_ADD_KEYPTR(hh, copies->holders, holder->node, strlen(holder->node), holder);
	return holder;
}

bool copies_current(const struct copies *copies, const char *node, int64_t inventory)
{
	const struct holder *holder = find_holder(copies, node);

	return holder != NULL && holder->inventory == inventory;
}

/* Where the entry's copy stands in the holder's list, or would stand. */
static size_t place_of(const struct holder *holder, const struct entry *entry)
{
	size_t low = 0, high = holder->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if ((uintptr_t)holder->copies[middle].entry < (uintptr_t)entry)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct copy *find_copy(const struct holder *holder, const struct entry *entry)
{
	size_t at = place_of(holder, entry);

	return at < holder->count && holder->copies[at].entry == entry ? &holder->copies[at] : NULL;
}

static void insert_copy(struct holder *holder, struct entry *entry)
{
	size_t at = place_of(holder, entry);

	holder->copies =
		xgrow(holder->copies, holder->count, &holder->capacity, sizeof(*holder->copies));
	memmove(&holder->copies[at + 1], &holder->copies[at],
		(holder->count - at) * sizeof(*holder->copies));
	holder->copies[at] = (struct copy){entry, true};
	holder->count++;
	entry->listed++;
	entry->taken++;
}

static void remove_copy(struct copies *copies, struct holder *holder, struct copy *copy)
{
	size_t after = holder->count - (size_t)(copy - holder->copies) - 1;

	drop_copy(copies, copy);
	memmove(copy, copy + 1, after * sizeof(*copy));
	holder->count--;
}

static int by_entry(const void *a, const void *b)
{
	const struct copy *left = a, *right = b;

	return ((uintptr_t)left->entry > (uintptr_t)right->entry) -
	       ((uintptr_t)left->entry < (uintptr_t)right->entry);
}

void copies_set(struct copies *copies, const char *node, int64_t inventory,
		const char *const *models, size_t count)
{
	struct holder *holder = find_or_add_holder(copies, node), before = *holder;

	holder->inventory = inventory;
	holder->copies = xcalloc(count, sizeof(*holder->copies));
	holder->count = 0;
	holder->capacity = count;
	for (size_t i = 0; i < count; i++)
		holder->copies[i].entry = find_or_add(copies, models[i]);
	if (count > 1)
		qsort(holder->copies, count, sizeof(*holder->copies), by_entry);
	for (size_t i = 0; i < count; i++) {
		struct entry *entry = holder->copies[i].entry;
		const struct copy *earlier = find_copy(&before, entry);

		/* In two roots of one node it is still one copy. */
		if (holder->count > 0 && holder->copies[holder->count - 1].entry == entry)
			continue;
		holder->copies[holder->count++] =
			(struct copy){entry, earlier != NULL && earlier->taken};
		entry->listed++;
		entry->taken += earlier != NULL && earlier->taken;
	}
	release(copies, &before);
}

void copies_drop(struct copies *copies, const char *node)
{
	struct holder *holder = find_holder(copies, node);

	if (holder != NULL)
		drop_holder(copies, holder);
}

void copies_keep(struct copies *copies, const char *const *nodes, size_t count)
{
	struct holder *holder, *next;

	for (size_t i = 0; i < count; i++) {
		holder = find_holder(copies, nodes[i]);
		if (holder != NULL)
			holder->kept = true;
	}
	HASH_ITER (hh, copies->holders, holder, next) {
		if (!holder->kept)
			drop_holder(copies, holder);
		else
			holder->kept = false;
	}
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
	if (copies->base == NULL) {
		copy->taken = true;
		copy->entry->taken++;
	} else if (copy_of(copies, node, model) == NULL) {
		insert_copy(find_or_add_holder(copies, node), find_or_add(copies, model));
	}
}

void copies_give_back(struct copies *copies, const char *node, const char *model)
{
	struct copy *copy = copy_of(copies, node, model);

	if (copy == NULL || !copy->taken)
		return;
	if (copies->base != NULL) {
		remove_copy(copies, find_holder(copies, node), copy);
		return;
	}
	copy->taken = false;
	copy->entry->taken--;
}

void copies_gone(struct copies *copies, const char *node, const char *model)
{
	struct copy *copy = copy_of(copies, node, model);

	if (copy != NULL && copy->taken)
		remove_copy(copies, find_holder(copies, node), copy);
}

void copies_set_node(struct copies *copies, const struct cluster_node *node)
{
	const char **names;

	if (!node->known || !node->live) {
		copies_drop(copies, node->name);
		return;
	}
	names = xcalloc(node->model_total, sizeof(*names));
	for (size_t i = 0; i < node->model_total; i++)
		names[i] = node->models[i].name;
	copies_set(copies, node->name, node->inventory, names, node->model_total);
	for (size_t i = 0; i < node->model_total; i++) {
		if (node->models[i].going || node->models[i].pending)
			copies_take(copies, node->name, node->models[i].name);
	}
	free(names);
}
