/* Claims on models. (pure) */
#include "agent/claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"

struct claim *claim_new(const char *id, enum use_source source, const char *who)
{
	struct claim *claim = xcalloc(1, sizeof(*claim));

	claim->id = xstrndup(id, strnlen(id, CLAIM_ID_MAX));
	claim->who = xstrndup(who, strnlen(who, CLAIM_WHO_MAX));
	claim->source = source;
	return claim;
}

void claim_add(struct claim *claim, struct model_ref *ref)
{
	for (size_t i = 0; i < claim->ref_count; i++) {
		if (model_ref_equal(&claim->refs[i], ref)) {
			model_ref_free(ref);
			return;
		}
	}
	if (claim->ref_count == CLAIM_REFS_MAX) {
		claim->overflow = true;
		model_ref_free(ref);
		return;
	}
	claim->refs =
		xgrow(claim->refs, claim->ref_count, &claim->ref_capacity, sizeof(*claim->refs));
	claim->refs[claim->ref_count++] = *ref;
	*ref = (struct model_ref){0};
}

void claim_free(struct claim *claim)
{
	if (claim == NULL)
		return;
	for (size_t i = 0; i < claim->ref_count; i++)
		model_ref_free(&claim->refs[i]);
	free(claim->refs);
	free(claim->id);
	free(claim->who);
	free(claim);
}

struct claim *claims_find(const struct claims *claims, const char *id)
{
	struct claim *claim;

	HASH_FIND_STR(claims->list, id, claim);
	return claim;
}

void claims_drop(struct claims *claims, struct claim *claim)
{
	HASH_DEL(claims->list, claim);
	claims->holds -= claim->source == USE_HOLD;
	claims->version++;
	claim_free(claim);
}

bool claims_set(struct claims *claims, struct claim *claim)
{
	struct claim *before = claims_find(claims, claim->id);
	bool hold = claim->source == USE_HOLD;
	size_t count = hold ? claims->holds : HASH_COUNT(claims->list) - claims->holds;

	if (before == NULL && count >= CLAIMS_MAX) {
		claim_free(claim);
		return false;
	}
	if (before != NULL) {
		claim->since = before->since;
		claims_drop(claims, before);
	}
	HASH_ADD_KEYPTR(hh, claims->list, claim->id, strlen(claim->id), claim);
	claims->holds += hold;
	claims->version++;
	return true;
}

static bool ended(const struct claim *claim, struct mono now)
{
	return mono_since(now, claim->until) <= 0;
}

bool claim_matches(const struct claim *claim, const struct model_ref_facts *model)
{
	for (size_t i = 0; i < claim->ref_count; i++) {
		if (model_ref_matches(&claim->refs[i], model))
			return true;
	}
	return claim->overflow;
}

/* Of two that are equally strong the one that lasts longer is shown; then by id, to be stable. */
static bool stands_before(const struct claim *a, const struct claim *b)
{
	if (a->source != b->source)
		return a->source > b->source;
	if (a->until.ms != b->until.ms)
		return a->until.ms > b->until.ms;
	return strcmp(a->id, b->id) < 0;
}

void claims_sum(const struct claims *claims, const struct model_ref_facts *model, struct mono now,
		struct claim_sum *sum)
{
	const struct claim *first = NULL;

	*sum = (struct claim_sum){.until = now};
	for (const struct claim *claim = claims->list; claim != NULL; claim = claim->hh.next) {
		if (ended(claim, now) || !claim_matches(claim, model))
			continue;
		sum->count++;
		if (claim->until.ms > sum->until.ms)
			sum->until = claim->until;
		if (first == NULL || stands_before(claim, first))
			first = claim;
	}
	if (first == NULL)
		return;
	sum->source = first->source;
	if (sum->count == 1)
		snprintf(sum->who, sizeof(sum->who), "%s", first->who);
	else
		snprintf(sum->who, sizeof(sum->who), "%.*s and %zu more", CLAIM_WHO_MAX - 24,
			 first->who, sum->count - 1);
}

void claims_free(struct claims *claims)
{
	struct claim *claim, *next;

	HASH_ITER (hh, claims->list, claim, next)
		claims_drop(claims, claim);
}
