/* Small clusters: making them, and what must hold for every plan. */
#include "tests/unit/policy_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"
#include "coordinator/copies.h"

#define NOW_MS	   INT64_C(1000000)
#define DISK_BYTES 100
#define MODELS	   6 /* different ones in the cluster */

static const char *const root_names[] = {"default", "b", "c"};

/* ---- making one ---- */

struct maker {
	struct world *world;
	choose_fn choose;
	void *arg;
};

static int64_t pick(struct maker *m, uint64_t bound)
{
	return (int64_t)m->choose(m->arg, bound);
}

/* True once in `n`. */
static bool once_in(struct maker *m, uint64_t n)
{
	return m->choose(m->arg, n) == 1;
}

/* Unset more often than not, otherwise from `first` on. */
static int64_t pick_limit(struct maker *m, int64_t first, uint64_t count)
{
	return pick(m, 2) == 0 ? SETTING_UNSET : first + pick(m, count);
}

static void make_limits(struct maker *m, struct limits *limits)
{
	setting_defaults(limits_settings, limits);
	/* Half of the time longer than any model is unused, to leave something to the other rules.
	 */
	limits->unused_threshold_ms = pick(m, 2) == 0 ? 2000 : pick(m, 12) * 100;
	limits->max_models = pick_limit(m, 1, 8);
	limits->min_free_space_bytes = pick_limit(m, 0, DISK_BYTES + 10);
	limits->min_age_ms = pick_limit(m, 0, 500);
	limits->min_copies = pick(m, 2) * pick(m, 4);
	limits->max_evictions_per_node = once_in(m, 4) ? 1 + pick(m, 4) : SETTING_UNSET;
	limits->max_bytes_per_node = once_in(m, 4) ? 1 + pick(m, 60) : SETTING_UNSET;
	if (once_in(m, 3)) {
		limits->stop_evicting_at_percent = 1 + pick(m, 97);
		limits->start_evicting_at_percent =
			limits->stop_evicting_at_percent + 1 +
			pick(m, (uint64_t)(99 - limits->stop_evicting_at_percent));
	}
}

/* Roots with the same disk share its space. */
static void make_roots(struct maker *m, struct cluster_node *node)
{
	size_t count = (size_t)pick(m, 4);
	int64_t available[2] = {pick(m, DISK_BYTES), pick(m, DISK_BYTES)};

	for (size_t i = 0; i < count && i < 3; i++) {
		int disk = (int)pick(m, 2);
		char line[200];

		snprintf(line, sizeof(line),
			 "disk=%d layout=huggingface total_bytes=%d available_bytes=%" PRId64
			 " leftover_bytes=0 mode=%s",
			 disk, DISK_BYTES, available[disk],
			 once_in(m, 10)	 ? "unavailable"
			 : once_in(m, 6) ? "report"
					 : "delete");
		if (!cluster_add_root(node, root_names[i], line))
			abort();
	}
}

static bool has_model(const struct cluster_node *node, const char *name)
{
	for (size_t i = 0; i < node->model_total; i++) {
		if (strcmp(node->models[i].name, name) == 0)
			return true;
	}
	return false;
}

static void make_models(struct maker *m, struct cluster_node *node)
{
	for (int64_t left = pick(m, 12); left > 0; left--) {
		const char *root = root_names[pick(m, 8) % 3];
		bool named = strcmp(root, "default") != 0;
		struct cluster_model *model;
		char name[64];
		int len = snprintf(name, sizeof(name), "hf%s%s:m%d@1", named ? "+" : "",
				   named ? root : "", (int)pick(m, MODELS));

		if (has_model(node, name))
			continue;
		if (!cluster_add_model(&m->world->cluster, node, name, (size_t)len,
				       NOW_MS - pick(m, 14) * 100))
			abort();
		model = &node->models[node->model_total - 1];
		model->bytes = pick(m, 4) == 0 ? pick(m, 2) - 1 : pick(m, 30);
		model->held = once_in(m, 8);
		model->pending = once_in(m, 8);
		model->deferred = once_in(m, 10);
	}
}

