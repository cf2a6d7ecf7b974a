/*
 * Claims that models are in use until a time (pure): an engine serves one, a caller holds one, a
 * pod mentions one, a file of one was found open. A claim names models by references, so it also
 * protects what is downloaded only later. It ends by itself; what makes it renews it.
 */
#ifndef LARDER_CLAIM_H
#define LARDER_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <uthash.h>

#include "agent/model_ref.h"
#include "agent/use.h"
#include "common/attributes.h"
#include "common/clock.h"
#include "common/model_name.h"

/* The longest have a model's name in them. */
#define CLAIM_ID_MAX   (MODEL_NAME_MAX + 64)
#define CLAIM_WHO_MAX  160
#define CLAIM_REFS_MAX 1024
/*
 * So many holds of callers, and as many other claims; more are refused. Whoever may hold models
 * must not crowd out what engines and pods say.
 */
#define CLAIMS_MAX 5000

struct claim {
	char *id; /* whoever makes the claim chooses it: "hold:8a1f...", "probe:...", "pod:..." */
	enum use_source source;
	char *who; /* for people: "vllm http://10.0.0.3:8000", "pod default/llama-0" */
	struct mono since, until;
	struct mono kept_until; /* as the journal has it (holds.h) */
	struct model_ref *refs; /* owned */
	size_t ref_count, ref_capacity;
	bool overflow; /* there were more: it then protects everything */
	UT_hash_handle hh;
};

struct claims {
	struct claim *list;
	size_t holds;	  /* how many of them are callers' */
	unsigned version; /* changes with every change */
};

/* What claims one model. */
struct claim_sum {
	struct mono until;	     /* the latest */
	enum use_source source;	     /* the strongest */
	char who[CLAIM_WHO_MAX + 1]; /* the strongest's, and how many others there are */
	size_t count;
};

/* A claim without references. Shortens what is too long. The caller owns it until claims_set. */
struct claim *claim_new(const char *id, enum use_source source, const char *who);
/* Takes the reference's strings over. */
void claim_add(struct claim *claim, struct model_ref *ref);
void claim_free(struct claim *claim);

/*
 * Takes the claim over, in place of the one with its id, whose `since` it inherits. False when
 * there are too many; the claim is then freed.
 */
bool claims_set(struct claims *claims, struct claim *claim) MUST_USE;
struct claim *claims_find(const struct claims *claims, const char *id);
void claims_drop(struct claims *claims, struct claim *claim);

bool claim_matches(const struct claim *claim, const struct model_ref_facts *model);

/* Sums up the claims on one model that have not ended. */
void claims_sum(const struct claims *claims, const struct model_ref_facts *model, struct mono now,
		struct claim_sum *sum);

void claims_free(struct claims *claims);

#endif
