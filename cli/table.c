/* Tables whose columns are as wide as their widest cell. */
#include "cli/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/human.h"
#include "common/xmem.h"

#define GAP 2

struct cell {
	char *text;
	size_t width; /* on a terminal */
	bool empty;   /* shown as "-" */
};

struct table {
	const struct table_column *columns;
	size_t column_count;
	struct cell *cells;
	size_t count, capacity;
	size_t rows;   /* that are complete */
	size_t in_row; /* cells of the next one */
};

struct table *table_new(const struct table_column *columns, size_t count)
{
	struct table *table = xcalloc(1, sizeof(*table));

	table->columns = columns;
	table->column_count = count;
	return table;
}

void table_free(struct table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}

void table_text(struct table *table, const char *text)
{
	struct cell *cell;

	table->cells = xgrow(table->cells, table->count, &table->capacity, sizeof(*table->cells));
	cell = &table->cells[table->count++];
	cell->empty = *text == '\0';
	cell->text = human_text(cell->empty ? "-" : text, &cell->width);
	if (++table->in_row == table->column_count) {
		table->in_row = 0;
		table->rows++;
	}
}

void table_format(struct table *table, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	table_text(table, text);
	free(text);
}

void table_number(struct table *table, int64_t number)
{
	if (number < 0)
		table_text(table, "");
	else
		table_format(table, "%" PRId64, number);
}

void table_bytes(struct table *table, int64_t bytes)
{
	char buf[HUMAN_SIZE];

	table_text(table, human_bytes(bytes, buf));
}

void table_duration(struct table *table, int64_t ms)
{
	char buf[HUMAN_SIZE];

	table_text(table, human_duration(ms, buf));
}

void table_time(struct table *table, int64_t ms)
{
	char buf[HUMAN_SIZE];

	table_text(table, human_time(ms, buf));
}

size_t table_rows(const struct table *table)
{
	return table->rows;
}

/* The width of a column, 0 when it is left out. */
static size_t column_width(const struct table *table, size_t column)
{
	const struct table_column *c = &table->columns[column];
	size_t width = c->title != NULL ? strlen(c->title) : 0;
	bool shown = !c->optional;

	for (size_t i = column; i < table->count; i += table->column_count) {
		width = table->cells[i].width > width ? table->cells[i].width : width;
		shown |= !table->cells[i].empty;
	}
	return shown ? width : 0;
}

struct line {
	FILE *out;
	size_t owed; /* blanks that are only written where something follows them */
};

static void print_cell(struct line *line, const struct table_column *column, size_t column_width,
		       const char *text, size_t width)
{
	size_t blank = column_width - width;

	if (column_width == 0)
		return;
	fprintf(line->out, "%*s%s", (int)(line->owed + (column->right ? blank : 0)), "", text);
	line->owed = GAP + (column->right ? 0 : blank);
}

void table_print(const struct table *table, FILE *out)
{
	size_t *widths = xcalloc(table->column_count, sizeof(*widths));
	struct line line = {.out = out};

	for (size_t i = 0; i < table->column_count; i++)
		widths[i] = column_width(table, i);
	if (table->columns[0].title != NULL) {
		for (size_t i = 0; i < table->column_count; i++)
			print_cell(&line, &table->columns[i], widths[i], table->columns[i].title,
				   strlen(table->columns[i].title));
		fputc('\n', out);
	}
	for (size_t row = 0; row < table->rows; row++) {
		const struct cell *cells = &table->cells[row * table->column_count];

		line.owed = 0;
		for (size_t i = 0; i < table->column_count; i++)
			print_cell(&line, &table->columns[i], widths[i], cells[i].text,
				   cells[i].width);
		fputc('\n', out);
	}
	free(widths);
}
