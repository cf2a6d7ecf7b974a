/* Which models does a name from outside mean? (pure) */
#include "agent/model_ref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/model_name.h"
#include "common/xmem.h"

#define TEXT_MAX     4096
#define COMMIT_LEAST 7
#define COMMIT_MOST  64
/* The hub allows 96; local folders are less strict. */
#define REPO_MAX 256

static bool is_commit(const char *text)
{
	size_t len = strlen(text);

	return len >= COMMIT_LEAST && len <= COMMIT_MOST &&
	       strspn(text, "0123456789abcdefABCDEF") == len;
}

void model_ref_make(struct model_ref *out, enum model_ref_kind kind, const char *text,
		    const char *revision)
{
	*out = (struct model_ref){.kind = kind, .text = xstrdup(text)};
	if (revision != NULL && is_commit(revision) &&
	    (kind == MODEL_REF_REPO || kind == MODEL_REF_FOLDER))
		out->revision = xstrdup(revision);
}

/* How long the prefix of a repository's folder is at the beginning of `text`; 0: it has none. */
static size_t prefix_length(const char *text)
{
	static const char *const prefixes[] = {"models--", "datasets--", "spaces--", "kernels--"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		if (strncasecmp(text, prefixes[i], strlen(prefixes[i])) == 0)
			return strlen(prefixes[i]);
	}
	return 0;
}

/* ".../models--X[/snapshots/REV[/...]]" */
static bool guess_folder(struct model_ref *out, const char *text, const char *revision)
{
	static const char snapshots[] = "/snapshots/";
	const char *part = text;
	size_t len;
	char *folder, *commit = NULL;

	while (prefix_length(part) == 0) {
		part = strchr(part, '/');
		if (part == NULL)
			return false;
		part++;
	}
	len = strcspn(part, "/");
	folder = xstrndup(part, len);
	if (strncmp(part + len, snapshots, strlen(snapshots)) == 0) {
		part += len + strlen(snapshots);
		commit = xstrndup(part, strcspn(part, "/"));
		revision = commit;
	}
	model_ref_make(out, MODEL_REF_FOLDER, folder, revision);
	free(folder);
	free(commit);
	return true;
}

static bool is_repo(const char *text)
{
	const char *slash = strchr(text, '/');
	size_t len = strlen(text);

	if (len == 0 || len > REPO_MAX || slash == text || text[len - 1] == '/')
		return false;
	if (slash != NULL && strchr(slash + 1, '/') != NULL)
		return false;
	for (const char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f)
			return false;
	}
	return strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

bool model_ref_guess(struct model_ref *out, const char *text, const char *revision)
{
	if (strlen(text) > TEXT_MAX)
		return false;
	if (guess_folder(out, text, revision))
		return true;
	if (text[0] == '/') {
		model_ref_make(out, MODEL_REF_PATH, text, NULL);
		return true;
	}
	if (!is_repo(text))
		return false;
	model_ref_make(out, MODEL_REF_REPO, text, revision);
	return true;
}

/* ---- matching ---- */

static bool is_hub(const struct model_ref_facts *model)
{
	return strcmp(model->layout, "huggingface") == 0;
}

static bool is_revision(const char *commit, const char *revision)
{
	/* What has no commit yet may become any. */
	return revision == NULL || *commit == '\0' || !is_commit(commit) ||
	       strncasecmp(commit, revision, strlen(revision)) == 0;
}

/* The locator is "folder/commit". Case is kept on disks, but the hub itself does not mind it. */
static bool in_folder(const struct model_ref_facts *model, const char *folder, const char *revision)
{
	size_t len = strlen(folder);

	return strncasecmp(model->locator, folder, len) == 0 && model->locator[len] == '/' &&
	       is_revision(model->locator + len + 1, revision);
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* How long the folder of a repository is at the beginning of `locator`; 0: another one is there. */
static size_t folder_length(const char *locator, const char *repo)
{
	size_t len = prefix_length(locator);

	if (len == 0)
		return 0;
	for (; *repo != '\0'; repo++) {
		if (*repo == '/' && locator[len] == '-' && locator[len + 1] == '-')
			len += 2;
		else if (*repo != '/' && lower(locator[len]) == lower(*repo))
			len++;
		else
			return 0;
	}
	return locator[len] == '/' ? len : 0;
}

static bool is_repository(const struct model_ref_facts *model, const struct model_ref *ref)
{
	size_t len;

	if (!is_hub(model))
		return strcasecmp(model->locator, ref->text) == 0;
	len = folder_length(model->locator, ref->text);
	return len > 0 && is_revision(model->locator + len + 1, ref->revision);
}

/* The next part of a path, its length in `*len` (0: there is none); "//" and "/./" are "/". */
static const char *next_part(const char *path, size_t *len)
{
	for (;;) {
		path += strspn(path, "/");
		*len = strcspn(path, "/");
		if (*len != 1 || path[0] != '.')
			return path;
		path++;
	}
}

/* What follows `prefix` in `path`; NULL: it is neither that nor lies below it. */
static const char *below(const char *path, const char *prefix)
{
	size_t len, want;

	for (;;) {
		prefix = next_part(prefix, &want);
		if (want == 0)
			return path;
		path = next_part(path, &len);
		if (len != want || strncmp(path, prefix, len) != 0)
			return NULL;
		path += len;
		prefix += len;
	}
}

bool model_ref_holds_path(const struct model_ref_facts *model, const char *path)
{
	const char *rest = path[0] == '/' ? below(path, model->root_path) : NULL;
	const char *slash = strchr(model->locator, '/');
	char snapshot[4600];
	size_t len = 0;

	if (rest == NULL)
		return false;
	(void)next_part(rest, &len);
	if (len == 0)
		return false;
	if (below(rest, model->locator) != NULL)
		return true;
	/* The locator is "folder/commit", the path folder/snapshots/commit. */
	if (!is_hub(model) || slash == NULL ||
	    (size_t)snprintf(snapshot, sizeof(snapshot), "%.*s/snapshots/%s",
			     (int)(slash - model->locator), model->locator,
			     slash + 1) >= sizeof(snapshot))
		return false;
	return below(rest, snapshot) != NULL;
}

bool model_ref_matches(const struct model_ref *ref, const struct model_ref_facts *model)
{
	switch (ref->kind) {
	case MODEL_REF_NAME: return strcmp(ref->text, model->name) == 0;
	case MODEL_REF_REPO: return is_repository(model, ref);
	case MODEL_REF_FOLDER: return is_hub(model) && in_folder(model, ref->text, ref->revision);
	case MODEL_REF_PATH: return model_ref_holds_path(model, ref->text);
	}
	return true; /* unknown means keep */
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool model_ref_equal(const struct model_ref *a, const struct model_ref *b)
{
	return a->kind == b->kind && same_text(a->text, b->text) &&
	       same_text(a->revision, b->revision);
}

void model_ref_free(struct model_ref *ref)
{
	free(ref->text);
	free(ref->revision);
	*ref = (struct model_ref){0};
}
