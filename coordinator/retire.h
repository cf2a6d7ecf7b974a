/* Forgets nodes that have not been heard of for a week: they would stay for ever. */
#ifndef LARDER_RETIRE_H
#define LARDER_RETIRE_H

#include <stdbool.h>
#include <stdint.h>

struct cluster_node;
struct coordinator;

/*
 * Removes a node's keys and its name if its last heartbeat is a week old, or the name alone if
 * there is nothing else; not within a week after a jump of Redis' clock. A node that comes back
 * registers anew, and its journal has its last uses.
 */
void retire_if_gone(struct coordinator *c, const struct cluster_node *node, int64_t now_ms);

#endif
