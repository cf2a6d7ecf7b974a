/* Names of the sources of use. (pure) */
#include "common/use_source.h"

#include <string.h>

static const char *const names[USE_SOURCES] = {
	[USE_NONE] = "none",	   [USE_DOWNLOAD] = "download", [USE_ATIME] = "atime",
	[USE_JOURNAL] = "journal", [USE_WATCH] = "watch",	[USE_OPEN] = "open",
	[USE_POD] = "pod",	   [USE_API] = "api",		[USE_HOLD] = "hold",
	[USE_PROBE] = "probe",
};

const char *use_source_name(enum use_source source)
{
	return names[source];
}

enum use_source use_source_parse(const char *name)
{
	for (int i = USE_DOWNLOAD; i < USE_SOURCES; i++) {
		if (strcmp(names[i], name) == 0)
			return (enum use_source)i;
	}
	return USE_JOURNAL;
}
