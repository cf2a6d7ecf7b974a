/*
 * The rules, in their order: time, count, space; each takes the least recently used first and asks
 * what may spare a model; caps at the end. (pure)
 */
#include "coordinator/policy.h"

#include <stdlib.h>
#include <string.h>

#include "common/saturate.h"
#include "common/xmem.h"
#include "coordinator/copies.h"

struct candidate {
	enum spare_reason spared; /* SPARE_NONE: may be chosen */
	size_t *staying;	  /* of all its instances; NULL: not counted */
	bool chosen;
	bool listed; /* already named in the plan, as victim or as spared */
	enum evict_reason reason;
};

/* Planning for one node. */
struct planning {
	const struct policy_input *in;
	struct plan *plan;
	size_t index;
	const struct cluster_node *node;
	const struct limits *limits;
	struct candidate *candidates; /* one per model */
	size_t *staying;	      /* how many instances of a model stay; NULL: as above */
};

/* One of a model, which another root of the node may have too. */
struct instance {
	char *identity;
	size_t model;
};

static const char *const spare_names[SPARE_COUNT] = {
	[SPARE_NONE] = "none",
	[SPARE_PINNED] = "pinned",
	[SPARE_HELD] = "held",
	[SPARE_PENDING] = "pending",
	[SPARE_TOO_YOUNG] = "too_young",
	[SPARE_LAST_COPY] = "last_copy",
	[SPARE_REPORT_ONLY] = "report_only",
	[SPARE_DEFERRED] = "deferred",
	[SPARE_CAP] = "cap",
	[SPARE_SHARED] = "shared",
};

const char *policy_spare_name(enum spare_reason reason)
{
	return spare_names[reason];
}

int64_t policy_cutoff_ms(const struct limits *limits, int64_t now_ms)
{
	return now_ms > limits->unused_threshold_ms ? now_ms - limits->unused_threshold_ms : 0;
}

/* The floor of a disk, or 0; -1 when the disk is too small for it. */
static int64_t disk_target(const struct limits *limits, const struct cluster_root *root)
{
	int64_t wanted;

	if (!root->available)
		return 0;
	wanted = limits_wanted_available(limits, root->total_bytes, root->available_bytes);
	return wanted > root->total_bytes ? -1 : wanted;
}

bool policy_needs_all(const struct limits *limits, const struct cluster_node *node)
{
	if (limits->max_models != SETTING_UNSET && node->model_count > limits->max_models)
		return true;
	if (node->attention > 0)
		return true;
	if (limits->max_bytes_per_node != SETTING_UNSET)
		return true;
	for (size_t i = 0; i < node->root_count; i++) {
		const struct cluster_root *root = &node->roots[i];
		int64_t target = disk_target(limits, root);

		if (target < 0 || target > root->available_bytes)
			return true;
	}
	return false;
}

static int64_t bytes_of(const struct cluster_model *model)
{
	return model->bytes > 0 ? model->bytes : 0;
}

/*
 * Is it larger than what a whole cycle may free? The caps would leave it out of each, and what it
 * was chosen for would never come.
 */
static bool never_fits(const struct planning *p, const struct cluster_model *model)
{
	int64_t cap = p->limits->max_bytes_per_node;

	return (cap != SETTING_UNSET && bytes_of(model) > cap) ||
	       (p->in->budget != NULL && bytes_of(model) > p->in->budget->bytes_cap);
}

static enum spare_reason classify(const struct planning *p, const struct cluster_model *model)
{
	const struct cluster_node *node = p->node;

	if (model->pending)
		return SPARE_PENDING;
	if (pins_match(p->in->pins, model->name, p->in->now_ms) != NULL)
		return SPARE_PINNED;
	if (model->held)
		return SPARE_HELD;
	if (node->root_count > 0 && (model->root < 0 || !node->roots[model->root].deletes))
		return SPARE_REPORT_ONLY;
	if (p->in->now_ms - model->last_used_ms < limits_min_age_ms(p->limits))
		return SPARE_TOO_YOUNG;
	if (model->deferred)
		return SPARE_DEFERRED;
	return never_fits(p, model) ? SPARE_CAP : SPARE_NONE;
}

