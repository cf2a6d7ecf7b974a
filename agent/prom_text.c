/* Prometheus' text format. (pure) */
#include "agent/prom_text.h"

#include <stdlib.h>
#include <string.h>

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The end of `{...}`, whose values may hold anything in quotes; NULL when it does not end. */
static char *labels_end(char *p)
{
	bool quoted = false;

	for (; *p != '\0'; p++) {
		if (quoted && *p == '\\' && p[1] != '\0')
			p++;
		else if (*p == '"')
			quoted = !quoted;
		else if (!quoted && *p == '}')
			return p;
	}
	return NULL;
}

static void take_line(char *line, prom_taker take, void *arg)
{
	struct prom_sample sample = {.labels = ""};
	char *end, *value;

	while (blank(*line))
		line++;
	if (*line == '#' || *line == '\0')
		return;
	sample.name = line;
	while (*line != '\0' && *line != '{' && !blank(*line))
		line++;
	if (line == sample.name || *line == '\0')
		return;
	value = line + 1;
	if (*line == '{') {
		sample.labels = value;
		end = labels_end(value);
		if (end == NULL)
			return;
		*end = '\0';
		value = end + 1;
	}
	*line = '\0';
	sample.value = strtod(value, &end);
	/* A time may follow. */
	if (end == value || (*end != '\0' && !blank(*end)) || !(sample.value - sample.value == 0))
		return;
	take(&sample, arg);
}

static void end_line(struct prom_reader *reader, prom_taker take, void *arg)
{
	reader->line[reader->len] = '\0';
	if (!reader->too_long)
		take_line(reader->line, take, arg);
	reader->len = 0;
	reader->too_long = false;
}

void prom_read(struct prom_reader *reader, const char *text, size_t len, prom_taker take, void *arg)
{
	while (len > 0) {
		const char *end = memchr(text, '\n', len);
		size_t part = end != NULL ? (size_t)(end - text) : len;

		if (part > PROM_LINE_MAX - reader->len)
			reader->too_long = true;
		if (!reader->too_long) {
			memcpy(reader->line + reader->len, text, part);
			reader->len += part;
		}
		if (end == NULL)
			return;
		end_line(reader, take, arg);
		text += part + 1;
		len -= part + 1;
	}
}

void prom_end(struct prom_reader *reader, prom_taker take, void *arg)
{
	if (reader->len > 0)
		end_line(reader, take, arg);
	reader->len = 0;
	reader->too_long = false;
}

/* Copies up to the closing quote. Returns where it stands, or NULL when there is none. */
static const char *copy_value(const char *p, char *buf, size_t size)
{
	size_t len = 0;

	for (; *p != '"'; p++) {
		char c = *p;

		if (c == '\\' && p[1] != '\0') {
			p++;
			c = *p == 'n' ? '\n' : *p;
		}
		if (c == '\0')
			return NULL;
		if (len + 1 < size)
			buf[len] = c;
		len++;
	}
	buf[len < size ? len : 0] = '\0';
	return p;
}

bool prom_label(const struct prom_sample *sample, const char *label, char *buf, size_t size)
{
	size_t wanted = strlen(label);
	const char *p = sample->labels;

	while (*p != '\0') {
		size_t len = strcspn(p, "=");
		bool found;

		found = len == wanted && strncmp(p, label, len) == 0;
		p += len;
		if (p[0] != '=' || p[1] != '"')
			break;
		p = copy_value(p + 2, buf, size);
		if (p == NULL)
			break;
		if (found)
			return true;
		p++;
		while (*p == ',' || blank(*p))
			p++;
	}
	buf[0] = '\0';
	return false;
}
