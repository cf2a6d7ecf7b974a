/* One engine that is asked: states, claims, schedule. */
#include "agent/probe_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/holds.h"
#include "common/json_doc.h"
#include "common/log.h"
#include "common/xmem.h"

#define ID_PREFIX      "probe:"
#define BACKOFF_MAX_MS INT64_C(300000)
#define DOUBLINGS_MAX  20
/* A record of the journal holds one claim: an engine with many models makes several. */
#define REFS_PER_CLAIM 64

static const char *const state_names[] = {
	[TARGET_NEW] = "new",
	[TARGET_NEVER] = "never",
	[TARGET_FRESH] = "fresh",
	[TARGET_UNMAPPED] = "unmapped",
	[TARGET_UNAUTHORIZED] = "unauthorized",
	[TARGET_STALE] = "stale",
};

struct probe_target *probe_target_new(struct agent *agent, const char *owner,
				      struct probe_spec *spec)
{
	struct probe_target *target = xcalloc(1, sizeof(*target));

	target->agent = agent;
	target->owner = xstrdup(owner);
	target->spec = *spec;
	*spec = (struct probe_spec){0};
	target->id = xasprintf(ID_PREFIX "%.60s%s%s", owner, *owner != '\0' ? " " : "",
			       target->spec.url);
	target->who = target->spec.who != NULL
			      ? xstrdup(target->spec.who)
			      : xasprintf("%s %s", target->spec.engine->name, target->spec.url);
	target->entered = target->due = clock_mono();
	return target;
}

void probe_target_free(struct probe_target *target)
{
	engine_view_free(&target->last);
	probe_spec_free(&target->spec);
	free(target->owner);
	free(target->id);
	free(target->who);
	free(target);
}

const char *probe_target_state(const struct probe_target *target)
{
	return state_names[target->state];
}

/* The only place that changes the state. */
static void enter(struct probe_target *target, enum target_state state, struct mono now)
{
	bool good = state == TARGET_FRESH;

	if (state == target->state)
		return;
	target->state = state;
	target->entered = now;
	log_fields(good ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, good ? "+engine" : "-engine",
		   (const struct log_field[]){
			   LOG_STR("engine", target->spec.engine->name),
			   LOG_STR("url", target->spec.url), LOG_STR("who", target->who),
			   LOG_STR("state", probe_target_state(target)),
			   LOG_INT("serves", (int64_t)target->last.count),
			   LOG_STR("reason",
				   state == TARGET_UNMAPPED ? target->unmapped : target->error)},
		   6);
}

/* ---- claims ---- */

static char *claim_id(const struct probe_target *target, size_t number)
{
	return number == 0 ? xstrdup(target->id) : xasprintf("%s#%zu", target->id, number);
}

/* The claim that is number `number` of this target, and in force; or NULL. */
static const struct claim *claim_of(const struct probe_target *target, size_t number)
{
	char *id = claim_id(target, number);
	const struct claim *claim = claims_find(&target->agent->claims, id);

	free(id);
	return claim != NULL && mono_since(clock_mono(), claim->until) > 0 ? claim : NULL;
}

/* A list of claims that is being made: none holds more references than a claim may. */
struct claim_run {
	struct probe_target *target;
	struct claim *open; /* NULL: a new one is needed */
	size_t used;	    /* numbers */
	struct mono now;
};

static void run_close(struct claim_run *run)
{
	if (run->open == NULL)
		return;
	run->open->since = run->now;
	run->open->until.ms = run->now.ms + run->target->agent->options.claim_ttl_ms;
	run->target->claimed |= !holds_set(run->target->agent, run->open).refused;
	run->open = NULL;
}

static void run_open(struct claim_run *run)
{
	char *id;

	if (run->open != NULL)
		return;
	id = claim_id(run->target, run->used++);
	run->open = claim_new(id, USE_PROBE, run->target->who);
	free(id);
}

static void run_add(struct claim_run *run, struct model_ref *ref)
{
	if (run->open != NULL && run->open->ref_count == REFS_PER_CLAIM)
		run_close(run);
	run_open(run);
	claim_add(run->open, ref);
}

/* Not all is known: it claims every model here. */
static void run_add_any(struct claim_run *run)
{
	run_open(run);
	run->open->overflow = true;
}

static void run_add_fixed(struct claim_run *run)
{
	const struct probe_spec *spec = &run->target->spec;
	struct model_ref ref;

	for (size_t i = 0; i < spec->model_count; i++) {
		if (probe_spec_ref(&ref, spec->models[i]))
			run_add(run, &ref);
	}
}

/* Ends claims from number `from` on. */
static void drop_from(struct probe_target *target, size_t from)
{
	bool found;

	do {
		char *id = claim_id(target, from++);

		found = holds_drop(target->agent, id);
		free(id);
	} while (found);
}

void probe_target_drop_claims(struct probe_target *target)
{
	drop_from(target, 0);
	target->claimed = false;
}

