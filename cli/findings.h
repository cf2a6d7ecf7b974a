/* What a check-up of a deployment has found: one line for each check, good or bad. */
#ifndef LARDER_CLI_FINDINGS_H
#define LARDER_CLI_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attributes.h"

enum finding_state { FINDING_GOOD, FINDING_UNKNOWN, FINDING_WARNING, FINDING_BAD };

struct finding {
	const char *check; /* a stable name: "redis-policy" */
	const char *about; /* a node, a root of it; NULL: the deployment */
	enum finding_state state;
	const char *advice; /* what to change; NULL when that is nothing */
	const char *text;   /* set by findings_add */
};

struct findings {
	struct finding *list; /* texts in it are owned, but for `check` */
	size_t count;
};

/* Adds a copy of `finding`, with the text. */
void findings_add(struct findings *findings, const struct finding *finding, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* Is nothing bad? Warnings are not. */
bool findings_healthy(const struct findings *findings);

/* Is one of this check bad? */
bool findings_bad(const struct findings *findings, const char *check);

/* On standard output. */
void findings_print_table(const struct findings *findings);
void findings_print_json(const struct findings *findings);

void findings_free(struct findings *findings);

#endif
