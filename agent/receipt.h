/* The outcome of one command, as it goes to the journal and then to Redis. */
#ifndef LARDER_RECEIPT_H
#define LARDER_RECEIPT_H

#include <stdint.h>

#include "common/command.h"
#include "common/model_name.h"

struct receipt {
	int64_t number; /* given by the journal; Redis takes each number once */
	char model[MODEL_NAME_SIZE];
	char id[COMMAND_ID_MAX + 1];
	/* "deleted", "gone", "refused" or "failed"; "refault": what was deleted is back */
	const char *outcome;
	int64_t bytes; /* that became free */
	char why[128]; /* of all but "deleted" */
	enum evict_reason reason;
	int64_t epoch;
	int64_t last_used_ms; /* that the decision saw */
	int64_t took_ms; /* from hearing of the command to its end; refault: since the eviction */
};

/* One of these words, or NULL. */
const char *receipt_outcome(const char *text);

#endif