static void make_pins(struct maker *m)
{
	static const char *const values[] = {"{\"until_ms\":0}", "{\"until_ms\":999999}",
					     "{\"until_ms\":1000001}", "broken"};

	for (int64_t left = pick(m, 3); left > 0; left--) {
		char glob[16];
		struct err ignored;

		snprintf(glob, sizeof(glob), "hf*:m%d@*", (int)pick(m, MODELS));
		if (pins_add(&m->world->pins, glob, values[pick(m, 4)], &ignored) != 0)
			continue; /* it pins all the same */
	}
}

void world_make(struct world *world, choose_fn choose, void *arg)
{
	struct maker m = {world, choose, arg};
	size_t count = (size_t)pick(&m, 4);

	*world = (struct world){.now_ms = NOW_MS};
	cluster_init(&world->cluster, count);
	world->limits = xcalloc(count + 1, sizeof(*world->limits));
	world->counts_copies = !once_in(&m, 6);
	world->capped = once_in(&m, 4);
	world->budget.evictions = pick(&m, 6);
	world->budget.bytes = once_in(&m, 2) ? INT64_MAX : pick(&m, 100);
	make_pins(&m);
	for (size_t i = 0; i < count; i++) {
		struct cluster_node *node = &world->cluster.nodes[i];
		char name[8];
		int len = snprintf(name, sizeof(name), "n%zu", i);

		node->name = cluster_string(&world->cluster, name, (size_t)len);
		node->known = !once_in(&m, 10);
		node->live = !once_in(&m, 10);
		node->complete = !once_in(&m, 10);
		make_limits(&m, &world->limits[i]);
		make_roots(&m, node);
		make_models(&m, node);
		cluster_finish_node(node);
	}
}

void world_free(struct world *world)
{
	cluster_free(&world->cluster);
	pins_free(&world->pins);
	free(world->limits);
}

/* What the cycle counts: what live nodes hold and is not on its way out. */
static struct copies *world_copies(const struct world *world)
{
	struct copies *copies = copies_new();

	for (size_t i = 0; i < world->cluster.count; i++) {
		const struct cluster_node *node = &world->cluster.nodes[i];
		const char **names = xcalloc(node->model_total, sizeof(*names));
		size_t count = 0;

		for (size_t j = 0; j < node->model_total; j++) {
			if (!node->models[j].pending)
				names[count++] = node->models[j].name;
		}
		if (node->known && node->live)
			copies_set(copies, node->name, 1, names, count);
		free(names);
	}
	return copies;
}

void world_plan(const struct world *world, struct plan *plan)
{
	struct copies *copies = world->counts_copies ? world_copies(world) : NULL;
	struct policy_budget budget = {world->budget.evictions, world->budget.bytes,
				       world->budget.bytes};
	struct policy_input input = {
		.cluster = &world->cluster,
		.limits = world->limits,
		.pins = &world->pins,
		.now_ms = world->now_ms,
		.copies = copies,
		.budget = world->capped ? &budget : NULL,
	};

	policy_plan(&input, plan);
	copies_free(copies);
}

/* ---- what must hold ---- */

struct check {
	const struct world *world;
	const struct plan *plan;
};

static const struct cluster_model *victim_model(const struct check *c,
						const struct plan_victim *victim)
{
	return &c->world->cluster.nodes[victim->node].models[victim->model];
}

static int64_t freed_by(const struct cluster_model *model)
{
	return model->bytes > 0 ? model->bytes : 0;
}

static const struct plan_victim *find_victim(const struct check *c, size_t node, size_t model)
{
	for (size_t i = 0; i < c->plan->victim_count; i++) {
		if (c->plan->victims[i].node == node && c->plan->victims[i].model == model)
			return &c->plan->victims[i];
	}
	return NULL;
}

