/*
 * The refs of a repository that name one commit: refs/<name> whose content is the commit. They go
 * before its snapshot does, and come back when that comes back.
 */
#ifndef LARDER_HF_REFS_H
#define LARDER_HF_REFS_H

#include <stddef.h>

#include "common/attributes.h"

/* Removes those of `refs` that still say `commit`. -1 with errno when one cannot be removed. */
int hf_refs_remove(int repo_fd, char *const *refs, size_t count, const char *commit) MUST_USE;

/* Writes a ref that is missing; one that is there stays. `temp_dir` is on the same file system. */
void hf_refs_restore(int repo_fd, int temp_dir, const char *ref, const char *commit);

/* Removes empty folders below refs/, but not refs/ itself, which clients look for. */
void hf_refs_prune(int repo_fd);

#endif
