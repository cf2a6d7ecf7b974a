/* Engines to be asked, and the way from what they serve to cached models. (pure) */
#include "agent/probe_spec.h"

#include <stdlib.h>
#include <string.h>

#include "common/model_name.h"
#include "common/xmem.h"

#define REFERENCE_MAX 1024

void probe_spec_add_model(struct probe_spec *spec, const char *reference)
{
	spec->models = xrealloc(spec->models, (spec->model_count + 1) * sizeof(*spec->models));
	spec->models[spec->model_count++] = xstrdup(reference);
}

static void add_pair(struct probe_pair **list, size_t *count, const char *from, const char *to)
{
	*list = xrealloc(*list, (*count + 1) * sizeof(**list));
	(*list)[(*count)++] = (struct probe_pair){xstrdup(from), xstrdup(to)};
}

void probe_spec_add_alias(struct probe_spec *spec, const char *served, const char *reference)
{
	add_pair(&spec->aliases, &spec->alias_count, served, reference);
}

void probe_spec_add_prefix(struct probe_spec *spec, const char *there, const char *here)
{
	add_pair(&spec->prefixes, &spec->prefix_count, there, here);
}

static void free_pairs(struct probe_pair *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(list[i].from);
		free(list[i].to);
	}
	free(list);
}

void probe_spec_free(struct probe_spec *spec)
{
	free(spec->url);
	free(spec->who);
	free(spec->token_file);
	free(spec->ca_file);
	for (size_t i = 0; i < spec->model_count; i++)
		free(spec->models[i]);
	free(spec->models);
	free_pairs(spec->aliases, spec->alias_count);
	free_pairs(spec->prefixes, spec->prefix_count);
	*spec = (struct probe_spec){0};
}

static bool same(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_pairs(const struct probe_pair *a, size_t count, const struct probe_pair *b,
		       size_t other)
{
	if (count != other)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!same(a[i].from, b[i].from) || !same(a[i].to, b[i].to))
			return false;
	}
	return true;
}

bool probe_spec_equal(const struct probe_spec *a, const struct probe_spec *b)
{
	if (a->engine != b->engine || !same(a->url, b->url) || !same(a->who, b->who) ||
	    !same(a->token_file, b->token_file) || !same(a->ca_file, b->ca_file) ||
	    a->model_count != b->model_count)
		return false;
	for (size_t i = 0; i < a->model_count; i++) {
		if (!same(a->models[i], b->models[i]))
			return false;
	}
	return same_pairs(a->aliases, a->alias_count, b->aliases, b->alias_count) &&
	       same_pairs(a->prefixes, a->prefix_count, b->prefixes, b->prefix_count);
}

/* "org/name@commit" */
static bool repo_at_commit(struct model_ref *out, const char *text)
{
	const char *at = strrchr(text, '@');
	char *repo;
	bool is;

	if (at == NULL || text[0] == '/')
		return false;
	repo = xstrndup(text, (size_t)(at - text));
	is = model_ref_guess(out, repo, at + 1) && out->revision != NULL;
	if (!is)
		model_ref_free(out);
	free(repo);
	return is;
}

static bool printable(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	}
	return true;
}

bool probe_spec_ref(struct model_ref *out, const char *text)
{
	size_t len = strlen(text);

	*out = (struct model_ref){0};
	if (len == 0 || len > REFERENCE_MAX || !printable(text))
		return false;
	if (model_name_valid(text)) {
		model_ref_make(out, MODEL_REF_NAME, text, NULL);
		return true;
	}
	if (repo_at_commit(out, text) || model_ref_guess(out, text, NULL))
		return true;
	/* A folder further down: "team/llama/fp8". */
	if (text[len - 1] == '/' || strstr(text, "//") != NULL || strstr(text, "..") != NULL)
		return false;
	model_ref_make(out, MODEL_REF_REPO, text, NULL);
	return true;
}

/* How much of a path a prefix covers; 0: it does not lie below it. */
static size_t covered(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	while (len > 0 && prefix[len - 1] == '/')
		len--;
	if (strncmp(path, prefix, len) != 0 || (path[len] != '/' && path[len] != '\0'))
		return 0;
	return len > 0 ? len : 1;
}

/* A path where the engine runs as a path of the host; to be freed. */
static char *translate(const struct probe_spec *spec, const char *path)
{
	const struct probe_pair *best = NULL;
	size_t len, longest = 0;

	for (size_t i = 0; i < spec->prefix_count; i++) {
		len = covered(path, spec->prefixes[i].from);
		if (len > longest) {
			longest = len;
			best = &spec->prefixes[i];
		}
	}
	if (best == NULL)
		return xstrdup(path);
	len = strlen(best->to);
	while (len > 0 && best->to[len - 1] == '/')
		len--;
	/* The prefix "/" covers the slash that is needed. */
	return xasprintf("%.*s%s%s", (int)len, best->to, path[longest - 1] == '/' ? "/" : "",
			 path + longest);
}

static void keep(struct model_ref *refs, size_t *count, struct model_ref *ref)
{
	for (size_t i = 0; i < *count; i++) {
		if (model_ref_equal(&refs[i], ref)) {
			model_ref_free(ref);
			return;
		}
	}
	if (*count == PROBE_REFS_MAX)
		model_ref_free(ref);
	else
		refs[(*count)++] = *ref;
}

size_t probe_spec_map(const struct probe_spec *spec, const struct engine_model *model,
		      struct model_ref *refs)
{
	struct model_ref ref;
	size_t count = 0;

	for (size_t i = 0; i < spec->alias_count; i++) {
		for (size_t j = 0; j < model->count; j++) {
			if (strcmp(spec->aliases[i].from, model->names[j]) == 0 &&
			    probe_spec_ref(&ref, spec->aliases[i].to))
				keep(refs, &count, &ref);
		}
	}
	for (size_t j = 0; j < model->count; j++) {
		char *text = model->names[j][0] == '/' ? translate(spec, model->names[j])
						       : xstrdup(model->names[j]);

		if (model_ref_guess(&ref, text, model->revision))
			keep(refs, &count, &ref);
		free(text);
	}
	return count;
}
