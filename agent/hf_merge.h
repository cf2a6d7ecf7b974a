/*
 * Puts a snapshot back where a client has begun to make it anew. A commit never changes: what one
 * of them lacks is taken from the other.
 */
#ifndef LARDER_HF_MERGE_H
#define LARDER_HF_MERGE_H

#include "common/attributes.h"

/*
 * Moves what `to` lacks there from `from`, folders of one repository (paths below `repo_fd`), and
 * removes the rest of `from`. -1 with errno when that fails in the middle; nothing is lost then, it
 * is in one of them.
 */
int hf_merge(int repo_fd, const char *from, const char *to) MUST_USE;

#endif
