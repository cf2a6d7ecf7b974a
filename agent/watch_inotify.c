/* Opened files by inotify(7). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "agent/watch_kernel.h"

#define FLAGS	 (IN_ONLYDIR | IN_EXCL_UNLINK)
#define OPENINGS (IN_OPEN | IN_CLOSE)
/* Of a directory with an open handle this comes at most once: it rests. */
#define NEXT_TO_NOTHING IN_DELETE_SELF
#define BATCH_BYTES	65536

const char *watch_path(char *buf, int handle)
{
	snprintf(buf, WATCH_PATH_SIZE, "/proc/self/fd/%d", handle);
	return buf;
}

static int open_inotify(void)
{
	return inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

static void make_key(struct watch_key *key, int wd)
{
	key->len = sizeof(wd);
	memcpy(key->bytes, &wd, sizeof(wd));
}

static int add(int fd, int handle, struct watch_key *key)
{
	char path[WATCH_PATH_SIZE];
	int wd = inotify_add_watch(fd, watch_path(path, handle), FLAGS | OPENINGS | IN_MASK_CREATE);

	if (wd < 0)
		return -1;
	make_key(key, wd);
	return 0;
}

/* The watch stays the same one, with another mask. */
static int rest(int fd, int handle, bool rests)
{
	char path[WATCH_PATH_SIZE];

	return inotify_add_watch(fd, watch_path(path, handle),
				 FLAGS | (rests ? NEXT_TO_NOTHING : OPENINGS)) < 0
		       ? -1
		       : 0;
}

static void drop(int fd, int handle, const struct watch_key *key)
{
	int wd;

	(void)handle;
	memcpy(&wd, key->bytes, sizeof(wd));
	if (inotify_rm_watch(fd, wd) != 0)
		errno = 0; /* gone already */
}

static void tell(const struct watch_ear *ear, const struct inotify_event *event)
{
	struct watch_key key;
	unsigned what = 0;

	if ((event->mask & IN_Q_OVERFLOW) != 0) {
		ear->overflow(ear->arg);
		return;
	}
	make_key(&key, event->wd);
	if ((event->mask & IN_IGNORED) != 0) {
		ear->gone(ear->arg, &key);
		return;
	}
	if ((event->mask & IN_OPEN) != 0)
		what |= WATCH_OPENED;
	if ((event->mask & IN_CLOSE) != 0)
		what |= WATCH_CLOSED;
	if ((event->mask & IN_ISDIR) != 0)
		what |= WATCH_FOLDER;
	if ((what & (WATCH_OPENED | WATCH_CLOSED)) != 0)
		ear->event(ear->arg, &key, what, event->len > 0 ? event->name : "");
}

static size_t read_batch(int fd, const struct watch_ear *ear)
{
	_Alignas(struct inotify_event) char batch[BATCH_BYTES];
	ssize_t len = read(fd, batch, sizeof(batch));

	for (ssize_t at = 0; at < len;) {
		const struct inotify_event *event = (const void *)(batch + at);

		tell(ear, event);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	return len > 0 ? (size_t)len : 0;
}

const struct watch_kernel watch_inotify = {
	.name = "inotify",
	.open = open_inotify,
	.add = add,
	.rest = rest,
	.drop = drop,
	.read = read_batch,
};
