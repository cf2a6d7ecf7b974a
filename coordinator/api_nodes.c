/* GET /v1/stats and GET /v1/nodes: what the nodes report of themselves. */
#include <stdlib.h>
#include <string.h>

#include "common/json_doc.h"
#include "common/saturate.h"
#include "common/xmem.h"
#include "coordinator/api.h"
#include "coordinator/coordinator.h"
#include "coordinator/survey.h"

struct sums {
	int64_t downloaded, downloading, error, bytes, total_bytes, available_bytes;
	int64_t deleted, refused, failed, freed_bytes, refaults;
	int64_t oldest_ms, newest_ms;
	int64_t nodes, live;
};

struct answer {
	struct http_request *req;
	bool roots; /* GET /v1/nodes shows each root, and no totals */
	cJSON *list;
	struct sums sums;
};

static void add(int64_t *sum, int64_t value)
{
	*sum = saturate_add(*sum, value);
}

static void add_up(struct sums *sums, const struct cluster_node *node)
{
	sums->nodes++;
	sums->live += node->live;
	add(&sums->downloaded, node->model_count);
	add(&sums->downloading, node->downloading);
	add(&sums->error, node->error);
	add(&sums->bytes, node->bytes);
	add(&sums->deleted, node->deleted);
	add(&sums->refused, node->refused);
	add(&sums->failed, node->failed);
	add(&sums->freed_bytes, node->freed_bytes);
	add(&sums->refaults, node->refaults);
	for (size_t i = 0; i < node->root_count; i++) {
		const struct cluster_root *root = &node->roots[i];
		bool counted = false;

		for (size_t j = 0; j < i; j++)
			counted |= strcmp(node->roots[j].disk, root->disk) == 0;
		if (counted)
			continue;
		add(&sums->total_bytes, root->total_bytes);
		add(&sums->available_bytes, root->available_bytes);
	}
	for (size_t i = 0; i < node->model_total; i++) {
		int64_t used = node->models[i].last_used_ms;

		if (sums->oldest_ms == 0 || used < sums->oldest_ms)
			sums->oldest_ms = used;
		if (used > sums->newest_ms)
			sums->newest_ms = used;
	}
}

/* The statistics of ModelExpress' cache service, and bytes beside them. */
static void add_sums(cJSON *json, const struct sums *sums)
{
	json_doc_add_int64(
		json, "total_models",
		saturate_add(saturate_add(sums->downloaded, sums->downloading), sums->error));
	json_doc_add_int64(json, "downloading_models", sums->downloading);
	json_doc_add_int64(json, "downloaded_models", sums->downloaded);
	json_doc_add_int64(json, "error_models", sums->error);
	api_add_time(json, "oldest_model_last_used", sums->oldest_ms);
	api_add_time(json, "newest_model_last_used", sums->newest_ms);
	json_doc_add_int64(json, "model_bytes", sums->bytes);
	json_doc_add_int64(json, "disk_bytes", sums->total_bytes);
	json_doc_add_int64(json, "available_bytes", sums->available_bytes);
	json_doc_add_int64(json, "evicted_models", sums->deleted);
	json_doc_add_int64(json, "freed_bytes", sums->freed_bytes);
	json_doc_add_int64(json, "refused_evictions", sums->refused);
	json_doc_add_int64(json, "failed_evictions", sums->failed);
	json_doc_add_int64(json, "refaults", sums->refaults);
}

static cJSON *root_json(const struct cluster_root *root)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "name", root->name);
	cJSON_AddStringToObject(json, "layout", root->layout);
	cJSON_AddStringToObject(json, "disk", root->disk);
	cJSON_AddStringToObject(json, "mode",
				!root->available ? "unavailable"
				: root->deletes	 ? "delete"
						 : "report");
	cJSON_AddStringToObject(json, "note", root->note);
	json_doc_add_int64(json, "total_bytes", root->total_bytes);
	json_doc_add_int64(json, "available_bytes", root->available_bytes);
	json_doc_add_int64(json, "leftover_bytes", root->leftover_bytes);
	return json;
}

static cJSON *node_json(const struct answer *a, const struct cluster_node *node, int64_t now_ms)
{
	cJSON *json = cJSON_CreateObject(), *roots;
	struct sums sums = {0};

	add_up(&sums, node);
	cJSON_AddStringToObject(json, "node", node->name);
	cJSON_AddBoolToObject(json, "live", node->live);
	if (!a->roots) {
		add_sums(json, &sums);
		return json;
	}
	cJSON_AddBoolToObject(json, "registered", node->known);
	cJSON_AddStringToObject(json, "version", node->version);
	api_add_time(json, "heartbeat", node->heartbeat_ms);
	json_doc_add_int64(json, "heartbeat_age_ms",
			   node->heartbeat_ms > 0 ? now_ms - node->heartbeat_ms : -1);
	json_doc_add_int64(json, "clock_ahead_ms", node->clock_ahead_ms);
	api_add_time(json, "since", node->since_ms);
	json_doc_add_int64(json, "models", node->model_count);
	json_doc_add_int64(json, "downloading", node->downloading);
	json_doc_add_int64(json, "error", node->error);
	json_doc_add_int64(json, "model_bytes", node->bytes);
	json_doc_add_int64(json, "wanted_bytes", node->wanted_bytes);
	json_doc_add_int64(json, "evicted", node->deleted);
	json_doc_add_int64(json, "freed_bytes", node->freed_bytes);
	json_doc_add_int64(json, "refaults", node->refaults);
	if (sums.oldest_ms > 0)
		json_doc_add_int64(json, "oldest_model_age_ms", now_ms - sums.oldest_ms);
	else
		cJSON_AddNullToObject(json, "oldest_model_age_ms");
	roots = cJSON_AddArrayToObject(json, "roots");
	for (size_t i = 0; i < node->root_count; i++)
		cJSON_AddItemToArray(roots, root_json(&node->roots[i]));
	return json;
}

static void on_part(struct cluster *cluster, int64_t now_ms, void *arg)
{
	struct answer *a = arg;

	for (size_t i = 0; i < cluster->count; i++) {
		add_up(&a->sums, &cluster->nodes[i]);
		cJSON_AddItemToArray(a->list, node_json(a, &cluster->nodes[i], now_ms));
	}
}

static void on_done(const char *why, void *arg)
{
	struct answer *a = arg;
	cJSON *json = cJSON_CreateObject();

	if (why != NULL) {
		cJSON_Delete(json);
		cJSON_Delete(a->list);
		http_reply_error(a->req, 503, "%s", why);
		free(a);
		return;
	}
	if (!a->roots) {
		add_sums(json, &a->sums);
		json_doc_add_int64(json, "node_count", a->sums.nodes);
		json_doc_add_int64(json, "live_nodes", a->sums.live);
	}
	cJSON_AddItemToObject(json, "nodes", a->list);
	http_reply_json(a->req, 200, json);
	free(a);
}

static void start(struct http_request *req, struct coordinator *c, bool roots)
{
	struct survey survey = {
		.c = c, .depth = SNAPSHOT_SUMMARY, .part = on_part, .done = on_done};
	struct answer *a;

	if (!api_glob(req, "node", &survey.nodes) || !api_needs_redis(c, req))
		return;
	a = xcalloc(1, sizeof(*a));
	a->req = req;
	a->roots = roots;
	a->list = cJSON_CreateArray();
	survey.arg = a;
	survey_start(&survey);
}

void api_get_stats(struct http_request *req, void *arg)
{
	start(req, arg, false);
}

void api_get_nodes(struct http_request *req, void *arg)
{
	start(req, arg, true);
}
