/* Which names are those of files that are being downloaded. */
#include "agent/partial.h"

#include "tests/unit/kit.h"

static void test_names(void **state)
{
	static const char *const partial[] = {
		"0123abcd.incomplete",
		"0123abcd.5f6e7d8c.incomplete",
		"model.gguf.downloadInProgress",
		"model.safetensors.part",
		"model.safetensors.partial",
		"model.bin.aria2",
		"model.bin.crdownload",
		"model.bin.download",
		"model.bin.tmp",
		".model.bin.tmp",
	};
	static const char *const whole[] = {
		"",	  "model.safetensors", "model.tmp.bin", "part",	  ".part", "x.parts",
		"x.Part", "x.tmp/y",	       "x.incomplete.", "x.lock",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(partial); i++)
		assert_true(partial_name(partial[i]));
	for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
		assert_false(partial_name(whole[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};

	return RUN_TESTS(tests);
}
