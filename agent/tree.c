/* Reads trees of folders, and again only what has changed in them. */
#include "agent/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "agent/busy.h"
#include "agent/partial.h"
#include "agent/root.h"
#include "agent/watch_plan.h"
#include "common/clock.h"
#include "common/xmem.h"

#define DEPTH_MAX 64
#define PATH_SIZE 4096
#define SAMPLES	  2
/* A folder that changed this shortly before it was read may change again unseen. */
#define RACY_MS 2000
/* For so long after a read all files of a folder are looked at: loaders go from one to the next. */
#define LIVELY_MS 600000

/* One folder as it was read last: its own files summed up, and the names of its folders. */
struct folder {
	char *path; /* below the tree; "" for the tree itself */
	uint64_t inode;
	int64_t mtime_ns, ctime_ns;
	struct tree_sum own; /* `generation` unused */
	char **folders;
	size_t folder_count, folder_capacity;
	char *samples[SAMPLES]; /* the largest files: read when the model is */
	int64_t sample_bytes[SAMPLES];
	bool hot; /* read again although the folder has not changed */
	unsigned round;
	UT_hash_handle hh;
};

struct tree {
	struct folder *folders;
	unsigned round;
	unsigned version; /* changes when a folder was read; never 0 */
};

struct walk {
	struct tree *tree;
	struct root *root;
	struct tree_sum *sum;
	int64_t now_ms;
	uint64_t mount;
};

struct tree *tree_new(void)
{
	struct tree *tree = xcalloc(1, sizeof(*tree));

	tree->version = 1;
	return tree;
}

static void clear_folder(struct folder *folder)
{
	for (size_t i = 0; i < folder->folder_count; i++)
		free(folder->folders[i]);
	free(folder->folders);
	folder->folders = NULL;
	folder->folder_count = folder->folder_capacity = 0;
	for (int i = 0; i < SAMPLES; i++) {
		free(folder->samples[i]);
		folder->samples[i] = NULL;
		folder->sample_bytes[i] = 0;
	}
	memset(&folder->own, 0, sizeof(folder->own));
	folder->hot = false;
}

static void changed(struct tree *tree)
{
	if (++tree->version == 0)
		tree->version = 1;
}

static void drop_folder(struct tree *tree, struct folder *folder)
{
	changed(tree);
	HASH_DEL(tree->folders, folder);
	clear_folder(folder);
	free(folder->path);
	free(folder);
}

void tree_forget(struct tree *tree)
{
	struct folder *folder, *next;

	HASH_ITER (hh, tree->folders, folder, next)
		drop_folder(tree, folder);
}

void tree_free(struct tree *tree)
{
	tree_forget(tree);
	free(tree);
}

/* ---- reading one folder ---- */

static void note_partial(const struct walk *walk, struct folder *folder, int fd, const char *name,
			 const struct disk_stat *st)
{
	bool stale = walk->now_ms - st->mtime_ms >= walk->root->config.partial_ms;

	if (stale && walk->root->leases) {
		int file = disk_open_file(fd, name, false);

		stale = file >= 0 && busy_test(file) == BUSY_FREE;
	}
	if (!stale) {
		folder->own.partial_active = true;
		folder->hot = true;
	} else if (strncmp(folder->path, ".cache/", 7) != 0) {
		/* In .cache/huggingface/download a stale one lies beside complete files. */
		snprintf(folder->own.partial, sizeof(folder->own.partial), "%s", name);
	}
}

