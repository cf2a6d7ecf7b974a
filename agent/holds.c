/* Claims in force. */
#include "agent/holds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/beat.h"
#include "agent/claim_record.h"
#include "agent/journal_record.h"
#include "common/json_doc.h"
#include "common/log.h"
#include "common/xmem.h"

/* Claims end by themselves; models are looked at anew so often. */
#define REVIEW_MS 5000

struct model_ref_facts holds_facts(const struct agent *agent, const struct model *model)
{
	const struct root_config *root = &agent->roots[model->root].config;

	return (struct model_ref_facts){
		.name = model->name,
		.layout = root->layout->name,
		.locator = model->report.locator,
		.root_path = root->path,
	};
}

static struct claim_clocks clocks_of(const struct agent *agent)
{
	return (struct claim_clocks){clock_mono(), clock_wall_ms(), beat_redis_now(agent->beat)};
}

/* A caller relies on his hold from the answer on, so it is durable before that. */
static bool keep(struct agent *agent, const struct claim *claim)
{
	struct claim_clocks clocks = clocks_of(agent);
	cJSON *record;

	if (claim->source == USE_OPEN)
		return true; /* found again when it matters */
	record = journal_record("claim");
	claim_record_write(record, claim, &clocks);
	if (journal_claim(agent->journal, claim->id, record, claim->source == USE_HOLD) == 0)
		return true;
	log_error("-journal", LOG_STR("reason", strerror(errno)));
	return false;
}

static bool changed(const struct claim *before, const struct claim *claim)
{
	if (before == NULL || before->ref_count != claim->ref_count ||
	    before->overflow != claim->overflow || strcmp(before->who, claim->who) != 0)
		return true;
	for (size_t i = 0; i < claim->ref_count; i++) {
		if (!model_ref_equal(&before->refs[i], &claim->refs[i]))
			return true;
	}
	return false;
}

/* An extension of what is kept anyway is not worth a write each time. */
static bool worth_keeping(const struct claim *before, const struct claim *claim, struct mono now)
{
	return changed(before, claim) ||
	       mono_since(now, before->kept_until) < mono_since(now, claim->until) / 2;
}

void holds_apply(struct agent *agent, struct model *model)
{
	struct model_ref_facts facts = holds_facts(agent, model);
	struct claim_sum sum;

	claims_sum(&agent->claims, &facts, clock_mono(), &sum);
	inventory_hold(model, sum.count > 0 ? sum.until : (struct mono){0}, sum.source, sum.who);
}

static void use_of(struct agent *agent, const struct claim *claim, struct mono at,
		   struct hold_result *result)
{
	struct model *model, *next;

	HASH_ITER (hh, agent->inventory.models, model, next) {
		struct model_ref_facts facts;

		if (model->gone)
			continue;
		facts = holds_facts(agent, model);
		if (!claim_matches(claim, &facts))
			continue;
		result->matched++;
		if (agent_use(agent, model, at, claim->source) == TOUCH_TOO_LATE)
			result->too_late++;
	}
}

static void apply_all(struct agent *agent)
{
	struct model *model, *next;

	HASH_ITER (hh, agent->inventory.models, model, next) {
		if (!model->gone)
			holds_apply(agent, model);
	}
	agent->claims_applied = agent->claims.version;
	/* The end of a claim is a use: it must not come later than the end of its protection. */
	agent->claims_due.ms = clock_mono().ms + REVIEW_MS;
	for (const struct claim *c = agent->claims.list; c != NULL; c = c->hh.next) {
		if (c->until.ms < agent->claims_due.ms)
			agent->claims_due = c->until;
	}
}

/* The claim has been extended and nothing else: only its own models are held for longer. */
static void apply_extension(struct agent *agent, const struct claim *claim)
{
	struct model *model, *next;

	HASH_ITER (hh, agent->inventory.models, model, next) {
		struct model_ref_facts facts;

		if (model->gone)
			continue;
		facts = holds_facts(agent, model);
		if (claim_matches(claim, &facts))
			holds_apply(agent, model);
	}
	agent->claims_applied = agent->claims.version;
}

/*
 * False: there are too many. A caller is told; what an engine or a pod uses is in use all the same,
 * and until this claim would have ended nobody knows which models that are (holds_lost).
 */
