/* Moves refs aside, back, or away. */
#include "agent/hf_refs.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/aside.h"
#include "agent/disk.h"

#define PATH_SIZE 4200
#define DEPTH_MAX 64
/* A ref holds one commit; a larger file is something else. */
#define REF_MAX 512

struct search {
	int repo_fd, fd;
	const char *txn; /* NULL: only looks when they were written */
	const char *commit;
	int64_t *written_ms;
	char path[PATH_SIZE]; /* of the folder being listed, below refs/ */
	unsigned depth;
};

/* Does it hold this commit, and nothing else but white space behind it? -1: nobody can tell. */
static int says(int dir, const char *name, const char *commit)
{
	size_t own = strlen(commit);
	char content[REF_MAX + 1];
	int fd = disk_open_file(dir, name, false); /* leaves no access time */
	ssize_t len;
	int saved;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	len = read(fd, content, REF_MAX);
	saved = errno;
	close(fd);
	errno = saved;
	if (len < 0)
		return -1;
	if (len < (ssize_t)own || memcmp(content, commit, own) != 0)
		return 0;
	content[len] = '\0';
	return strspn(content + own, " \t\r\n") == (size_t)len - own;
}

static int search_entry(const char *name, void *arg);

static int search_folder(const struct search *search, const char *name)
{
	struct search below = *search;
	size_t used = strlen(below.path);
	int rc;

	if (++below.depth > DEPTH_MAX ||
	    (size_t)snprintf(below.path + used, PATH_SIZE - used, "%s/", name) >= PATH_SIZE - used)
		return 0;
	below.fd = disk_open_dir(search->fd, name);
	if (below.fd < 0)
		return errno == ENOENT ? 0 : -1;
	rc = disk_list(below.fd, search_entry, &below);
	close(below.fd);
	return rc;
}

static int move_aside(const struct search *search, const char *name)
{
	char ref[PATH_SIZE], aside[ASIDE_NAME_SIZE];

	if ((size_t)snprintf(ref, sizeof(ref), "%s%s", search->path, name) >= sizeof(ref) ||
	    aside_name(aside, ASIDE_REF, search->txn, ref) != 0) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return disk_move(search->fd, name, search->repo_fd, aside) == 0 || errno == ENOENT ? 0 : -1;
}

static int search_entry(const char *name, void *arg)
{
	const struct search *search = arg;
	struct disk_stat st;
	int is;

	if (disk_stat(search->fd, name, &st) != 0)
		return errno == ENOENT ? 0 : -1;
	if (st.type == DISK_DIRECTORY)
		return search_folder(search, name);
	if (st.type != DISK_FILE)
		return 0;
	/* A ref that stays without its snapshot makes clients give the repository up. */
	is = says(search->fd, name, search->commit);
	if (is <= 0)
		return is;
	if (search->txn != NULL)
		return move_aside(search, name);
	if (st.mtime_ms > *search->written_ms)
		*search->written_ms = st.mtime_ms;
	return 0;
}

static int search_refs(struct search *search)
{
	int rc, saved;

	search->fd = disk_open_dir(search->repo_fd, "refs");
	if (search->fd < 0)
		return errno == ENOENT ? 0 : -1;
	rc = disk_list(search->fd, search_entry, search);
	saved = errno;
	close(search->fd);
	errno = saved;
	return rc;
}

int hf_refs_aside(int repo_fd, const char *txn, const char *commit)
{
	struct search search = {.repo_fd = repo_fd, .txn = txn, .commit = commit};

	return search_refs(&search);
}

int64_t hf_refs_written_ms(int repo_fd, const char *commit)
{
	int64_t written_ms = 0;
	struct search search = {.repo_fd = repo_fd, .commit = commit, .written_ms = &written_ms};

	if (search_refs(&search) != 0)
		errno = 0; /* those that could be read tell */
	return written_ms;
}

/* ---- back, or away ---- */

struct moved {
	int repo_fd;
	const char *txn;
	int64_t written_ms;
};

static bool is_moved(const struct moved *moved, const char *name, struct aside *aside)
{
	return aside_parse(name, aside) && aside->kind == ASIDE_REF &&
	       strcmp(aside->txn, moved->txn) == 0;
}

static int written_entry(const char *name, void *arg)
{
	struct moved *moved = arg;
	struct aside aside;
	struct disk_stat st;

	if (is_moved(moved, name, &aside) && disk_stat(moved->repo_fd, name, &st) == 0 &&
	    st.mtime_ms > moved->written_ms)
		moved->written_ms = st.mtime_ms;
	return 0;
}

int64_t hf_refs_aside_written_ms(int repo_fd, const char *txn)
{
	struct moved moved = {.repo_fd = repo_fd, .txn = txn};

	if (disk_list(repo_fd, written_entry, &moved) != 0)
		errno = 0; /* those that could be read tell */
	return moved.written_ms;
}

/* Puts one ref back to its place; false when there is one already. */
static bool put_back(int repo_fd, const char *aside, const char *ref)
{
	const char *slash = strrchr(ref, '/');
	const char *leaf = slash != NULL ? slash + 1 : ref;
	char path[PATH_SIZE];
	int dir;
	bool done;

	snprintf(path, sizeof(path), "refs/%.*s", (int)(leaf - ref), ref);
	dir = disk_open_dir(repo_fd, path);
	if (dir < 0)
		return false;
	done = disk_move(repo_fd, aside, dir, leaf) == 0;
	close(dir);
	return done;
}

static int restore_entry(const char *name, void *arg)
{
	const struct moved *moved = arg;
	struct aside aside;

	if (!is_moved(moved, name, &aside))
		return 0;
	if (!put_back(moved->repo_fd, name, aside.rest) && errno == EEXIST &&
	    disk_unlink(moved->repo_fd, name) != 0)
		errno = 0; /* it only lies there */
	return 0;
}

static int drop_entry(const char *name, void *arg)
{
	const struct moved *moved = arg;
	struct aside aside;

	if (is_moved(moved, name, &aside) && disk_unlink(moved->repo_fd, name) != 0)
		errno = 0; /* it only lies there */
	return 0;
}

void hf_refs_restore(int repo_fd, const char *txn)
{
	struct moved moved = {.repo_fd = repo_fd, .txn = txn};

	if (disk_list(repo_fd, restore_entry, &moved) != 0)
		errno = 0; /* found again at the next start */
}

struct pruning {
	int dir;
	unsigned depth;
};

static int prune_entry(const char *name, void *arg)
{
	const struct pruning *here = arg;
	struct pruning below = {.depth = here->depth + 1};
	struct disk_stat st;

	if (disk_stat(here->dir, name, &st) != 0 || st.type != DISK_DIRECTORY ||
	    below.depth > DEPTH_MAX)
		return 0;
	below.dir = disk_open_dir(here->dir, name);
	if (below.dir < 0)
		return 0;
	if (disk_list(below.dir, prune_entry, &below) == 0 && disk_rmdir(here->dir, name) != 0)
		errno = 0; /* it still holds refs */
	close(below.dir);
	return 0;
}

void hf_refs_drop(int repo_fd, const char *txn)
{
	struct moved moved = {.repo_fd = repo_fd, .txn = txn};
	struct pruning refs = {.dir = disk_open_dir(repo_fd, "refs")};
	int rc = disk_list(repo_fd, drop_entry, &moved);

	if (refs.dir >= 0) {
		rc |= disk_list(refs.dir, prune_entry, &refs);
		close(refs.dir);
	}
	if (rc != 0)
		errno = 0; /* nothing depends on it */
}
