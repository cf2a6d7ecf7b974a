/* Writes Prometheus' text format. (pure) */
#include "common/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/attributes.h"
#include "common/xmem.h"

struct metrics {
	char *text;
	size_t used, room;
	const char *family;
};

struct metrics *metrics_new(void)
{
	struct metrics *m = xcalloc(1, sizeof(*m));

	m->room = 4096;
	m->text = xcalloc(m->room, 1);
	return m;
}

void metrics_free(struct metrics *m)
{
	free(m->text);
	free(m);
}

static void put_bytes(struct metrics *m, const char *bytes, size_t len)
{
	while (m->room - m->used <= len) {
		m->room *= 2;
		m->text = xrealloc(m->text, m->room);
	}
	memcpy(m->text + m->used, bytes, len);
	m->used += len;
	m->text[m->used] = '\0';
}

static void put(struct metrics *m, const char *text)
{
	put_bytes(m, text, strlen(text));
}

static void put_value(struct metrics *m, const char *value)
{
	for (; *value != '\0'; value++) {
		if (*value == '\\')
			put(m, "\\\\");
		else if (*value == '"')
			put(m, "\\\"");
		else if (*value == '\n')
			put(m, "\\n");
		else
			put_bytes(m, value, 1);
	}
}

void metrics_family(struct metrics *m, const char *name, enum metrics_kind kind, const char *help)
{
	m->family = name;
	put(m, "# HELP ");
	put(m, name);
	put(m, " ");
	put(m, help);
	put(m, "\n# TYPE ");
	put(m, name);
	put(m, kind == METRICS_COUNTER ? " counter\n" : " gauge\n");
}

static void put_labels(struct metrics *m, const struct metrics_label *labels)
{
	if (labels == NULL || labels->name == NULL)
		return;
	for (const struct metrics_label *l = labels; l->name != NULL; l++) {
		put(m, l == labels ? "{" : ",");
		put(m, l->name);
		put(m, "=\"");
		put_value(m, l->value);
		put(m, "\"");
	}
	put(m, "}");
}

void metrics_int(struct metrics *m, int64_t value, const struct metrics_label *labels)
{
	char number[32];

	snprintf(number, sizeof(number), " %" PRId64 "\n", value);
	put(m, m->family);
	put_labels(m, labels);
	put(m, number);
}

void metrics_seconds(struct metrics *m, int64_t value_ms, const struct metrics_label *labels)
{
	int64_t whole = value_ms / 1000, rest = value_ms % 1000;
	char number[40];

	snprintf(number, sizeof(number), " %s%" PRId64 ".%03" PRId64 "\n", value_ms < 0 ? "-" : "",
		 whole < 0 ? -whole : whole, rest < 0 ? -rest : rest);
	put(m, m->family);
	put_labels(m, labels);
	put(m, number);
}

const char *metrics_text(const struct metrics *m)
{
	return m->text;
}