/* What it serves is claimed, and nothing else. */
static void claim_served(struct probe_target *target, struct mono now)
{
	struct claim_run run = {.target = target, .now = now};
	struct model_ref refs[PROBE_REFS_MAX];

	run_add_fixed(&run);
	for (size_t i = 0; i < target->last.count; i++) {
		size_t count = probe_spec_map(&target->spec, &target->last.models[i], refs);

		for (size_t j = 0; j < count; j++)
			run_add(&run, &refs[j]);
	}
	if (engine_view_serves_any(&target->last))
		run_add_any(&run);
	run_close(&run);
	if (run.used == 0)
		target->claimed = false;
	drop_from(target, run.used);
}

/* It lives: what it served when it last said so is served until it says otherwise. */
static void renew(struct probe_target *target, struct mono now)
{
	struct claim_run run = {.target = target, .now = now};
	const struct claim *claim;

	for (size_t number = 0; (claim = claim_of(target, number)) != NULL; number++) {
		for (size_t i = 0; i < claim->ref_count; i++) {
			struct model_ref ref;

			model_ref_make(&ref, claim->refs[i].kind, claim->refs[i].text,
				       claim->refs[i].revision);
			run_add(&run, &ref);
		}
		if (claim->overflow)
			run_add_any(&run);
		run_close(&run);
	}
	if (run.used == 0)
		run_add_fixed(&run);
	run_close(&run);
}

/* ---- what is served, among the models here ---- */

static bool is_here(const struct agent *agent, const struct model_ref *refs, size_t count)
{
	for (const struct model *m = agent->inventory.models; m != NULL; m = m->hh.next) {
		struct model_ref_facts facts = holds_facts(agent, m);

		for (size_t i = 0; i < count && !m->gone; i++) {
			if (model_ref_matches(&refs[i], &facts))
				return true;
		}
	}
	return false;
}

static bool served_is_here(const struct probe_target *target, const struct engine_model *model)
{
	struct model_ref refs[PROBE_REFS_MAX];
	size_t count = probe_spec_map(&target->spec, model, refs);
	bool here = is_here(target->agent, refs, count);

	for (size_t i = 0; i < count; i++)
		model_ref_free(&refs[i]);
	return here;
}

static bool fixed_is_here(const struct probe_target *target)
{
	bool here = false;

	for (size_t i = 0; i < target->spec.model_count && !here; i++) {
		struct model_ref ref;

		if (!probe_spec_ref(&ref, target->spec.models[i]))
			continue;
		here = is_here(target->agent, &ref, 1);
		model_ref_free(&ref);
	}
	return here;
}

/* Before every directory has been looked at, a model that is not found may still be. */
static bool all_looked_at(const struct agent *agent)
{
	for (int i = 0; i < agent->root_count; i++) {
		if (!agent->views[i].looked_at)
			return false;
	}
	return true;
}

static void find_served(struct probe_target *target)
{
	/* Where the operator says what it serves, its own names need not mean anything. */
	bool fixed = fixed_is_here(target);

	target->mapped = fixed;
	target->unmapped = NULL;
	for (size_t i = 0; i < target->last.count; i++) {
		const struct engine_model *model = &target->last.models[i];

		if (served_is_here(target, model))
			target->mapped = true;
		else if (!fixed && !model->adapter && target->unmapped == NULL)
			target->unmapped = model->served;
	}
}

static void enter_answered(struct probe_target *target, struct mono now)
{
	bool unmapped = target->last.count > 0 && !target->mapped && target->unmapped != NULL;

	enter(target, unmapped && all_looked_at(target->agent) ? TARGET_UNMAPPED : TARGET_FRESH,
	      now);
}

void probe_target_map(struct probe_target *target)
{
	find_served(target);
	if (target->state == TARGET_FRESH || target->state == TARGET_UNMAPPED)
		enter_answered(target, clock_mono());
}

const char *probe_target_doubt(const struct probe_target *target, char *buf, size_t size)
{
	if (!target->asked || !target->lives)
		return NULL;
	if (target->state == TARGET_UNAUTHORIZED)
		snprintf(buf, size, "%s does not tell what it serves", target->who);
	else if (target->state == TARGET_STALE || target->state == TARGET_NEVER)
		snprintf(buf, size, "%s is not understood", target->who);
	else if (target->unmapped != NULL)
		snprintf(buf, size, "%s serves %.60s, which is not found here", target->who,
			 target->unmapped);
	else
		return NULL;
	return buf;
}

/* ---- a round has ended ---- */

/* It answers, but not all of it fits: every model here is held, which the operator must know. */
static void say_any(struct probe_target *target, bool before)
{
	if (!engine_view_serves_any(&target->last))
		return;
	snprintf(target->error, sizeof(target->error),
		 "it serves more than %d models, or one under more than %d names: all models "
		 "here are held",
		 ENGINE_MODELS_MAX, ENGINE_NAMES_MAX);
	if (!before)
		log_warn("-engine", LOG_STR("engine", target->spec.engine->name),
			 LOG_STR("url", target->spec.url), LOG_STR("who", target->who),
			 LOG_STR("state", probe_target_state(target)),
			 LOG_INT("serves", (int64_t)target->last.count),
			 LOG_STR("reason", target->error));
}

