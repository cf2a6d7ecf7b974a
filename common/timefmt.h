/* Times for people: RFC 3339 in UTC. */
#ifndef LARDER_TIMEFMT_H
#define LARDER_TIMEFMT_H

#include <stdint.h>

#define TIMEFMT_SIZE 32

/* "2026-11-23T08:28:00.123Z" of milliseconds since 1970, into `buf` (TIMEFMT_SIZE). */
const char *timefmt_rfc3339(int64_t ms, char *buf);

#endif
