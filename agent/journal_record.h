/* The lines of the journal: "<8 hexadecimal digits of SHA-256> <JSON object>\n". */
#ifndef LARDER_JOURNAL_RECORD_H
#define LARDER_JOURNAL_RECORD_H

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/journal.h"

/* An object with its kind in "k"; the others build on it. The caller frees them. */
cJSON *journal_record(const char *kind) MUST_USE;
cJSON *journal_record_header(const char *id, int64_t next_number, int64_t epoch) MUST_USE;
cJSON *journal_record_use(const char *model, struct journal_time used, const char *source) MUST_USE;
cJSON *journal_record_intent(const struct intent *intent) MUST_USE;
cJSON *journal_record_receipt(const struct receipt *receipt) MUST_USE;

cJSON *journal_record_evicted(const char *model, const struct journal_evicted *eviction) MUST_USE;

/* The line, to be freed; frees the record. */
char *journal_record_line(cJSON *record, size_t *len) MUST_USE;

/* One line without its end; NULL when it is damaged. `line[len]` is a NUL. */
cJSON *journal_record_parse(const char *line, size_t len) MUST_USE;

/* A member, "" or 0 when it is missing. Times and counts are below 2^53: exact as doubles. */
const char *journal_record_text(const cJSON *record, const char *key);
int64_t journal_record_number(const cJSON *record, const char *key);
struct journal_time journal_record_used(const cJSON *record);

int journal_record_read_receipt(const cJSON *record, struct receipt *out) MUST_USE;
int journal_record_read_evicted(const cJSON *record, struct journal_evicted *out) MUST_USE;
/* Strings of `out` are borrowed from the record. */
void journal_record_read_intent(const cJSON *record, struct intent *out);

#endif