static int64_t interval(const struct probe_target *target)
{
	int64_t ms = target->agent->options.probe_interval_ms;
	int64_t most = ms > BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;

	for (unsigned i = 1; i < target->failures && i < DOUBLINGS_MAX && ms < most; i++)
		ms *= 2;
	return ms < most ? ms : most;
}

static void plan_next(struct probe_target *target, struct mono now)
{
	int64_t wait = interval(target), regular = target->agent->options.probe_interval_ms;
	const struct claim *claim = claim_of(target, 0);

	/* Not so late that its claim ends before it was asked once more. */
	if (claim != NULL && wait > mono_since(now, claim->until) - regular)
		wait = mono_since(now, claim->until) - regular;
	if (wait < regular)
		wait = regular;
	target->due.ms = now.ms + wait - clock_random((uint32_t)(wait / 10 + 1));
}

static void take_answer(struct probe_target *target, struct engine_view *view, struct mono now)
{
	bool any = engine_view_serves_any(&target->last);

	engine_view_free(&target->last);
	target->last = *view;
	*view = (struct engine_view){0};
	target->answered = true;
	target->answered_at = now;
	target->failures = 0;
	target->error[0] = '\0';
	probe_count_take(&target->count, &target->last, now, clock_wall_ms());
	claim_served(target, now);
	find_served(target);
	enter_answered(target, now);
	say_any(target, any);
}

void probe_target_take(struct probe_target *target, struct probe_result *result, struct mono now)
{
	target->asked = true;
	target->lives = result->outcome != PROBE_UNREACHABLE;
	if (result->outcome != PROBE_ANSWERED)
		snprintf(target->error, sizeof(target->error), "%s", result->why);
	switch (result->outcome) {
	case PROBE_ANSWERED: take_answer(target, &result->view, now); break;
	case PROBE_REFUSED:
		target->failures = 0;
		renew(target, now);
		enter(target, TARGET_UNAUTHORIZED, now);
		break;
	default:
		target->failures++;
		/* A claim may be in force from before a restart. */
		target->claimed |= claim_of(target, 0) != NULL;
		enter(target, target->answered || target->claimed ? TARGET_STALE : TARGET_NEVER,
		      now);
		break;
	}
	plan_next(target, now);
}

void probe_target_tick(struct probe_target *target)
{
	if (!target->claimed || target->state != TARGET_STALE || claim_of(target, 0) != NULL)
		return;
	target->claimed = false;
	log_warn("-engine-claim", LOG_STR("engine", target->spec.engine->name),
		 LOG_STR("url", target->spec.url), LOG_STR("who", target->who),
		 LOG_STR("reason", target->error));
}

/* ---- for people ---- */

static void describe_served(const struct probe_target *target, cJSON *list)
{
	for (size_t i = 0; i < target->last.count; i++) {
		const struct engine_model *model = &target->last.models[i];
		cJSON *one = cJSON_CreateObject();

		cJSON_AddItemToArray(list, one);
		cJSON_AddStringToObject(one, "name", model->served);
		cJSON_AddBoolToObject(one, "adapter", model->adapter);
		cJSON_AddBoolToObject(one, "mapped", served_is_here(target, model));
	}
}

static void add_age(cJSON *out, const char *key, bool known, struct mono at, struct mono now)
{
	if (known)
		json_doc_add_int64(out, key, mono_since(at, now));
	else
		cJSON_AddNullToObject(out, key);
}

void probe_target_describe(const struct probe_target *target, struct mono now, cJSON *out)
{
	const struct claim *claim = claim_of(target, 0);

	cJSON_AddStringToObject(out, "engine", target->spec.engine->name);
	cJSON_AddStringToObject(out, "url", target->spec.url);
	cJSON_AddStringToObject(out, "owner", target->owner);
	cJSON_AddStringToObject(out, "who", target->who);
	cJSON_AddStringToObject(out, "state", probe_target_state(target));
	json_doc_add_int64(out, "state_age_ms", mono_since(target->entered, now));
	add_age(out, "answer_age_ms", target->answered, target->answered_at, now);
	add_age(out, "last_request_age_ms", target->count.known, target->count.last, now);
	cJSON_AddBoolToObject(out, "running", target->last.running > 0);
	cJSON_AddBoolToObject(out, "asleep", target->last.asleep);
	json_doc_add_int64(out, "restarts", target->count.restarts);
	json_doc_add_int64(out, "claim_left_ms", claim != NULL ? mono_since(now, claim->until) : 0);
	json_doc_add_int64(out, "failures", target->failures);
	cJSON_AddStringToObject(out, "error", target->error);
	describe_served(target, cJSON_AddArrayToObject(out, "serves"));
}
