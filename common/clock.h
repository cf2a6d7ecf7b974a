/*
 * The clocks of this machine. Three kinds of time exist in Larder and are kept apart by type and
 * name: struct mono for durations inside one process, wall milliseconds for what stands on disks
 * and in logs, and Redis milliseconds (int64_t ..._redis_ms) for everything that is shared.
 */
#ifndef LARDER_CLOCK_H
#define LARDER_CLOCK_H

#include <stdint.h>

/* So far Redis' clock and one of ours may run apart between two looks; more is a jump. */
#define CLOCK_JUMP_MS 60000

/* CLOCK_BOOTTIME in milliseconds: runs on while the machine sleeps, never jumps. */
struct mono {
	int64_t ms;
};

struct mono clock_mono(void);

/* CLOCK_REALTIME in milliseconds since 1970. May jump; never used for a decision alone. */
int64_t clock_wall_ms(void);

/* b - a in milliseconds. */
static inline int64_t mono_since(struct mono a, struct mono b)
{
	return b.ms - a.ms;
}

/* A random number below `bound`, from the kernel: for jitter and identifiers. */
uint32_t clock_random(uint32_t bound);

/* `bytes` random bytes as lower-case hexadecimal into `buf` (2 * bytes + 1). */
void clock_random_hex(char *buf, unsigned bytes);

#endif
