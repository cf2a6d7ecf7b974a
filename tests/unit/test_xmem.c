/* Allocation that cannot fail. */
#include "common/xmem.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/kit.h"

static void test_copies(void **state)
{
	char *text = xasprintf("%s-%d", "model", 7);
	char *copy = xstrdup(text), *part = xstrndup(text, 5), *none = xstrndup("", 0);

	(void)state;
	assert_string_equal(text, "model-7");
	assert_string_equal(copy, "model-7");
	assert_string_equal(part, "model");
	assert_string_equal(none, "");
	free(text);
	free(copy);
	free(part);
	free(none);
}

/* Nothing is asked for: still something that can be freed. */
static void test_nothing(void **state)
{
	void *a = xmalloc(0), *b = xcalloc(0, 8), *c = xrealloc(NULL, 0);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(c);
	free(a);
	free(b);
	free(c);
}

static void test_grow(void **state)
{
	size_t capacity = 0;
	int *numbers = NULL;

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		numbers = xgrow(numbers, i, &capacity, sizeof(*numbers));
		assert_true(capacity > i);
		numbers[i] = (int)i;
	}
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(numbers[i], i);
	assert_int_equal(capacity, 1024);
	free(numbers);
}

static void too_large(void)
{
	size_t capacity = SIZE_MAX / 4;

	free(xgrow(NULL, capacity, &capacity, 8));
}

static void no_memory(void)
{
	free(xmalloc(SIZE_MAX / 2));
}

/* Ends by abort(): SIGABRT, or what a sanitizer makes of it. */
static bool dies(void (*what)(void))
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		fclose(stderr);
		signal(SIGABRT, SIG_DFL);
		what();
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

static void test_aborts(void **state)
{
	(void)state;
	assert_true(dies(too_large));
	assert_true(dies(no_memory));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_grow),
		cmocka_unit_test(test_aborts),
	};

	return RUN_TESTS(tests);
}
