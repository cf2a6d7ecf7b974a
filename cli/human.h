/* Quantities and texts as people read them. */
#ifndef LARDER_CLI_HUMAN_H
#define LARDER_CLI_HUMAN_H

#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"
#include "common/duration.h"

#define HUMAN_SIZE DURATION_TEXT_SIZE

/* All three write into `buf` (HUMAN_SIZE bytes); a negative value is unknown and gives "". */

/* "512 B", "1.5 GiB" */
const char *human_bytes(int64_t bytes, char *buf);

/* The two largest units, rounded down: "3d4h", "12m5s", "250ms" */
const char *human_duration(int64_t ms, char *buf);

/* "2026-11-23T08:28:00Z" of milliseconds since 1970; "" for 0 too */
const char *human_time(int64_t ms, char *buf);

/*
 * A copy of `text` that is safe to print: UTF-8 that takes room on a terminal stays, every other
 * byte (control characters, what reorders or hides text, broken UTF-8) becomes \xNN. `*columns`
 * (may be NULL) gets its width. The caller frees it.
 */
char *human_text(const char *text, size_t *columns) MUST_USE;

#endif
