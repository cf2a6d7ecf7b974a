/*
 * What Larder reads in the files of a Hugging Face cache. The first byte says what the rest is:
 *
 *   - R: a ref; it goes with a revision only when it names that and nothing else
 *   - M: a manifest of the shared store; a payload goes only when no line of it, read as generously
 *     as any client may, is a reference to it
 *   - I: an index of weights, as text; J: one that is made from the bytes; E: one in a snapshot
 *   - G: the name of a part of a GGUF file
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/hf_evidence.h"
#include "agent/hf_judge.h"
#include "agent/hf_refs.h"
#include "agent/hf_repo.h"
#include "agent/hf_store.h"
#include "agent/root.h"
#include "common/log.h"
#include "common/xmem.h"
#include "tests/fuzz/fuzz.h"

#define COMMIT	"0e9e39f249a16976918f6564b8830bc894c89659"
#define TXN	"00112233aabbccdd"
#define PREFIX	"ab"
#define PAYLOAD PREFIX "cdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
#define OTHER	PREFIX "cdef0123456789abcdef0123456789abcdef0123456789abcdef0123456780"
#define STORED	"blobs/" PREFIX "/" PAYLOAD

static char base[256];
static int hub = -1;

/* ---- a cache ---- */

static void make(const char *path, const void *data, size_t len)
{
	int fd = openat(hub, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	REQUIRE(fd >= 0 && write(fd, data, len) == (ssize_t)len);
	close(fd);
}

static void make_text(const char *path, const char *text)
{
	make(path, text, strlen(text));
}

static void make_link(const char *target, const char *path)
{
	REQUIRE(symlinkat(target, hub, path) == 0 || errno == EEXIST);
}

static void make_folders(const char *const *paths)
{
	for (; *paths != NULL; paths++)
		REQUIRE(mkdirat(hub, *paths, 0755) == 0);
}

static void make_cache(void)
{
	static const char *const folders[] = {
		"blobs",
		"blobs/" PREFIX, /* NOLINT(bugprone-suspicious-missing-comma) */
		"models--a--b",
		"models--a--b/blobs",
		"models--a--b/refs",
		"models--a--b/snapshots",
		"models--a--b/snapshots/" COMMIT,
		"models--c--d",
		"models--c--d/blobs",
		"datasets--e",
		"datasets--e/blobs",
		"spaces--f",
		"spaces--f/blobs",
		"trash",
		NULL,
	};
	char absolute[400];

	make_folders(folders);
	make_text("blobs/.huggingface-shared-blobs", "1\n");
	make_text("blobs/" PREFIX "/" OTHER, "other");
	make_link("../../" STORED, "models--c--d/blobs/y");
	snprintf(absolute, sizeof(absolute), "%s/" STORED, base);
	make_link(absolute, "datasets--e/blobs/z");
	make_link("../../blobs/" PREFIX "/" OTHER, "spaces--f/blobs/w");
	make_link("models--c--d", "models--l");
	make_text("models--a--b/snapshots/" COMMIT "/config.json", "{}");
	make_text("models--a--b/snapshots/" COMMIT "/model.safetensors", "weights");
}

static void clean(void)
{
	fuzz_remove(base);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *tmp = getenv("TMPDIR");

	(void)argc;
	(void)argv;
	snprintf(base, sizeof(base), "%s/larder-fuzz-XXXXXX", tmp != NULL ? tmp : "/tmp");
	REQUIRE(mkdtemp(base) != NULL);
	atexit(clean);
	hub = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	REQUIRE(hub >= 0);
	make_cache();
	log_setup("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	return 0;
}

static bool there(const char *path)
{
	struct stat st;

	return fstatat(hub, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static int open_folder(const char *path)
{
	int fd = openat(hub, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	REQUIRE(fd >= 0);
	return fd;
}

/* ---- a ref ---- */

static bool names_commit(const char *data, size_t size)
{
	size_t own = strlen(COMMIT);

	if (size < own || memcmp(data, COMMIT, own) != 0)
		return false;
	for (size_t i = own; i < size; i++) {
		if (data[i] == '\0' || strchr(" \t\r\n", data[i]) == NULL)
			return false;
	}
	return true;
}

static void read_ref(const char *data, size_t size)
{
	int repo = open_folder("models--a--b");
	bool gone;

	make("models--a--b/refs/main", data, size);
	REQUIRE(hf_refs_aside(repo, TXN, COMMIT) == 0);
	gone = !there("models--a--b/refs/main");
	REQUIRE(!gone || names_commit(data, size));
	REQUIRE(gone || !names_commit(data, size) || size > 512);
	hf_refs_restore(repo, TXN);
	REQUIRE(there("models--a--b/refs/main"));
	REQUIRE(hf_refs_aside(repo, TXN, COMMIT) == 0);
	hf_refs_drop(repo, TXN);
	REQUIRE(there("models--a--b/refs/main") == !gone);
	close(repo);
}

/* ---- a manifest ---- */

/* A path without what a client may leave out: "./", "//", a slash at the end. */
static void plain_path(char *out, const char *line, size_t len)
{
	size_t used = 0;

	for (size_t at = 0; at < len;) {
		size_t end = at;

		while (end < len && line[end] != '/')
			end++;
		if (end > at && !(end - at == 1 && line[at] == '.')) {
			if (used > 0)
				out[used++] = '/';
			memcpy(out + used, line + at, end - at);
			used += end - at;
		}
		at = end + 1;
	}
	out[used] = '\0';
}

/* Does any line refer to the payload, wherever a client may see lines end? */
static bool referred_to(const char *data, size_t size)
{
	static const char *const references[] = {"models--c--d/blobs/y", "datasets--e/blobs/z",
						 "models--l/blobs/y"};
	static const char ends[] = "\n\r\v\f\x1c\x1d\x1e";
	char *path = xmalloc(size + 2);
	bool found = false;

	for (size_t at = 0, end; at < size; at = end + 1) {
		for (end = at; end < size && data[end] != '\0' && strchr(ends, data[end]) == NULL;)
			end++;
		plain_path(path, data + at, end - at);
		for (size_t i = 0; i < ARRAY_SIZE(references); i++)
			found |= strcmp(path, references[i]) == 0 && data[at] != '/';
	}
	free(path);
	return found;
}

static void read_manifest(const char *data, size_t size)
{
	struct hf_store_link link = {.hub_fd = hub, .payload = PAYLOAD, .name = "x"};
	bool gone;

	make_text(STORED, "payload");
	make(STORED ".refs", data, size);
	make_link("../../" STORED, "models--a--b/blobs/x");
	link.store_fd = hf_store_open(hub);
	link.blobs_fd = open_folder("models--a--b/blobs");
	link.trash_fd = open_folder("trash");
	link.trash_name = "payload";
	REQUIRE(link.store_fd >= 0);
	hf_store_release(&link);
	gone = !there(STORED);
	REQUIRE(!there("models--a--b/blobs/x"));
	REQUIRE(gone == there("trash/payload"));
	REQUIRE(!gone || !referred_to(data, size));
	REQUIRE(gone || there(STORED ".refs"));
	if (size == 0 || (size == 21 && memcmp(data, "models--a--b/blobs/x\n", 21) == 0))
		REQUIRE(gone);
	REQUIRE(there("blobs/" PREFIX "/" OTHER));
	unlinkat(hub, "trash/payload", 0);
	close(link.store_fd);
	close(link.blobs_fd);
	close(link.trash_fd);
}

/* ---- an index ---- */

struct named {
	const char *text;
	size_t len;
	const char *const *expected; /* NULL: any */
	size_t count, most;
};

static bool on_file(const char *name, void *arg)
{
	struct named *named = arg;
	size_t len = strlen(name);
	char *quoted = xasprintf("\"%s\"", name);

	REQUIRE(len < 256);
	REQUIRE(memmem(named->text, named->len, quoted, len + 2) != NULL);
	if (named->expected != NULL)
		REQUIRE(named->count < named->most &&
			strcmp(named->expected[named->count], name) == 0);
	named->count++;
	free(quoted);
	return true;
}

static void read_index(const char *data, size_t size)
{
	struct named named = {.text = data, .len = size};

	hf_judge_index(data, size, on_file, &named);
}

/* One as its writers write it: every file that it names is reported, in its order. */
static void make_index(const uint8_t *data, size_t size)
{
	static const char *const files[] = {"model-00001-of-00002.safetensors", "a", "sub/b.bin",
					    ""};
	static const char *const spaces[] = {"", " ", "\n    ", "\t\r\n"};
	struct fuzz_choices c = {data, size};
	const char *expected[64];
	char *text = xstrdup("{\"metadata\": {\"total_size\": 5}, \"weight_map\": {");
	struct named named = {.expected = expected};

	for (size_t i = 0, count = fuzz_choose(&c, 64); i < count; i++) {
		const char *file = files[fuzz_choose(&c, ARRAY_SIZE(files))];
		char *more = xasprintf("%s%s%s\"layer.%zu\"%s:%s\"%s\"", text, i > 0 ? "," : "",
				       spaces[fuzz_choose(&c, 4)], i, spaces[fuzz_choose(&c, 4)],
				       spaces[fuzz_choose(&c, 4)], file);

		free(text);
		text = more;
		if (named.most > 0 ? strcmp(expected[named.most - 1], file) != 0 : *file != '\0')
			expected[named.most++] = file;
	}
	named.text = text;
	named.len = strlen(text);
	hf_judge_index(text, named.len, on_file, &named);
	REQUIRE(named.count == named.most);
	free(text);
}

static void read_snapshot(const char *data, size_t size)
{
	struct root root = {.config = {.settle_ms = 0}};
	struct hf_repo repo;
	struct err err = {""};
	char why[96] = "";
	int error;

	make("models--a--b/snapshots/" COMMIT "/model.safetensors.index.json", data, size);
	REQUIRE(hf_repo_read(hub, -1, "models--a--b", &repo, &error, &err) == 0);
	REQUIRE(repo.revision_count == 1);
	if (hf_evidence_verdict(&root, &repo, &repo.revisions[0], false, why, sizeof(why)) ==
	    HF_BROKEN)
		REQUIRE(why[0] != '\0');
	hf_repo_free(&repo);
}

/* ---- parts ---- */

static void read_part(const char *path)
{
	char buf[9000], again[9000];
	size_t len = strlen(path);
	unsigned parts = hf_judge_gguf_part(path, 1, buf, sizeof(buf));

	if (parts == 0)
		return;
	REQUIRE(parts <= 99999 && strlen(buf) == len && len >= 20);
	REQUIRE(hf_judge_gguf_part(buf, 1, again, sizeof(again)) == parts);
	REQUIRE(strcmp(buf, again) == 0);
	hf_judge_gguf_part(buf, (unsigned)strtoul(path + len - 19, NULL, 10), again, sizeof(again));
	REQUIRE(strcmp(path, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest = (const char *)data + 1;
	char *text;

	if (size == 0)
		return 0;
	switch (*data) {
	case 'R': read_ref(rest, size - 1); break;
	case 'M': read_manifest(rest, size - 1); break;
	case 'I': read_index(rest, size - 1); break;
	case 'J': make_index(data + 1, size - 1); break;
	case 'E': read_snapshot(rest, size - 1); break;
	case 'G':
		text = fuzz_text(data + 1, size - 1);
		read_part(text);
		free(text);
		break;
	default: break;
	}
	return 0;
}
