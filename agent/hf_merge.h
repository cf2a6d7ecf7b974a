/*
 * Puts a snapshot back that was moved aside. Where a client has begun to make it anew meanwhile,
 * what that one lacks is taken from the other: a commit never changes.
 */
#ifndef LARDER_HF_MERGE_H
#define LARDER_HF_MERGE_H

#include "common/attributes.h"

/*
 * Moves `aside` in the repository's folder to snapshots/`commit`; into it, when it is there. -1
 * with errno when that fails, perhaps in the middle; nothing is lost then, it is in one of them.
 */
int hf_merge(int repo_fd, const char *aside, const char *commit) MUST_USE;

#endif
