/* Times for people. */
#include "common/timefmt.h"

#include <stdio.h>
#include <time.h>

const char *timefmt_rfc3339(int64_t ms, char *buf)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm = {0};
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(buf, TIMEFMT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + len, TIMEFMT_SIZE - len, ".%03dZ", (int)(ms % 1000));
	return buf;
}
