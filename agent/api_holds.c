/* The agent's HTTP routes by which callers say what they use: touches and holds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/api.h"
#include "agent/holds.h"
#include "agent/orders.h"
#include "common/duration.h"
#include "common/http_server.h"
#include "common/json_doc.h"
#include "common/xmem.h"

#define ID_PREFIX      "hold:"
#define ID_MAX	       64
#define TTL_DEFAULT_MS INT64_C(600000)
#define TTL_MIN_MS     INT64_C(1000)
#define TTL_MAX_MS     INT64_C(2592000000)
#define TOO_LATE       "it is being deleted: %.200s"

static const cJSON *member(const cJSON *body, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(body, key);
}

/* Where ".." leads only the disk knows: another model would be meant than the caller believes. */
static bool climbs(const char *path)
{
	for (const char *at = strstr(path, "/.."); at != NULL; at = strstr(at + 3, "/..")) {
		if (at[3] == '/' || at[3] == '\0')
			return true;
	}
	return false;
}

/* ---- touches ---- */

static struct model *find_by_path(struct agent *agent, const char *path)
{
	struct model *model, *next;

	HASH_ITER (hh, agent->inventory.models, model, next) {
		struct model_ref_facts facts = holds_facts(agent, model);

		if (!model->gone && model_ref_holds_path(&facts, path))
			return model;
	}
	return NULL;
}

/*
 * Finds what a touch means: a model's name, or a path of this host inside a model. NULL: the answer
 * was given.
 */
static struct model *find_touched(struct agent *agent, struct http_request *req, const cJSON *body)
{
	const cJSON *name = member(body, "model"), *path = member(body, "path");
	const cJSON *what = name != NULL ? name : path;
	struct model *model = NULL;

	if (!cJSON_IsString(what) || cJSON_GetArraySize(body) != 1) {
		http_reply_error(req, 400, "allowed is {\"model\": NAME} or {\"path\": PATH}");
	} else if (what == path && climbs(path->valuestring)) {
		http_reply_error(req, 400, "path: allowed is one without ..");
	} else {
		model = what == name ? inventory_find(&agent->inventory, name->valuestring)
				     : find_by_path(agent, path->valuestring);
		if (model == NULL)
			http_reply_error(req, 404, "no model on this node: %.200s",
					 what->valuestring);
	}
	return model;
}

void api_post_touch(struct http_request *req, void *arg)
{
	struct agent *agent = arg;
	cJSON *body = http_request_json(req);
	struct model *model;
	cJSON *reply;

	if (body == NULL)
		return;
	model = find_touched(agent, req, body);
	if (model == NULL)
		goto out;
	if (agent_use(agent, model, clock_mono(), USE_API) == TOUCH_TOO_LATE) {
		http_reply_error(req, 409, TOO_LATE, model->name);
	} else {
		reply = cJSON_CreateObject();
		cJSON_AddStringToObject(reply, "model", model->name);
		http_reply_json(req, 200, reply);
	}
out:
	cJSON_Delete(body);
}

/* ---- who is in there? ---- */

struct asked {
	struct agent *agent;
	struct http_request *req;
};

static void looked(struct look *look, void *arg)
{
	struct asked *asked = arg;
	struct model *model = inventory_find(&asked->agent->inventory, look->model);
	bool busy = strncmp(look->why, "busy", 4) == 0;
	cJSON *json = cJSON_CreateObject();

	if (busy && model != NULL)
		orders_found_open(asked->agent, model, look->why);
	cJSON_AddStringToObject(json, "model", look->model);
	cJSON_AddStringToObject(json, "open",
				busy				   ? "yes"
				: look->outcome == REMOVAL_GOES_ON ? "no"
								   : "unknown");
	cJSON_AddStringToObject(json, "why", look->why);
	cJSON_AddStringToObject(json, "processes", look->processes);
	http_reply_json(asked->req, 200, json);
	look_free(look);
}

