/* Reads and writes small files whole. */
#include "common/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/xmem.h"

char *file_read_fd(int fd, size_t max, size_t *len)
{
	char *data = xmalloc(4096);
	size_t used = 0, room = 4096;

	for (;;) {
		ssize_t got = read(fd, data + used, room - used - 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		if (got == 0) {
			data[used] = '\0';
			if (len != NULL)
				*len = used;
			return data;
		}
		used += (size_t)got;
		if (used > max) {
			errno = EFBIG;
			break;
		}
		if (room - used < 2) {
			room *= 2;
			data = xrealloc(data, room);
		}
	}
	free(data);
	return NULL;
}

char *file_read_at(int dir_fd, const char *name, size_t max, size_t *len, struct err *err)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
	int fd = openat(dir_fd, name, dir_fd == AT_FDCWD ? flags : flags | O_NOFOLLOW);
	char *data = NULL;
	struct stat st;

	if (fd < 0) {
		err_set(err, "cannot open %s: %s", name, strerror(errno));
		return NULL;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		err_set(err, "cannot read %s: not a regular file", name);
	else if ((data = file_read_fd(fd, max, len)) == NULL)
		err_set(err, "cannot read %s: %s", name,
			errno == EFBIG ? "file is too large" : strerror(errno));
	close(fd);
	return data;
}

char *file_read(const char *path, size_t max, size_t *len, struct err *err)
{
	return file_read_at(AT_FDCWD, path, max, len, err);
}

char *file_read_secret(const char *path, struct err *err)
{
	char *text = file_read(path, 16384, NULL, err);

	if (text == NULL)
		return NULL;
	text[strcspn(text, "\r\n")] = '\0';
	if (*text == '\0') {
		err_set(err, "%s holds no secret: its first line is empty", path);
		free(text);
		return NULL;
	}
	return text;
}

int file_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t put = write(fd, p, len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -1;
		p += put;
		len -= (size_t)put;
	}
	return 0;
}

int file_sync_parent(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? xstrdup(".")
				  : xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = -1;

	free(dir);
	if (fd >= 0) {
		rc = fsync(fd);
		close(fd);
	}
	return rc;
}

int file_write_atomic(const char *path, const void *data, size_t len, struct err *err)
{
	char *temp = xasprintf("%s.new", path);
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int rc = -1;

	if (fd < 0)
		goto out;
	rc = file_write_all(fd, data, len) != 0 || fsync(fd) != 0 ? -1 : 0;
	if (close(fd) != 0)
		rc = -1;
	if (rc == 0 && (rename(temp, path) != 0 || file_sync_parent(path) != 0))
		rc = -1;
out:
	if (rc != 0)
		err_set(err, "cannot write %s: %s", path, strerror(errno));
	free(temp);
	return rc;
}
