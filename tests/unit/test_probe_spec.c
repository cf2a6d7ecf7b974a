/* From what an engine serves to cached models. */
#include "agent/probe_spec.h"

#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"
#include "tests/unit/kit.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void test_ref(void **state)
{
	static const struct {
		const char *text;
		enum model_ref_kind kind;
		const char *ref, *revision;
	} good[] = {
		{"hf:acme/llama@aaaaaaaaaaaa", MODEL_REF_NAME, "hf:acme/llama@aaaaaaaaaaaa", NULL},
		{"dir+nvme:llama/fp8@-", MODEL_REF_NAME, "dir+nvme:llama/fp8@-", NULL},
		{"acme/llama", MODEL_REF_REPO, "acme/llama", NULL},
		{"gpt2", MODEL_REF_REPO, "gpt2", NULL},
		{"acme/llama@0e9e39f", MODEL_REF_REPO, "acme/llama", "0e9e39f"},
		{"team/llama/fp8", MODEL_REF_REPO, "team/llama/fp8", NULL},
		{"models--acme--llama", MODEL_REF_FOLDER, "models--acme--llama", NULL},
		{"/hub/models--acme--llama/snapshots/" A, MODEL_REF_FOLDER, "models--acme--llama",
		 A},
		{"/nvme/engines/llama", MODEL_REF_PATH, "/nvme/engines/llama", NULL},
	};
	static const char *const bad[] = {
		"", "a b/c/d/", "a//b/c", "../../etc", "a/../b/c", "a/\n/b", "\x01", "a/b/c/",
	};
	struct model_ref ref;
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(probe_spec_ref(&ref, good[i].text));
		assert_int_equal(ref.kind, good[i].kind);
		assert_string_equal(ref.text, good[i].ref);
		if (good[i].revision != NULL)
			assert_string_equal(ref.revision, good[i].revision);
		else
			assert_null(ref.revision);
		model_ref_free(&ref);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(probe_spec_ref(&ref, bad[i]));
	text = xcalloc(2000, 1);
	memset(text, 'a', 1999);
	assert_false(probe_spec_ref(&ref, text));
	free(text);
}

/* What is served under one name, as "kind:text[@revision]" of each reference. */
static char *mapped(const struct probe_spec *spec, const char *name, const char *revision)
{
	static const char *const kinds[] = {[MODEL_REF_NAME] = "name",
					    [MODEL_REF_REPO] = "repo",
					    [MODEL_REF_FOLDER] = "folder",
					    [MODEL_REF_PATH] = "path"};
	struct model_ref refs[PROBE_REFS_MAX];
	struct engine_view view = {0};
	struct engine_model *model = engine_view_add(&view, name);
	char *all = xstrdup("");
	size_t count;

	model->revision = revision != NULL ? xstrdup(revision) : NULL;
	count = probe_spec_map(spec, model, refs);
	for (size_t i = 0; i < count; i++) {
		char *more = xasprintf("%s%s%s:%s%s%s", all, i > 0 ? " " : "", kinds[refs[i].kind],
				       refs[i].text, refs[i].revision != NULL ? "@" : "",
				       refs[i].revision != NULL ? refs[i].revision : "");

		free(all);
		all = more;
		model_ref_free(&refs[i]);
	}
	engine_view_free(&view);
	return all;
}

static void test_map(void **state)
{
	static const struct {
		const char *name, *revision, *refs;
	} cases[] = {
		{"acme/llama", NULL, "repo:acme/llama"},
		{"acme/llama", A, "repo:acme/llama@" A},
		{"acme/llama", "main", "repo:acme/llama"},
		{"chat", NULL, "name:hf:acme/llama@aaaaaaaaaaaa repo:chat"},
		{"two", NULL, "repo:acme/one path:/nvme/two repo:two"},
		/* Wherever it is mounted. */
		{"/any/models--acme--llama/snapshots/" A "/x.gguf", NULL,
		 "folder:models--acme--llama@" A},
		/* The longest prefix, whole parts of it. */
		{"/models/llama", NULL, "path:/nvme0/hub/llama"},
		{"/models", NULL, "path:/nvme0/hub"},
		{"/models/big/llama", NULL, "path:/nvme1/llama"},
		{"/models-old/llama", NULL, "path:/models-old/llama"},
		{"/slash/llama", NULL, "path:/nvme2/llama"},
		{"/elsewhere/llama", NULL, "path:/elsewhere/llama"},
		{"a/b/c", NULL, ""},
		{"with space", NULL, ""},
	};
	struct probe_spec spec = {0};

	(void)state;
	probe_spec_add_alias(&spec, "chat", "hf:acme/llama@aaaaaaaaaaaa");
	probe_spec_add_alias(&spec, "two", "acme/one");
	probe_spec_add_alias(&spec, "two", "/nvme/two");
	probe_spec_add_prefix(&spec, "/models", "/nvme0/hub");
	probe_spec_add_prefix(&spec, "/models/big/", "/nvme1/");
	probe_spec_add_prefix(&spec, "/slash/", "/nvme2");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *refs = mapped(&spec, cases[i].name, cases[i].revision);

		assert_string_equal(refs, cases[i].refs);
		free(refs);
	}
	probe_spec_free(&spec);
	/* The engine sees the host's root. */
	probe_spec_add_prefix(&spec, "/", "/host");
	for (int i = 0; i < 2; i++) {
		char *refs = mapped(&spec, "/nvme/llama", NULL);

		assert_string_equal(refs, i == 0 ? "path:/host/nvme/llama" : "path:/other/llama");
		free(refs);
		probe_spec_add_prefix(&spec, "/nvme", "/other");
	}
	probe_spec_free(&spec);
	probe_spec_add_prefix(&spec, "/host", "/");
	for (int i = 0; i < 2; i++) {
		char *refs = mapped(&spec, i == 0 ? "/host/nvme/llama" : "/hosts", NULL);

		assert_string_equal(refs, i == 0 ? "path:/nvme/llama" : "path:/hosts");
		free(refs);
	}
	probe_spec_free(&spec);
}

static struct probe_spec make(void)
{
	struct probe_spec spec = {.engine = &engine_vllm, .url = xstrdup("http://10.0.0.1:8000")};

	probe_spec_add_model(&spec, "acme/llama");
	probe_spec_add_alias(&spec, "chat", "acme/llama");
	probe_spec_add_prefix(&spec, "/models", "/nvme");
	return spec;
}

static void set(char **text, const char *to)
{
	free(*text);
	*text = xstrdup(to);
}

static void test_equal(void **state)
{
	(void)state;
	for (int change = 0; change <= 9; change++) {
		struct probe_spec a = make(), b = make();

		switch (change) {
		case 1: b.engine = &engine_nim; break;
		case 2: set(&b.url, "http://10.0.0.1:8001"); break;
		case 3: set(&b.who, "pod a"); break;
		case 4: set(&b.token_file, "/token"); break;
		case 5: set(&b.ca_file, "/ca"); break;
		case 6: set(&b.models[0], "acme/other"); break;
		case 7: probe_spec_add_model(&b, "acme/other"); break;
		case 8: set(&b.aliases[0].to, "acme/other"); break;
		case 9: set(&b.prefixes[0].from, "/other"); break;
		default: break;
		}
		assert_int_equal(probe_spec_equal(&a, &b), change == 0);
		probe_spec_free(&a);
		probe_spec_free(&b);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ref),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_equal),
	};

	return RUN_TESTS(tests);
}
