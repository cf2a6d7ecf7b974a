/*
 * Looks after what must stand in Redis for this node: its name in the set of nodes, and keys of its
 * own that others have not overwritten.
 */
#ifndef LARDER_TEND_H
#define LARDER_TEND_H

struct agent;
struct redis_link;

/*
 * Puts it right. `mended(arg)` is called when something of the node's keys had to be dropped: it
 * must be told anew. A link that goes meanwhile ends it silently; `arg` must live as long as the
 * link.
 */
void tend_keys(struct redis_link *link, const struct agent *agent, void (*mended)(void *arg),
	       void *arg);

#endif
