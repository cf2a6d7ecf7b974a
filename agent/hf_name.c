/* Names revisions in a Hugging Face cache. */
#include "agent/hf_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest.h"

#define COMMIT_LEN 40
#define SHORT_LEN  12

static const struct {
	const char *prefix, *layout;
} kinds[] = {
	{"models--", "hf"},
	{"datasets--", "hf.d"},
	{"spaces--", "hf.s"},
	{"kernels--", "hf.k"},
};

static int kind_of(const char *folder)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(folder, kinds[i].prefix, len) == 0 && folder[len] != '\0')
			return (int)i;
	}
	return -1;
}

const char *hf_name_layout(const char *folder)
{
	int kind = kind_of(folder);

	return kind >= 0 ? kinds[kind].layout : NULL;
}

static bool is_commit(const char *commit)
{
	return strlen(commit) == COMMIT_LEN && strspn(commit, "0123456789abcdef") == COMMIT_LEN;
}

unsigned hf_name_revision_len(const char *const *commits, size_t count)
{
	unsigned len = SHORT_LEN;

	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < i; j++) {
			while (len < COMMIT_LEN && strncmp(commits[i], commits[j], len) == 0)
				len += 4;
		}
	}
	return len;
}

static void spell_revision(char *buf, const char *commit, unsigned len)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-+=";

	if (is_commit(commit))
		snprintf(buf, MODEL_REVISION_MAX + 1, "%.*s", (int)len, commit);
	else if (strlen(commit) <= MODEL_REVISION_MAX && strspn(commit, allowed) == strlen(commit))
		snprintf(buf, MODEL_REVISION_MAX + 1, "%s", commit);
	else
		digest_hex40(buf, commit, strlen(commit));
}

void hf_name_build(char *buf, const char *root, const char *folder, const char *commit,
		   unsigned revision_len)
{
	int kind = kind_of(folder);
	const char *rest = folder + strlen(kinds[kind].prefix);
	char raw[MODEL_NAME_SIZE], revision[MODEL_REVISION_MAX + 1], hex[41];
	size_t used = 0;

	spell_revision(revision, commit, revision_len);
	/* "--" stands for "/"; from the left, as huggingface_hub decodes it. */
	for (; *rest != '\0' && used < sizeof(raw) - 1; rest++) {
		if (rest[0] == '-' && rest[1] == '-') {
			raw[used++] = '/';
			rest++;
		} else {
			raw[used++] = *rest;
		}
	}
	raw[used] = '\0';
	if (*rest == '\0' && model_name_build(buf, kinds[kind].layout, root, raw, revision) == 0)
		return;
	digest_hex40(hex, folder, strlen(folder));
	if (model_name_build_digest(buf, kinds[kind].layout, root, hex, revision) != 0)
		abort(); /* every part of it is valid */
}
