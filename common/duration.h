/*
 * Durations as text: the grammar of the Rust crate jiff 0.2 that NVIDIA ModelExpress' configuration
 * uses ("2h30m", "1h 30m", "5 minutes", "01:30:00", "P1DT2H", ...), see docs/configuration.md.
 */
#ifndef LARDER_DURATION_H
#define LARDER_DURATION_H

#include <stdint.h>

#include "common/err.h"

struct duration {
	int64_t seconds; /* never negative */
	int32_t nanos;	 /* 0 .. 999,999,999 */
};

/*
 * Parses `text`. A negative duration, years and months, and a bare number are errors: `err` then
 * holds a sentence that quotes the text and says what is allowed.
 */
int duration_parse(const char *text, struct duration *out, struct err *err) MUST_USE;

/* Whole milliseconds, rounded up so that a tiny duration is not zero; saturates at INT64_MAX. */
int64_t duration_ms(struct duration d);

/* The shortest exact form in d, h, m, s and ms, such as "2h30m" or "250ms". `buf` holds 48 bytes.
 */
const char *duration_format(int64_t ms, char *buf);
#define DURATION_TEXT_SIZE 48

#endif
