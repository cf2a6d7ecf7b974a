/* Models that come back. */
#include "agent/refault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/beat.h"
#include "common/log.h"

void refault_check(struct agent *agent, const struct model *model)
{
	struct journal_evicted eviction;
	struct receipt receipt;
	int64_t away_ms;
	bool soon;

	if (!journal_evicted(agent->journal, model->name, &eviction))
		return;
	away_ms = clock_wall_ms() - eviction.at_wall_ms;
	if (away_ms < 0)
		away_ms = 0; /* our clock went back */
	soon = agent->options.refault_window_ms != SETTING_UNSET &&
	       away_ms <= agent->options.refault_window_ms;
	receipt = (struct receipt){
		.outcome = receipt_outcome("refault"),
		.bytes = eviction.bytes,
		.reason = eviction.reason,
		.last_used_ms = eviction.last_used_ms,
		.took_ms = away_ms,
	};
	snprintf(receipt.model, sizeof(receipt.model), "%s", model->name);
	/* Each eviction can be followed by one return: its id names it. */
	snprintf(receipt.id, sizeof(receipt.id), "r%.*s", COMMAND_ID_MAX - 1, eviction.id);
	if (journal_back(agent->journal, model->name, soon ? &receipt : NULL) != 0)
		log_error("-journal", LOG_STR("reason", strerror(errno)));
	if (!soon)
		return;
	agent->refaults++;
	log_warn("+refault", LOG_STR("model", model->name),
		 LOG_STR("reason", command_reason_name(eviction.reason)),
		 LOG_INT("away_ms", away_ms), LOG_INT("unused_ms", eviction.unused_ms),
		 LOG_INT("bytes", eviction.bytes));
	beat_soon(agent->beat);
}