/* Whether files of a model are open or mapped now. */
void api_post_inuse(struct http_request *req, void *arg)
{
	struct agent *agent = arg;
	cJSON *body = http_request_json(req);
	struct model *model;
	struct asked *asked;
	struct look *look;

	if (body == NULL)
		return;
	model = find_touched(agent, req, body);
	if (model == NULL)
		goto out;
	if (model->removal != NULL) {
		http_reply_error(req, 409, TOO_LATE, model->name);
	} else {
		asked = xcalloc(1, sizeof(*asked));
		*asked = (struct asked){agent, req};
		look = look_new(model->name, model->report.locator);
		look->names = true;
		look->done = looked;
		look->arg = look->owned = asked;
		model->looked_at = clock_mono();
		worker_look(agent->workers[model->root], look);
	}
out:
	cJSON_Delete(body);
}

/* ---- making a hold ---- */

struct wish {
	struct model_ref ref;
	char id[sizeof(ID_PREFIX) + ID_MAX];
	const char *who;
	int64_t ttl_ms;
};

static int read_id(const cJSON *item, struct wish *wish, struct err *err)
{
	char random[33];

	if (item == NULL) {
		clock_random_hex(random, 16);
		snprintf(wish->id, sizeof(wish->id), ID_PREFIX "%s", random);
		return 0;
	}
	if (!cJSON_IsString(item) || item->valuestring[0] == '\0' ||
	    strlen(item->valuestring) > ID_MAX ||
	    strspn(item->valuestring, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-") != strlen(item->valuestring))
		return err_set(err, "id: allowed is 1 to %d of A-Z a-z 0-9 . _ -", ID_MAX);
	snprintf(wish->id, sizeof(wish->id), ID_PREFIX "%s", item->valuestring);
	return 0;
}

static int read_ttl(const cJSON *item, struct wish *wish, struct err *err)
{
	struct duration d = {0};

	wish->ttl_ms = TTL_DEFAULT_MS;
	if (item == NULL)
		return 0;
	if (cJSON_IsString(item)) {
		if (duration_parse(item->valuestring, &d, err) != 0)
			return err_prefix(err, "ttl");
	} else if (json_doc_int64(item, &d.seconds) != 0 || d.seconds < 0) {
		return err_set(err, "ttl: allowed is a duration such as '30m', or seconds");
	}
	wish->ttl_ms = duration_ms(d);
	if (wish->ttl_ms < TTL_MIN_MS || wish->ttl_ms > TTL_MAX_MS)
		return err_set(err, "ttl: allowed is 1s to 30d");
	return 0;
}

/* What is held: a name of Redis, a path of this host, or a repository of the hub. */
static int read_ref(const cJSON *body, struct wish *wish, struct err *err)
{
	const cJSON *name = member(body, "model"), *path = member(body, "path");
	const cJSON *repo = member(body, "repo"), *revision = member(body, "revision");

	if ((name != NULL) + (path != NULL) + (repo != NULL) != 1 ||
	    (revision != NULL && (repo == NULL || !cJSON_IsString(revision))))
		return err_set(err,
			       "allowed is one of model, path, or repo with or without revision");
	if (name != NULL) {
		if (!cJSON_IsString(name) || !model_name_valid(name->valuestring))
			return err_set(err, "model: not a model's name");
		model_ref_make(&wish->ref, MODEL_REF_NAME, name->valuestring, NULL);
		return 0;
	}
	if (path != NULL) {
		if (!cJSON_IsString(path) || path->valuestring[0] != '/' ||
		    climbs(path->valuestring))
			return err_set(err,
				       "path: allowed is an absolute path of this host without ..");
		model_ref_make(&wish->ref, MODEL_REF_PATH, path->valuestring, NULL);
		return 0;
	}
	if (!cJSON_IsString(repo) || repo->valuestring[0] == '/' ||
	    !model_ref_guess(&wish->ref, repo->valuestring,
			     revision != NULL ? revision->valuestring : NULL))
		return err_set(err, "repo: allowed is NAME or ORGANISATION/NAME");
	if (revision != NULL && wish->ref.revision == NULL)
		return err_set(err, "revision: allowed are 7 to 64 digits of a commit");
	return 0;
}

static int read_wish(const cJSON *body, struct wish *wish, struct err *err)
{
	static const char *const keys[] = {"model", "path", "repo", "revision", "ttl", "who", "id"};
	const cJSON *item, *who = member(body, "who");

	cJSON_ArrayForEach (item, body) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
			known |= strcmp(item->string, keys[i]) == 0;
		if (!known)
			return err_set(err,
				       "unknown key %.60s; allowed are model, path, repo, "
				       "revision, ttl, who, id",
				       item->string);
	}
	if (who != NULL && (!cJSON_IsString(who) || strlen(who->valuestring) > CLAIM_WHO_MAX))
		return err_set(err, "who: allowed is a text of up to %d bytes", CLAIM_WHO_MAX);
	wish->who = who != NULL ? who->valuestring : "unnamed";
	if (read_id(member(body, "id"), wish, err) != 0 ||
	    read_ttl(member(body, "ttl"), wish, err) != 0)
		return -1;
	return read_ref(body, wish, err);
}

static cJSON *matched_models(const struct agent *agent, const struct claim *claim)
{
	cJSON *list = cJSON_CreateArray();

	for (const struct model *m = agent->inventory.models; m != NULL; m = m->hh.next) {
		struct model_ref_facts facts;

		if (m->gone)
			continue;
		facts = holds_facts(agent, m);
		if (claim_matches(claim, &facts))
			cJSON_AddItemToArray(list, cJSON_CreateString(m->name));
	}
	return list;
}

static cJSON *claim_json(const struct agent *agent, const struct claim *claim, struct mono now)
{
	cJSON *json = cJSON_CreateObject();
	bool hold = strncmp(claim->id, ID_PREFIX, strlen(ID_PREFIX)) == 0;

	cJSON_AddStringToObject(json, "id", claim->id + (hold ? strlen(ID_PREFIX) : 0));
	cJSON_AddStringToObject(json, "source", use_source_name(claim->source));
	cJSON_AddStringToObject(json, "who", claim->who);
	json_doc_add_int64(json, "age_ms", mono_since(claim->since, now));
	json_doc_add_int64(json, "left_ms", mono_since(now, claim->until));
	cJSON_AddItemToObject(json, "models", matched_models(agent, claim));
	return json;
}

static struct hold_result set(struct agent *agent, struct wish *wish)
{
	struct claim *claim = claim_new(wish->id, USE_HOLD, wish->who);

	claim_add(claim, &wish->ref);
	claim->since = clock_mono();
	claim->until.ms = claim->since.ms + wish->ttl_ms;
	return holds_set(agent, claim);
}

void api_post_hold(struct http_request *req, void *arg)
{
	struct agent *agent = arg;
	cJSON *body = http_request_json(req);
	struct hold_result result;
	struct wish wish = {0};
	struct err err;

	if (body == NULL)
		return;
	if (read_wish(body, &wish, &err) != 0) {
		http_reply_error(req, 400, "%s", err.text);
		goto out;
	}
	result = set(agent, &wish);
	if (result.refused) {
		http_reply_error(req, 503, "there are too many holds on this node");
	} else if (result.too_late > 0) {
		/* The caller must not believe that it is there. */
		holds_drop(agent, wish.id);
		http_reply_error(req, 409, "it is being deleted");
	} else if (result.unkept) {
		http_reply_error(req, 503,
				 "it is held, but not over a restart of the agent: its "
				 "journal cannot be written");
	} else {
		http_reply_json(
			req, 200,
			claim_json(agent, claims_find(&agent->claims, wish.id), clock_mono()));
	}
out:
	model_ref_free(&wish.ref);
	cJSON_Delete(body);
}

/* ---- looking and releasing ---- */

void api_get_holds(struct http_request *req, void *arg)
{
	struct agent *agent = arg;
	struct mono now = clock_mono();
	cJSON *json = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(json, "holds");

	for (const struct claim *c = agent->claims.list; c != NULL; c = c->hh.next) {
		if (mono_since(now, c->until) > 0)
			cJSON_AddItemToArray(list, claim_json(agent, c, now));
	}
	http_reply_json(req, 200, json);
}

void api_delete_hold(struct http_request *req, void *arg)
{
	const char *id = http_request_param(req, "id");
	struct agent *agent = arg;
	char *full;
	cJSON *reply;

	if (id == NULL || *id == '\0' || strlen(id) > ID_MAX) {
		http_reply_error(req, 400, "the parameter id is missing");
		return;
	}
	full = xasprintf(ID_PREFIX "%s", id);
	if (holds_drop(agent, full)) {
		reply = cJSON_CreateObject();
		cJSON_AddStringToObject(reply, "id", id);
		http_reply_json(req, 200, reply);
	} else {
		http_reply_error(req, 404, "no such hold: %.64s", id);
	}
	free(full);
}