static void note_sample(struct folder *folder, const char *name, int64_t bytes)
{
	for (int i = 0; i < SAMPLES; i++) {
		if (folder->samples[i] != NULL && folder->sample_bytes[i] >= bytes)
			continue;
		free(folder->samples[SAMPLES - 1]);
		memmove(&folder->samples[i + 1], &folder->samples[i],
			(size_t)(SAMPLES - 1 - i) * sizeof(folder->samples[0]));
		memmove(&folder->sample_bytes[i + 1], &folder->sample_bytes[i],
			(size_t)(SAMPLES - 1 - i) * sizeof(folder->sample_bytes[0]));
		folder->samples[i] = xstrdup(name);
		folder->sample_bytes[i] = bytes;
		return;
	}
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void note_access(const struct walk *walk, struct folder *folder, int fd, const char *name,
			const struct disk_stat *st)
{
	if (!walk->root->atimes)
		return;
	folder->own.used_ms = later(folder->own.used_ms, st->atime_ms);
	root_rearm_atime(walk->root, fd, name, st);
}

static void note_file(const struct walk *walk, struct folder *folder, int fd, const char *name,
		      const struct disk_stat *st)
{
	struct tree_sum *own = &folder->own;

	own->files++;
	own->logical_bytes += st->size_bytes;
	own->frozen |= st->frozen;
	if (st->links == 1)
		own->exclusive_bytes += st->used_bytes;
	own->modified_ms = later(own->modified_ms, st->mtime_ms);
	own->changed_ms = later(own->changed_ms, st->mtime_ms);
	note_access(walk, folder, fd, name, st);
	/* It may be growing, which its folder does not show. */
	if (walk->now_ms - st->mtime_ms < later(walk->root->config.settle_ms, RACY_MS))
		folder->hot = true;
	if (partial_name(name))
		note_partial(walk, folder, fd, name, st);
	note_sample(folder, name, st->size_bytes);
}

struct entry_arg {
	const struct walk *walk;
	struct folder *folder;
	int fd;
};

static int read_entry(const char *name, void *arg)
{
	struct entry_arg *ea = arg;
	struct folder *folder = ea->folder;
	struct disk_stat st;

	if (disk_stat(ea->fd, name, &st) != 0)
		return errno == ENOENT ? 0 : -1;
	if (st.mount != ea->walk->mount) {
		folder->own.odd = "another file system is mounted in it";
		return 0;
	}
	folder->own.frozen |= st.frozen;
	switch (st.type) {
	case DISK_FILE: note_file(ea->walk, folder, ea->fd, name, &st); return 0;
	case DISK_LINK: /* goes with the folder; what it points at is not ours */
		note_access(ea->walk, folder, ea->fd, name, &st);
		return 0;
	case DISK_DIRECTORY:
		folder->folders = xgrow(folder->folders, folder->folder_count,
					&folder->folder_capacity, sizeof(*folder->folders));
		folder->folders[folder->folder_count++] = xstrdup(name);
		return 0;
	default: folder->own.odd = "neither a file, a folder nor a link"; return 0;
	}
}

static int read_folder(const struct walk *walk, struct folder *folder, int fd,
		       const struct disk_stat *st)
{
	struct entry_arg ea = {walk, folder, fd};

	changed(walk->tree);
	clear_folder(folder);
	folder->inode = st->inode;
	folder->mtime_ns = st->mtime_ns;
	folder->ctime_ns = st->ctime_ns;
	folder->own.changed_ms = st->ctime_ns / 1000000;
	folder->own.frozen = st->frozen;
	if (walk->now_ms - folder->own.changed_ms < RACY_MS)
		folder->hot = true;
	if (disk_list(fd, read_entry, &ea) != 0) {
		folder->hot = true;
		return -1;
	}
	return 0;
}

/* Read lately: others of its files may be read next, and each read must leave a trace. */
static bool lively(const struct walk *walk, const struct folder *folder)
{
	const struct tree_sum *own = &folder->own;

	return own->used_ms > own->changed_ms && walk->now_ms - own->used_ms < LIVELY_MS;
}

/* An unchanged folder: only its largest files are looked at, for uses and for growth. */
static bool still_valid(const struct walk *walk, struct folder *folder, int fd,
			const struct disk_stat *st)
{
	if (folder->hot || folder->inode != st->inode || folder->mtime_ns != st->mtime_ns ||
	    folder->ctime_ns != st->ctime_ns)
		return false;
	for (int i = 0; i < SAMPLES && folder->samples[i] != NULL; i++) {
		struct disk_stat file;

		if (disk_stat(fd, folder->samples[i], &file) != 0 ||
		    file.size_bytes != folder->sample_bytes[i])
			return false;
		note_access(walk, folder, fd, folder->samples[i], &file);
	}
	return !lively(walk, folder);
}

/* ---- the whole tree ---- */

/* FNV-1a over 64-bit values. */
static uint64_t mix(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++) {
		hash ^= value >> (8 * i) & 0xff;
		hash *= UINT64_C(0x100000001b3);
	}
	return hash;
}

static void add_up(struct tree_sum *sum, const struct folder *folder)
{
	const struct tree_sum *own = &folder->own;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	sum->files += own->files;
	sum->logical_bytes += own->logical_bytes;
	sum->exclusive_bytes += own->exclusive_bytes;
	sum->changed_ms = later(sum->changed_ms, own->changed_ms);
	sum->modified_ms = later(sum->modified_ms, own->modified_ms);
	sum->used_ms = later(sum->used_ms, own->used_ms);
	sum->partial_active |= own->partial_active;
	sum->frozen |= own->frozen;
	if (own->partial[0] != '\0')
		memcpy(sum->partial, own->partial, sizeof(sum->partial));
	if (own->odd != NULL)
		sum->odd = own->odd;
	/* The same in whatever order the folders come. */
	hash = mix(mix(hash, folder->inode), (uint64_t)folder->mtime_ns);
	sum->generation += mix(hash, (uint64_t)own->files);
}

