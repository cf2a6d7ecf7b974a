/* The grammar of model names: exactly one spelling each, and no way to say anything else. */
#include "common/model_name.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit.h"

static const char *const accepted[] = {
	"hf:meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a1",
	"hf+nvme1:gpt2@607a30d783df",
	"hf.d:nyu-mll/glue@bcdcba79d07b",
	"hf.s:org/space@1",
	"hf.k:org/kernel@1",
	"hfdir:llama@-",
	"nim:nim/meta/llama-3.1-8b-instruct@hf-8c22764-nim1.5+",
	"ngc:org/team/name@v1",
	"gcs:bucket/prefix@-",
	"s3:bucket/a/b@-",
	"ollama:llama3.1:8b@46e0c10c039e",
	"ms:owner/name@1",
	"gguf:model@-",
	"triton:resnet@3",
	"trt:engine@-",
	"kserve:abc@-",
	"git:repo@-",
	"dir:llama/engines/tp2@-",
	"dir:a@-",
	"hf+a:x@-",
	"hf+0123456789abcdef:x@-",
	"hf+a-b:x@-",
	"hf+-:x@-",
	"dir:a%20b@-",
	"dir:%40@-",
	"dir:%25@-",
	"dir:%2A%3F%5B%7B%7D@-",
	"dir:%FF%C3%A9%01@-",
	"dir:...@-",
	"dir:.a@-",
	"dir:a/.../b@-",
	"dir:a~b=c+d:e_f@-",
	"dir:a/~b@-",
	"dir:~0123456789abcdef0123456789abcdef01234567@-",
	"dir:a@A-Za-z0-9._-+=",
};

static const char *const rejected[] = {
	"",
	":",
	"@",
	":@",
	"hf",
	"hf:",
	"hf:a",
	"hf:@a",
	"hf:a@",
	"a@b:c",
	/* layouts */
	":a@-",
	"HF:a@-",
	"h:a@-",
	"hf.x:a@-",
	"hfx:a@-",
	" hf:a@-",
	"unknown:a@-",
	/* roots */
	"hf+:a@-",
	"hf+default:a@-",
	"hf+A:a@-",
	"hf+a_b:a@-",
	"hf+a.b:a@-",
	"hf+0123456789abcdefg:a@-",
	"hf++a:a@-",
	"hf+a+b:a@-",
	"hf+a/b:a@-",
	"hf+..:a@-",
	/* paths */
	"dir:..@-",
	"dir:.@-",
	"dir:../a@-",
	"dir:a/..@-",
	"dir:a/../b@-",
	"dir:a/./b@-",
	"dir:/etc/passwd@-",
	"dir:/@-",
	"dir:a/@-",
	"dir:a//b@-",
	"dir://a@-",
	/* bytes that must be escaped */
	"dir:a b@-",
	"dir:a\tb@-",
	"dir:a\nb@-",
	"dir:a\rb@-",
	"dir:a\001b@-",
	"dir:a\177b@-",
	"dir:\xc3\xa9@-",
	"dir:a*@-",
	"dir:a?@-",
	"dir:[a]@-",
	"dir:{a}@-",
	"dir:a\\b@-",
	"dir:a^b@-",
	"dir:\"a\"@-",
	"dir:'a'@-",
	"dir:a`@-",
	"dir:a$b@-",
	"dir:a;b@-",
	"dir:a@b@-",
	"dir:a#b@-",
	"dir:a,b@-",
	"dir:a|b@-",
	/* escapes that are none, or not the only spelling */
	"dir:%@-",
	"dir:%2@-",
	"dir:%zz@-",
	"dir:%ff@-",
	"dir:%fF@-",
	"dir:%Ff@-",
	"dir:%41@-",
	"dir:%2D@-",
	"dir:%2E%2E@-",
	"dir:%2F@-",
	"dir:a%2Fb@-",
	"dir:%00@-",
	"dir:%7E@-",
	"dir:a%3Ab@-",
	"dir:a%4@-",
	"dir:a%4/b@-",
	"dir:%/41@-",
	/* "~" leads a digest and nothing else */
	"dir:~@-",
	"dir:~a@-",
	"dir:~a/b@-",
	"dir:~0123456789abcdef0123456789abcdef0123456@-",
	"dir:~0123456789abcdef0123456789abcdef012345678@-",
	"dir:~0123456789ABCDEF0123456789abcdef01234567@-",
	"dir:~0123456789abcdef0123456789abcdef0123456g@-",
	"dir:~0123456789abcdef0123456789abcdef01234567/a@-",
	/* revisions */
	"dir:a@a b",
	"dir:a@a/b",
	"dir:a@a:b",
	"dir:a@%41",
	"dir:a@~",
	"dir:a@*",
	"dir:a@\xc3\xa9",
	"dir:a@0123456789012345678901234567890123456789012345678901234567890123x",
	"dir:a@-\n",
	"dir:a@- ",
};

