/* The coordinator's routes, and what their handlers share. */
#include "coordinator/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/glob.h"
#include "common/json_doc.h"
#include "common/timefmt.h"
#include "common/version.h"
#include "coordinator/coordinator.h"
#include "coordinator/cycles.h"
#include "coordinator/leader.h"

void api_add_time(cJSON *json, const char *key, int64_t ms)
{
	char name[64], text[TIMEFMT_SIZE];

	snprintf(name, sizeof(name), "%s_ms", key);
	if (ms <= 0) {
		cJSON_AddNullToObject(json, key);
		cJSON_AddNullToObject(json, name);
		return;
	}
	cJSON_AddStringToObject(json, key, timefmt_rfc3339(ms, text));
	json_doc_add_int64(json, name, ms);
}

int64_t api_number(struct http_request *req, const char *name, int64_t def, int64_t max)
{
	const char *text = http_request_param(req, name);
	size_t len = text != NULL ? strlen(text) : 0;
	int64_t value;

	if (text == NULL)
		return def;
	value = len > 0 && len < 10 && strspn(text, "0123456789") == len ? strtoll(text, NULL, 10)
									 : -1;
	if (value >= 0 && value <= max)
		return value;
	http_reply_error(req, 400, "%s: found \"%.40s\"; allowed is 0 to %lld", name, text,
			 (long long)max);
	return -1;
}

bool api_glob(struct http_request *req, const char *name, const char **glob)
{
	*glob = http_request_param(req, name);
	if (*glob == NULL || glob_valid(*glob))
		return true;
	http_reply_error(req, 400, "%s: \"%.60s\" is not a glob", name, *glob);
	return false;
}

bool api_needs_redis(struct coordinator *c, struct http_request *req)
{
	if (redis_link_is_up(c->link))
		return true;
	http_reply_error(req, 503, "%s", redis_link_err_down);
	return false;
}

bool api_needs_leader(struct coordinator *c, struct http_request *req)
{
	if (!api_needs_redis(c, req))
		return false;
	if (leader_leads(c->leader))
		return true;
	if (*leader_id(c->leader) == '\0' ||
	    strcmp(leader_id(c->leader), leader_own_id(c->leader)) == 0)
		http_reply_error(req, 503, "not the leader; nobody leads now");
	else
		http_reply_error(req, 503, "not the leader; that is %s at %s", leader_id(c->leader),
				 leader_address(c->leader));
	return false;
}

static void get_livez(struct http_request *req, void *arg)
{
	(void)arg;
	http_reply_text(req, 200, "text/plain", "ok\n");
}

static void get_readyz(struct http_request *req, void *arg)
{
	struct coordinator *c = arg;

	if (!redis_link_is_up(c->link))
		http_reply_text(req, 503, "text/plain", "Redis is not connected\n");
	else
		http_reply_text(req, 200, "text/plain", "ok\n");
}

static cJSON *counts_json(const size_t *counts, int n, const char *(*name)(int i))
{
	cJSON *json = cJSON_CreateObject();

	for (int i = 0; i < n; i++) {
		if (counts[i] > 0)
			json_doc_add_int64(json, name(i), (int64_t)counts[i]);
	}
	return json;
}

static const char *reason_name(int i)
{
	return command_reason_name((enum evict_reason)i);
}

static const char *spare_name(int i)
{
	return policy_spare_name((enum spare_reason)i);
}

static cJSON *result_json(const struct cycle_result *r)
{
	cJSON *json = cJSON_CreateObject();
	int64_t evicted = 0;

	for (int i = 0; i < REASON_COUNT; i++)
		evicted += (int64_t)r->evicted[i];
	json_doc_add_int64(json, "id", (int64_t)r->id);
	cJSON_AddStringToObject(json, "trigger", r->trigger);
	api_add_time(json, "began", r->began_redis_ms);
	json_doc_add_int64(json, "read_ms", r->read_ms);
	if (r->stopped != NULL)
		cJSON_AddStringToObject(json, "stopped", r->stopped);
	cJSON_AddBoolToObject(json, "dry_run", r->dry_run);
	cJSON_AddBoolToObject(json, "ended", r->ended);
	json_doc_add_int64(json, "nodes", (int64_t)r->nodes);
	json_doc_add_int64(json, "live_nodes", (int64_t)r->live);
	cJSON_AddItemToObject(json, "planned", counts_json(r->planned, REASON_COUNT, reason_name));
	cJSON_AddItemToObject(json, "spared", counts_json(r->spared, SPARE_COUNT, spare_name));
	json_doc_add_int64(json, "issued", (int64_t)r->issued);
	json_doc_add_int64(json, "not_issued", (int64_t)r->not_issued);
	json_doc_add_int64(json, "evicted_count", evicted);
	cJSON_AddItemToObject(json, "evicted", counts_json(r->evicted, REASON_COUNT, reason_name));
	json_doc_add_int64(json, "bytes_freed", r->freed_bytes);
	json_doc_add_int64(json, "gone", (int64_t)r->gone);
	json_doc_add_int64(json, "refused", (int64_t)r->refused);
	json_doc_add_int64(json, "failed", (int64_t)r->failed);
	json_doc_add_int64(json, "expired", (int64_t)r->expired);
	json_doc_add_int64(json, "targets_not_reached", (int64_t)r->shortfalls);
	return json;
}

