/* /v1/pins: list, add, remove. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/duration.h"
#include "common/glob.h"
#include "common/json_doc.h"
#include "common/pins.h"
#include "common/redis_script.h"
#include "common/xmem.h"
#include "coordinator/api.h"
#include "coordinator/coordinator.h"

#define TEXT_MAX 200

struct answer {
	struct http_request *req;
	char *glob;
	bool removing;
};

static void fail(struct http_request *req, const redisReply *reply, const char *why)
{
	http_reply_error(req, 503, "%s",
			 reply == NULL			    ? why
			 : reply->type == REDIS_REPLY_ERROR ? reply->str
							    : "not understood");
}

static void got_list(const redisReply *reply, const char *why, void *arg)
{
	struct http_request *req = arg;
	cJSON *json, *list;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		fail(req, reply, why);
		return;
	}
	json = cJSON_CreateObject();
	list = cJSON_AddArrayToObject(json, "pins");
	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		struct pins one = {0};
		struct err err = {""};
		cJSON *pin = cJSON_CreateObject();
		bool good = pins_add(&one, reply->element[i]->str, reply->element[i + 1]->str,
				     &err) == 0;

		cJSON_AddStringToObject(pin, "glob", reply->element[i]->str);
		if (one.count > 0) {
			api_add_time(pin, "until", one.list[0].until_ms);
			cJSON_AddStringToObject(pin, "by", one.list[0].by);
			cJSON_AddStringToObject(pin, "why", one.list[0].why);
		}
		if (!good)
			cJSON_AddStringToObject(pin, "problem", err.text);
		cJSON_AddItemToArray(list, pin);
		pins_free(&one);
	}
	http_reply_json(req, 200, json);
}

void api_get_pins(struct http_request *req, void *arg)
{
	struct coordinator *c = arg;
	struct redis_args args = {0};
	char key[KEY_SIZE];

	if (!api_needs_redis(c, req))
		return;
	redis_args_start(&args, "HGETALL");
	redis_args_add(&args, coordinator_key(c, key, KEY_PINS));
	redis_link_command(c->link, &args, got_list, req);
	redis_args_free(&args);
}

static void got_changed(const redisReply *reply, const char *why, void *arg)
{
	struct answer *a = arg;
	cJSON *json;
	int64_t value;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 ||
	    reply->element[0]->type != REDIS_REPLY_STRING) {
		fail(a->req, reply, why);
		goto out;
	}
	value = strtoll(reply->element[0]->str, NULL, 10);
	if (a->removing && value == 0) {
		http_reply_error(a->req, 404, "no such pin: %.200s", a->glob);
		goto out;
	}
	json = cJSON_CreateObject();
	cJSON_AddStringToObject(json, "glob", a->glob);
	if (!a->removing)
		api_add_time(json, "until", value);
	http_reply_json(a->req, 200, json);
out:
	free(a->glob);
	free(a);
}

static void call_script(struct coordinator *c, struct http_request *req, const char *glob,
			const char *how_long, const char *members)
{
	struct answer *a = xcalloc(1, sizeof(*a));
	struct redis_args args = {0};
	char key[KEY_SIZE];

	a->req = req;
	a->glob = xstrdup(glob);
	a->removing = strcmp(how_long, "remove") == 0;
	redis_script_start(&args, &script_pin, 1);
	redis_args_add(&args, coordinator_key(c, key, KEY_PINS));
	redis_args_add(&args, coordinator_key(c, key, KEY_CHANGED));
	redis_args_add(&args, glob);
	redis_args_add(&args, how_long);
	redis_args_add(&args, members);
	redis_script_call(c->link, &script_pin, &args, got_changed, a);
	redis_args_free(&args);
}

/* A short text of the body, "" when it is missing; NULL when it is something else. */
static const char *short_text(const cJSON *body, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, key);

	if (item == NULL)
		return "";
	if (!cJSON_IsString(item) || strlen(item->valuestring) > TEXT_MAX)
		return NULL;
	return item->valuestring;
}

/* "ttl": a duration, seconds, or null; milliseconds, 0 for ever. */
static int parse_ttl(const cJSON *body, int64_t *ttl_ms, struct err *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(body, "ttl");
	struct duration d = {0};

	*ttl_ms = 0;
	if (item == NULL || cJSON_IsNull(item))
		return 0;
	if (cJSON_IsString(item)) {
		if (duration_parse(item->valuestring, &d, err) != 0)
			return err_prefix(err, "ttl");
	} else if (json_doc_int64(item, &d.seconds) != 0 || d.seconds < 0) {
		return err_set(err, "ttl: allowed is a duration such as '2h', seconds, or null");
	}
	if (duration_ms(d) < 1000 || duration_ms(d) > INT64_C(3153600000000))
		return err_set(err, "ttl: allowed is 1s to 100 years");
	*ttl_ms = duration_ms(d);
	return 0;
}

static int check_body(const cJSON *body, struct err *err)
{
	static const char *const keys[] = {"glob", "ttl", "by", "why"};
	const cJSON *item;

	cJSON_ArrayForEach (item, body) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			known |= strcmp(item->string, keys[i]) == 0;
		if (!known)
			return err_set(err, "unknown key %.60s; allowed are glob, ttl, by, why",
				       item->string);
	}
	item = cJSON_GetObjectItemCaseSensitive(body, "glob");
	if (!cJSON_IsString(item) || !glob_valid(item->valuestring))
		return err_set(err, "glob: allowed is a model's name, or a glob with * and ?");
	if (short_text(body, "by") == NULL || short_text(body, "why") == NULL)
		return err_set(err, "by and why: allowed are texts up to %d bytes", TEXT_MAX);
	return 0;
}

static void add(struct coordinator *c, struct http_request *req, const cJSON *body, int64_t ttl_ms)
{
	const char *glob = cJSON_GetObjectItemCaseSensitive(body, "glob")->valuestring;
	struct pin pin = {
		.by = (char *)short_text(body, "by"),
		.why = (char *)short_text(body, "why"),
		.ttl_ms = ttl_ms,
		.made_wall_ms = clock_wall_ms(),
	};
	char *members = pins_members(&pin);
	char how_long[24] = "";

	if (ttl_ms > 0)
		snprintf(how_long, sizeof(how_long), "%" PRId64, ttl_ms);
	call_script(c, req, glob, how_long, members);
	free(members);
}

void api_post_pins(struct http_request *req, void *arg)
{
	struct coordinator *c = arg;
	cJSON *body = http_request_json(req);
	int64_t ttl_ms;
	struct err err;

	if (body == NULL)
		return;
	if (check_body(body, &err) != 0 || parse_ttl(body, &ttl_ms, &err) != 0) {
		http_reply_error(req, 400, "%s", err.text);
	} else if (api_needs_redis(c, req)) {
		add(c, req, body, ttl_ms);
	}
	cJSON_Delete(body);
}

void api_delete_pins(struct http_request *req, void *arg)
{
	struct coordinator *c = arg;
	const char *glob = http_request_param(req, "glob");

	/* Any text may be removed: one that is no glob may stand there from elsewhere. */
	if (glob == NULL || *glob == '\0' || strlen(glob) > 4096)
		http_reply_error(req, 400, "the parameter glob is missing");
	else if (api_needs_redis(c, req))
		call_script(c, req, glob, "remove", "");
}
