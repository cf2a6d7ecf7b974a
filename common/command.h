/*
 * The delete command as it stands in the hash larder:{NODE}:cmd, one field per model. Written by
 * issue.lua, read by the agent; the format is documented in docs/protocol.md.
 */
#ifndef LARDER_COMMAND_H
#define LARDER_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* No leader gives a command more time than this (coordinator setting command_ttl). */
#define COMMAND_TTL_MAX_MS 86400000

#define COMMAND_ID_MAX	   40
#define COMMAND_GENERATION 16 /* hexadecimal digits at most */
#define COMMAND_TEXT_MAX   256
/* Redis' scripts count epochs in floating point: the last one that they tell from the next. */
#define COMMAND_EPOCH_MAX ((INT64_C(1) << 53) - 1)
/* No clock leads here. A fence beyond is none, or leaders that follow it would come to the end. */
#define COMMAND_EPOCH_FAR (INT64_C(1) << 52)

enum evict_reason {
	REASON_TIME_THRESHOLD,
	REASON_COUNT_LIMIT,
	REASON_DISK_SPACE,
	REASON_MANUAL,
	REASON_COUNT
};

struct command {
	char id[COMMAND_ID_MAX + 1];
	int64_t last_used_ms;			 /* the score that the decision saw; Redis' clock */
	char generation[COMMAND_GENERATION + 1]; /* what was on the disk when it was decided */
	int64_t deadline_ms;			 /* Redis' clock; not executed later */
	int64_t epoch;				 /* of the leader that issued it */
	enum evict_reason reason;
	bool force; /* manual: also what is held or was just used, but never an open file */
};

/* "time_threshold", "count_limit", "disk_space", "manual": the words of ModelExpress' results. */
const char *command_reason_name(enum evict_reason reason);
int command_reason_parse(const char *text, enum evict_reason *out) MUST_USE;

/* Reads the value of one field. Anything but the exact format is an error. */
int command_parse(const char *text, struct command *out, struct err *err) MUST_USE;

/* Writes the value of one field into `buf` (COMMAND_TEXT_MAX bytes). */
void command_format(const struct command *cmd, char *buf);

#endif
