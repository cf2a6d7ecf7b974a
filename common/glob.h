/*
 * Globs over names of models and nodes: '*' any run of bytes ('/' too), '?' any one byte, all else
 * itself. Time is at most the product of the two lengths, whatever the pattern.
 */
#ifndef LARDER_GLOB_H
#define LARDER_GLOB_H

#include <stdbool.h>

bool glob_match(const char *pattern, const char *text);

/*
 * A glob that may be stored: 1 to 512 bytes, each one that can occur in a name (printable ASCII
 * without space, quotes, brackets, braces, backslash, caret) or '*' or '?'.
 */
bool glob_valid(const char *pattern);

#endif
