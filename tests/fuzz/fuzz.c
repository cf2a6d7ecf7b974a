/* What the fuzz targets share. */
#include "tests/fuzz/fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"

void fuzz_broken(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

char *fuzz_text(const uint8_t *data, size_t size)
{
	return xstrndup((const char *)data, size > 0 ? strnlen((const char *)data, size) : 0);
}

char *fuzz_line(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	*text = end != NULL ? end + 1 : NULL;
	if (end != NULL)
		*end = '\0';
	return line;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fuzz_remove(const char *path)
{
	if (nftw(path, remove_entry, 32, FTW_DEPTH | FTW_PHYS) != 0)
		fprintf(stderr, "%s is left\n", path);
}

uint64_t fuzz_choose(void *arg, uint64_t bound)
{
	struct fuzz_choices *choices = arg;
	uint64_t value = 0;

	/* As few bytes as the bound needs, so that a mutated byte is one other choice. */
	for (uint64_t most = bound - 1; most > 0; most >>= 8) {
		value <<= 8;
		if (choices->left == 0)
			continue;
		value |= *choices->data++;
		choices->left--;
	}
	return bound > 0 ? value % bound : 0;
}
