/* The agent's veto. (pure) */
#include "agent/guard.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

static enum guard_answer say(enum guard_answer answer, char *why, size_t size, const char *text)
{
	snprintf(why, size, "%s", text);
	return answer;
}

static bool same_generation(const struct command *cmd, const struct guard_model *model)
{
	/* A model in ERROR has no generation in Redis; only an operator may name it. */
	if (model->status == MODEL_ERROR)
		return cmd->reason == REASON_MANUAL && strcmp(cmd->generation, "0") == 0;
	return strcmp(cmd->generation, model->generation) == 0;
}

enum guard_answer guard_judge(const struct guard_facts *f, char *why, size_t size)
{
	const struct command *cmd = f->command;
	const struct guard_model *model = f->model;

	if (cmd->epoch < f->highest_epoch)
		return say(GUARD_REFUSE, why, size, "epoch: a later leader has spoken");
	if (f->redis_now_ms == 0)
		return say(GUARD_WAIT, why, size, "clock: Redis' time is not known");
	if (f->redis_now_ms >= cmd->deadline_ms)
		return say(GUARD_REFUSE, why, size, "deadline: it has passed");
	if (cmd->deadline_ms - f->redis_now_ms > COMMAND_TTL_MAX_MS + CLOCK_JUMP_MS ||
	    cmd->last_used_ms > f->redis_now_ms)
		return say(GUARD_REFUSE, why, size,
			   "clock: the command is from before Redis' clock was set back");
	if (model == NULL)
		return say(GUARD_GONE, why, size, "");
	if (model->removing)
		return say(GUARD_WAIT, why, size, "under way");
	if (f->root_refuses != NULL) {
		snprintf(why, size, "root: %.80s", f->root_refuses);
		return GUARD_REFUSE;
	}
	if (model->status == MODEL_DOWNLOADING)
		return say(GUARD_REFUSE, why, size, "downloading");
	if (model->status == MODEL_ERROR && cmd->reason != REASON_MANUAL)
		return say(GUARD_REFUSE, why, size, "status: only DOWNLOADED models are evicted");
	if (!same_generation(cmd, model))
		return say(GUARD_REFUSE, why, size, "replaced: its files have changed");
	if (!f->pins_known)
		return say(GUARD_WAIT, why, size, "pins: not read yet");
	if (f->pinned)
		return say(GUARD_REFUSE, why, size, "pinned");
	if (!cmd->force && model->hold_left_ms > 0) {
		snprintf(why, size, "held: %.80s", model->hold_who != NULL ? model->hold_who : "");
		return GUARD_REFUSE;
	}
	if (!cmd->force && f->sources_wait != NULL) {
		snprintf(why, size, "sources: %.80s", f->sources_wait);
		return GUARD_WAIT;
	}
	if (cmd->reason != REASON_MANUAL && f->node_objects != NULL) {
		snprintf(why, size, "unmapped: %.80s", f->node_objects);
		return GUARD_REFUSE;
	}
	if (cmd->reason != REASON_MANUAL && f->holds_lost != NULL) {
		snprintf(why, size, "unknown: %.80s", f->holds_lost);
		return GUARD_REFUSE;
	}
	if (cmd->reason != REASON_MANUAL && model->unseen)
		return say(GUARD_REFUSE, why, size,
			   "unknown: it is not watched, and there are no access times");
	if (!cmd->force && model->status == MODEL_DOWNLOADED &&
	    use_since(model->use, cmd->last_used_ms))
		return say(GUARD_REFUSE, why, size, "used: since the decision");
	if (cmd->reason != REASON_MANUAL && model->age_ms < f->min_age_ms)
		return say(GUARD_REFUSE, why, size, "too_young");
	return GUARD_GO;
}
