/* Reports what is known of a Hugging Face hub cache, from memory alone. */
#include "agent/hf_known.h"

#include <stdlib.h>
#include <string.h>

#include "agent/hf_store.h"
#include "common/xmem.h"

struct payload_count {
	char payload[HF_PAYLOAD_LEN + 1];
	unsigned links;
	UT_hash_handle hh;
};

static struct payload_count *count_payloads(const struct hf_state *state)
{
	struct payload_count *counts = NULL, *count;

	for (const struct known_repo *known = state->repos; known != NULL; known = known->hh.next) {
		for (size_t i = 0; i < known->shared_count; i++) {
			HASH_FIND_STR(counts, known->shared[i].payload, count);
			if (count == NULL) {
				count = xcalloc(1, sizeof(*count));
				memcpy(count->payload, known->shared[i].payload,
				       sizeof(count->payload));
				HASH_ADD_STR(counts, payload, count);
			}
			count->links++;
		}
	}
	return counts;
}

/* What a payload adds to the one revision that alone holds it in the whole cache. */
static int64_t shared_bytes(const struct hf_state *state, const struct known_repo *known,
			    int revision, struct payload_count *counts)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < known->shared_count; i++) {
		const struct known_shared *shared = &known->shared[i];
		struct payload_count *count;

		if (shared->sole_revision != revision)
			continue;
		HASH_FIND_STR(counts, shared->payload, count);
		if (count != NULL && count->links == 1 &&
		    hf_store_has_manifest(state->store_fd, shared->payload))
			bytes += shared->used_bytes;
	}
	return bytes;
}

/*
 * Links of other users keep the access time of our own reading, which is no use. 0: nothing is
 * known of a use beyond what was reported before.
 */
static int64_t used_by_others(const struct known_repo *known, const struct known_revision *rev)
{
	int64_t used = rev->report.used_wall_ms;

	if (used < known->marked_from_ms || used > known->marked_to_ms)
		return used;
	return rev->found_used_ms < known->marked_from_ms ? rev->found_used_ms : 0;
}

void hf_known_report(struct hf_state *state, struct scan_report *out)
{
	struct payload_count *counts = count_payloads(state), *count, *next;

	for (struct known_repo *known = state->repos; known != NULL; known = known->hh.next) {
		out->leftover_bytes += known->leftover_bytes;
		for (size_t i = 0; i < known->revision_count; i++) {
			struct model_report *report = scan_report_add(out);

			*report = known->revisions[i].report;
			report->name = xstrdup(report->name);
			report->locator = xstrdup(report->locator);
			report->used_wall_ms = used_by_others(known, &known->revisions[i]);
			report->exclusive_bytes += shared_bytes(state, known, (int)i, counts);
		}
	}
	HASH_ITER (hh, counts, count, next) {
		HASH_DEL(counts, count);
		free(count);
	}
}
