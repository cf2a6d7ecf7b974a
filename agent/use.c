/* Merges uses. (pure) */
#include "agent/use.h"

/*
 * One use is seen by several: a file is opened, and its access time moves a little later. The
 * stronger source has seen it then.
 */
#define SAME_USE_MS 1000

static void name_source(struct use *use, struct mono at, enum use_source source)
{
	if (use->known && source < use->source && mono_since(use->said, at) <= SAME_USE_MS)
		return;
	use->source = source;
	use->said = at;
}

bool use_note(struct use *use, struct mono at, enum use_source source)
{
	if (use->known && at.ms < use->last.ms)
		return false;
	name_source(use, at, source);
	if (use->known && at.ms == use->last.ms)
		return false;
	use->last = at;
	use->known = true;
	use->dirty = true;
	return true;
}

bool use_due(const struct use *use, struct mono now, int64_t pause_ms)
{
	return use->dirty && use->in_flight == 0 &&
	       (use->sent_at.ms == 0 || mono_since(use->sent_at, now) >= pause_ms);
}

void use_hurry(struct use *use)
{
	use->sent_at.ms = 0;
}

int64_t use_send(struct use *use, struct mono now)
{
	int64_t age = mono_since(use->last, now);

	use->sent = use->last;
	use->sent_at = now;
	use->in_flight++;
	return age > 0 ? age : 0;
}

void use_acknowledged(struct use *use, int64_t redis_now_ms, int64_t age_ms, int64_t slack_ms)
{
	int64_t score = redis_now_ms - age_ms - slack_ms;

	if (use->in_flight == 0)
		return;
	use->in_flight--;
	if (score > use->score_ms)
		use->score_ms = score;
	/* A use that came while messages were under way is told by the last of these at the
	 * earliest. */
	if (use->in_flight == 0 && use->last.ms == use->sent.ms)
		use->dirty = false;
}

void use_lost(struct use *use)
{
	/* Which of several was lost is not known: none of their answers settles anything. */
	use->sent.ms = INT64_MIN;
	use->sent_at.ms = 0;
	if (use->in_flight > 0)
		use->in_flight--;
}

void use_forgotten(struct use *use)
{
	use->score_ms = 0;
	use->dirty = true;
}

void use_seen(struct use *use, int64_t seen_ms)
{
	if (seen_ms < use->score_ms)
		use_forgotten(use);
}

bool use_since(const struct use *use, int64_t seen_ms)
{
	return use->dirty || use->score_ms > seen_ms;
}
