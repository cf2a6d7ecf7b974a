/* Small files, read and written whole. */
#ifndef LARDER_FILE_IO_H
#define LARDER_FILE_IO_H

#include <stddef.h>

#include "common/err.h"

/*
 * Reads a file of at most `max` bytes. The result ends with a NUL that `*len` (may be NULL) does
 * not count; the caller frees it. NULL on error, with a sentence that names the file.
 */
char *file_read(const char *path, size_t max, size_t *len, struct err *err) MUST_USE;

/* The same from an open descriptor, which stays open. NULL with errno on error. */
char *file_read_fd(int fd, size_t max, size_t *len) MUST_USE;

/* The same below a directory handle; the last component is not followed if it is a link. */
char *file_read_at(int dir_fd, const char *name, size_t max, size_t *len, struct err *err) MUST_USE;

/*
 * Reads a secret: the file's first line without its end. Refuses an empty one.
 * The caller frees it.
 */
char *file_read_secret(const char *path, struct err *err) MUST_USE;

/* Writes a file so that after a crash it is the old one or the new one: temp, fsync, rename. */
int file_write_atomic(const char *path, const void *data, size_t len, struct err *err) MUST_USE;

/* Writes all of it, over interruptions and short writes. */
int file_write_all(int fd, const void *data, size_t len) MUST_USE;

/* Flushes the directory that holds `path`, so that a rename or creation in it is durable. */
int file_sync_parent(const char *path) MUST_USE;

#endif
