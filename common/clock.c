/* Reads clocks and the kernel's random numbers. */
#include "common/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		abort();
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct mono clock_mono(void)
{
	return (struct mono){read_clock(CLOCK_BOOTTIME)};
}

int64_t clock_wall_ms(void)
{
	return read_clock(CLOCK_REALTIME);
}

static void random_bytes(void *buf, size_t size)
{
	if (getrandom(buf, size, 0) != (ssize_t)size)
		abort();
}

uint32_t clock_random(uint32_t bound)
{
	uint32_t value;

	random_bytes(&value, sizeof(value));
	return bound > 0 ? value % bound : 0;
}

void clock_random_hex(char *buf, unsigned bytes)
{
	unsigned char raw[32];

	if (bytes > sizeof(raw))
		abort();
	random_bytes(raw, bytes);
	for (unsigned i = 0; i < bytes; i++)
		snprintf(buf + 2 * (size_t)i, 3, "%02x", raw[i]);
}
