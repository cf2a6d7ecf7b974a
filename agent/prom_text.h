/*
 * Reads Prometheus' text format as it comes, sample by sample (pure). Lines that are no samples,
 * and lines that are too long, are passed over: what is wanted stands on short ones.
 */
#ifndef LARDER_PROM_TEXT_H
#define LARDER_PROM_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define PROM_LINE_MAX 4096

struct prom_sample {
	const char *name;
	const char *labels; /* `a="b",c="d"`, as it stood there; "" when there are none */
	double value;	    /* never NaN nor infinite: such samples are left out */
};

typedef void (*prom_taker)(const struct prom_sample *sample, void *arg);

struct prom_reader {
	char line[PROM_LINE_MAX + 1];
	size_t len;
	bool too_long; /* the line that is being read */
};

/* Reads on. A reader starts zeroed. The sample's texts are valid during the call of `take` only. */
void prom_read(struct prom_reader *reader, const char *text, size_t len, prom_taker take,
	       void *arg);

/* The text has ended: the last line may lack its end. */
void prom_end(struct prom_reader *reader, prom_taker take, void *arg);

/* Copies the value of a label, unescaped, or "" when it is not there or does not fit. */
bool prom_label(const struct prom_sample *sample, const char *label, char *buf, size_t size);

#endif
