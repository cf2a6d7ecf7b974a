/* Aligned tables for people. */
#ifndef LARDER_CLI_TABLE_H
#define LARDER_CLI_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/attributes.h"

struct table;

struct table_column {
	const char *title; /* NULL in the first: a table without titles */
	bool right;	   /* numbers */
	bool optional;	   /* left out when all of its cells are empty */
};

#define TABLE_LEFT(name)        \
	{                       \
		.title = (name) \
	}
#define TABLE_RIGHT(name)                      \
	{                                      \
		.title = (name), .right = true \
	}
#define TABLE_OPTIONAL(name)                      \
	{                                         \
		.title = (name), .optional = true \
	}

/* `columns` are borrowed. */
struct table *table_new(const struct table_column *columns, size_t count) MUST_USE;
void table_free(struct table *table);

/* The next cell, from left to right and row by row. Any text may stand in it; it is copied. */
void table_text(struct table *table, const char *text);
void table_format(struct table *table, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same for quantities; a negative one is unknown and leaves the cell empty. */
void table_number(struct table *table, int64_t number);
void table_bytes(struct table *table, int64_t bytes);
void table_duration(struct table *table, int64_t ms);
void table_time(struct table *table, int64_t ms);

/* How many rows are complete. */
size_t table_rows(const struct table *table);

/*
 * Prints it: columns two spaces apart, empty cells as "-", so that each line has the same number of
 * cells.
 */
void table_print(const struct table *table, FILE *out);

#endif
