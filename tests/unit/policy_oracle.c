/*
 * The eviction rules read literally, one victim at a time, everything worked out anew at each step.
 * Slow, and written without a look at the product's way.
 */
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"
#include "tests/unit/policy_world.h"

struct oracle {
	const struct world *world;
	bool **gone; /* by node and model */
	enum evict_reason **reasons;
};

static bool same_model(const char *a, const char *b)
{
	char left[MODEL_NAME_SIZE], right[MODEL_NAME_SIZE];

	model_name_identity(left, a);
	model_name_identity(right, b);
	return strcmp(left, right) == 0;
}

/* On how many live nodes it stays, with `less` of node `at` taken away too (SIZE_MAX: nothing). */
static int64_t copies_of(const struct oracle *o, const char *name, size_t at, size_t less)
{
	int64_t copies = 0;

	for (size_t i = 0; i < o->world->cluster.count; i++) {
		const struct cluster_node *node = &o->world->cluster.nodes[i];
		bool stays = false;

		for (size_t j = 0; j < node->model_total; j++)
			stays |= same_model(node->models[j].name, name) &&
				 !node->models[j].pending && !o->gone[i][j] &&
				 !(i == at && j == less);
		copies += node->known && node->live && stays;
	}
	return copies;
}

static int64_t size_of(const struct cluster_model *model)
{
	return model->bytes == CLUSTER_UNKNOWN ? 0 : model->bytes;
}

static bool may_go(const struct oracle *o, size_t at, size_t index)
{
	const struct cluster_node *node = &o->world->cluster.nodes[at];
	const struct cluster_model *model = &node->models[index];
	const struct limits *limits = &o->world->limits[at];
	int64_t after = copies_of(o, model->name, at, index);
	int64_t min_age = limits->min_age_ms;

	if (min_age == SETTING_UNSET)
		min_age =
			limits->unused_threshold_ms < 600000 ? limits->unused_threshold_ms : 600000;
	if (o->gone[at][index] || model->pending || model->held || model->deferred)
		return false;
	if (model->last_used_ms > o->world->now_ms - min_age)
		return false;
	if (pins_match(&o->world->pins, model->name, o->world->now_ms) != NULL)
		return false;
	if (node->root_count > 0 && model->root < 0)
		return false;
	if (node->root_count > 0 && !node->roots[model->root].deletes)
		return false;
	if (limits->max_bytes_per_node != SETTING_UNSET &&
	    size_of(model) > limits->max_bytes_per_node)
		return false;
	if (o->world->capped && size_of(model) > o->world->budget.bytes)
		return false;
	if (limits->min_copies == 0)
		return true;
	return o->world->counts_copies && (after >= limits->min_copies ||
					   after == copies_of(o, model->name, SIZE_MAX, SIZE_MAX));
}

static void take(struct oracle *o, size_t at, size_t index, enum evict_reason reason)
{
	o->gone[at][index] = true;
	o->reasons[at][index] = reason;
}

static void by_time(struct oracle *o, size_t at)
{
	const struct cluster_node *node = &o->world->cluster.nodes[at];

	for (size_t i = 0; i < node->model_total; i++) {
		int64_t idle = o->world->now_ms - node->models[i].last_used_ms;

		if (idle > o->world->limits[at].unused_threshold_ms && may_go(o, at, i))
			take(o, at, i, REASON_TIME_THRESHOLD);
	}
}

static void by_count(struct oracle *o, size_t at)
{
	const struct cluster_node *node = &o->world->cluster.nodes[at];
	bool more = o->world->limits[at].max_models != SETTING_UNSET;

	while (more) {
		int64_t stay = 0;

		for (size_t i = 0; i < node->model_total; i++)
			stay += !node->models[i].pending && !o->gone[at][i];
		more = false;
		for (size_t i = 0; i < node->model_total && !more; i++) {
			more = stay > o->world->limits[at].max_models && may_go(o, at, i);
			if (more)
				take(o, at, i, REASON_COUNT_LIMIT);
		}
	}
}

/* The oldest on the disk that may go; one that frees something, or one that does not. */
static size_t oldest(const struct oracle *o, size_t at, const char *disk, bool frees)
{
	const struct cluster_node *node = &o->world->cluster.nodes[at];

	for (size_t i = 0; i < node->model_total; i++) {
		int root = node->models[i].root;

		if (root >= 0 && strcmp(node->roots[root].disk, disk) == 0 &&
		    (size_of(&node->models[i]) > 0) == frees && may_go(o, at, i))
			return i;
	}
	return SIZE_MAX;
}

