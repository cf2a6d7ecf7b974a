/* Nodes, roots and models as plain data. (pure) */
#include "coordinator/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"

#define STRINGS_CHUNK 65536

struct chunk {
	struct chunk *next;
	size_t used, size;
	char data[];
};

void cluster_init(struct cluster *cluster, size_t count)
{
	cluster->nodes = xcalloc(count, sizeof(*cluster->nodes));
	cluster->count = count;
	cluster->strings = NULL;
}

void cluster_free(struct cluster *cluster)
{
	struct chunk *chunk = cluster->strings;

	for (size_t i = 0; i < cluster->count; i++) {
		free(cluster->nodes[i].roots);
		free(cluster->nodes[i].models);
		free(cluster->nodes[i].others);
	}
	free(cluster->nodes);
	while (chunk != NULL) {
		struct chunk *next = chunk->next;

		free(chunk);
		chunk = next;
	}
	memset(cluster, 0, sizeof(*cluster));
}

const char *cluster_string(struct cluster *cluster, const char *text, size_t len)
{
	struct chunk *chunk = cluster->strings;
	char *copy;

	if (chunk == NULL || chunk->size - chunk->used < len + 1) {
		size_t size = len + 1 > STRINGS_CHUNK ? len + 1 : STRINGS_CHUNK;

		chunk = xmalloc(sizeof(*chunk) + size);
		chunk->next = cluster->strings;
		chunk->used = 0;
		chunk->size = size;
		cluster->strings = chunk;
	}
	copy = chunk->data + chunk->used;
	memcpy(copy, text, len);
	copy[len] = '\0';
	chunk->used += len + 1;
	return copy;
}

bool cluster_add_model(struct cluster *cluster, struct cluster_node *node, const char *name,
		       size_t len, int64_t last_used_ms)
{
	struct cluster_model *model;

	if (memchr(name, '\0', len) != NULL || !model_name_valid(name) || last_used_ms < 0)
		return false;
	node->models = xgrow(node->models, node->model_total, &node->model_capacity,
			     sizeof(*node->models));
	model = &node->models[node->model_total++];
	*model = (struct cluster_model){
		.name = cluster_string(cluster, name, len),
		.last_used_ms = last_used_ms,
		.bytes = CLUSTER_UNKNOWN,
		.root = -1,
	};
	return true;
}

static bool take_number(const char *value, size_t len, int64_t *out)
{
	char digits[24];

	if (len == 0 || len > 19 || strspn(value, "0123456789") < len)
		return false;
	memcpy(digits, value, len);
	digits[len] = '\0';
	errno = 0;
	*out = strtoll(digits, NULL, 10);
	return errno == 0;
}

static bool take_root_field(struct cluster_root *root, const char *key, size_t key_len,
			    const char *value, size_t len)
{
#define IS(name) (key_len == strlen(name) && memcmp(key, name, key_len) == 0)
	if (IS("disk"))
		snprintf(root->disk, sizeof(root->disk), "%.*s", (int)len, value);
	else if (IS("layout"))
		snprintf(root->layout, sizeof(root->layout), "%.*s", (int)len, value);
	else if (IS("total_bytes"))
		return take_number(value, len, &root->total_bytes);
	else if (IS("available_bytes"))
		return take_number(value, len, &root->available_bytes);
	else if (IS("leftover_bytes"))
		return take_number(value, len, &root->leftover_bytes);
	else if (IS("mode")) {
		root->deletes = len == 6 && memcmp(value, "delete", 6) == 0;
		root->available = !(len == 11 && memcmp(value, "unavailable", 11) == 0);
	}
	return true; /* keys of later versions are left alone */
#undef IS
}

bool cluster_add_root(struct cluster_node *node, const char *name, const char *text)
{
	struct cluster_root root = {.total_bytes = 0};

	if (!model_name_root_valid(name))
		return false;
	snprintf(root.name, sizeof(root.name), "%s", name);
	while (*text != '\0') {
		const char *equals = strchr(text, '=');
		const char *end;

		if (equals == NULL)
			return false;
		if (strncmp(text, "note=", 5) == 0) { /* the last one, with spaces in it */
			snprintf(root.note, sizeof(root.note), "%s", text + 5);
			break;
		}
		end = equals + strcspn(equals, " ");
		if (!take_root_field(&root, text, (size_t)(equals - text), equals + 1,
				     (size_t)(end - equals - 1)))
			return false;
		text = *end == ' ' ? end + 1 : end;
	}
	node->roots = xrealloc(node->roots, (node->root_count + 1) * sizeof(*node->roots));
	node->roots[node->root_count++] = root;
	return true;
}

static int oldest_first(const void *a, const void *b)
{
	const struct cluster_model *left = a, *right = b;

	if (left->last_used_ms != right->last_used_ms)
		return left->last_used_ms < right->last_used_ms ? -1 : 1;
	return strcmp(left->name, right->name);
}

static int by_name(const void *a, const void *b)
{
	const struct cluster_root *left = a, *right = b;

	return strcmp(left->name, right->name);
}

void cluster_finish_node(struct cluster_node *node)
{
	/* Redis names the fields of a hash in any order, and in another one after each change. */
	if (node->root_count > 1)
		qsort(node->roots, node->root_count, sizeof(*node->roots), by_name);
	if (node->model_total > 1)
		qsort(node->models, node->model_total, sizeof(*node->models), oldest_first);
	for (size_t i = 0; i < node->model_total && node->root_count > 0; i++) {
		char root[MODEL_ROOT_MAX + 1];

		model_name_root(root, node->models[i].name);
		for (size_t j = 0; j < node->root_count; j++) {
			if (strcmp(node->roots[j].name, root) == 0)
				node->models[i].root = (int)j;
		}
	}
}