static struct folder *find_folder(struct tree *tree, const char *path)
{
	struct folder *folder;

	HASH_FIND_STR(tree->folders, path, folder);
	if (folder == NULL) {
		folder = xcalloc(1, sizeof(*folder));
		folder->path = xstrdup(path);
		folder->hot = true;
		HASH_ADD_KEYPTR(hh, tree->folders, folder->path, strlen(folder->path), folder);
	}
	return folder;
}

static int walk_folder(struct walk *walk, int fd, const char *path, unsigned depth)
{
	struct folder *folder = find_folder(walk->tree, path);
	char below[PATH_SIZE];
	struct disk_stat st;

	if (disk_stat_fd(fd, &st) != 0)
		return -1;
	folder->round = walk->tree->round;
	if (!still_valid(walk, folder, fd, &st) && read_folder(walk, folder, fd, &st) != 0)
		return -1;
	add_up(walk->sum, folder);
	if (walk->root->breathe != NULL)
		walk->root->breathe((struct root *)walk->root);
	for (size_t i = 0; i < folder->folder_count; i++) {
		const char *name = folder->folders[i];
		int sub, rc;

		if (depth == DEPTH_MAX ||
		    (size_t)snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "",
				     name) >= sizeof(below)) {
			walk->sum->odd = "folders are nested too deeply";
			return 0;
		}
		sub = disk_open_dir(fd, name);
		if (sub < 0 && errno == EXDEV)
			walk->sum->odd = "another file system is mounted in it";
		if (sub < 0 && (errno == EXDEV || errno == ENOENT))
			continue;
		if (sub < 0)
			return -1;
		rc = walk_folder(walk, sub, below, depth + 1);
		close(sub);
		if (rc != 0)
			return rc;
	}
	return 0;
}

int tree_read(struct tree *tree, struct root *root, const char *path, struct tree_sum *sum)
{
	struct walk walk = {.tree = tree,
			    .root = root,
			    .sum = sum,
			    .now_ms = clock_wall_ms(),
			    .mount = root->identity.mount};
	int fd = disk_open_dir(root->fd, path);
	struct folder *folder, *next;
	int rc, saved;

	memset(sum, 0, sizeof(*sum));
	if (fd < 0)
		return -1;
	tree->round++;
	rc = walk_folder(&walk, fd, "", 0);
	saved = errno;
	close(fd);
	HASH_ITER (hh, tree->folders, folder, next) {
		if (rc == 0 && folder->round != tree->round)
			drop_folder(tree, folder);
	}
	/* As short as that of a snapshot (hf_repo_generation). */
	sum->generation = (sum->generation ^ sum->generation >> 32) & UINT64_C(0xffffffff);
	if (sum->generation == 0)
		sum->generation = 1;
	errno = saved;
	return rc;
}

void tree_watch(const struct tree *tree, struct watch_plan *plan, const char *path,
		const char *model)
{
	char below[PATH_SIZE];

	if (!watch_plan_group(plan, path, tree->version))
		return;
	for (const struct folder *folder = tree->folders; folder != NULL;
	     folder = folder->hh.next) {
		if (folder->own.files == 0 || (size_t)snprintf(below, sizeof(below), "%s%s%s", path,
							       *folder->path != '\0' ? "/" : "",
							       folder->path) >= sizeof(below))
			continue;
		watch_plan_dir(plan, below);
		watch_plan_entry(plan, NULL, model);
	}
}

/* ---- each file ---- */

struct each {
	int dir_fd;
	unsigned depth;
	int (*file)(const struct tree_file *file, void *arg);
	void *arg;
};

static int each_entry(const char *name, void *arg)
{
	struct each *each = arg;
	struct each below = *each;
	struct tree_file file = {.dir_fd = each->dir_fd, .name = name};
	int rc;

	if (disk_stat(each->dir_fd, name, &file.stat) != 0)
		return errno == ENOENT ? 0 : -1;
	if (file.stat.type == DISK_FILE)
		return each->file(&file, each->arg);
	if (file.stat.type != DISK_DIRECTORY)
		return 0;
	if (++below.depth > DEPTH_MAX)
		return -1;
	below.dir_fd = disk_open_dir(each->dir_fd, name);
	if (below.dir_fd < 0)
		return -1;
	rc = disk_list(below.dir_fd, each_entry, &below);
	close(below.dir_fd);
	return rc;
}

int tree_each_file(int dir_fd, int (*file)(const struct tree_file *file, void *arg), void *arg)
{
	struct each each = {dir_fd, 0, file, arg};

	return disk_list(dir_fd, each_entry, &each);
}