static int64_t expected_free(const struct oracle *o, size_t at, const struct cluster_root *on)
{
	const struct cluster_node *node = &o->world->cluster.nodes[at];
	int64_t bytes = on->available_bytes;

	for (size_t i = 0; i < node->model_total; i++) {
		int root = node->models[i].root;

		if (root >= 0 && strcmp(node->roots[root].disk, on->disk) == 0 &&
		    (node->models[i].pending || o->gone[at][i]))
			bytes += size_of(&node->models[i]);
	}
	return bytes;
}

static void by_space(struct oracle *o, size_t at, const struct cluster_root *root)
{
	int64_t floor = limits_wanted_available(&o->world->limits[at], root->total_bytes,
						root->available_bytes);

	if (!root->available || floor > root->total_bytes)
		return;
	while (expected_free(o, at, root) < floor) {
		size_t next = oldest(o, at, root->disk, true);
		bool last = next == SIZE_MAX;

		if (last)
			next = oldest(o, at, root->disk, false);
		if (next != SIZE_MAX)
			take(o, at, next, REASON_DISK_SPACE);
		if (last)
			return;
	}
}

/* Keeps of a node's victims, oldest first, those that the caps allow. */
static void apply_caps(struct oracle *o, size_t at, struct policy_budget *left, struct plan *plan)
{
	const struct cluster_node *node = &o->world->cluster.nodes[at];
	const struct limits *limits = &o->world->limits[at];
	int64_t count = 0, bytes = 0;

	for (size_t i = 0; i < node->model_total; i++) {
		int64_t size = size_of(&node->models[i]);
		bool fits = limits->max_evictions_per_node == SETTING_UNSET ||
			    count + 1 <= limits->max_evictions_per_node;

		if (!o->gone[at][i])
			continue;
		fits = fits && (limits->max_bytes_per_node == SETTING_UNSET ||
				bytes + size <= limits->max_bytes_per_node);
		fits = fits && (!o->world->capped || (left->evictions > 0 && left->bytes >= size));
		o->gone[at][i] = fits;
		if (!fits)
			continue;
		count++;
		bytes += size;
		left->evictions--;
		left->bytes -= left->bytes == INT64_MAX ? 0 : size;
		plan->victims = xgrow(plan->victims, plan->victim_count, &plan->victim_capacity,
				      sizeof(*plan->victims));
		plan->victims[plan->victim_count++] =
			(struct plan_victim){at, i, o->reasons[at][i]};
	}
}

/* A disk is looked at once, whatever number of roots is on it: the first that is there. */
static bool first_of_disk(const struct cluster_node *node, size_t root)
{
	for (size_t i = 0; i < root; i++) {
		if (node->roots[i].available &&
		    strcmp(node->roots[i].disk, node->roots[root].disk) == 0)
			return false;
	}
	return node->roots[root].available;
}

static void plan_node(struct oracle *o, size_t at, struct policy_budget *left, struct plan *plan)
{
	const struct cluster_node *node = &o->world->cluster.nodes[at];

	if (!node->known || !node->live)
		return;
	by_time(o, at);
	if (node->complete) {
		by_count(o, at);
		for (size_t i = 0; i < node->root_count; i++) {
			if (first_of_disk(node, i))
				by_space(o, at, &node->roots[i]);
		}
	}
	apply_caps(o, at, left, plan);
}

void oracle_plan(const struct world *world, struct plan *plan)
{
	size_t nodes = world->cluster.count;
	struct oracle o = {world, xcalloc(nodes, sizeof(*o.gone)),
			   xcalloc(nodes, sizeof(*o.reasons))};
	struct policy_budget left = world->budget;

	*plan = (struct plan){0};
	for (size_t i = 0; i < nodes; i++) {
		o.gone[i] = xcalloc(world->cluster.nodes[i].model_total, sizeof(**o.gone));
		o.reasons[i] = xcalloc(world->cluster.nodes[i].model_total, sizeof(**o.reasons));
	}
	for (size_t i = 0; i < nodes; i++)
		plan_node(&o, i, &left, plan);
	for (size_t i = 0; i < nodes; i++) {
		free(o.gone[i]);
		free(o.reasons[i]);
	}
	free(o.gone);
	free(o.reasons);
}