static cJSON *redis_json(const struct coordinator *c)
{
	cJSON *json = cJSON_CreateObject(), *problems;

	cJSON_AddBoolToObject(json, "connected", redis_link_is_up(c->link));
	cJSON_AddStringToObject(json, "version", c->server.version);
	cJSON_AddStringToObject(json, "role", c->server.role);
	cJSON_AddStringToObject(json, "maxmemory_policy", c->server.maxmemory_policy);
	problems = cJSON_AddArrayToObject(json, "problems");
	for (size_t i = 0; i < c->check.count; i++) {
		const struct redis_problem *problem = &c->check.problems[i];
		char text[sizeof(problem->text) + 80];

		snprintf(text, sizeof(text), "%s; %s", problem->text, problem->advice);
		cJSON_AddItemToArray(problems, cJSON_CreateString(text));
	}
	return json;
}

static cJSON *leader_json(const struct coordinator *c)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddBoolToObject(json, "here", leader_leads(c->leader));
	cJSON_AddStringToObject(json, "id", leader_id(c->leader));
	cJSON_AddStringToObject(json, "address", leader_address(c->leader));
	json_doc_add_int64(json, "epoch", leader_epoch(c->leader));
	return json;
}

void api_get_status(struct http_request *req, void *arg)
{
	struct coordinator *c = arg;
	cJSON *json = cJSON_CreateObject(), *cycles;
	const struct cycle_result *r;
	const char *why;
	bool may = caution_may_act(&c->caution, clock_mono(), &why);

	cJSON_AddStringToObject(json, "version", LARDER_VERSION);
	cJSON_AddStringToObject(json, "id", leader_own_id(c->leader));
	cJSON_AddItemToObject(json, "leader", leader_json(c));
	cJSON_AddItemToObject(json, "redis", redis_json(c));
	cJSON_AddBoolToObject(json, "enabled", c->options.enabled);
	cJSON_AddBoolToObject(json, "dry_run", c->options.dry_run);
	cJSON_AddBoolToObject(json, "observing", !may);
	cJSON_AddStringToObject(json, "observing_why", may ? "" : why);
	json_doc_add_int64(json, "next_cycle_ms", cycles_due_ms(c->cycles));
	json_doc_add_int64(json, "open_commands", (int64_t)ledger_count(c->ledger));
	cycles = cJSON_AddArrayToObject(json, "cycles");
	for (size_t i = 0; (r = cycles_result(c->cycles, i)) != NULL; i++)
		cJSON_AddItemToArray(cycles, result_json(r));
	http_reply_json(req, 200, json);
}

static void post_cycles(struct http_request *req, void *arg)
{
	struct coordinator *c = arg;

	if (!api_needs_leader(c, req))
		return;
	if (!c->options.enabled) {
		http_reply_error(req, 409, "automatic eviction is off: enabled is false");
		return;
	}
	cycles_demand(c->cycles);
	http_reply_json(req, 202, cJSON_CreateObject());
}

static const struct http_route routes[] = {
	{HTTP_GET, "/livez", false, get_livez},
	{HTTP_GET, "/readyz", false, get_readyz},
	{HTTP_GET, "/v1/status", false, api_get_status},
	{HTTP_GET, "/v1/stats", false, api_get_stats},
	{HTTP_GET, "/v1/nodes", false, api_get_nodes},
	{HTTP_GET, "/v1/models", false, api_get_models},
	{HTTP_GET, "/v1/plan", false, api_get_plan},
	{HTTP_POST, "/v1/cycles", true, post_cycles},
	{HTTP_GET, "/v1/evictions", false, api_get_evictions},
	{HTTP_POST, "/v1/evictions", true, api_post_evictions},
	{HTTP_GET, "/v1/refaults", false, api_get_refaults},
	{HTTP_GET, "/v1/pins", false, api_get_pins},
	{HTTP_POST, "/v1/pins", true, api_post_pins},
	{HTTP_DELETE, "/v1/pins", true, api_delete_pins},
	{0, NULL, false, NULL},
};

struct http_server *api_start(struct coordinator *c, struct err *err)
{
	const struct http_server_options options = {
		.listen = c->options.http.listen,
		.token = c->http_token,
		.routes = routes,
		.arg = c,
	};

	return http_server_new(daemon_base(c->daemon), &options, err);
}
