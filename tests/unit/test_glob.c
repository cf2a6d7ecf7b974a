/* Globs: a table, hostile patterns, and fnmatch(3) as the judge. */
#include "common/glob.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/kit.h"

static const struct {
	const char *pattern, *text;
	bool matches;
} rows[] = {
	{"", "", true},
	{"", "a", false},
	{"a", "", false},
	{"*", "", true},
	{"**", "", true},
	{"?", "", false},
	{"*", "anything/at:all@x", true},
	{"hf:org/*", "hf:org/name@1", true},
	{"hf:org/*", "hf:org/", true},
	{"hf:org/*", "hf:org", false},
	{"hf:org/*", "hf:organ/name@1", false},
	{"*@*", "hf:a@1", true},
	{"*:gpt2@*", "hf+nvme1:gpt2@607a30d783df", true},
	{"*:gpt2@*", "hf:org/gpt2@607a30d783df", false},
	{"gpu-?", "gpu-1", true},
	{"gpu-?", "gpu-", false},
	{"gpu-?", "gpu-12", false},
	{"gpu-??", "gpu-12", true},
	{"?*", "a", true},
	{"*?", "a", true},
	{"?*?", "a", false},
	{"?*?", "ab", true},
	{"a*b", "ab", true},
	{"a*b", "axxb", true},
	{"a*b", "axxbx", false},
	{"a*b*c", "a-b-b-c", true},
	{"a*b*c", "a-c-b", false},
	{"*ab", "aab", true},
	{"*aab", "aaab", true},
	{"*aba*", "ababab", true},
	{"abc", "abcd", false},
	{"abcd", "abc", false},
	{"abc", "ABC", false},
	{"[a]", "a", false},
	{"[a]", "[a]", true},
	{"\\*", "*", false},
	{"\\*", "\\anything", true},
	{"*.*", ".", true},
	{"*", ".hidden", true},
	{"a/*", "a/b/c", true},
	{"\xff*", "\xff\xfe", true},
};

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (glob_match(rows[i].pattern, rows[i].text) != rows[i].matches)
			fail_msg("\"%s\" and \"%s\"", rows[i].pattern, rows[i].text);
	}
}

/* Patterns on which a matcher that goes back step by step takes for ever. */
static void test_hostile(void **state)
{
	static const char *const parts[] = {"a*", "*a", "**", "?*", "*?a", "aa*", "*"};
	char text[513], pattern[513];

	(void)state;
	memset(text, 'a', 512);
	text[512] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t len = strlen(parts[i]), used = 0;

		while (used + len < 510) {
			memcpy(pattern + used, parts[i], len);
			used += len;
		}
		memcpy(pattern + used, "b", 2);
		assert_false(glob_match(pattern, text));
		text[511] = 'b';
		glob_match(pattern, text);
		text[511] = 'a';
	}
}

static void fill(struct rng *rng, char *buf, size_t most, const char *bytes)
{
	size_t len = rng_below(rng, most);

	for (size_t i = 0; i < len; i++)
		buf[i] = bytes[rng_below(rng, strlen(bytes))];
	buf[len] = '\0';
}

static void test_against_fnmatch(void **state)
{
	struct rng rng = rng_start("glob");
	int matched = 0;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		char pattern[12], text[16];
		bool ours, theirs;

		fill(&rng, pattern, sizeof(pattern), "**?ab/.");
		fill(&rng, text, sizeof(text), "ab/.");
		ours = glob_match(pattern, text);
		theirs = fnmatch(pattern, text, 0) == 0;
		matched += ours;
		if (ours != theirs)
			fail_msg("\"%s\" and \"%s\": fnmatch says %d", pattern, text, theirs);
	}
	assert_in_range(matched, 1000, 199000);
}

static void test_valid(void **state)
{
	static const char *const valid[] = {"*", "?", "hf:org/*@*", "gpu-0?", "a%20b", "~+=_.-:@/"};
	static const char *const invalid[] = {"",	  " ",	 "a b", "a\tb", "a\nb", "\x7f",
					      "\xc3\xa9", "\"a", "'a",	"`a",	"[a]",	"a]",
					      "{a",	  "a}",	 "a\\", "a^",	"\x01", "{node}"};
	char text[514];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(valid); i++) {
		if (!glob_valid(valid[i]))
			fail_msg("%s was refused", valid[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(invalid); i++) {
		if (glob_valid(invalid[i]))
			fail_msg("%s was accepted", invalid[i]);
	}
	memset(text, 'a', 513);
	text[513] = '\0';
	assert_false(glob_valid(text));
	text[512] = '\0';
	assert_true(glob_valid(text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_against_fnmatch),
		cmocka_unit_test(test_valid),
	};

	return RUN_TESTS(tests);
}
