/* Removes references to the shared blob store by its own protocol. */
#include "agent/hf_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/disk.h"
#include "agent/hf_lock.h"
#include "agent/hf_name.h"
#include "agent/hf_repo.h"
#include "common/clock.h"
#include "common/file_io.h"
#include "common/xmem.h"

#define MARKER	     ".huggingface-shared-blobs"
#define MARKER_TEXT  "1\n"
#define MANIFEST_MAX (4 << 20)

int hf_store_open(int hub_fd)
{
	int fd = disk_open_dir(hub_fd, "blobs");
	char *text = fd >= 0 ? file_read_at(fd, MARKER, 16, NULL, NULL) : NULL;
	bool ours = text != NULL && strcmp(text, MARKER_TEXT) == 0;

	free(text);
	if (ours)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static int open_prefix(int store_fd, const char *payload)
{
	char prefix[3] = {payload[0], payload[1], '\0'};

	return store_fd >= 0 ? disk_open_dir(store_fd, prefix) : -1;
}

int hf_store_open_payload(int store_fd, const char *payload)
{
	int dir = open_prefix(store_fd, payload);
	int fd;

	if (dir < 0)
		return -1;
	fd = disk_open_file(dir, payload, false);
	close(dir);
	return fd;
}

static void manifest_name(char *buf, size_t size, const char *payload)
{
	snprintf(buf, size, "%s.refs", payload);
}

bool hf_store_has_manifest(int store_fd, const char *payload)
{
	char name[HF_PAYLOAD_LEN + 8];
	struct disk_stat st;
	int dir = open_prefix(store_fd, payload);
	bool there;

	if (dir < 0)
		return false;
	manifest_name(name, sizeof(name), payload);
	there = disk_stat(dir, name, &st) == 0 && st.type == DISK_FILE;
	close(dir);
	return there;
}

/* Whether the client takes this for another spelling of a valid line, or for two, we cannot tell.
 */
static bool odd_spelling(const char *line)
{
	size_t len = strlen(line);

	for (const char *p = line; *p != '\0'; p++) {
		if (*p < ' ' || *p >= 0x7f)
			return true;
	}
	return strncmp(line, "./", 2) == 0 || strstr(line, "//") != NULL ||
	       strstr(line, "/./") != NULL || line[len - 1] == '/' ||
	       (len > 1 && strcmp(line + len - 2, "/.") == 0);
}

/* Where a link of a repository leads: 1 to this payload, 0 elsewhere, -1 perhaps to it. */
static int leads_to(const char *target, const char *payload)
{
	const char *found = hf_link_payload(target);

	if (found != NULL)
		return strcmp(found, payload) == 0;
	/* By another way, which the client follows. */
	return strstr(target, payload) != NULL ? -1 : 0;
}

/*
 * A line "models--O--N/blobs/<etag>" is valid while that entry is a link to exactly this payload.
 * Returns 1 or 0, or -1 when it cannot be told.
 */
static int reference_valid(int hub_fd, char *line, const char *payload)
{
	char *slash = strchr(line, '/');
	char target[4096];
	char path[300];
	int dir, rc;

	if (odd_spelling(line))
		return -1;
	if (slash == NULL || strncmp(slash, "/blobs/", 7) != 0 || slash[7] == '\0' ||
	    strchr(slash + 7, '/') != NULL || strcmp(slash + 7, ".") == 0 ||
	    strcmp(slash + 7, "..") == 0 || (size_t)(slash - line) + 8 > sizeof(path))
		return 0;
	snprintf(path, sizeof(path), "%.*s/blobs", (int)(slash - line), line);
	*slash = '\0';
	rc = hf_name_layout(line) != NULL;
	*slash = '/';
	if (!rc)
		return 0;
	dir = disk_open_dir(hub_fd, path);
	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	rc = disk_readlink(dir, slash + 7, target, sizeof(target), NULL);
	if (rc != 0)
		rc = errno == ENOENT || errno == EINVAL ? 0 : -1;
	else
		rc = leads_to(target, payload);
	close(dir);
	return rc;
}

/*
 * Copies the valid lines of a manifest to `kept`, which has room for all of them. Returns how many,
 * or -1: cannot be told.
 */
static int valid_references(int hub_fd, char *text, const char *payload, char *kept)
{
	char *save = NULL;
	int count = 0;

	*kept = '\0';
	for (char *line = strtok_r(text, "\r\n", &save); line != NULL;
	     line = strtok_r(NULL, "\r\n", &save)) {
		size_t len = strlen(line);
		int valid = reference_valid(hub_fd, line, payload);

		if (valid < 0)
			return -1;
		if (valid == 0)
			continue;
		memcpy(kept, line, len);
		memcpy(kept + len, "\n", 2);
		kept += len + 1;
		count++;
	}
	return count;
}

static int rewrite_manifest(int dir, const char *name, const char *text)
{
	char temp[HF_PAYLOAD_LEN + 32], random[9];
	int fd, rc;

	clock_random_hex(random, 4);
	snprintf(temp, sizeof(temp), "%s.%s.tmp", name, random);
	fd = disk_create(dir, temp, 0666);
	if (fd < 0)
		return -1;
	rc = file_write_all(fd, text, strlen(text)) != 0 || fchmod(fd, 0666) != 0 ||
	     disk_sync(fd) != 0;
	close(fd);
	if (rc == 0 && disk_replace(dir, temp, name) == 0)
		return 0;
	if (disk_unlink(dir, temp) != 0)
		errno = EIO;
	return -1;
}

/* Under the lock: collects the payload if nothing valid refers to it. */
static bool collect(const struct hf_store_link *link, int dir)
{
	char name[HF_PAYLOAD_LEN + 8];
	struct disk_stat st;
	size_t len;
	char *text, *kept;
	int valid;
	bool done = false;

	manifest_name(name, sizeof(name), link->payload);
	text = file_read_at(dir, name, MANIFEST_MAX, &len, NULL);
	if (text == NULL || strlen(text) != len) {
		free(text);
		return false; /* missing or unreadable: keep the payload */
	}
	kept = xmalloc(strlen(text) + 2);
	valid = valid_references(link->hub_fd, text, link->payload, kept);
	if (valid > 0)
		done = rewrite_manifest(dir, name, kept) == 0;
	else if (valid == 0 && disk_stat(dir, link->payload, &st) == 0 && st.type == DISK_FILE &&
		 disk_move(dir, link->payload, link->trash_fd, link->trash_name) == 0)
		done = disk_unlink(dir, name) == 0;
	free(kept);
	free(text);
	return done;
}

bool hf_store_release(const struct hf_store_link *link)
{
	int dir = open_prefix(link->store_fd, link->payload);
	int lock = -1;
	bool done = false;

	if (dir < 0)
		return false;
	if (hf_lock_take_payload(dir, link->payload, &lock) == HF_LOCK_TAKEN) {
		done = (disk_unlink(link->blobs_fd, link->name) == 0 || errno == ENOENT) &&
		       collect(link, dir);
		close(lock);
	}
	close(dir);
	return done;
}
