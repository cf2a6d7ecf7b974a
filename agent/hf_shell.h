/* The folder of a repository of which nothing is left. */
#ifndef LARDER_HF_SHELL_H
#define LARDER_HF_SHELL_H

struct root;

/*
 * Removes `folder` (open as `repo_fd`) if it holds no snapshot, no blob, no ref and nothing
 * foreign. It is moved out of sight first, to the name `moved`, so that no client sees half of it,
 * and moved back if one has begun to use it in that moment.
 */
void hf_shell_remove(const struct root *root, const char *folder, int repo_fd, const char *moved);

#endif