static const char *check_victim(const struct check *c, const struct plan_victim *victim)
{
	const struct cluster_node *node = &c->world->cluster.nodes[victim->node];
	const struct limits *limits = &c->world->limits[victim->node];
	const struct cluster_model *model = victim_model(c, victim);
	int64_t idle_ms = c->world->now_ms - model->last_used_ms;

	if (!node->known || !node->live)
		return "a victim on a node that is not known or not live";
	if (model->pending)
		return "a victim whose command is under way";
	if (model->held)
		return "a victim that is held";
	if (model->deferred)
		return "a victim that failed lately";
	if (pins_match(&c->world->pins, model->name, c->world->now_ms) != NULL)
		return "a victim that is pinned";
	if (idle_ms < limits_min_age_ms(limits))
		return "a victim that is too young";
	if (node->root_count > 0 && (model->root < 0 || !node->roots[model->root].deletes))
		return "a victim in a root that is only reported, or is not known";
	if (victim->reason == REASON_TIME_THRESHOLD && idle_ms <= limits->unused_threshold_ms)
		return "a victim by time that was used within the threshold";
	if (victim->reason == REASON_COUNT_LIMIT && limits->max_models == SETTING_UNSET)
		return "a victim by count where there is no limit";
	if (victim->reason != REASON_TIME_THRESHOLD && !node->complete)
		return "a victim by count or space on a node that was not read whole";
	if (victim->reason == REASON_MANUAL)
		return "a victim by hand";
	return NULL;
}

/* Each model once; victims of one node together, oldest first; nothing both spared and a victim. */
static const char *check_order(const struct check *c)
{
	const struct plan *plan = c->plan;

	for (size_t i = 1; i < plan->victim_count; i++) {
		const struct plan_victim *before = &plan->victims[i - 1], *here = &plan->victims[i];

		if (before->node > here->node ||
		    (before->node == here->node && before->model >= here->model))
			return "victims out of order, or twice";
	}
	for (size_t i = 0; i < plan->spared_count; i++) {
		if (find_victim(c, plan->spared[i].node, plan->spared[i].model) != NULL)
			return "a victim that is spared too";
		if (plan->spared[i].why == SPARE_NONE)
			return "a model spared by nothing";
		for (size_t j = 0; j < i; j++) {
			if (plan->spared[i].node == plan->spared[j].node &&
			    plan->spared[i].model == plan->spared[j].model)
				return "a model that is spared twice";
		}
	}
	return NULL;
}

static const char *check_caps(const struct check *c)
{
	int64_t all = 0, all_bytes = 0;

	for (size_t node = 0; node < c->world->cluster.count; node++) {
		const struct limits *limits = &c->world->limits[node];
		int64_t count = 0, bytes = 0;

		for (size_t i = 0; i < c->plan->victim_count; i++) {
			if (c->plan->victims[i].node != node)
				continue;
			count++;
			bytes += freed_by(victim_model(c, &c->plan->victims[i]));
		}
		if (limits->max_evictions_per_node != SETTING_UNSET &&
		    count > limits->max_evictions_per_node)
			return "more victims than max_evictions_per_node";
		if (limits->max_bytes_per_node != SETTING_UNSET &&
		    bytes > limits->max_bytes_per_node)
			return "more bytes than max_bytes_per_node";
		all += count;
		all_bytes += bytes;
	}
	if (c->world->capped &&
	    (all > c->world->budget.evictions || all_bytes > c->world->budget.bytes))
		return "more than the cycle may do";
	return NULL;
}

/* Does a node still hold the model once the plan is done and what is under way has ended? */
static bool holds_after(const struct check *c, size_t index, const char *identity)
{
	const struct cluster_node *node = &c->world->cluster.nodes[index];
	char other[MODEL_NAME_SIZE];

	for (size_t i = 0; i < node->model_total && node->known && node->live; i++) {
		model_name_identity(other, node->models[i].name);
		if (strcmp(other, identity) == 0 && !node->models[i].pending &&
		    find_victim(c, index, i) == NULL)
			return true;
	}
	return false;
}

