/* Reads one repository of a Hugging Face hub cache. */
#include "agent/hf_repo.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/aside.h"
#include "agent/partial.h"
#include "common/clock.h"
#include "common/xmem.h"

#define PATH_SIZE 4096
#define DEPTH_MAX 64

/* Files that live for milliseconds while a client works: no blobs, and no leftovers either. */
static bool name_passing(const char *name)
{
	return name[0] == '.' || strncmp(name, "tmp_", 4) == 0;
}

static bool plain_name(const char *name)
{
	return name[0] != '\0' && strchr(name, '/') == NULL && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

const char *hf_link_blob(const char *target, unsigned depth)
{
	for (unsigned i = 0; i < depth + 2; i++) {
		if (strncmp(target, "../", 3) != 0)
			return NULL;
		target += 3;
	}
	if (strncmp(target, "blobs/", 6) != 0 || !plain_name(target + 6))
		return NULL;
	return target + 6;
}

const char *hf_link_payload(const char *target)
{
	static const char start[] = "../../blobs/";
	const char *name;

	if (strncmp(target, start, strlen(start)) != 0)
		return NULL;
	target += strlen(start);
	if (strlen(target) != 3 + HF_PAYLOAD_LEN || target[2] != '/')
		return NULL;
	name = target + 3;
	if (strspn(name, "0123456789abcdef") != HF_PAYLOAD_LEN || strncmp(target, name, 2) != 0)
		return NULL;
	return name;
}

static void bar(struct hf_revision *rev, const char *why)
{
	rev->odd = why;
	rev->barred = true;
}

static struct hf_blob *add_blob(struct hf_repo *repo, const char *name, enum hf_blob_kind kind)
{
	struct hf_blob *blob = xcalloc(1, sizeof(*blob));

	blob->name = xstrdup(name);
	blob->kind = kind;
	blob->last_revision = blob->measured_for = -1;
	HASH_ADD_KEYPTR(hh, repo->blobs, blob->name, strlen(blob->name), blob);
	return blob;
}

static int note_dir(struct hf_repo *repo, int fd, const char *path)
{
	struct hf_dir *dir;
	struct disk_stat st;

	if (disk_stat_fd(fd, &st) != 0)
		return -1;
	if (st.mount != repo->mount) {
		errno = EXDEV;
		return -1;
	}
	repo->dirs = xgrow(repo->dirs, repo->dir_count, &repo->dir_capacity, sizeof(*repo->dirs));
	dir = &repo->dirs[repo->dir_count++];
	*dir = (struct hf_dir){xstrdup(path), st.inode, st.mtime_ns, st.ctime_ns, st.frozen};
	return 0;
}

/* Describes the payload that a blob's link leads to. */
static void stat_payload(struct hf_repo *repo, struct hf_blob *blob)
{
	char prefix[3] = {blob->payload[0], blob->payload[1], '\0'};
	int fd = repo->store_fd >= 0 ? disk_open_dir(repo->store_fd, prefix) : -1;

	if (fd < 0 || disk_stat(fd, blob->payload, &blob->stat) != 0)
		blob->kind = errno == ENOENT || fd < 0 ? HF_BLOB_MISSING : HF_BLOB_ODD;
	else if (blob->stat.type != DISK_FILE || blob->stat.mount != repo->mount)
		blob->kind = HF_BLOB_ODD;
	if (fd >= 0)
		close(fd);
}

static void read_shared_blob(struct hf_repo *repo, int blobs_fd, struct hf_blob *blob)
{
	char target[PATH_SIZE];
	const char *payload = NULL;

	if (disk_readlink(blobs_fd, blob->name, target, sizeof(target), NULL) == 0)
		payload = hf_link_payload(target);
	if (payload == NULL) {
		blob->kind = HF_BLOB_ODD;
		return;
	}
	memcpy(blob->payload, payload, HF_PAYLOAD_LEN + 1);
	stat_payload(repo, blob);
}

struct reading {
	struct hf_repo *repo;
	struct hf_revision *rev;
	int fd;
	char path[PATH_SIZE]; /* of the directory being read, below snapshots/<commit> */
	unsigned depth;
};

static int read_blob_entry(const char *name, void *arg)
{
	struct reading *rd = arg;
	struct hf_repo *repo = rd->repo;
	struct disk_stat st;
	struct hf_blob *blob;

	if (name_passing(name))
		return 0;
	if (disk_stat(rd->fd, name, &st) != 0)
		return errno == ENOENT ? 0 : -1; /* gone in between */
	if (partial_name(name)) {
		/* A folder, a pipe or a link with such a name is nobody's download. */
		if (st.type != DISK_FILE || st.mount != repo->mount)
			return 0;
		repo->partials = xgrow(repo->partials, repo->partial_count, &repo->partial_capacity,
				       sizeof(*repo->partials));
		repo->partials[repo->partial_count++] =
			(struct hf_file){.path = xstrdup(name), .stat = st};
		return 0;
	}
	blob = add_blob(repo, name, HF_BLOB_FILE);
	blob->stat = st;
	if (st.type == DISK_LINK) {
		blob->kind = HF_BLOB_SHARED;
		read_shared_blob(repo, rd->fd, blob);
	} else if (st.type != DISK_FILE || st.mount != repo->mount) {
		blob->kind = HF_BLOB_ODD;
	}
	return 0;
}

static int read_blobs(struct hf_repo *repo)
{
	struct reading rd = {.repo = repo};
	int rc;

	rd.fd = disk_open_dir(repo->fd, "blobs");
	if (rd.fd < 0)
		return errno == ENOENT ? 0 : -1; /* nothing but files of their own */
	rc = note_dir(repo, rd.fd, "blobs");
	if (rc == 0)
		rc = disk_list(rd.fd, read_blob_entry, &rd);
	close(rd.fd);
	return rc;
}

static struct hf_file *add_file(struct reading *rd, const char *name, const struct disk_stat *st)
{
	struct hf_revision *rev = rd->rev;
	struct hf_file *file;

	rev->files = xgrow(rev->files, rev->file_count, &rev->file_capacity, sizeof(*rev->files));
	file = &rev->files[rev->file_count++];
	*file = (struct hf_file){.path = xasprintf("%s%s", rd->path, name), .stat = *st};
	return file;
}

static int read_link(struct reading *rd, const char *name, const struct disk_stat *st)
{
	struct hf_repo *repo = rd->repo;
	int index = (int)(rd->rev - repo->revisions);
	char target[PATH_SIZE];
	const char *blob_name;
	struct hf_blob *blob;
	struct hf_file *file;

	/* Clients make links anew: for a moment there is none. */
	if (disk_readlink(rd->fd, name, target, sizeof(target), &repo->marked) != 0)
		return errno == ENOENT ? 0 : -1;
	file = add_file(rd, name, st);
	blob_name = hf_link_blob(target, rd->depth);
	if (blob_name == NULL) {
		rd->rev->odd = "a link leads out of the repository";
		return 0;
	}
	HASH_FIND_STR(repo->blobs, blob_name, blob);
	if (blob == NULL)
		blob = add_blob(repo, blob_name, HF_BLOB_MISSING);
	if (blob->last_revision != index) {
		blob->last_revision = index;
		blob->revisions++;
	}
	file->blob = blob;
	return 0;
}

static int read_tree(struct reading *rd);

static int read_folder(struct reading *rd, const char *name)
{
	struct reading below = *rd;
	int rc;

	if (rd->depth + 1 > DEPTH_MAX || strlen(rd->path) + strlen(name) + 2 > sizeof(below.path)) {
		bar(rd->rev, "folders are nested too deeply");
		return 0;
	}
	snprintf(below.path + strlen(rd->path), sizeof(below.path) - strlen(rd->path), "%s/", name);
	below.depth++;
	below.fd = disk_open_dir(rd->fd, name);
	if (below.fd < 0) {
		if (errno == EXDEV) {
			bar(rd->rev, "another file system is mounted in it");
			return 0;
		}
		return errno == ENOENT ? 0 : -1;
	}
	rc = read_tree(&below);
	close(below.fd);
	return rc;
}

static int read_snapshot_entry(const char *name, void *arg)
{
	struct reading *rd = arg;
	struct disk_stat st;

	if (disk_stat(rd->fd, name, &st) != 0)
		return errno == ENOENT ? 0 : -1;
	switch (st.type) {
	case DISK_LINK: return read_link(rd, name, &st);
	case DISK_DIRECTORY: return read_folder(rd, name);
	case DISK_FILE:
		add_file(rd, name, &st);
		if (st.mount != rd->repo->mount)
			bar(rd->rev, "another file system is mounted in it");
		return 0;
	default: bar(rd->rev, "neither a file, a folder nor a link"); return 0;
	}
}

static int read_tree(struct reading *rd)
{
	char path[PATH_SIZE + 300];
	int64_t changed_ms;

	snprintf(path, sizeof(path), "snapshots/%s/%s", rd->rev->commit, rd->path);
	path[strlen(path) - 1] = '\0';
	if (note_dir(rd->repo, rd->fd, path) != 0) {
		if (errno != EXDEV)
			return -1;
		bar(rd->rev, "another file system is mounted in it");
		return 0;
	}
	changed_ms = rd->repo->dirs[rd->repo->dir_count - 1].ctime_ns / 1000000;
	if (changed_ms > rd->rev->changed_ms)
		rd->rev->changed_ms = changed_ms;
	rd->rev->dir_count++;
	return disk_list(rd->fd, read_snapshot_entry, rd);
}

int hf_path_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort_paths(struct hf_revision *rev)
{
	rev->paths = xcalloc(rev->file_count + 1, sizeof(*rev->paths));
	for (size_t i = 0; i < rev->file_count; i++)
		rev->paths[i] = rev->files[i].path;
	qsort(rev->paths, rev->file_count, sizeof(*rev->paths), hf_path_order);
}

static int read_revision(const char *name, void *arg)
{
	struct reading *list = arg;
	struct hf_repo *repo = list->repo;
	struct reading rd = {.repo = repo};
	struct disk_stat st;
	int rc;

	if (disk_stat(list->fd, name, &st) != 0)
		return errno == ENOENT ? 0 : -1;
	/* Its files are somebody's, wherever it leads. */
	repo->unread += st.type == DISK_LINK;
	if (st.type != DISK_DIRECTORY)
		return 0; /* .DS_Store and the like */
	rd.fd = disk_open_dir(list->fd, name);
	if (rd.fd < 0)
		return errno == ENOENT ? 0 : -1;
	repo->revisions = xgrow(repo->revisions, repo->revision_count, &repo->revision_capacity,
				sizeof(*repo->revisions));
	rd.rev = &repo->revisions[repo->revision_count++];
	*rd.rev = (struct hf_revision){.commit = xstrdup(name), .first_dir = repo->dir_count};
	rc = read_tree(&rd);
	close(rd.fd);
	sort_paths(rd.rev);
	return rc;
}

int hf_repo_read_moved(struct hf_repo *repo, const char *folder, const char *commit)
{
	struct reading rd = {.repo = repo};
	struct disk_stat st;
	int rc = -1;

	rd.fd = disk_open_dir(repo->fd, folder);
	if (rd.fd < 0)
		return -1;
	if (disk_stat(rd.fd, commit, &st) == 0)
		rc = read_revision(commit, &rd);
	close(rd.fd);
	return rc;
}

static int read_snapshots(struct hf_repo *repo)
{
	struct reading rd = {.repo = repo};
	int rc;

	rd.fd = disk_open_dir(repo->fd, "snapshots");
	if (rd.fd < 0)
		return errno == ENOENT ? 0 : -1;
	rc = note_dir(repo, rd.fd, "snapshots");
	if (rc == 0)
		rc = disk_list(rd.fd, read_revision, &rd);
	close(rd.fd);
	return rc;
}

static int count_aside(const char *name, void *arg)
{
	struct hf_repo *repo = arg;
	struct aside aside;

	repo->unread += aside_parse(name, &aside) && aside.kind == ASIDE_WHOLE;
	return 0;
}

bool hf_repo_hides_uses(const struct hf_repo *repo, int except)
{
	for (size_t i = 0; i < repo->revision_count; i++) {
		if ((int)i != except && repo->revisions[i].odd != NULL)
			return true;
	}
	return repo->unread > 0;
}

int hf_repo_read(int hub_fd, int store_fd, const char *folder, struct hf_repo *repo, int *error,
		 struct err *err)
{
	struct disk_stat st;

	memset(repo, 0, sizeof(*repo));
	repo->hub_fd = hub_fd;
	repo->store_fd = store_fd;
	repo->began_ms = clock_wall_ms();
	repo->fd = disk_open_dir(hub_fd, folder);
	if (repo->fd < 0 || disk_stat_fd(repo->fd, &st) != 0)
		goto failed;
	repo->folder = xstrdup(folder);
	repo->mount = st.mount;
	/* Blobs first: a client puts the blob there before the link to it. */
	if (note_dir(repo, repo->fd, ".") != 0 || read_blobs(repo) != 0 ||
	    read_snapshots(repo) != 0 || disk_list(repo->fd, count_aside, repo) != 0)
		goto failed;
	return 0;
failed:
	*error = errno;
	err_set(err, "cannot read %s: %s", folder, strerror(errno));
	hf_repo_free(repo);
	return -1;
}

void hf_repo_free(struct hf_repo *repo)
{
	struct hf_blob *blob, *next;

	HASH_ITER (hh, repo->blobs, blob, next) {
		HASH_DEL(repo->blobs, blob);
		free(blob->name);
		free(blob);
	}
	for (size_t i = 0; i < repo->revision_count; i++) {
		for (size_t j = 0; j < repo->revisions[i].file_count; j++)
			free(repo->revisions[i].files[j].path);
		free(repo->revisions[i].files);
		free(repo->revisions[i].paths);
		free(repo->revisions[i].commit);
	}
	for (size_t i = 0; i < repo->dir_count; i++)
		free(repo->dirs[i].path);
	for (size_t i = 0; i < repo->partial_count; i++)
		free(repo->partials[i].path);
	free(repo->revisions);
	free(repo->dirs);
	free(repo->partials);
	free(repo->folder);
	if (repo->fd >= 0)
		close(repo->fd);
	memset(repo, 0, sizeof(*repo));
	repo->fd = -1;
}

struct hf_revision *hf_repo_find(struct hf_repo *repo, const char *commit)
{
	for (size_t i = 0; i < repo->revision_count; i++) {
		if (strcmp(repo->revisions[i].commit, commit) == 0)
			return &repo->revisions[i];
	}
	return NULL;
}

/* FNV-1a, 64 bits: tells apart what follows one another, keeps out nobody. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++) {
		hash ^= value >> (8 * i) & 0xff;
		hash *= UINT64_C(0x100000001b3);
	}
	return hash;
}

uint64_t hf_repo_generation(const struct hf_repo *repo, const struct hf_revision *rev)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	hash = mix(hash, rev->file_count);
	for (size_t i = 0; i < rev->dir_count; i++) {
		const struct hf_dir *dir = &repo->dirs[rev->first_dir + i];

		hash = mix(hash, dir->inode);
		hash = mix(hash, (uint64_t)dir->mtime_ns);
	}
	/* Short, because it stands in Redis once per model; still 1 in 2^32 by chance. */
	hash = (hash ^ hash >> 32) & UINT64_C(0xffffffff);
	return hash != 0 ? hash : 1;
}