static void list_spared(struct planning *p, size_t model, enum evict_reason rule,
			enum spare_reason why)
{
	struct plan *plan = p->plan;

	if (p->candidates[model].listed)
		return;
	p->candidates[model].listed = true;
	plan->spared = xgrow(plan->spared, plan->spared_count, &plan->spared_capacity,
			     sizeof(*plan->spared));
	plan->spared[plan->spared_count++] = (struct plan_spared){p->index, model, rule, why};
}

static int by_identity(const void *a, const void *b)
{
	const struct instance *left = a, *right = b;

	return strcmp(left->identity, right->identity);
}

static bool stays(const struct planning *p, size_t model)
{
	return !p->candidates[model].chosen && p->candidates[model].spared != SPARE_PENDING &&
	       !p->node->models[model].going;
}

static void count_instances(struct planning *p, const struct instance *instances)
{
	for (size_t i = 0, first = 0; i < p->node->model_total; i++) {
		if (strcmp(instances[i].identity, instances[first].identity) != 0)
			first = i;
		p->candidates[instances[i].model].staying = &p->staying[first];
		p->staying[first] += stays(p, instances[i].model);
	}
}

/* Once per node, when the first model may go. */
static void find_twins(struct planning *p)
{
	size_t count = p->node->model_total;
	struct instance *instances = xcalloc(count, sizeof(*instances));
	char identity[MODEL_NAME_SIZE];

	for (size_t i = 0; i < count; i++) {
		model_name_identity(identity, p->node->models[i].name);
		instances[i] = (struct instance){xstrdup(identity), i};
	}
	qsort(instances, count, sizeof(*instances), by_identity);
	p->staying = xcalloc(count, sizeof(*p->staying));
	count_instances(p, instances);
	for (size_t i = 0; i < count; i++)
		free(instances[i].identity);
	free(instances);
}

static void set_chosen(struct planning *p, size_t model, bool chosen)
{
	struct candidate *candidate = &p->candidates[model];
	bool stayed = stays(p, model);

	candidate->chosen = candidate->listed = chosen;
	if (candidate->staying == NULL || stays(p, model) == stayed)
		return;
	if (stayed)
		*candidate->staying -= 1;
	else
		*candidate->staying += 1;
}

/* Does the node hold another instance of the model, in another root, that stays? */
static bool has_twin(struct planning *p, size_t model)
{
	if (p->staying == NULL)
		find_twins(p);
	return *p->candidates[model].staying > (size_t)stays(p, model);
}

/*
 * Would enough copies be left without this one? Takes it from the count if so; for a node that asks
 * for none too, since others may count on it.
 */
static bool copy_can_go(struct planning *p, size_t model)
{
	const char *name = p->node->models[model].name;
	int64_t wanted = p->limits->min_copies;

	if (p->in->copies == NULL)
		return wanted == 0;
	if (has_twin(p, model))
		return true;
	if (wanted > 0 && (int64_t)copies_count(p->in->copies, name) - 1 < wanted)
		return false;
	copies_take(p->in->copies, p->node->name, name);
	return true;
}

/* A rule wants this model gone. True when it becomes a victim. */
static bool choose(struct planning *p, size_t model, enum evict_reason rule)
{
	struct candidate *candidate = &p->candidates[model];
	enum spare_reason why = candidate->spared;

	if (why == SPARE_NONE && !copy_can_go(p, model))
		why = candidate->spared = SPARE_LAST_COPY;
	if (why != SPARE_NONE) {
		list_spared(p, model, rule, why);
		return false;
	}
	set_chosen(p, model, true);
	candidate->reason = rule;
	return true;
}

static void by_time(struct planning *p)
{
	int64_t cutoff = policy_cutoff_ms(p->limits, p->in->now_ms);

	for (size_t i = 0; i < p->node->model_total; i++) {
		if (p->node->models[i].last_used_ms >= cutoff)
			break; /* the rest was used since */
		choose(p, i, REASON_TIME_THRESHOLD);
	}
}

