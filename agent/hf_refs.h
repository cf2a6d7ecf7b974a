/*
 * The refs of a repository that name one commit: refs/<name> whose content is the commit. They are
 * moved aside before its snapshot is, and come back when that comes back.
 */
#ifndef LARDER_HF_REFS_H
#define LARDER_HF_REFS_H

#include <stdint.h>

#include "common/attributes.h"

/*
 * When a ref that says `commit` was written last, 0: there is none. Clients write it first whenever
 * they ask for a revision by its name, also one that they have.
 */
int64_t hf_refs_written_ms(int repo_fd, const char *commit);
/* The same of those that were moved aside. */
int64_t hf_refs_aside_written_ms(int repo_fd, const char *txn);

/*
 * Moves every ref that says `commit` into the repository's folder, under the names of aside.h. -1
 * with errno when one cannot be moved; some may have been.
 */
int hf_refs_aside(int repo_fd, const char *txn, const char *commit) MUST_USE;

/* Puts them back. Where a client has written the same ref meanwhile, theirs stays. */
void hf_refs_restore(int repo_fd, const char *txn);

/* Removes them for good, and empty folders below refs/, but not refs/ itself: clients want it. */
void hf_refs_drop(int repo_fd, const char *txn);

#endif
