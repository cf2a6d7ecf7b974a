/* A model that comes back soon after its eviction was evicted too early: it is counted and told. */
#ifndef LARDER_REFAULT_H
#define LARDER_REFAULT_H

struct agent;
struct model;

/* The model has just been found on the disk. */
void refault_check(struct agent *agent, const struct model *model);

#endif