/* Where copies matter to the last node that gives one up, enough of them are left. */
static const char *check_copies(const struct check *c)
{
	for (size_t i = 0; i < c->plan->victim_count; i++) {
		const struct plan_victim *victim = &c->plan->victims[i];
		int64_t wanted = c->world->limits[victim->node].min_copies, left = 0;
		char identity[MODEL_NAME_SIZE];
		bool later = false;

		model_name_identity(identity, victim_model(c, victim)->name);
		for (size_t j = i + 1; j < c->plan->victim_count; j++) {
			char other[MODEL_NAME_SIZE];

			model_name_identity(other, victim_model(c, &c->plan->victims[j])->name);
			later |= strcmp(identity, other) == 0;
		}
		for (size_t node = 0; node < c->world->cluster.count; node++)
			left += holds_after(c, node, identity);
		if (wanted > 0 && !c->world->counts_copies)
			return "a victim although copies are wanted and not counted";
		if (wanted > 0 && !later && !holds_after(c, victim->node, identity) &&
		    left < wanted)
			return "a victim that leaves too few copies";
	}
	return NULL;
}

static bool on_disk(const struct cluster_node *node, size_t model, const char *disk)
{
	int root = node->models[model].root;

	return root >= 0 && strcmp(node->roots[root].disk, disk) == 0;
}

/* Chosen, and then left for a later cycle: not what fits into none. */
static bool capped_away(const struct check *c, size_t node, size_t model)
{
	int64_t cap = c->world->limits[node].max_bytes_per_node;
	int64_t bytes = freed_by(&c->world->cluster.nodes[node].models[model]);

	if ((cap != SETTING_UNSET && bytes > cap) ||
	    (c->world->capped && bytes > c->world->budget.bytes))
		return false;
	for (size_t i = 0; i < c->plan->spared_count; i++) {
		if (c->plan->spared[i].node == node && c->plan->spared[i].model == model)
			return c->plan->spared[i].why == SPARE_CAP;
	}
	return false;
}

static const struct plan_shortfall *find_shortfall(const struct check *c, size_t node,
						   const char *disk)
{
	for (size_t i = 0; i < c->plan->shortfall_count; i++) {
		const struct plan_shortfall *s = &c->plan->shortfalls[i];

		if (s->node == node && s->rule == REASON_DISK_SPACE && strcmp(s->disk, disk) == 0)
			return s;
	}
	return NULL;
}

/* A root that is not there says nothing of its disk while another one can. */
static bool speaks_for_disk(const struct cluster_node *node, const struct cluster_root *root)
{
	for (size_t i = 0; i < node->root_count; i++) {
		if (node->roots[i].available && strcmp(node->roots[i].disk, root->disk) == 0)
			return root->available;
	}
	return true;
}

/* Never more than one model beyond what the floor needs, and a floor that is not reached is said.
 */
static const char *check_disk(const struct check *c, size_t index, const struct cluster_root *root)
{
	const struct cluster_node *node = &c->world->cluster.nodes[index];
	const struct plan_shortfall *shortfall = find_shortfall(c, index, root->disk);
	int64_t target = root->available
				 ? limits_wanted_available(&c->world->limits[index],
							   root->total_bytes, root->available_bytes)
				 : 0;
	int64_t have = root->available_bytes, capped = 0, last = -1;

	for (size_t i = 0; i < node->model_total; i++) {
		const struct plan_victim *victim = find_victim(c, index, i);

		if (!on_disk(node, i, root->disk))
			continue;
		if (victim != NULL || node->models[i].pending)
			have += freed_by(&node->models[i]);
		if (victim != NULL && victim->reason == REASON_DISK_SPACE &&
		    (last < 0 || node->models[i].bytes > 0))
			last = freed_by(&node->models[i]);
		if (capped_away(c, index, i))
			capped += freed_by(&node->models[i]);
	}
	if (last >= 0 && (target == 0 || target > root->total_bytes))
		return "a victim by space where none is wanted, or it cannot help";
	if (last >= 0 && have - last >= target)
		return "more than one model beyond what the floor needs";
	if (!node->known || !node->live || !node->complete)
		return shortfall != NULL ? "a shortfall of a node that was not planned for" : NULL;
	if (target > root->total_bytes)
		return shortfall != NULL && shortfall->impossible
			       ? NULL
			       : "an impossible floor that is not said";
	if ((have + capped < target) != (shortfall != NULL))
		return "a floor that is not reached and not said, or the reverse";
	if (shortfall != NULL && (shortfall->reached != have + capped ||
				  shortfall->wanted != target || shortfall->impossible))
		return "a shortfall with wrong numbers";
	return NULL;
}

