/* Entries of the audit trail, larder:log. */
#ifndef LARDER_TRAIL_H
#define LARDER_TRAIL_H

#include <hiredis/hiredis.h>

#include "common/redis_args.h"

struct coordinator;

/* About so many entries are kept. */
#define TRAIL_KEPT 10000

/* Starts an entry in `args`; the caller adds pairs of field and value. */
void trail_start(struct coordinator *c, struct redis_args *args, const char *event);

/* Sends it and frees `args`. An entry that cannot be written is complained about in the log. */
void trail_send(struct coordinator *c, struct redis_args *args);

/* The value of a field in a stream entry's flat list, or "". */
const char *trail_field(const redisReply *fields, const char *name);

#endif
