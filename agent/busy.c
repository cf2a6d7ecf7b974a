/* Write leases on a model's files. */
#include "agent/busy.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

#include "agent/disk.h"
#include "common/xmem.h"

struct leased {
	uint64_t inode;
	int fd;
	UT_hash_handle hh;
};

struct busy {
	size_t leases_max;
	struct leased *leases;
	int *kept;
	size_t kept_count, kept_capacity;
	bool partial;
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

enum busy_answer busy_take(struct busy *busy, int fd)
{
	struct disk_stat st;
	struct leased *leased;
	enum busy_answer answer;

	if (disk_stat_fd(fd, &st) != 0) {
		close(fd);
		return BUSY_UNKNOWN;
	}
	HASH_FIND(hh, busy->leases, &st.inode, sizeof(st.inode), leased);
	if (leased != NULL) {
		/* Our own opening has asked the lease to be given up; it must be taken anew. */
		close(fd);
		return lease(leased->fd);
	}
	if (HASH_COUNT(busy->leases) >= busy->leases_max) {
		busy->partial = true;
		return busy_test(fd);
	}
	answer = lease(fd);
	if (answer != BUSY_FREE) {
		close(fd);
		return answer;
	}
	leased = xcalloc(1, sizeof(*leased));
	leased->inode = st.inode;
	leased->fd = fd;
	HASH_ADD(hh, busy->leases, inode, sizeof(leased->inode), leased);
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
