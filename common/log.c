/* Writes events as logfmt or JSON lines. */
#include "common/log.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/timefmt.h"

#define LINE_MAX_BYTES 4096

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static struct {
	const char *program;
	enum log_level level;
	enum log_format format;
} state = {"larder", LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT};

struct line {
	char text[LINE_MAX_BYTES];
	size_t used;
};

void log_setup(const char *program, enum log_level level, enum log_format format)
{
	state.program = program;
	state.level = level;
	state.format = format;
}

static void put(struct line *line, const char *text, size_t len)
{
	/* Room is kept for what closes the line. */
	size_t room = sizeof(line->text) - 8 - line->used;

	if (len > room)
		len = room;
	memcpy(line->text + line->used, text, len);
	line->used += len;
}

static void put_text(struct line *line, const char *text)
{
	put(line, text, strlen(text));
}

/* Escapes as JSON does; bytes that are not printable ASCII become \u00XX. */
static void put_quoted(struct line *line, const char *text)
{
	put(line, "\"", 1);
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		char escaped[8];

		if (line->used + 16 > sizeof(line->text))
			break;
		if (*p == '"' || *p == '\\') {
			escaped[0] = '\\';
			escaped[1] = (char)*p;
			put(line, escaped, 2);
		} else if (*p >= 0x20 && *p < 0x7f) {
			put(line, (const char *)p, 1);
		} else {
			snprintf(escaped, sizeof(escaped), "\\u%04x", *p);
			put(line, escaped, 6);
		}
	}
	put(line, "\"", 1);
}

static bool needs_quotes(const char *text)
{
	if (*text == '\0')
		return true;
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		if (*p <= ' ' || *p >= 0x7f || *p == '"' || *p == '=' || *p == '\\')
			return true;
	}
	return false;
}

static void put_field(struct line *line, const struct log_field *field)
{
	bool json = state.format == LOG_FORMAT_JSON;
	char number[24];

	put_text(line, json ? "," : " ");
	if (json)
		put_quoted(line, field->key);
	else
		put_text(line, field->key);
	put_text(line, json ? ":" : "=");
	if (field->text == NULL) {
		snprintf(number, sizeof(number), "%" PRId64, field->number);
		put_text(line, number);
	} else if (json || needs_quotes(field->text)) {
		put_quoted(line, field->text);
	} else {
		put_text(line, field->text);
	}
}

static void put_time(struct line *line)
{
	char text[TIMEFMT_SIZE];

	timefmt_rfc3339(clock_wall_ms(), text);
	if (state.format == LOG_FORMAT_JSON) {
		put_text(line, "{\"time\":");
		put_quoted(line, text);
	} else {
		put_text(line, "time=");
		put_text(line, text);
	}
}

void log_fields(enum log_level level, const char *event, const struct log_field *fields,
		size_t count)
{
	struct line line = {.used = 0};
	const struct log_field head[] = {LOG_STR("level", level_names[level]),
					 LOG_STR("program", state.program),
					 LOG_STR("event", event)};
	ssize_t ignored;

	if (level > state.level)
		return;
	put_time(&line);
	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]); i++)
		put_field(&line, &head[i]);
	for (size_t i = 0; i < count; i++)
		put_field(&line, &fields[i]);
	if (state.format == LOG_FORMAT_JSON)
		line.text[line.used++] = '}';
	line.text[line.used++] = '\n';
	ignored = write(STDERR_FILENO, line.text, line.used);
	(void)ignored; /* nowhere to tell that the log cannot be written */
}
