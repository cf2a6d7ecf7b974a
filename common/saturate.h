/*
 * Sums of numbers that others have written: what does not fit stays at the largest number, instead
 * of wrapping around to a small one. (pure)
 */
#ifndef LARDER_SATURATE_H
#define LARDER_SATURATE_H

#include <stdint.h>

/* a + b, at most INT64_MAX and at least INT64_MIN. */
static inline int64_t saturate_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return b > 0 ? INT64_MAX : INT64_MIN;
	return sum;
}

#endif
