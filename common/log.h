/*
 * The log: one line per event, logfmt or JSON, on standard error. An event has a stable name
 * ("+evict-sent", "-redis-link") that operators and tests may rely on (docs/events.md), and
 * fields. Values are escaped, so that a model's or a file's name can never forge a line.
 * Any thread may log; lines are written whole.
 */
#ifndef LARDER_LOG_H
#define LARDER_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_NONE = -1,
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

struct log_field {
	const char *key;
	const char *text; /* NULL: the number counts */
	int64_t number;
};

#define LOG_STR(k, v) ((struct log_field){.key = (k), .text = (v) != NULL ? (v) : ""})
#define LOG_INT(k, v) ((struct log_field){.key = (k), .number = (int64_t)(v)})

/* `program` stands in every line and must outlive the log. */
void log_setup(const char *program, enum log_level level, enum log_format format);

void log_fields(enum log_level level, const char *event, const struct log_field *fields,
		size_t count);

#define LOG_EVENT(level, event, ...)                                      \
	log_fields(level, event, (const struct log_field[]){__VA_ARGS__}, \
		   sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#define log_error(event, ...) LOG_EVENT(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  LOG_EVENT(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  LOG_EVENT(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) LOG_EVENT(LOG_LEVEL_DEBUG, event, __VA_ARGS__)

#endif
