/* Looks for a file among the open and mapped files of /proc. */
#include "agent/procs.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define NAMED_MAX 4

static bool has_descriptor(int pid_fd, dev_t device, ino_t inode)
{
	int fd = openat(pid_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	bool found = false;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && (entry = readdir(dir)) != NULL) {
		struct stat st;

		found = isdigit((unsigned char)entry->d_name[0]) &&
			fstatat(dirfd(dir), entry->d_name, &st, 0) == 0 && st.st_dev == device &&
			st.st_ino == inode;
	}
	closedir(dir);
	return found;
}

/* A line of maps: "address perms offset major:minor inode path". */
static bool line_maps(const char *line, dev_t device, ino_t inode)
{
	const char *p = line;
	unsigned long major, minor;
	char *end;

	for (int field = 0; field < 3; field++) {
		p = strchr(p, ' ');
		if (p == NULL)
			return false;
		p++;
	}
	major = strtoul(p, &end, 16);
	if (*end != ':')
		return false;
	minor = strtoul(end + 1, &end, 16);
	return *end == ' ' && strtoull(end, NULL, 10) == inode &&
	       makedev((unsigned)major, (unsigned)minor) == device;
}

static bool has_mapped(int pid_fd, dev_t device, ino_t inode)
{
	int fd = openat(pid_fd, "maps", O_RDONLY | O_CLOEXEC);
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	if (file == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!found && getline(&line, &size, file) > 0)
		found = line_maps(line, device, inode);
	free(line);
	fclose(file);
	return found;
}

/* The process's own name; it may hold anything but NUL and newline. */
static void read_name(int pid_fd, char *buf, size_t size)
{
	int fd = openat(pid_fd, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, buf, size - 1) : -1;

	if (fd >= 0)
		close(fd);
	buf[len > 0 ? len : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	for (char *p = buf; *p != '\0'; p++) {
		if (!isprint((unsigned char)*p))
			*p = '?';
	}
}

static bool uses(int proc_fd, const char *pid, dev_t device, ino_t inode, char *name, size_t size)
{
	int fd = openat(proc_fd, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool found;

	if (fd < 0)
		return false;
	found = has_descriptor(fd, device, inode) || has_mapped(fd, device, inode);
	if (found)
		read_name(fd, name, size);
	close(fd);
	return found;
}

void procs_with_open(uint64_t device, uint64_t inode, char *buf, size_t size)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	size_t count = 0, used = 0;
	char name[64];

	buf[0] = '\0';
	if (proc == NULL)
		return;
	while ((entry = readdir(proc)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    strtol(entry->d_name, NULL, 10) == getpid() ||
		    !uses(dirfd(proc), entry->d_name, (dev_t)device, (ino_t)inode, name,
			  sizeof(name)))
			continue;
		if (count++ < NAMED_MAX && used < size)
			used += (size_t)snprintf(buf + used, size - used, "%s%s (%.10s)",
						 count > 1 ? ", " : "", name, entry->d_name);
	}
	closedir(proc);
	if (count > NAMED_MAX && used < size)
		snprintf(buf + used, size - used, " and %zu more", count - NAMED_MAX);
}