static void test_accepts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		struct model_name parts;
		struct err err = {""};

		if (model_name_parse(accepted[i], &parts, &err) != 0)
			fail_msg("%s: %s", accepted[i], err.text);
		assert_true(model_name_valid(accepted[i]));
	}
}

static void test_rejects(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rejected); i++) {
		struct model_name parts;
		struct err err = {""};

		if (model_name_parse(rejected[i], &parts, &err) == 0)
			fail_msg("%s was accepted", rejected[i]);
		assert_contains(err.text, "bad model name");
		assert_false(model_name_valid(rejected[i]));
	}
}

static void test_parts(void **state)
{
	struct model_name p;

	(void)state;
	assert_int_equal(model_name_parse("ollama+fast:llama3.1:8b@46e0", &p, NULL), 0);
	assert_int_equal(p.layout_len, 6);
	assert_memory_equal(p.layout, "ollama", 6);
	assert_int_equal(p.root_len, 4);
	assert_memory_equal(p.root, "fast", 4);
	assert_int_equal(p.name_len, 11);
	assert_memory_equal(p.name, "llama3.1:8b", 11);
	assert_int_equal(p.revision_len, 4);
	assert_memory_equal(p.revision, "46e0", 4);
	assert_int_equal(model_name_parse("hf:a+b:c@-", &p, NULL), 0);
	assert_null(p.root);
	assert_int_equal(p.root_len, 0);
	assert_memory_equal(p.name, "a+b:c", 5);
}

/* 512 bytes are a name, 513 are not. */
static void test_length(void **state)
{
	char text[MODEL_NAME_MAX + 2];
	struct err err;

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, "dir:", 4);
	memcpy(text + MODEL_NAME_MAX - 2, "@-", 3);
	assert_int_equal(strlen(text), MODEL_NAME_MAX);
	assert_true(model_name_valid(text));
	text[MODEL_NAME_MAX - 2] = 'a';
	memcpy(text + MODEL_NAME_MAX - 1, "@-", 3);
	assert_int_equal(model_name_parse(text, &(struct model_name){0}, &err), -1);
	assert_contains(err.text, "longer than 512");
	memset(text, 'a', 70);
	memcpy(text, "dir:a@", 6);
	text[6 + MODEL_REVISION_MAX] = '\0';
	assert_true(model_name_valid(text));
}

