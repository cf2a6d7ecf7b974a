/* Waits until issued commands have their receipts, as the audit trail shows them. */
#ifndef LARDER_CLI_RECEIPTS_H
#define LARDER_CLI_RECEIPTS_H

#include <stdbool.h>

#include "cli/client.h"

/* The member of a command that its receipt becomes. */
#define RECEIPTS_KEY "receipt"

/* Was this command issued, and is to have a receipt? */
bool receipts_expected(const cJSON *command);

/*
 * Asks until every issued command of the list has its receipt, which becomes its member, or until
 * the time is over; says on standard error how far it is. Returns 0 unless the server could not be
 * asked at last: then the exit code for that, with a sentence.
 */
int receipts_wait(const struct client *client, cJSON *commands, int64_t timeout_ms,
		  struct err *err) MUST_USE;

#endif
