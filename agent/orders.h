/*
 * What becomes of each command: heard, judged, executed, answered by a receipt. A command that is
 * heard again changes nothing.
 */
#ifndef LARDER_ORDERS_H
#define LARDER_ORDERS_H

#include "agent/removal.h"

struct agent;
struct model;
struct orders;

struct orders *orders_new(struct agent *agent);
void orders_free(struct orders *orders);

/* A command that stands in Redis for this node. */
void orders_hear(struct orders *orders, const char *model, const char *text);

/* The pins were read; `asked` is when the reading began. Commands heard before that are judged. */
void orders_pins_read(struct orders *orders, struct mono asked);

/*
 * Redis' clock has jumped: what was heard and does not run yet is refused. What it knew of last
 * uses is of another clock.
 */
void orders_clock_jumped(struct orders *orders);

/* True when a command waits for pins that are younger than it. */
bool orders_want_pins(const struct orders *orders);

/* A removal has ended, or was never begun by a command (recovered, leftovers). */
void orders_removed(struct orders *orders, struct removal_request *req);

/* Removals that were under way when the agent stopped are brought to their end. */
void orders_recover(struct orders *orders);

void orders_tick(struct orders *orders);

/* A file of the model was found open or mapped: it is used now, and held so that others go first.
 */
void orders_found_open(struct agent *agent, const struct model *model, const char *what);

/* Commands that wait for something other than pins are judged again. */
void orders_judge_again(struct orders *orders);

/* Removals under way. */
size_t orders_running(const struct orders *orders);

#endif
