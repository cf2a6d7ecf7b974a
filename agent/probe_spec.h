/*
 * One engine that is to be asked, and how what it serves is found among the cached models (pure).
 */
#ifndef LARDER_PROBE_SPEC_H
#define LARDER_PROBE_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/engine.h"
#include "agent/model_ref.h"

#define PROBE_REFS_MAX (2 * ENGINE_NAMES_MAX)

struct probe_pair {
	char *from, *to;
};

/* All texts and lists are owned. Starts zeroed. */
struct probe_spec {
	const struct engine *engine;
	char *url;	  /* scheme://address:port; the engine's own fixed paths are added to it */
	char *who;	  /* for people; NULL: the engine's name and the url */
	char *token_file; /* its first line is sent as bearer token, to this engine only; NULL */
	char *ca_file;	  /* NULL: the system's */
	char **models; /* references to what it serves, whatever it tells itself, while it lives */
	size_t model_count;
	struct probe_pair *aliases; /* a served name, and the reference that it means */
	size_t alias_count;
	struct probe_pair *prefixes; /* a path where the engine runs, and where that is on the host
				      */
	size_t prefix_count;
};

void probe_spec_add_model(struct probe_spec *spec, const char *reference);
void probe_spec_add_alias(struct probe_spec *spec, const char *served, const char *reference);
void probe_spec_add_prefix(struct probe_spec *spec, const char *there, const char *here);
void probe_spec_free(struct probe_spec *spec);
bool probe_spec_equal(const struct probe_spec *a, const struct probe_spec *b);

/*
 * A reference as an operator or an annotation writes it: a model's name as in Redis, an absolute
 * path of the host, a repository "org/name" or "org/name@commit", or a folder of layout directory.
 * False when it is none of these.
 */
bool probe_spec_ref(struct model_ref *out, const char *text);

/*
 * What a served model may mean: at most PROBE_REFS_MAX references into `refs`, which the caller
 * frees. Returns how many.
 */
size_t probe_spec_map(const struct probe_spec *spec, const struct engine_model *model,
		      struct model_ref *refs);

#endif