static bool set(struct agent *agent, struct claim *claim)
{
	struct mono until = claim->until;
	bool caller = claim->source == USE_HOLD;

	if (claims_set(&agent->claims, claim))
		return true;
	log_error("-hold", LOG_STR("reason", "there are too many claims"));
	if (!caller && agent->claims_lost.ms < until.ms)
		agent->claims_lost = until;
	return false;
}

const char *holds_lost(const struct agent *agent)
{
	return mono_since(clock_mono(), agent->claims_lost) > 0
		       ? "there are too many claims: some models in use are not held"
		       : NULL;
}

struct hold_result holds_set(struct agent *agent, struct claim *claim)
{
	const struct claim *before = claims_find(&agent->claims, claim->id);
	struct mono now = clock_mono();
	/* Engines and pods renew theirs all day: that must not cost a look at every claim. */
	bool extends = !changed(before, claim) && before->until.ms <= claim->until.ms &&
		       agent->claims_applied == agent->claims.version;
	bool keeps = worth_keeping(before, claim, now);
	struct hold_result result = {0};

	claim->kept_until = before != NULL ? before->kept_until : now;
	if (!set(agent, claim)) {
		result.refused = true;
		return result;
	}
	if (keeps && keep(agent, claim))
		claim->kept_until = claim->until;
	else
		result.unkept = keeps;
	use_of(agent, claim, now, &result);
	if (extends)
		apply_extension(agent, claim);
	else
		apply_all(agent);
	return result;
}

static void end(struct agent *agent, struct claim *claim, struct mono at)
{
	struct hold_result ignored = {0};

	/* Until the end of a hold or a pod the model was in use. */
	if (claim->source == USE_HOLD || claim->source == USE_POD)
		use_of(agent, claim, at, &ignored);
	if (claim->source != USE_OPEN && journal_unclaim(agent->journal, claim->id) != 0)
		log_error("-journal", LOG_STR("reason", strerror(errno)));
	claims_drop(&agent->claims, claim);
}

void holds_drop_others(struct agent *agent, const char *prefix,
		       bool (*wanted)(const struct claim *claim, void *arg), void *arg)
{
	struct claim *claim, *next;

	HASH_ITER (hh, agent->claims.list, claim, next) {
		if (strncmp(claim->id, prefix, strlen(prefix)) == 0 && !wanted(claim, arg))
			end(agent, claim, clock_mono());
	}
}

/* False: its time is over, or nobody can read it. */
static bool restore_one(const cJSON *record, void *arg)
{
	struct agent *agent = arg;
	struct claim_clocks clocks = clocks_of(agent);
	struct claim *claim = claim_record_read(record, &clocks);

	if (claim == NULL)
		return false;
	claim->kept_until = claim->until;
	if (claims_find(&agent->claims, claim->id) == NULL)
		(void)set(agent, claim);
	else
		claim_free(claim); /* made anew meanwhile */
	return true;
}

struct search {
	struct agent *agent;
	const char *id;
	bool found;
};

static bool restore_if_named(const cJSON *record, void *arg)
{
	struct search *search = arg;
	const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(record, "id"));

	if (id == NULL || strcmp(id, search->id) != 0)
		return true;
	search->found = true;
	return restore_one(record, search->agent);
}

bool holds_drop(struct agent *agent, const char *id)
{
	struct claim *claim = claims_find(&agent->claims, id);
	struct search search = {agent, id, .found = claim != NULL};

	/* Before Redis' clock is known, those from before a restart stand only in the journal. */
	if (claim == NULL) {
		journal_claims(agent->journal, restore_if_named, &search);
		claim = claims_find(&agent->claims, id);
	}
	if (claim != NULL)
		end(agent, claim, clock_mono());
	if (search.found)
		apply_all(agent);
	return search.found;
}

void holds_restore(struct agent *agent)
{
	journal_claims(agent->journal, restore_one, agent);
	apply_all(agent);
}

void holds_tick(struct agent *agent, struct mono now)
{
	struct claim *claim, *next;

	if (agent->claims_applied == agent->claims.version &&
	    mono_since(agent->claims_due, now) < 0)
		return;
	HASH_ITER (hh, agent->claims.list, claim, next) {
		if (mono_since(now, claim->until) <= 0)
			end(agent, claim, claim->until);
	}
	apply_all(agent);
}
