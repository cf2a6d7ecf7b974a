/*
 * How many live nodes hold each model, for min_copies (pure). A node's list is replaced when its
 * inventory number changes; what a plan takes away counts at once, so that two nodes never both
 * give up what would be the last copies.
 */
#ifndef LARDER_COPIES_H
#define LARDER_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cluster_node;
struct copies;

struct copies *copies_new(void);
/* Looks through to `base`, which must outlive it, and keeps what is taken to itself: to only plan.
 */
struct copies *copies_draft(const struct copies *base);
void copies_free(struct copies *copies);

/* True when the node's list is the one of this inventory number: it need not be read again. */
bool copies_current(const struct copies *copies, const char *node, int64_t inventory);

/*
 * Replaces what `node` holds: names of models (their roots do not matter), one call per change.
 * What is being given up still is.
 */
void copies_set(struct copies *copies, const char *node, int64_t inventory,
		const char *const *models, size_t count);

/* The same from all that was read of the node: what is on its way out there is being given up. */
void copies_set_node(struct copies *copies, const struct cluster_node *node);

/* The node is gone or not live: its copies do not count. */
void copies_drop(struct copies *copies, const char *node);

/* Drops all nodes but these: each that is not among the names of the nodes any more. */
void copies_keep(struct copies *copies, const char *const *nodes, size_t count);

/* On how many nodes the model is. */
size_t copies_count(const struct copies *copies, const char *model);

/*
 * `node` is going to give its copy up, or will not after all. Neither means anything for a model
 * that is not in the node's list, and once is as good as twice. A draft gives back what it has
 * taken itself, nothing else.
 */
void copies_take(struct copies *copies, const char *node, const char *model);
void copies_give_back(struct copies *copies, const char *node, const char *model);

/* It has given the copy up that was taken from it. */
void copies_gone(struct copies *copies, const char *node, const char *model);

#endif
