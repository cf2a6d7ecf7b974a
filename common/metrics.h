/*
 * Metrics in Prometheus' text format, version 0.0.4 (pure). Families are written one after the
 * other, each with all of its samples. Names and labels are constants of the code; values of labels
 * may be any text and are escaped.
 */
#ifndef LARDER_METRICS_H
#define LARDER_METRICS_H

#include <stdint.h>

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct metrics;

enum metrics_kind { METRICS_GAUGE, METRICS_COUNTER };

struct metrics_label {
	const char *name, *value;
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

/* Begins a family; counters end in "_total". */
void metrics_family(struct metrics *metrics, const char *name, enum metrics_kind kind,
		    const char *help);

/* A sample of the family that was begun last; `labels` ends with one without name, or is NULL. */
void metrics_int(struct metrics *metrics, int64_t value, const struct metrics_label *labels);
void metrics_seconds(struct metrics *metrics, int64_t value_ms, const struct metrics_label *labels);

/* One label. */
#define METRICS_LABEL(name, value) ((const struct metrics_label[]){{name, value}, {0}})

/* The text so far; borrowed. */
const char *metrics_text(const struct metrics *metrics);

#endif
