/* Merges uses. (pure) */
#include "agent/use.h"

static const char *const names[] = {
	[USE_NONE] = "none",	   [USE_DOWNLOAD] = "download", [USE_ATIME] = "atime",
	[USE_JOURNAL] = "journal", [USE_OPEN] = "open",		[USE_API] = "api",
};

const char *use_source_name(enum use_source source)
{
	return names[source];
}

bool use_note(struct use *use, struct mono at, enum use_source source)
{
	if (use->known && at.ms < use->last.ms)
		return false;
	if (use->known && at.ms == use->last.ms) {
		if (source > use->source)
			use->source = source;
		return false;
	}
	use->last = at;
	use->source = source;
	use->known = true;
	use->dirty = true;
	return true;
}

int64_t use_send(struct use *use, struct mono now)
{
	int64_t age = mono_since(use->last, now);

	use->sent = use->last;
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
	if (use->in_flight > 0)
		use->in_flight--;
}

void use_forgotten(struct use *use)
{
	use->score_ms = 0;
	use->dirty = true;
}

bool use_since(const struct use *use, int64_t seen_ms)
{
	return use->dirty || use->score_ms > seen_ms;
}
