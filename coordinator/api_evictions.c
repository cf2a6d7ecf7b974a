/* POST /v1/evictions: eviction by hand. */
#include <stdlib.h>
#include <string.h>

#include "common/glob.h"
#include "common/json_doc.h"
#include "common/pins.h"
#include "common/xmem.h"
#include "coordinator/api.h"
#include "coordinator/coordinator.h"
#include "coordinator/cycles.h"
#include "coordinator/issue.h"
#include "coordinator/lookup.h"
#include "coordinator/survey.h"

#define LIST_MAX    100	  /* models or nodes in one request */
#define MATCHES_MAX 10000 /* models that one request may be about, evicted or not */

struct manual {
	struct http_request *req;
	struct coordinator *c;
	cJSON *body;
	const cJSON *models, *nodes;
	bool force;
	struct pins pins;
	uint64_t cycle;
	cJSON *commands; /* the answer */
	size_t matches, batches;
	bool surveyed, truncated;
	const char *why;
};

static bool matches_any(const cJSON *globs, const char *text)
{
	const cJSON *glob;

	cJSON_ArrayForEach (glob, globs) {
		if (glob_match(glob->valuestring, text))
			return true;
	}
	return false;
}

static void add_answer(struct manual *m, const char *node, const char *model, const char *id,
		       const char *outcome, int64_t bytes)
{
	cJSON *json = cJSON_CreateObject();

	cJSON_AddStringToObject(json, "node", node);
	cJSON_AddStringToObject(json, "model", model);
	if (id != NULL)
		cJSON_AddStringToObject(json, "id", id);
	cJSON_AddStringToObject(json, "outcome", outcome);
	json_doc_add_int64(json, "bytes", bytes);
	cJSON_AddItemToArray(m->commands, json);
}

static void finish(struct manual *m)
{
	cJSON *json;

	if (!m->surveyed || m->batches > 0)
		return;
	if (m->why != NULL) {
		http_reply_error(m->req, 503, "%s", m->why);
	} else if (m->matches == 0) {
		http_reply_error(m->req, 404, "no such model on these nodes");
	} else {
		json = cJSON_CreateObject();
		cJSON_AddItemToObject(json, "commands", m->commands);
		m->commands = NULL;
		cJSON_AddBoolToObject(json, "truncated", m->truncated);
		http_reply_json(m->req, 202, json);
	}
	cJSON_Delete(m->commands);
	cJSON_Delete(m->body);
	pins_free(&m->pins);
	free(m);
}

static void on_batch(struct issue_batch *batch, void *arg)
{
	struct manual *m = arg;

	for (size_t i = 0; i < batch->count; i++)
		add_answer(m, batch->node, batch->items[i].model,
			   strcmp(batch->items[i].outcome, "issued") == 0 ? batch->items[i].id
									  : NULL,
			   batch->items[i].outcome, batch->items[i].bytes);
	m->batches--;
	finish(m);
}

/* What keeps a model from being evicted by hand, or NULL. */
static const char *obstacle(const struct manual *m, const struct cluster_node *node,
			    const struct cluster_model *model, const char *name, int64_t now_ms)
{
	char root[MODEL_ROOT_MAX + 1];

	if (!node->known || !node->live)
		return "node not live";
	if (pins_match(&m->pins, name, now_ms) != NULL)
		return "pinned";
	if (model != NULL && model->pending)
		return "pending";
	if (model != NULL && model->held && !m->force)
		return "held";
	model_name_root(root, name);
	for (size_t i = 0; i < node->root_count; i++) {
		if (strcmp(node->roots[i].name, root) == 0 && !node->roots[i].deletes)
			return "report_only";
	}
	return NULL;
}

/* One model that was named; `model` is NULL for one that is not DOWNLOADED. */
static void take(struct manual *m, const struct cluster_node *node,
		 const struct cluster_model *model, const char *name, int64_t now_ms,
		 struct issue_batch **batch)
{
	const char *why;

