/*
 * Follows commands to their end: takes the receipts out of the nodes' streams into the audit trail,
 * closes them in the ledger, and ends what passes its deadline.
 */
#ifndef LARDER_FOLLOW_H
#define LARDER_FOLLOW_H

struct coordinator;
struct follow;

struct follow *follow_new(struct coordinator *c);
void follow_free(struct follow *follow);

/* A node says that it has new receipts. */
void follow_node(struct follow *follow, const char *node);

/* We lead now: whatever the last leader has left is taken up. */
void follow_all(struct follow *follow);

void follow_tick(struct follow *follow);

#endif
