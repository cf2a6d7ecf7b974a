/* What the fuzz targets share: properties that end the run, inputs as text and as choices. */
#ifndef LARDER_TESTS_FUZZ_H
#define LARDER_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Called by libFuzzer, once at the start and then for each input. */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold for every input: otherwise says which one, and aborts. */
#define REQUIRE(condition)                                           \
	do {                                                         \
		if (!(condition))                                    \
			fuzz_broken(#condition, __FILE__, __LINE__); \
	} while (0)
_Noreturn void fuzz_broken(const char *what, const char *file, int line);

/* The input as a text that ends at its first NUL; to be freed. */
char *fuzz_text(const uint8_t *data, size_t size);

/* Cuts the first line off a text: returns it, `*text` goes on behind it, or is NULL at the end. */
char *fuzz_line(char **text);

/* Removes a directory with all that is in it. */
void fuzz_remove(const char *path);

/* An input as a run of choices; when it is used up, every further choice is 0. */
struct fuzz_choices {
	const uint8_t *data;
	size_t left;
};

/* 0 .. bound - 1. */
uint64_t fuzz_choose(void *choices, uint64_t bound);

#endif
