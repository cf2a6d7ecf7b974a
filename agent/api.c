/* The agent's HTTP routes: health, what it knows, touches. */
#include "agent/api.h"

#include <string.h>

#include "agent/agent.h"
#include "agent/beat.h"
#include "agent/metrics.h"
#include "agent/orders.h"
#include "agent/sources.h"
#include "common/http_server.h"
#include "common/json_doc.h"
#include "common/metrics.h"
#include "common/version.h"

static const char *status_name(enum model_status status)
{
	static const char *const names[] = {
		[MODEL_DOWNLOADED] = "DOWNLOADED",
		[MODEL_DOWNLOADING] = "DOWNLOADING",
		[MODEL_ERROR] = "ERROR",
	};

	return names[status];
}

static void get_livez(struct http_request *req, void *arg)
{
	(void)arg;
	http_reply_text(req, 200, "text/plain", "ok\n");
}

static void get_readyz(struct http_request *req, void *arg)
{
	struct agent *agent = arg;

	if (!beat_registered(agent->beat)) {
		http_reply_text(req, 503, "text/plain", "not registered in Redis\n");
		return;
	}
	http_reply_text(req, 200, "text/plain", "ok\n");
}

static cJSON *root_json(const struct agent *agent, int i)
{
	const struct root *root = &agent->roots[i];
	const struct root_view *view = &agent->views[i];
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "name", root->config.name);
	cJSON_AddStringToObject(json, "path", root->config.path);
	cJSON_AddStringToObject(json, "layout", root->config.layout->name);
	cJSON_AddStringToObject(json, "mode",
				!view->opened	? "unavailable"
				: view->deletes ? "delete"
						: "report");
	cJSON_AddStringToObject(json, "note", view->note);
	cJSON_AddBoolToObject(json, "leases", view->leases);
	cJSON_AddBoolToObject(json, "access_times", view->atimes);
	json_doc_add_int64(json, "total_bytes", view->total_bytes);
	json_doc_add_int64(json, "available_bytes", view->available_bytes);
	json_doc_add_int64(json, "floor_bytes", agent_floor_bytes(agent, view));
	json_doc_add_int64(json, "leftover_bytes", view->leftover_bytes);
	json_doc_add_int64(json, "scan_took_ms", view->scan_took_ms);
	return json;
}

static void get_status(struct http_request *req, void *arg)
{
	struct agent *agent = arg;
	cJSON *json = cJSON_CreateObject();
	cJSON *roots;

	cJSON_AddStringToObject(json, "node", agent->node);
	cJSON_AddStringToObject(json, "version", LARDER_VERSION);
	cJSON_AddBoolToObject(json, "registered", beat_registered(agent->beat));
	json_doc_add_int64(json, "epoch", journal_epoch(agent->journal));
	json_doc_add_int64(json, "wanted_bytes", agent_wanted_bytes(agent));
	json_doc_add_int64(json, "removals", (int64_t)orders_running(agent->orders));
	roots = cJSON_AddArrayToObject(json, "roots");
	for (int i = 0; i < agent->root_count; i++)
		cJSON_AddItemToArray(roots, root_json(agent, i));
	http_reply_json(req, 200, json);
}

static cJSON *model_json(const struct agent *agent, const struct model *model, struct mono now)
{
	int64_t held = mono_since(now, model->hold_until);
	int64_t idle = mono_since(model->use.last, now);
	char generation[INVENTORY_GENERATION_SIZE];
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "model", model->name);
	cJSON_AddStringToObject(json, "root", agent->roots[model->root].config.name);
	cJSON_AddStringToObject(json, "status", status_name(model->report.status));
	cJSON_AddStringToObject(json, "why", model->report.why);
	cJSON_AddStringToObject(json, "generation",
				inventory_generation(model->report.generation, generation));
	json_doc_add_int64(json, "files", model->report.files);
	json_doc_add_int64(json, "logical_bytes", model->report.logical_bytes);
	json_doc_add_int64(json, "exclusive_bytes", model->report.exclusive_bytes);
	json_doc_add_int64(json, "shared_bytes",
			   model->report.logical_bytes > model->report.exclusive_bytes
				   ? model->report.logical_bytes - model->report.exclusive_bytes
				   : 0);
	json_doc_add_int64(json, "idle_ms", idle > 0 ? idle : 0);
	cJSON_AddStringToObject(json, "source", use_source_name(model->use.source));
	json_doc_add_int64(json, "held_ms", held > 0 ? held : 0);
	cJSON_AddStringToObject(json, "held_source",
				held > 0 ? use_source_name(model->hold_source) : "");
	cJSON_AddStringToObject(json, "held_by", held > 0 ? model->hold_who : "");
	cJSON_AddBoolToObject(json, "removing", model->removal != NULL);
	return json;
}

static void get_models(struct http_request *req, void *arg)
{
	struct agent *agent = arg;
	struct mono now = clock_mono();
	cJSON *json = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(json, "models");

	for (const struct model *m = agent->inventory.models; m != NULL; m = m->hh.next) {
		if (!m->gone)
			cJSON_AddItemToArray(list, model_json(agent, m, now));
	}
	http_reply_json(req, 200, json);
}

static void post_scan(struct http_request *req, void *arg)
{
	agent_scan_now(arg);
	http_reply_json(req, 202, cJSON_CreateObject());
}

static void get_metrics(struct http_request *req, void *arg)
{
	struct metrics *m = metrics_new();

	agent_metrics(arg, m);
	http_reply_text(req, 200, METRICS_TYPE, metrics_text(m));
	metrics_free(m);
}

static void get_sources(struct http_request *req, void *arg)
{
	struct agent *agent = arg;

	http_reply_json(req, 200, sources_json(agent->sources));
}

static const struct http_route routes[] = {
	{HTTP_GET, "/livez", false, get_livez},
	{HTTP_GET, "/readyz", false, get_readyz},
	{HTTP_GET, "/v1/status", false, get_status},
	{HTTP_GET, "/v1/models", false, get_models},
	{HTTP_GET, "/metrics", false, get_metrics},
	{HTTP_GET, "/v1/sources", false, get_sources},
	/* Whoever knows a hold's id can release it. */
	{HTTP_GET, "/v1/holds", true, api_get_holds},
	{HTTP_POST, "/v1/holds", true, api_post_hold},
	{HTTP_DELETE, "/v1/holds", true, api_delete_hold},
	{HTTP_POST, "/v1/inuse", true, api_post_inuse},
	{HTTP_POST, "/v1/touch", true, api_post_touch},
	{HTTP_POST, "/v1/scan", true, post_scan},
	{0, NULL, false, NULL},
};

struct http_server *api_start(struct agent *agent, struct err *err)
{
	const struct http_server_options options = {
		.listen = agent->options.http.listen,
		.token = agent->http_token,
		/* A touch can only keep a model; without a token whoever reaches the port may. */
		.anonymous_changes = true,
		.routes = routes,
		.arg = agent,
	};

	return http_server_new(daemon_base(agent->daemon), &options, err);
}