	if (!matches_any(m->models, name))
		return;
	if (m->matches == MATCHES_MAX) {
		m->truncated = true;
		return;
	}
	m->matches++;
	why = obstacle(m, node, model, name, now_ms);
	if (why != NULL) {
		add_answer(m, node->name, name, NULL, why, 0);
		return;
	}
	if (*batch == NULL) {
		*batch = issue_batch_new(m->c, node->name, node->incarnation, m->cycle);
		(*batch)->done = on_batch;
		(*batch)->arg = m;
		m->batches++;
	}
	issue_batch_add(*batch, name, model != NULL ? model->last_used_ms : 0, REASON_MANUAL,
			m->force);
}

static void on_part(struct cluster *cluster, int64_t now_ms, void *arg)
{
	struct manual *m = arg;

	for (size_t i = 0; i < cluster->count; i++) {
		const struct cluster_node *node = &cluster->nodes[i];
		struct issue_batch *batch = NULL;

		if (m->nodes != NULL && !matches_any(m->nodes, node->name))
			continue;
		for (size_t j = 0; j < node->model_total; j++)
			take(m, node, &node->models[j], node->models[j].name, now_ms, &batch);
		for (size_t j = 0; j < node->other_count; j++)
			take(m, node, NULL, node->others[j].name, now_ms, &batch);
		if (batch != NULL)
			issue_send(batch);
	}
}

static void on_surveyed(const char *why, void *arg)
{
	struct manual *m = arg;

	m->surveyed = true;
	m->why = why;
	finish(m);
}

static void got_pins(const char *why, void *arg)
{
	struct manual *m = arg;
	struct survey survey = {
		.c = m->c, .depth = SNAPSHOT_SHOW, .part = on_part, .done = on_surveyed, .arg = m};

	if (why != NULL)
		on_surveyed(why, m);
	else
		survey_start(&survey);
}

static int check_globs(const cJSON *list, const char *what, bool required, struct err *err)
{
	const cJSON *glob;

	if (list == NULL && !required)
		return 0;
	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1 ||
	    cJSON_GetArraySize(list) > LIST_MAX)
		return err_set(err, "%s: allowed is a list of 1 to %d", what, LIST_MAX);
	cJSON_ArrayForEach (glob, list) {
		if (!cJSON_IsString(glob) || !glob_valid(glob->valuestring))
			return err_set(err, "%s: each is a name, or a glob with * and ?", what);
		/* Everything at once is never meant. */
		if (required && strspn(glob->valuestring, "*?") == strlen(glob->valuestring))
			return err_set(err, "%s: \"%.20s\" would match every model", what,
				       glob->valuestring);
	}
	return 0;
}

static int check_body(const cJSON *body, struct err *err)
{
	const cJSON *force = cJSON_GetObjectItemCaseSensitive(body, "force");
	const cJSON *item;

	cJSON_ArrayForEach (item, body) {
		if (strcmp(item->string, "models") != 0 && strcmp(item->string, "nodes") != 0 &&
		    strcmp(item->string, "force") != 0)
			return err_set(err, "unknown key %.60s; allowed are models, nodes, force",
				       item->string);
	}
	if (force != NULL && !cJSON_IsBool(force))
		return err_set(err, "force: allowed is true or false");
	if (check_globs(cJSON_GetObjectItemCaseSensitive(body, "models"), "models", true, err) != 0)
		return -1;
	return check_globs(cJSON_GetObjectItemCaseSensitive(body, "nodes"), "nodes", false, err);
}

void api_post_evictions(struct http_request *req, void *arg)
{
	struct coordinator *c = arg;
	cJSON *body = http_request_json(req);
	struct manual *m;
	struct err err;

	if (body == NULL)
		return;
	if (check_body(body, &err) != 0) {
		http_reply_error(req, 400, "%s", err.text);
		cJSON_Delete(body);
		return;
	}
	if (!api_needs_leader(c, req)) {
		cJSON_Delete(body);
		return;
	}
	m = xcalloc(1, sizeof(*m));
	m->req = req;
	m->c = c;
	m->body = body;
	m->models = cJSON_GetObjectItemCaseSensitive(body, "models");
	m->nodes = cJSON_GetObjectItemCaseSensitive(body, "nodes");
	m->force = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(body, "force"));
	m->cycle = cycles_next_id(c->cycles);
	m->commands = cJSON_CreateArray();
	lookup_pins(c->link, c->options.redis.prefix, &m->pins, got_pins, m);
}
