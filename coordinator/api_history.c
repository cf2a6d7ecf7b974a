/* GET /v1/evictions and GET /v1/refaults: the audit trail, newest first. */
#include <stdlib.h>
#include <string.h>

#include "common/glob.h"
#include "common/json_doc.h"
#include "common/xmem.h"
#include "coordinator/api.h"
#include "coordinator/coordinator.h"
#include "coordinator/trail.h"

#define HISTORY_LIMIT 1000

/* What of the trail is asked for. */
struct kind {
	const char *event, *list;
	cJSON *(*json)(const redisReply *fields);
};

struct history {
	struct http_request *req;
	const struct kind *kind;
	int64_t limit;
	const char *node, *model, *id;
};

static bool wanted(const struct history *h, const redisReply *fields)
{
	return strcmp(trail_field(fields, "event"), h->kind->event) == 0 &&
	       (h->node == NULL || glob_match(h->node, trail_field(fields, "node"))) &&
	       (h->model == NULL || glob_match(h->model, trail_field(fields, "model"))) &&
	       (h->id == NULL || strcmp(h->id, trail_field(fields, "id")) == 0);
}

static int64_t number_of(const redisReply *fields, const char *name)
{
	return strtoll(trail_field(fields, name), NULL, 10);
}

static cJSON *eviction_json(const redisReply *fields)
{
	static const char *const texts[] = {"id", "node", "model", "outcome", "why", "reason"};
	static const char *const numbers[] = {"bytes", "epoch", "took_ms"};
	cJSON *json = cJSON_CreateObject();

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		cJSON_AddStringToObject(json, texts[i], trail_field(fields, texts[i]));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_doc_add_int64(json, numbers[i], number_of(fields, numbers[i]));
	api_add_time(json, "at", number_of(fields, "at_ms"));
	api_add_time(json, "last_used", number_of(fields, "last_used_ms"));
	return json;
}

/* Written when the model was back: the eviction was `took_ms` before. */
static cJSON *refault_json(const redisReply *fields)
{
	static const char *const texts[] = {"node", "model", "reason"};
	int64_t at_ms = number_of(fields, "at_ms"), away_ms = number_of(fields, "took_ms");
	int64_t used_ms = number_of(fields, "last_used_ms");
	cJSON *json = cJSON_CreateObject();

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		cJSON_AddStringToObject(json, texts[i], trail_field(fields, texts[i]));
	json_doc_add_int64(json, "bytes", number_of(fields, "bytes"));
	json_doc_add_int64(json, "away_ms", away_ms);
	json_doc_add_int64(json, "unused_ms",
			   at_ms - away_ms > used_ms ? at_ms - away_ms - used_ms : 0);
	api_add_time(json, "at", at_ms);
	api_add_time(json, "evicted", at_ms - away_ms);
	api_add_time(json, "last_used", used_ms);
	return json;
}

static void got_trail(const redisReply *reply, const char *why, void *arg)
{
	struct history *h = arg;
	cJSON *json, *list;
	int64_t count = 0;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		http_reply_error(h->req, 503, "%s",
				 reply == NULL ? why : "the audit trail cannot be read");
		free(h);
		return;
	}
	json = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(json, h->kind->list);
	for (size_t i = 0; i < reply->elements && count < h->limit; i++) {
		const redisReply *entry = reply->element[i];

		if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
		    entry->element[1]->type != REDIS_REPLY_ARRAY || !wanted(h, entry->element[1]))
			continue;
		cJSON_AddItemToArray(list, h->kind->json(entry->element[1]));
		count++;
	}
	http_reply_json(h->req, 200, json);
	free(h);
}

static void start(struct http_request *req, struct coordinator *c, const struct kind *kind)
{
	struct history *h = xcalloc(1, sizeof(*h));
	struct redis_args args = {0};
	char key[KEY_SIZE];

	h->req = req;
	h->kind = kind;
	h->id = http_request_param(req, "id");
	if (!api_glob(req, "node", &h->node) || !api_glob(req, "model", &h->model) ||
	    (h->limit = api_number(req, "limit", 50, HISTORY_LIMIT)) < 0 ||
	    !api_needs_redis(c, req)) {
		free(h);
		return;
	}
	redis_args_start(&args, "XREVRANGE");
	redis_args_add(&args, coordinator_key(c, key, KEY_LOG));
	redis_args_add(&args, "+");
	redis_args_add(&args, "-");
	redis_args_add(&args, "COUNT");
	redis_args_add_int(&args, TRAIL_KEPT);
	redis_link_command(c->link, &args, got_trail, h);
	redis_args_free(&args);
}

void api_get_evictions(struct http_request *req, void *arg)
{
	static const struct kind kind = {"eviction", "evictions", eviction_json};

	start(req, arg, &kind);
}

void api_get_refaults(struct http_request *req, void *arg)
{
	static const struct kind kind = {"refault", "refaults", refault_json};

	start(req, arg, &kind);
}
