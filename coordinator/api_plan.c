/* GET /v1/plan: what a cycle would do now, and why. Never acts. */
#include <stdlib.h>
#include <string.h>

#include "common/json_doc.h"
#include "common/saturate.h"
#include "common/xmem.h"
#include "coordinator/api.h"
#include "coordinator/coordinator.h"
#include "coordinator/cycles.h"
#include "coordinator/leader.h"

/* More rows than anybody reads; the totals go on counting. */
#define ROWS_MAX 10000

struct answer {
	struct http_request *req;
	struct coordinator *c;
	cJSON *victims, *spared, *shortfalls;
	bool as_if_deleting;
	size_t rows;
	bool truncated;
	int64_t bytes;
	size_t victim_count;
};

static cJSON *model_json(const struct cluster_node *node, const struct cluster_model *model)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "node", node->name);
	cJSON_AddStringToObject(json, "model", model->name);
	api_add_time(json, "last_used", model->last_used_ms);
	cJSON_AddStringToObject(json, "source", use_source_name(model->source));
	cJSON_AddStringToObject(json, "held_by", model->held_by != NULL ? model->held_by : "");
	if (model->bytes == CLUSTER_UNKNOWN)
		cJSON_AddNullToObject(json, "bytes");
	else
		json_doc_add_int64(json, "bytes", model->bytes);
	return json;
}

/* Counts one more row; false when it is one too many. */
static bool room(struct answer *a)
{
	if (a->rows < ROWS_MAX) {
		a->rows++;
		return true;
	}
	a->truncated = true;
	return false;
}

static void add_victims(struct answer *a, const struct cluster *cluster, const struct plan *plan)
{
	for (size_t i = 0; i < plan->victim_count; i++) {
		const struct plan_victim *v = &plan->victims[i];
		const struct cluster_node *node = &cluster->nodes[v->node];
		const struct cluster_model *model = &node->models[v->model];
		cJSON *json;

		a->victim_count++;
		if (model->bytes > 0)
			a->bytes = saturate_add(a->bytes, model->bytes);
		if (!room(a))
			continue;
		json = model_json(node, model);
		cJSON_AddStringToObject(json, "reason", command_reason_name(v->reason));
		cJSON_AddItemToArray(a->victims, json);
	}
}

static void add_spared(struct answer *a, const struct cluster *cluster, const struct plan *plan)
{
	for (size_t i = 0; i < plan->spared_count && room(a); i++) {
		const struct plan_spared *s = &plan->spared[i];
		const struct cluster_node *node = &cluster->nodes[s->node];
		cJSON *json = model_json(node, &node->models[s->model]);

		cJSON_AddStringToObject(json, "rule", command_reason_name(s->rule));
		cJSON_AddStringToObject(json, "why", policy_spare_name(s->why));
		cJSON_AddItemToArray(a->spared, json);
	}
}

static cJSON *shortfall_json(const struct cluster *cluster, const struct plan_shortfall *s)
{
	cJSON *json = cJSON_CreateObject(), *blocked;

	cJSON_AddStringToObject(json, "node", cluster->nodes[s->node].name);
	cJSON_AddStringToObject(json, "rule", command_reason_name(s->rule));
	if (s->disk != NULL)
		cJSON_AddStringToObject(json, "disk", s->disk);
	json_doc_add_int64(json, "wanted", s->wanted);
	json_doc_add_int64(json, "reached", s->reached);
	cJSON_AddBoolToObject(json, "impossible", s->impossible);
	blocked = cJSON_AddObjectToObject(json, "blocked");
	for (int why = SPARE_NONE + 1; why < SPARE_COUNT; why++) {
		if (s->blocked[why] > 0)
			json_doc_add_int64(blocked, policy_spare_name((enum spare_reason)why),
					   s->blocked[why]);
	}
	return json;
}

static void on_part(const struct cluster *cluster, const struct limits *limits,
		    const struct plan *plan, void *arg)
{
	struct answer *a = arg;

	(void)limits;
	add_victims(a, cluster, plan);
	add_spared(a, cluster, plan);
	for (size_t i = 0; i < plan->shortfall_count; i++)
		cJSON_AddItemToArray(a->shortfalls, shortfall_json(cluster, &plan->shortfalls[i]));
}

static void on_done(const struct cycle_result *result, void *arg)
{
	struct answer *a = arg;
	cJSON *json = cJSON_CreateObject();
	const char *why;
	bool may = caution_may_act(&a->c->caution, clock_mono(), &why);

	if (result->stopped != NULL) {
		cJSON_Delete(json);
		cJSON_Delete(a->victims);
		cJSON_Delete(a->spared);
		cJSON_Delete(a->shortfalls);
		http_reply_error(a->req, 503, "%s", result->stopped);
		free(a);
		return;
	}
	api_add_time(json, "now", result->began_redis_ms);
	cJSON_AddBoolToObject(json, "enabled", a->c->options.enabled);
	cJSON_AddBoolToObject(json, "dry_run", a->c->options.dry_run);
	cJSON_AddStringToObject(json, "observing_why", may ? "" : why);
	cJSON_AddBoolToObject(json, "as_if_deleting", a->as_if_deleting);
	json_doc_add_int64(json, "nodes", (int64_t)result->nodes);
	json_doc_add_int64(json, "live_nodes", (int64_t)result->live);
	json_doc_add_int64(json, "victim_count", (int64_t)a->victim_count);
	json_doc_add_int64(json, "victim_bytes", a->bytes);
	cJSON_AddBoolToObject(json, "truncated", a->truncated);
	cJSON_AddItemToObject(json, "victims", a->victims);
	cJSON_AddItemToObject(json, "spared", a->spared);
	cJSON_AddItemToObject(json, "targets_not_reached", a->shortfalls);
	http_reply_json(a->req, 200, json);
	free(a);
}

void api_get_plan(struct http_request *req, void *arg)
{
	struct coordinator *c = arg;
	const char *node = http_request_param(req, "node");
	const char *as_if = http_request_param(req, "as_if_deleting");
	struct cycle_plan_hooks hooks = {.part = on_part, .done = on_done};
	struct answer *a;

	if (node != NULL && !model_name_node_valid(node)) {
		http_reply_error(req, 400, "node: \"%.60s\" is not the name of a node", node);
		return;
	}
	if (as_if != NULL && strcmp(as_if, "true") != 0 && strcmp(as_if, "false") != 0) {
		http_reply_error(req, 400, "as_if_deleting: allowed is true or false");
		return;
	}
	if (!api_needs_redis(c, req))
		return;
	a = xcalloc(1, sizeof(*a));
	a->req = req;
	a->c = c;
	a->as_if_deleting = as_if != NULL && strcmp(as_if, "true") == 0;
	a->victims = cJSON_CreateArray();
	a->spared = cJSON_CreateArray();
	a->shortfalls = cJSON_CreateArray();
	hooks.arg = a;
	cycles_plan(c->cycles, node, a->as_if_deleting, &hooks);
}
