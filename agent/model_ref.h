/*
 * How the world outside names a model, and which models of the inventory that means (pure). An
 * engine, a pod or a caller says a repository, a path or a model's own name; when in doubt more
 * models match, never fewer: what matches is protected. No path is ever built from a reference.
 */
#ifndef LARDER_MODEL_REF_H
#define LARDER_MODEL_REF_H

#include <stdbool.h>

enum model_ref_kind {
	MODEL_REF_NAME,	  /* the canonical name, as in Redis */
	MODEL_REF_REPO,	  /* "org/name" or "name": a hub repository, or a folder of layout directory
			   */
	MODEL_REF_FOLDER, /* "models--org--name": a repository's folder, wherever it is mounted */
	MODEL_REF_PATH,	  /* an absolute path of this host, in a model or of its folder */
};

struct model_ref {
	enum model_ref_kind kind;
	char *text;	/* owned */
	char *revision; /* owned; of REPO and FOLDER: 7 to 64 hexadecimal digits of the commit;
			   NULL: any */
};

/* What is known of a model; all borrowed. */
struct model_ref_facts {
	const char *name;    /* canonical */
	const char *layout;  /* as in the configuration */
	const char *locator; /* the layout's own (layout.h) */
	const char *root_path;
};

/*
 * What an engine or a pod means by `text`: a path with models--X[/snapshots/REV] in it (datasets--,
 * spaces--, kernels-- as well) is a FOLDER, another absolute path a PATH, one or two parts without
 * odd characters a REPO. False when it can mean no model. A revision that is no commit (a branch, a
 * tag) is left out: any revision matches.
 */
bool model_ref_guess(struct model_ref *out, const char *text, const char *revision);

/* The same for a text that is known to be of a kind. */
void model_ref_make(struct model_ref *out, enum model_ref_kind kind, const char *text,
		    const char *revision);

bool model_ref_matches(const struct model_ref *ref, const struct model_ref_facts *model);

/* Does the model hold the file or folder at `path` (absolute, of this host), or is it that folder?
 */
bool model_ref_holds_path(const struct model_ref_facts *model, const char *path);

bool model_ref_equal(const struct model_ref *a, const struct model_ref *b);
void model_ref_free(struct model_ref *ref);

#endif