static void test_roots_and_nodes(void **state)
{
	static const char *const roots[] = {"default", "a", "nvme-0", "0123456789abcdef", "-"};
	static const char *const bad_roots[] = {
		"",    "A",	   "a_b", "a.b", "a b", "0123456789abcdefg", "a/b", "..",
		"a\n", "\xc3\xa9", "a:b", "a@b", "a+b"};
	static const char *const nodes[] = {"gpu-0", "a", "ip-10-0-0-1.ec2.internal", "A_b", "...",
					    ".a",    "-"};
	static const char *const bad_nodes[] = {"",	    ".",   "..",  "a b", "a/b",
						"a*",	    "{a}", "a}",  "a:b", "a\n",
						"\xc3\xa9", "a@b", "a+b", "a%b"};
	char longest[NODE_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(roots); i++)
		assert_true(model_name_root_valid(roots[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad_roots); i++)
		assert_false(model_name_root_valid(bad_roots[i]));
	for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
		assert_true(model_name_node_valid(nodes[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad_nodes); i++)
		assert_false(model_name_node_valid(bad_nodes[i]));
	memset(longest, 'n', sizeof(longest));
	longest[NODE_NAME_MAX + 1] = '\0';
	assert_false(model_name_node_valid(longest));
	longest[NODE_NAME_MAX] = '\0';
	assert_true(model_name_node_valid(longest));
}

static void check_build(const char *root, const char *raw, const char *revision,
			const char *expected)
{
	char buf[MODEL_NAME_SIZE];

	if (expected == NULL) {
		if (model_name_build(buf, "dir", root, raw, revision) == 0)
			fail_msg("\"%s\" became %s", raw, buf);
		return;
	}
	assert_int_equal(model_name_build(buf, "dir", root, raw, revision), 0);
	assert_string_equal(buf, expected);
}

static void test_build(void **state)
{
	char buf[MODEL_NAME_SIZE], raw[600];

	(void)state;
	check_build("default", "a/b", "-", "dir:a/b@-");
	check_build("nvme", "a/b", "-", "dir+nvme:a/b@-");
	check_build("default", "a b%\xc3\xa9\x7f@*", "-", "dir:a%20b%25%C3%A9%7F%40%2A@-");
	check_build("default", "a.b_c-d:e=f~g+h", "1", "dir:a.b_c-d:e=f~g+h@1");
	check_build("default", "a/~b", "-", "dir:a/~b@-");
	check_build("default", "", "-", NULL);
	check_build("default", "/", "-", NULL);
	check_build("default", "/a", "-", NULL);
	check_build("default", "a/", "-", NULL);
	check_build("default", "a//b", "-", NULL);
	check_build("default", ".", "-", NULL);
	check_build("default", "..", "-", NULL);
	check_build("default", "a/../b", "-", NULL);
	check_build("default", "~a", "-", NULL);
	check_build("default", "a", "", NULL);
	check_build("default", "a", "a/b", NULL);
	check_build("Bad", "a", "-", NULL);
	check_build("", "a", "-", NULL);
	assert_int_equal(model_name_build(buf, "nope", "default", "a", "-"), -1);
	memset(raw, 'a', sizeof(raw));
	raw[MODEL_NAME_MAX - 6] = '\0';
	assert_int_equal(model_name_build(buf, "dir", "default", raw, "-"), 0);
	assert_int_equal(strlen(buf), MODEL_NAME_MAX);
	raw[MODEL_NAME_MAX - 6] = 'a';
	raw[MODEL_NAME_MAX - 5] = '\0';
	assert_int_equal(model_name_build(buf, "dir", "default", raw, "-"), -1);
	raw[MODEL_NAME_MAX - 5] = 'a';
	raw[599] = '\0';
	assert_int_equal(model_name_build(buf, "dir", "default", raw, "-"), -1);
}

static void test_digest_form(void **state)
{
	static const char hex[] = "0123456789abcdef0123456789abcdef01234567";
	char buf[MODEL_NAME_SIZE];

	(void)state;
	assert_int_equal(model_name_build_digest(buf, "hf", "default", hex, "1"), 0);
	assert_string_equal(buf, "hf:~0123456789abcdef0123456789abcdef01234567@1");
	assert_int_equal(model_name_build_digest(buf, "hf", "nvme", hex, "1"), 0);
	assert_string_equal(buf, "hf+nvme:~0123456789abcdef0123456789abcdef01234567@1");
	assert_int_equal(model_name_build_digest(buf, "hf", "default", "abc", "1"), -1);
	assert_int_equal(model_name_build_digest(buf, "hf", "default", hex, ""), -1);
}

static void test_identity_and_root(void **state)
{
	char buf[MODEL_NAME_SIZE], root[MODEL_ROOT_MAX + 1];

	(void)state;
	model_name_identity(buf, "hf+nvme1:org/x@1");
	assert_string_equal(buf, "hf:org/x@1");
	model_name_identity(buf, "hf:org/x@1");
	assert_string_equal(buf, "hf:org/x@1");
	model_name_identity(buf, "ollama+a:llama3.1:8b@2");
	assert_string_equal(buf, "ollama:llama3.1:8b@2");
	model_name_identity(buf, "no name");
	assert_string_equal(buf, "");
	model_name_root(root, "hf+nvme1:org/x@1");
	assert_string_equal(root, "nvme1");
	model_name_root(root, "hf+0123456789abcdef:org/x@1");
	assert_string_equal(root, "0123456789abcdef");
	model_name_root(root, "hf:org/x@1");
	assert_string_equal(root, "default");
}

/* What the escapes of a name stand for: written anew here, as a judge. */
static void decode(char *out, const struct model_name *parts)
{
	const char *p = parts->name, *end = p + parts->name_len;

	while (p < end) {
		if (*p == '%') {
			char hex[3] = {p[1], p[2], '\0'};

			*out++ = (char)strtol(hex, NULL, 16);
			p += 3;
		} else {
			*out++ = *p++;
		}
	}
	*out = '\0';
}

/* build() then parse() is canonical, and two different byte strings never get one name. */
static void test_property(void **state)
{
	static const char likely[] = "abz09AZ._-:=~+%@/ *?[]{}\\\"'\x01\x7f\xc3\xff";
	struct rng rng = rng_start("model_name");
	int built = 0;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		char raw[24], buf[MODEL_NAME_SIZE], back[MODEL_NAME_SIZE];
		size_t len = rng_below(&rng, sizeof(raw));
		struct model_name parts;

		for (size_t j = 0; j < len; j++)
			raw[j] = rng_chance(&rng, 80) ? likely[rng_below(&rng, sizeof(likely) - 1)]
						      : (char)(1 + rng_below(&rng, 255));
		raw[len] = '\0';
		if (model_name_build(buf, "dir", "default", raw, "-") != 0)
			continue;
		built++;
		if (model_name_parse(buf, &parts, NULL) != 0)
			fail_msg("%s does not parse", buf);
		decode(back, &parts);
		assert_string_equal(back, raw);
		for (const char *p = buf; *p != '\0'; p++)
			assert_true(isgraph((unsigned char)*p) &&
				    strchr("{}[]*?\\\"'^`", *p) == NULL);
	}
	assert_in_range(built, 10000, 100000);
}

/* One changed byte gives another model or none, never the same one. */
static void test_second_spellings(void **state)
{
	struct rng rng = rng_start("model_name spellings");

	(void)state;
	for (int i = 0; i < 100000; i++) {
		char text[MODEL_NAME_SIZE], raw[MODEL_NAME_SIZE], again[MODEL_NAME_SIZE];
		char layout[8], root[20], revision[80];
		const char *from = accepted[rng_below(&rng, ARRAY_SIZE(accepted))];
		struct model_name p;

		snprintf(text, sizeof(text), "%s", from);
		text[rng_below(&rng, strlen(text))] = (char)(1 + rng_below(&rng, 255));
		if (model_name_parse(text, &p, NULL) != 0 || p.name[0] == '~')
			continue;
		decode(raw, &p);
		snprintf(layout, sizeof(layout), "%.*s", (int)p.layout_len, p.layout);
		snprintf(root, sizeof(root), "%.*s", p.root != NULL ? (int)p.root_len : 7,
			 p.root != NULL ? p.root : "default");
		snprintf(revision, sizeof(revision), "%.*s", (int)p.revision_len, p.revision);
		assert_int_equal(model_name_build(again, layout, root, raw, revision), 0);
		assert_string_equal(again, text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),		cmocka_unit_test(test_rejects),
		cmocka_unit_test(test_parts),		cmocka_unit_test(test_length),
		cmocka_unit_test(test_roots_and_nodes), cmocka_unit_test(test_build),
		cmocka_unit_test(test_digest_form),	cmocka_unit_test(test_identity_and_root),
		cmocka_unit_test(test_property),	cmocka_unit_test(test_second_spellings),
	};

	return RUN_TESTS(tests);
}
