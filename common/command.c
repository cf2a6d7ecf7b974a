/* The wire format of a delete command. (pure) */
#include "common/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* id, last use, generation, deadline, epoch, reason, and for some "force" */
#define FIELDS 6

static const char *const reasons[REASON_COUNT] = {
	[REASON_TIME_THRESHOLD] = "time_threshold",
	[REASON_COUNT_LIMIT] = "count_limit",
	[REASON_DISK_SPACE] = "disk_space",
	[REASON_MANUAL] = "manual",
};

const char *command_reason_name(enum evict_reason reason)
{
	return reasons[reason];
}

int command_reason_parse(const char *text, enum evict_reason *out)
{
	for (int i = 0; i < REASON_COUNT; i++) {
		if (strcmp(text, reasons[i]) == 0) {
			*out = (enum evict_reason)i;
			return 0;
		}
	}
	return -1;
}

/* A plain non-negative decimal number: no sign, no space, no leading zero. */
static int parse_number(const char *text, int64_t *out)
{
	size_t len = strlen(text);

	if (len == 0 || len > 19 || strspn(text, "0123456789") != len ||
	    (len > 1 && text[0] == '0'))
		return -1;
	errno = 0;
	*out = strtoll(text, NULL, 10);
	return errno == 0 ? 0 : -1;
}

static bool token_valid(const char *text, size_t max, const char *allowed)
{
	size_t len = strlen(text);

	return len > 0 && len <= max && strspn(text, allowed) == len;
}

/* Cuts `copy` at single spaces into at most `max` fields; -1 when there are more. */
static int split_fields(char *copy, char **fields, int max)
{
	int count = 0;

	for (char *p = copy;;) {
		char *space = strchr(p, ' ');

		if (count == max)
			return -1;
		fields[count++] = p;
		if (space == NULL)
			return count;
		*space = '\0';
		p = space + 1;
	}
}

int command_parse(const char *text, struct command *out, struct err *err)
{
	static const char id_chars[] = "0123456789abcdefghijklmnopqrstuvwxyz-.";
	char copy[COMMAND_TEXT_MAX];
	char *f[FIELDS + 1];
	size_t len = strnlen(text, sizeof(copy));
	int count;

	if (len >= sizeof(copy))
		return err_set(err, "command is longer than %d bytes", COMMAND_TEXT_MAX - 1);
	memcpy(copy, text, len + 1);
	memset(out, 0, sizeof(*out));
	count = split_fields(copy, f, FIELDS + 1);
	if (count < FIELDS)
		return err_set(err, "command has not %d or %d fields", FIELDS, FIELDS + 1);
	if (!token_valid(f[0], COMMAND_ID_MAX, id_chars))
		return err_set(err, "command has a bad id");
	if (parse_number(f[1], &out->last_used_ms) != 0)
		return err_set(err, "command has a bad last use");
	if (!token_valid(f[2], COMMAND_GENERATION, "0123456789abcdef"))
		return err_set(err, "command has a bad generation");
	if (parse_number(f[3], &out->deadline_ms) != 0)
		return err_set(err, "command has a bad deadline");
	if (parse_number(f[4], &out->epoch) != 0 || out->epoch > COMMAND_EPOCH_MAX)
		return err_set(err, "command has a bad epoch");
	if (command_reason_parse(f[5], &out->reason) != 0)
		return err_set(err, "command has an unknown reason");
	if (count > FIELDS && strcmp(f[6], "force") != 0)
		return err_set(err, "command has an unknown flag");
	out->force = count > FIELDS;
	if (out->force && out->reason != REASON_MANUAL)
		return err_set(err, "only a manual command may be forced");
	snprintf(out->id, sizeof(out->id), "%s", f[0]);
	snprintf(out->generation, sizeof(out->generation), "%s", f[2]);
	return 0;
}

void command_format(const struct command *cmd, char *buf)
{
	snprintf(buf, COMMAND_TEXT_MAX, "%s %" PRId64 " %s %" PRId64 " %" PRId64 " %s%s", cmd->id,
		 cmd->last_used_ms, cmd->generation, cmd->deadline_ms, cmd->epoch,
		 command_reason_name(cmd->reason), cmd->force ? " force" : "");
}
