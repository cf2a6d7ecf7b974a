/*
 * Which processes have a file open or mapped, as far as /proc of this agent shows them: to tell
 * people, never to decide. A container's agent sees other containers' processes only with the
 * host's process namespace, and their files only as a privileged user.
 */
#ifndef LARDER_PROCS_H
#define LARDER_PROCS_H

#include <stddef.h>
#include <stdint.h>

/*
 * Writes "python3 (4711), vllm (4712) and 2 more" into `buf`, "" when none is seen. Reads all of
 * /proc: a tenth of a second and more on a busy machine; not for the loop's thread.
 */
void procs_with_open(uint64_t device, uint64_t inode, char *buf, size_t size);

#endif
