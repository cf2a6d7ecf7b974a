/* The folder of a repository of which nothing is left. */
#ifndef LARDER_HF_SHELL_H
#define LARDER_HF_SHELL_H

#include <stdbool.h>
#include <stddef.h>

struct root;

/*
 * Removes `folder` (open as `repo_fd`) if it holds no snapshot, no blob, no ref and nothing
 * foreign. It is moved out of sight first, to a name that tells from where, so that no client sees
 * half of it, and moved back if one has begun to use it in that moment.
 */
void hf_shell_remove(const struct root *root, const char *folder, int repo_fd, const char *txn);

/*
 * Was nothing put into the one that was moved to `moved` in the directory `scratch`? False: it goes
 * back, or stays there when its place is taken; what is in it is somebody's.
 */
bool hf_shell_recover(const struct root *root, int scratch, const char *moved, const char *folder);

/*
 * The same for the one that the removal `txn` has moved, if it has: the agent may have ended just
 * after. `trash` gets what is to be emptied, and is left as it is when there is nothing.
 */
void hf_shell_recover_txn(const struct root *root, const char *folder, const char *txn, char *trash,
			  size_t size);

#endif
