/*
 * Opened files by fanotify(7), which tells the process: the agent's own opens are left out, and
 * events merge, so that hardly any number of them overflows the queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "agent/watch_kernel.h"

#define OPENINGS    (FAN_OPEN | FAN_CLOSE | FAN_EVENT_ON_CHILD)
#define BATCH_BYTES 65536

static int open_fanotify(void)
{
	/* Without CAP_SYS_ADMIN events would not say who; asking for unlimited marks refuses that.
	 */
	return fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_UNLIMITED_MARKS |
				     FAN_CLOEXEC | FAN_NONBLOCK,
			     O_RDONLY | O_CLOEXEC);
}

/* The file system's number and the directory's handle, as they stand in events. */
static int make_key(struct watch_key *key, const void *fsid, const struct file_handle *handle)
{
	size_t head = sizeof(fsid_t), len = sizeof(int) + handle->handle_bytes;

	if (head + len > sizeof(key->bytes)) {
		errno = EOVERFLOW;
		return -1;
	}
	memcpy(key->bytes, fsid, head);
	memcpy(key->bytes + head, &handle->handle_type, sizeof(int));
	memcpy(key->bytes + head + sizeof(int), handle->f_handle, handle->handle_bytes);
	key->len = (unsigned)(head + len);
	return 0;
}

static int find_key(struct watch_key *key, int fd)
{
	_Alignas(struct file_handle) char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	struct file_handle *handle = (struct file_handle *)room;
	struct statfs fs;
	int mount;

	handle->handle_bytes = MAX_HANDLE_SZ;
	if (fstatfs(fd, &fs) != 0 || name_to_handle_at(fd, "", handle, &mount, AT_EMPTY_PATH) != 0)
		return -1;
	return make_key(key, &fs.f_fsid, handle);
}

static int mark(int fd, int handle, unsigned how)
{
	char path[WATCH_PATH_SIZE];

	return fanotify_mark(fd, how | FAN_MARK_ONLYDIR, OPENINGS, AT_FDCWD,
			     watch_path(path, handle));
}

static int add(int fd, int handle, struct watch_key *key)
{
	if (find_key(key, handle) != 0)
		return -1;
	return mark(fd, handle, FAN_MARK_ADD);
}

static int rest(int fd, int handle, bool rests)
{
	return mark(fd, handle, rests ? FAN_MARK_REMOVE : FAN_MARK_ADD);
}

static void drop(int fd, int handle, const struct watch_key *key)
{
	(void)key;
	if (mark(fd, handle, FAN_MARK_REMOVE) != 0)
		errno = 0; /* it rests, or is gone already */
}

/* One record of an event: the directory, and the name in it. */
static void tell_record(const struct watch_ear *ear, const char *at, unsigned what)
{
	struct fanotify_event_info_fid info;
	const struct file_handle *handle = (const void *)(at + sizeof(info)); /* 4-byte aligned */
	struct watch_key key;

	memcpy(&info, at, sizeof(info));
	if (info.hdr.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME &&
	    make_key(&key, &info.fsid, handle) == 0)
		ear->event(ear->arg, &key, what,
			   (const char *)handle->f_handle + handle->handle_bytes);
}

static void tell(const struct watch_ear *ear, const struct fanotify_event_metadata *event,
		 const char *at)
{
	const char *end = at + event->event_len;
	struct fanotify_event_info_header header;
	unsigned what = 0;

	if ((event->mask & FAN_Q_OVERFLOW) != 0) {
		ear->overflow(ear->arg);
		return;
	}
	if (event->pid == getpid())
		return;
	if ((event->mask & FAN_OPEN) != 0)
		what |= WATCH_OPENED;
	if ((event->mask & FAN_CLOSE) != 0)
		what |= WATCH_CLOSED;
	for (at += event->metadata_len; end - at >= (ptrdiff_t)sizeof(header); at += header.len) {
		memcpy(&header, at, sizeof(header));
		if (header.len < sizeof(header))
			return; /* the kernel promises not to do this */
		tell_record(ear, at, what);
	}
}

static size_t read_batch(int fd, const struct watch_ear *ear)
{
	_Alignas(struct fanotify_event_metadata) char batch[BATCH_BYTES];
	struct fanotify_event_metadata event;
	ssize_t len = read(fd, batch, sizeof(batch));

	for (ssize_t at = 0; at < len; at += event.event_len) {
		memcpy(&event, batch + at, sizeof(event));
		if (event.vers != FANOTIFY_METADATA_VERSION || event.event_len < sizeof(event))
			break; /* nor this */
		tell(ear, &event, batch + at);
	}
	return len > 0 ? (size_t)len : 0;
}

const struct watch_kernel watch_fanotify = {
	.name = "fanotify",
	.tells_who = true,
	.open = open_fanotify,
	.add = add,
	.rest = rest,
	.drop = drop,
	.read = read_batch,
};