static struct plan_shortfall *add_shortfall(struct planning *p, enum evict_reason rule)
{
	struct plan *plan = p->plan;
	struct plan_shortfall *shortfall;

	plan->shortfalls = xgrow(plan->shortfalls, plan->shortfall_count, &plan->shortfall_capacity,
				 sizeof(*plan->shortfalls));
	shortfall = &plan->shortfalls[plan->shortfall_count++];
	*shortfall = (struct plan_shortfall){.node = p->index, .rule = rule};
	return shortfall;
}

static void by_count(struct planning *p)
{
	int64_t count = (int64_t)p->node->model_total, limit = p->limits->max_models;
	struct plan_shortfall *shortfall;

	if (limit == SETTING_UNSET)
		return;
	/* What is on its way out already does not count any more. */
	for (size_t i = 0; i < p->node->model_total; i++)
		count -= p->candidates[i].chosen || p->candidates[i].spared == SPARE_PENDING;
	for (size_t i = 0; i < p->node->model_total && count > limit; i++) {
		if (!p->candidates[i].chosen && p->candidates[i].spared != SPARE_PENDING)
			count -= choose(p, i, REASON_COUNT_LIMIT);
	}
	if (count <= limit)
		return;
	shortfall = add_shortfall(p, REASON_COUNT_LIMIT);
	shortfall->wanted = limit;
	shortfall->reached = count;
	for (size_t i = 0; i < p->node->model_total; i++) {
		if (!p->candidates[i].chosen)
			shortfall->blocked[p->candidates[i].spared]++;
	}
}

static bool on_disk(const struct planning *p, size_t model, const char *disk)
{
	int root = p->node->models[model].root;

	return root >= 0 && strcmp(p->node->roots[root].disk, disk) == 0;
}

/* May go, but all its bytes belong to others too. */
static bool frees_nothing(const struct planning *p, size_t model)
{
	return p->candidates[model].spared == SPARE_NONE && bytes_of(&p->node->models[model]) == 0;
}

/*
 * Takes the oldest models of a disk until `have` reaches `target`. Those that free nothing are
 * passed over; when all others are not enough, the oldest of them goes too: what it shares may then
 * be another one's alone.
 */
static int64_t free_space(struct planning *p, const char *disk, int64_t have, int64_t target)
{
	for (size_t i = 0; i < p->node->model_total && have < target; i++) {
		const struct cluster_model *model = &p->node->models[i];

		if (!on_disk(p, i, disk) || p->candidates[i].chosen || frees_nothing(p, i))
			continue;
		if (choose(p, i, REASON_DISK_SPACE))
			have = saturate_add(have, bytes_of(model));
	}
	for (size_t i = 0; i < p->node->model_total && have < target; i++) {
		if (on_disk(p, i, disk) && !p->candidates[i].chosen && frees_nothing(p, i) &&
		    choose(p, i, REASON_DISK_SPACE))
			break;
	}
	return have;
}

static void explain_space(struct planning *p, const char *disk, int64_t target, int64_t have)
{
	struct plan_shortfall *shortfall = add_shortfall(p, REASON_DISK_SPACE);

	shortfall->disk = disk;
	shortfall->wanted = target;
	shortfall->reached = have;
	for (size_t i = 0; i < p->node->model_total; i++) {
		const struct cluster_model *model = &p->node->models[i];
		enum spare_reason why = p->candidates[i].spared;

		if (!on_disk(p, i, disk) || p->candidates[i].chosen || why == SPARE_PENDING)
			continue;
		if (why == SPARE_NONE)
			shortfall->blocked[SPARE_SHARED]++;
		else
			shortfall->blocked[why] =
				saturate_add(shortfall->blocked[why], bytes_of(model));
	}
}

