/* Names of files that are being downloaded. (pure) */
#include "agent/partial.h"

#include <string.h>

#include "common/attributes.h"

bool partial_name(const char *name)
{
	static const char *const ends[] = {
		".incomplete", ".tmp",	    ".downloadInProgress", ".part",
		".partial",    ".download", ".crdownload",	   ".aria2",
	};
	const char *end = strrchr(name, '.');

	if (end == NULL || end == name)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		if (strcmp(end, ends[i]) == 0)
			return true;
	}
	return false;
}