static const char *compare(const struct plan *plan, const struct plan *oracle)
{
	if (plan->victim_count != oracle->victim_count)
		return "the oracle has another number of victims";
	for (size_t i = 0; i < plan->victim_count; i++) {
		if (plan->victims[i].node != oracle->victims[i].node ||
		    plan->victims[i].model != oracle->victims[i].model)
			return "the oracle has other victims";
		if (plan->victims[i].reason != oracle->victims[i].reason)
			return "the oracle has another reason";
	}
	return NULL;
}

const char *world_check(const struct world *world, const struct plan *plan,
			const struct plan *oracle)
{
	const struct check c = {world, plan};
	const char *why = check_order(&c);

	for (size_t i = 0; i < plan->victim_count && why == NULL; i++)
		why = check_victim(&c, &plan->victims[i]);
	if (why == NULL)
		why = check_caps(&c);
	if (why == NULL)
		why = check_copies(&c);
	for (size_t i = 0; i < world->cluster.count && why == NULL; i++) {
		const struct cluster_node *node = &world->cluster.nodes[i];

		for (size_t j = 0; j < node->root_count && why == NULL; j++) {
			if (speaks_for_disk(node, &node->roots[j]))
				why = check_disk(&c, i, &node->roots[j]);
		}
	}
	return why != NULL ? why : compare(plan, oracle);
}

/* ---- for messages ---- */

static void print_node(const struct check *c, size_t index)
{
	const struct cluster_node *node = &c->world->cluster.nodes[index];
	char *limits;
	cJSON *json = setting_to_json(limits_settings, &c->world->limits[index]);

	limits = cJSON_PrintUnformatted(json);
	fprintf(stderr, "%s known %d live %d complete %d %s\n", node->name, node->known, node->live,
		node->complete, limits);
	cJSON_free(limits);
	cJSON_Delete(json);
	for (size_t i = 0; i < node->root_count; i++)
		fprintf(stderr, "  root %s disk %s available %" PRId64 " deletes %d there %d\n",
			node->roots[i].name, node->roots[i].disk, node->roots[i].available_bytes,
			node->roots[i].deletes, node->roots[i].available);
	for (size_t i = 0; i < node->model_total; i++) {
		const struct cluster_model *m = &node->models[i];
		const struct plan_victim *victim = find_victim(c, index, i);

		fprintf(stderr, "  %s idle %" PRId64 " bytes %" PRId64 "%s%s%s %s\n", m->name,
			c->world->now_ms - m->last_used_ms, m->bytes, m->held ? " held" : "",
			m->pending ? " pending" : "", m->deferred ? " deferred" : "",
			victim != NULL ? command_reason_name(victim->reason) : "-");
	}
}

void world_print(const struct world *world, const struct plan *plan)
{
	const struct check c = {world, plan};

	fprintf(stderr, "copies counted %d, budget %d: %" PRId64 " evictions, %" PRId64 " bytes\n",
		world->counts_copies, world->capped, world->budget.evictions, world->budget.bytes);
	for (size_t i = 0; i < world->pins.count; i++)
		fprintf(stderr, "pin %s until %" PRId64 "\n", world->pins.list[i].glob,
			world->pins.list[i].until_ms);
	for (size_t i = 0; i < world->cluster.count; i++)
		print_node(&c, i);
	for (size_t i = 0; i < plan->spared_count; i++)
		fprintf(stderr, "spared n%zu %s: %s\n", plan->spared[i].node,
			world->cluster.nodes[plan->spared[i].node]
				.models[plan->spared[i].model]
				.name,
			policy_spare_name(plan->spared[i].why));
	for (size_t i = 0; i < plan->shortfall_count; i++)
		fprintf(stderr, "shortfall n%zu %s wanted %" PRId64 " reached %" PRId64 "\n",
			plan->shortfalls[i].node,
			plan->shortfalls[i].disk != NULL ? plan->shortfalls[i].disk : "count",
			plan->shortfalls[i].wanted, plan->shortfalls[i].reached);
}
