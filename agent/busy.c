/* Write leases on a model's files. */
#include "agent/busy.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

#include "agent/disk.h"
#include "common/xmem.h"

/* A file's device and inode, as text. */
#define ID_SIZE 36

struct leased {
	char id[ID_SIZE];
	int fd;
	UT_hash_handle hh;
};

struct busy {
	size_t leases_max;
	struct leased *leases;
	int *kept;
	size_t kept_count, kept_capacity;
	bool partial;
	size_t closed;
};

struct busy *busy_new(size_t leases_max)
{
	struct busy *busy = xcalloc(1, sizeof(*busy));

	busy->leases_max = leases_max;
	return busy;
}

static enum busy_answer lease(int fd)
{
	if (disk_lease_take(fd) == 0)
		return BUSY_FREE;
	return errno == EAGAIN || errno == EBUSY ? BUSY_IN_USE : BUSY_UNKNOWN;
}

enum busy_answer busy_test(int fd)
{
	enum busy_answer answer = lease(fd);

	if (answer == BUSY_FREE)
		disk_lease_give_up(fd);
	close(fd);
	return answer;
}

static void write_id(char *id, const struct disk_stat *st)
{
	snprintf(id, ID_SIZE, "%" PRIx64 "-%" PRIx64, st->device, st->inode);
}

bool busy_holds(const struct busy *busy, const struct disk_stat *st)
{
	char id[ID_SIZE];
	const struct leased *leased;

	if (busy == NULL)
		return false;
	write_id(id, st);
	HASH_FIND_STR(busy->leases, id, leased);
	return leased != NULL;
}

enum busy_answer busy_take(struct busy *busy, int fd)
{
	struct disk_stat st;
	struct leased *leased;
	enum busy_answer answer;

	if (disk_stat_fd(fd, &st) != 0) {
		close(fd);
		return BUSY_UNKNOWN;
	}
	if (HASH_COUNT(busy->leases) >= busy->leases_max) {
		busy->partial = true;
		busy->closed++;
		return busy_test(fd);
	}
	answer = lease(fd);
	if (answer != BUSY_FREE) {
		busy->closed++;
		close(fd);
		return answer;
	}
	leased = xcalloc(1, sizeof(*leased));
	write_id(leased->id, &st);
	leased->fd = fd;
	HASH_ADD_STR(busy->leases, id, leased);
	return BUSY_FREE;
}

void busy_keep(struct busy *busy, int fd)
{
	busy->kept = xgrow(busy->kept, busy->kept_count, &busy->kept_capacity, sizeof(*busy->kept));
	busy->kept[busy->kept_count++] = fd;
}

bool busy_intact(const struct busy *busy)
{
	for (const struct leased *leased = busy->leases; leased != NULL; leased = leased->hh.next) {
		if (!disk_lease_holds(leased->fd))
			return false;
	}
	return true;
}

size_t busy_closed(const struct busy *busy)
{
	return busy->closed;
}

bool busy_partial(const struct busy *busy)
{
	return busy->partial;
}

void busy_release_leases(struct busy *busy)
{
	struct leased *leased, *next;

	HASH_ITER (hh, busy->leases, leased, next) {
		HASH_DEL(busy->leases, leased);
		disk_lease_give_up(leased->fd);
		close(leased->fd);
		busy->closed++;
		free(leased);
	}
}

void busy_free(struct busy *busy)
{
	if (busy == NULL)
		return;
	busy_release_leases(busy);
	for (size_t i = 0; i < busy->kept_count; i++)
		close(busy->kept[i]);
	free(busy->kept);
	free(busy);
}
