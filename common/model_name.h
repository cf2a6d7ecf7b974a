/*
 * Names of models, as they stand in Redis: layout["+"root]":"name"@"revision", for example
 * "hf:meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a1". One model has exactly one spelling; the
 * grammar is in docs/names.md. A name is never turned into a path: it is only looked up.
 */
#ifndef LARDER_MODEL_NAME_H
#define LARDER_MODEL_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

#define MODEL_NAME_MAX	   512
#define MODEL_NAME_SIZE	   (MODEL_NAME_MAX + 1)
#define MODEL_ROOT_MAX	   16
#define MODEL_REVISION_MAX 64
#define NODE_NAME_MAX	   128
/* The root that is left out of names. */
#define MODEL_ROOT_DEFAULT "default"

/* The parts of a valid name; each points into the text that was parsed. */
struct model_name {
	const char *layout;
	size_t layout_len;
	const char *root; /* NULL and 0 when left out, that is root "default" */
	size_t root_len;
	const char *name;
	size_t name_len;
	const char *revision;
	size_t revision_len;
};

/* Accepts canonical names only: a second spelling of the same model is an error. */
int model_name_parse(const char *text, struct model_name *out, struct err *err) MUST_USE;

/* The same, when the parts are not wanted. */
bool model_name_valid(const char *text);

/* [a-z0-9-]{1,16}: the name of a root in the configuration. */
bool model_name_root_valid(const char *root);

/* [A-Za-z0-9._-]{1,128}, not "." or "..": the name of a node. No glob, brace or space. */
bool model_name_node_valid(const char *node);

/*
 * Builds the canonical name of `raw` (any bytes without NUL, '/' between segments) into `buf`
 * (MODEL_NAME_SIZE bytes). `root` is "default" or another valid root. Fails when the name has no
 * spelling: an empty segment, ".", "..", a leading '~', or more than MODEL_NAME_MAX bytes; the
 * caller then names the model by a digest (model_name_build_digest).
 */
int model_name_build(char *buf, const char *layout, const char *root, const char *raw,
		     const char *revision) MUST_USE;

/* The form for names without a spelling: "~" and 40 hexadecimal digits instead of the name. */
int model_name_build_digest(char *buf, const char *layout, const char *root, const char *hex40,
			    const char *revision) MUST_USE;

/*
 * Writes the name without its root into `buf` (MODEL_NAME_SIZE bytes): two nodes that hold the
 * same model in differently named roots hold copies of one model. `text` must be valid.
 */
void model_name_identity(char *buf, const char *text);

/* The root's name, "default" when left out, into `buf` (MODEL_ROOT_MAX + 1). `text` is valid. */
void model_name_root(char *buf, const char *text);

#endif