static void by_space_on(struct planning *p, const struct cluster_root *root)
{
	int64_t target = disk_target(p->limits, root);
	int64_t have = root->available_bytes;

	if (target < 0) {
		struct plan_shortfall *shortfall = add_shortfall(p, REASON_DISK_SPACE);

		/* No eviction reaches it, and trying would empty the disk. */
		shortfall->disk = root->disk;
		shortfall->impossible = true;
		shortfall->wanted = p->limits->min_free_space_bytes;
		shortfall->reached = root->available_bytes;
		return;
	}
	if (target == 0)
		return;
	for (size_t i = 0; i < p->node->model_total; i++) {
		if (on_disk(p, i, root->disk) &&
		    (p->candidates[i].chosen || p->candidates[i].spared == SPARE_PENDING))
			have = saturate_add(have, bytes_of(&p->node->models[i]));
	}
	if (have < target)
		have = free_space(p, root->disk, have, target);
	if (have < target)
		explain_space(p, root->disk, target, have);
}

static void by_space(struct planning *p)
{
	const struct cluster_root *roots = p->node->roots;

	for (size_t i = 0; i < p->node->root_count; i++) {
		bool done = !roots[i].available;

		/* Once per disk, by a root that is there: another one knows nothing of it. */
		for (size_t j = 0; j < i; j++)
			done |= roots[j].available && strcmp(roots[j].disk, roots[i].disk) == 0;
		if (!done)
			by_space_on(p, &roots[i]);
	}
}

static bool within(int64_t used, int64_t add, int64_t cap)
{
	return cap == SETTING_UNSET || (used <= cap && add <= cap - used);
}

/* Does this victim still fit into the caps? Counts it if so. */
static bool fits(struct planning *p, int64_t bytes, int64_t *evictions, int64_t *sum)
{
	struct policy_budget *budget = p->in->budget;

	if (!within(*evictions, 1, p->limits->max_evictions_per_node) ||
	    !within(*sum, bytes, p->limits->max_bytes_per_node))
		return false;
	if (budget != NULL && (budget->evictions < 1 || budget->bytes < bytes))
		return false;
	*evictions += 1;
	*sum = saturate_add(*sum, bytes);
	if (budget != NULL && budget->evictions != INT64_MAX)
		budget->evictions--;
	if (budget != NULL && budget->bytes != INT64_MAX)
		budget->bytes -= bytes;
	return true;
}

/* Writes the victims down, oldest first, as far as the caps allow. */
static void list_victims(struct planning *p)
{
	struct plan *plan = p->plan;
	int64_t evictions = 0, sum = 0;

	for (size_t i = 0; i < p->node->model_total; i++) {
		const struct cluster_model *model = &p->node->models[i];

		if (!p->candidates[i].chosen)
			continue;
		if (!fits(p, bytes_of(model), &evictions, &sum)) {
			if (p->in->copies != NULL && !has_twin(p, i))
				copies_give_back(p->in->copies, p->node->name, model->name);
			set_chosen(p, i, false);
			list_spared(p, i, p->candidates[i].reason, SPARE_CAP);
			continue;
		}
		plan->victims = xgrow(plan->victims, plan->victim_count, &plan->victim_capacity,
				      sizeof(*plan->victims));
		plan->victims[plan->victim_count++] =
			(struct plan_victim){p->index, i, p->candidates[i].reason};
	}
}

static void plan_node(const struct policy_input *in, size_t index, struct plan *plan)
{
	struct planning p = {.in = in,
			     .plan = plan,
			     .index = index,
			     .node = &in->cluster->nodes[index],
			     .limits = &in->limits[index]};

	if (!p.node->known || !p.node->live)
		return;
	p.candidates = xcalloc(p.node->model_total, sizeof(*p.candidates));
	for (size_t i = 0; i < p.node->model_total; i++)
		p.candidates[i].spared = classify(&p, &p.node->models[i]);
	by_time(&p);
	if (p.node->complete) {
		by_count(&p);
		by_space(&p);
	}
	list_victims(&p);
	free(p.candidates);
	free(p.staying);
}

void policy_plan(const struct policy_input *input, struct plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	for (size_t i = 0; i < input->cluster->count; i++)
		plan_node(input, i, plan);
}

void policy_plan_free(struct plan *plan)
{
	free(plan->victims);
	free(plan->spared);
	free(plan->shortfalls);
	memset(plan, 0, sizeof(*plan));
}
