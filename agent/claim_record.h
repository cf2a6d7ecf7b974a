/* A claim as a record of the journal, and back (pure). */
#ifndef LARDER_CLAIM_RECORD_H
#define LARDER_CLAIM_RECORD_H

#include <cjson/cJSON.h>

#include "agent/claim.h"
#include "common/attributes.h"

/* One instant on the clocks that outlive a restart. */
struct claim_clocks {
	struct mono now;
	int64_t wall_ms;
	int64_t redis_ms; /* 0: unknown */
};

/* Adds the claim's members to `record`. */
void claim_record_write(cJSON *record, const struct claim *claim,
			const struct claim_clocks *clocks);

/*
 * The claim of a record; NULL when it is none or has ended. The clock that leaves it more time is
 * believed, up to the time it was made for.
 */
struct claim *claim_record_read(const cJSON *record, const struct claim_clocks *clocks) MUST_USE;

#endif
