/* Which models a name from outside means: engines, pods and callers name them in their own ways. */
#include "agent/model_ref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit.h"

#define A "0e9e39f249a16976918f6564b8830bc894c89659"
#define B "11a2c2e2e0b7e2a1d3c4b5a697887766554433ff"

struct guess {
	const char *text, *revision;
	int kind; /* -1: no model */
	const char *want, *want_revision;
};

static const struct guess guesses[] = {
	/* a hub repository, as engines name what they serve */
	{"meta-llama/Llama-3.1-8B", NULL, MODEL_REF_REPO, "meta-llama/Llama-3.1-8B", NULL},
	{"gpt2", NULL, MODEL_REF_REPO, "gpt2", NULL},
	{"gpt2", A, MODEL_REF_REPO, "gpt2", A},
	{"gpt2", "0e9e39f", MODEL_REF_REPO, "gpt2", "0e9e39f"},
	/* a branch or tag may be any commit */
	{"gpt2", "main", MODEL_REF_REPO, "gpt2", NULL},
	{"gpt2", "", MODEL_REF_REPO, "gpt2", NULL},
	{"gpt2", "deadbe", MODEL_REF_REPO, "gpt2", NULL},
	/* a folder of a cache, wherever a container has mounted it */
	{"/root/.cache/huggingface/hub/models--o--n/snapshots/" A, NULL, MODEL_REF_FOLDER,
	 "models--o--n", A},
	{"/m/models--o--n/snapshots/" A "/model.safetensors", NULL, MODEL_REF_FOLDER,
	 "models--o--n", A},
	{"/m/models--o--n/snapshots/" A, B, MODEL_REF_FOLDER, "models--o--n", A},
	{"/m/models--o--n", NULL, MODEL_REF_FOLDER, "models--o--n", NULL},
	{"/m/models--o--n", B, MODEL_REF_FOLDER, "models--o--n", B},
	{"/m/models--o--n/refs/main", NULL, MODEL_REF_FOLDER, "models--o--n", NULL},
	{"/m/datasets--o--n/snapshots/" A, NULL, MODEL_REF_FOLDER, "datasets--o--n", A},
	{"models--o--n/snapshots/v1", NULL, MODEL_REF_FOLDER, "models--o--n", NULL},
	/* other paths */
	{"/models/llama", NULL, MODEL_REF_PATH, "/models/llama", NULL},
	{"/models/llama/", A, MODEL_REF_PATH, "/models/llama/", NULL},
	{"/models/xmodels--o--n", NULL, MODEL_REF_PATH, "/models/xmodels--o--n", NULL},
	/* nothing that a model could be called */
	{"", NULL, -1, NULL, NULL},
	{"a b", NULL, -1, NULL, NULL},
	{"a/b/c", NULL, -1, NULL, NULL},
	{"a/", NULL, -1, NULL, NULL},
	{"..", NULL, -1, NULL, NULL},
	{".", NULL, -1, NULL, NULL},
	{"a\nb", NULL, -1, NULL, NULL},
	{"caf\xc3\xa9", NULL, -1, NULL, NULL},
};

static void test_guess(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(guesses); i++) {
		const struct guess *g = &guesses[i];
		struct model_ref ref = {0};

		if (!model_ref_guess(&ref, g->text, g->revision)) {
			if (g->kind != -1)
				fail_msg("\"%s\" was taken for nothing", g->text);
			continue;
		}
		if ((int)ref.kind != g->kind || strcmp(ref.text, g->want) != 0 ||
		    (ref.revision == NULL) != (g->want_revision == NULL) ||
		    (ref.revision != NULL && strcmp(ref.revision, g->want_revision) != 0))
			fail_msg("\"%s\" became %d \"%s\" @ %s", g->text, ref.kind, ref.text,
				 ref.revision != NULL ? ref.revision : "any");
		model_ref_free(&ref);
	}
}

static void test_guess_is_bounded(void **state)
{
	char text[8192];
	struct model_ref ref;

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_false(model_ref_guess(&ref, text, NULL));
	text[0] = '/';
	assert_false(model_ref_guess(&ref, text, NULL));
	text[0] = 'x';
	text[300] = '\0';
	assert_false(model_ref_guess(&ref, text, NULL));
}

static const struct model_ref_facts hub_a = {"hf:o/n@0e9e39f249a1", "huggingface",
					     "models--o--n/" A, "/nvme/hub"};
static const struct model_ref_facts hub_new = {"hf:o/n@-", "huggingface", "models--o--n/",
					       "/nvme/hub/"};
static const struct model_ref_facts nim = {"hf:nim/x@hf-1", "huggingface",
					   "models--nim--x/hf-8c22764-nim1.5+", "/nim"};
static const struct model_ref_facts dataset = {"hf.d:acme/texts@0e9e39f249a1", "huggingface",
					       "datasets--acme--texts/" A, "/nvme/hub"};
static const struct model_ref_facts dir = {"dir:team/llama@-", "directory", "team/llama",
					   "/models"};

