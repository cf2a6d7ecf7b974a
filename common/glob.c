/* Matches globs. (pure) */
#include "common/glob.h"

#include <string.h>

#include "common/model_name.h"

bool glob_match(const char *pattern, const char *text)
{
	const char *star = NULL; /* the last '*' seen, and what it has to match from */
	const char *resume = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			resume = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star + 1;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool glob_valid(const char *pattern)
{
	size_t len = strnlen(pattern, MODEL_NAME_MAX + 1);

	if (len == 0 || len > MODEL_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)pattern[i];

		if (c <= ' ' || c >= 0x7f || strchr("\"'`[]{}\\^", c) != NULL)
			return false;
	}
	return true;
}
