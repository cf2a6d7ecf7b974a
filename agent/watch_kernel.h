/*
 * How the kernel tells of opened files: inotify, which needs no privilege, or fanotify, which says
 * who opens, and needs CAP_SYS_ADMIN. Both watch single directories, which are named by handles
 * (disk_open_handle): no path is walked and no disk is read.
 */
#ifndef LARDER_WATCH_KERNEL_H
#define LARDER_WATCH_KERNEL_H

#include <stdbool.h>

#include "agent/watch_map.h"
#include "common/attributes.h"

/* Who hears of the events. */
struct watch_ear {
	/* `what` is a sum of enum watch_what, `name` the file's or "". */
	void (*event)(void *arg, const struct watch_key *key, unsigned what, const char *name);
	void (*overflow)(void *arg);			      /* some events were lost */
	void (*gone)(void *arg, const struct watch_key *key); /* unmounted, for example */
	void *arg;
};

struct watch_kernel {
	const char *name;
	bool tells_who; /* the agent's own opens are left out */

	/* -1 with errno. The descriptor does not block; it can be polled. */
	int (*open)(void);
	/* Watches a directory and fills in its key. -1 with errno; EEXIST: it is watched already.
	 */
	int (*add)(int fd, int handle, struct watch_key *key);
	/* Lets it rest, or watches it again. -1 with errno. */
	int (*rest)(int fd, int handle, bool rests);
	void (*drop)(int fd, int handle, const struct watch_key *key);
	/* Reads one batch of events. Returns how many bytes it had; 0: there are none now. */
	size_t (*read)(int fd, const struct watch_ear *ear);
};

extern const struct watch_kernel watch_inotify;
extern const struct watch_kernel watch_fanotify;

/* "/proc/self/fd/N" in `buf`. */
#define WATCH_PATH_SIZE 32
const char *watch_path(char *buf, int handle);

#endif