static const struct {
	enum model_ref_kind kind;
	const char *text, *revision;
	const struct model_ref_facts *model;
	bool matches;
} rows[] = {
	{MODEL_REF_NAME, "hf:o/n@0e9e39f249a1", NULL, &hub_a, true},
	{MODEL_REF_NAME, "hf:o/n@0e9e39f249a", NULL, &hub_a, false},
	{MODEL_REF_REPO, "o/n", NULL, &hub_a, true},
	{MODEL_REF_REPO, "O/N", NULL, &hub_a, true},
	{MODEL_REF_REPO, "o/n2", NULL, &hub_a, false},
	{MODEL_REF_REPO, "o", NULL, &hub_a, false},
	{MODEL_REF_REPO, "o/n", A, &hub_a, true},
	{MODEL_REF_REPO, "o/n", "0e9e39f", &hub_a, true},
	{MODEL_REF_REPO, "o/n", B, &hub_a, false},
	/* what has no commit yet, or one that is none, may be it */
	{MODEL_REF_REPO, "o/n", B, &hub_new, true},
	{MODEL_REF_REPO, "nim/x", B, &nim, true},
	{MODEL_REF_REPO, "team/llama", NULL, &dir, true},
	{MODEL_REF_REPO, "llama", NULL, &dir, false},
	{MODEL_REF_FOLDER, "models--o--n", NULL, &hub_a, true},
	{MODEL_REF_FOLDER, "models--o--n", B, &hub_a, false},
	{MODEL_REF_FOLDER, "models--o--n", NULL, &dir, false},
	{MODEL_REF_FOLDER, "models--o--", NULL, &hub_a, false},
	{MODEL_REF_PATH, "/models/team/llama", NULL, &dir, true},
	{MODEL_REF_PATH, "/models/team/llama/x/y", NULL, &dir, true},
	{MODEL_REF_PATH, "/models/team/llama2", NULL, &dir, false},
	{MODEL_REF_PATH, "/models/team", NULL, &dir, false},
	{MODEL_REF_PATH, "/models", NULL, &dir, false},
	{MODEL_REF_PATH, "/models2/team/llama", NULL, &dir, false},
	{MODEL_REF_PATH, "/nvme/hub/models--o--n/snapshots/" A "/f", NULL, &hub_a, true},
	{MODEL_REF_PATH, "/nvme/hub/models--o--n/snapshots/" A, NULL, &hub_a, true},
	{MODEL_REF_PATH, "/nvme/hub/models--o--n/snapshots/" A "0", NULL, &hub_a, false},
	{MODEL_REF_PATH, "/nvme/hub/models--o--n/snapshots", NULL, &hub_a, false},
	{MODEL_REF_PATH, "/nvme/hub", NULL, &hub_a, false},
	{MODEL_REF_PATH, "/nvme/hub/", NULL, &hub_new, false},
	{MODEL_REF_PATH, "/nvme/hub/./", NULL, &hub_new, false},
	{MODEL_REF_PATH, "", NULL, &hub_a, false},
	{MODEL_REF_PATH, "models/team/llama", NULL, &dir, false},
	/* the same path, as people and templates write it */
	{MODEL_REF_PATH, "/models/team/llama/", NULL, &dir, true},
	{MODEL_REF_PATH, "//models/./team//llama/./x", NULL, &dir, true},
	{MODEL_REF_PATH, "/models/team/llama.", NULL, &dir, false},
	{MODEL_REF_PATH, "/models/team/../team/llama", NULL, &dir, false},
	{MODEL_REF_PATH, "/nvme//hub/models--o--n/./snapshots/" A, NULL, &hub_a, true},
	{MODEL_REF_PATH, "/nvme/hub/models--o--n/snapshots/" A "/f", NULL, &hub_new, true},
	/* a repository of any kind */
	{MODEL_REF_REPO, "acme/texts", NULL, &dataset, true},
	{MODEL_REF_REPO, "acme/texts", B, &dataset, false},
	{MODEL_REF_FOLDER, "datasets--acme--texts", A, &dataset, true},
	{MODEL_REF_FOLDER, "models--acme--texts", A, &dataset, false},
};

static void test_matches(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct model_ref ref;

		model_ref_make(&ref, rows[i].kind, rows[i].text, rows[i].revision);
		if (model_ref_matches(&ref, rows[i].model) != rows[i].matches)
			fail_msg("row %zu: \"%s\" and %s", i, rows[i].text, rows[i].model->name);
		model_ref_free(&ref);
	}
}

/* The folder computed from a repository's name is the one that the hub's clients make. */
static void test_folder_of_repo(void **state)
{
	struct rng rng = rng_start("model_ref");

	(void)state;
	for (int round = 0; round < 2000; round++) {
		char repo[32], locator[96];
		struct model_ref_facts model = {"hf:x@1", "huggingface", locator, "/r"};
		struct model_ref ref;
		size_t len = 1 + rng_below(&rng, 10), used;

		for (size_t i = 0; i < len; i++)
			repo[i] = "abcZ09._-"[rng_below(&rng, 9)];
		repo[len] = '\0';
		if (len > 3 && rng_chance(&rng, 50))
			repo[1 + rng_below(&rng, len - 2)] = '/';
		used = (size_t)snprintf(locator, sizeof(locator), "models--");
		for (const char *p = repo; *p != '\0'; p++)
			used += (size_t)snprintf(locator + used, sizeof(locator) - used, "%s",
						 *p == '/' ? "--" : (char[]){*p, '\0'});
		snprintf(locator + used, sizeof(locator) - used, "/" A);
		model_ref_make(&ref, MODEL_REF_REPO, repo, NULL);
		if (!model_ref_matches(&ref, &model))
			fail_msg("%s is not found in %s", repo, locator);
		model_ref_free(&ref);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guess),
		cmocka_unit_test(test_guess_is_bounded),
		cmocka_unit_test(test_matches),
		cmocka_unit_test(test_folder_of_repo),
	};

	return RUN_TESTS(tests);
}
