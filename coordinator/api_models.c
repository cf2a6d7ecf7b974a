/* GET /v1/models: models by node, sorted by last use, size or name, a page at a time. */
#include <stdlib.h>
#include <string.h>

#include "common/glob.h"
#include "common/json_doc.h"
#include "common/pins.h"
#include "common/xmem.h"
#include "coordinator/api.h"
#include "coordinator/coordinator.h"
#include "coordinator/lookup.h"
#include "coordinator/survey.h"

#define LIMIT_DEFAULT 100
#define LIMIT_MAX     1000
#define OFFSET_MAX    100000

enum sort { SORT_LAST_USED, SORT_SIZE, SORT_NAME };

struct row {
	char *node, *model, *status, *held_by;
	enum use_source source;
	int64_t last_used_ms, bytes;
	bool held, pending, pinned;
};

struct answer {
	struct http_request *req;
	struct coordinator *c;
	const char *model; /* glob, or NULL */
	enum sort sort;
	bool descending;
	int64_t limit, offset;
	struct pins pins;
	struct row *rows; /* never many more than offset + limit */
	size_t count, capacity;
	int64_t total, now_ms;
};

static void free_row(struct row *row)
{
	free(row->node);
	free(row->model);
	free(row->status);
	free(row->held_by);
}

static int order_by(enum sort sort, const struct row *a, const struct row *b)
{
	int by_name = strcmp(a->model, b->model);

	if (sort == SORT_LAST_USED && a->last_used_ms != b->last_used_ms)
		return a->last_used_ms < b->last_used_ms ? -1 : 1;
	if (sort == SORT_SIZE && a->bytes != b->bytes)
		return a->bytes < b->bytes ? -1 : 1;
	return by_name != 0 ? by_name : strcmp(a->node, b->node);
}

static int compare(const void *left, const void *right, void *arg)
{
	const struct answer *a = arg;
	int order = order_by(a->sort, left, right);

	return a->descending ? -order : order;
}

/* Keeps only what can still be on the page. */
static void cut(struct answer *a)
{
	size_t wanted = (size_t)(a->offset + a->limit);

	if (a->count > 1)
		qsort_r(a->rows, a->count, sizeof(*a->rows), compare, a);
	while (a->count > wanted)
		free_row(&a->rows[--a->count]);
}

static struct row *add(struct answer *a, const struct cluster_node *node, const char *model)
{
	struct row *row;

	if (a->model != NULL && !glob_match(a->model, model))
		return NULL;
	a->total++;
	if (a->count >= 2 * (size_t)(a->offset + a->limit) + 1000)
		cut(a);
	a->rows = xgrow(a->rows, a->count, &a->capacity, sizeof(*a->rows));
	row = &a->rows[a->count++];
	*row = (struct row){.node = xstrdup(node->name), .model = xstrdup(model)};
	row->pinned = pins_match(&a->pins, model, a->now_ms) != NULL;
	return row;
}

static void on_part(struct cluster *cluster, int64_t now_ms, void *arg)
{
	struct answer *a = arg;

	a->now_ms = now_ms;
	for (size_t i = 0; i < cluster->count; i++) {
		const struct cluster_node *node = &cluster->nodes[i];

		for (size_t j = 0; j < node->model_total; j++) {
			const struct cluster_model *model = &node->models[j];
			struct row *row = add(a, node, model->name);

			if (row == NULL)
				continue;
			row->status = xstrdup("DOWNLOADED");
			row->last_used_ms = model->last_used_ms;
			row->bytes = model->bytes;
			row->held = model->held;
			row->held_by = xstrdup(model->held_by != NULL ? model->held_by : "");
			row->source = model->source;
			row->pending = model->pending;
		}
		for (size_t j = 0; j < node->other_count; j++) {
			struct row *row = add(a, node, node->others[j].name);

			if (row != NULL)
				row->status = xstrdup(node->others[j].status);
		}
	}
}

static cJSON *row_json(const struct answer *a, const struct row *row)
{
	cJSON *json = cJSON_CreateObject();
	size_t word = strcspn(row->status, " ");
	char status[16], root[MODEL_ROOT_MAX + 1];

	model_name_root(root, row->model);
	snprintf(status, sizeof(status), "%.*s", (int)word, row->status);
	cJSON_AddStringToObject(json, "node", row->node);
	cJSON_AddStringToObject(json, "model", row->model);
	cJSON_AddStringToObject(json, "root", root);
	cJSON_AddStringToObject(json, "status", status);
	cJSON_AddStringToObject(json, "why",
				row->status[word] != '\0' ? row->status + word + 1 : "");
	api_add_time(json, "last_used", row->last_used_ms);
	if (row->last_used_ms > 0)
		json_doc_add_int64(json, "idle_ms", a->now_ms - row->last_used_ms);
	else
		cJSON_AddNullToObject(json, "idle_ms");
	json_doc_add_int64(json, "bytes", row->bytes);
	cJSON_AddStringToObject(json, "source", use_source_name(row->source));
	cJSON_AddBoolToObject(json, "held", row->held);
	cJSON_AddStringToObject(json, "held_by", row->held_by != NULL ? row->held_by : "");
	cJSON_AddBoolToObject(json, "pinned", row->pinned);
	cJSON_AddBoolToObject(json, "pending", row->pending);
	return json;
}

static void answer_free(struct answer *a)
{
	for (size_t i = 0; i < a->count; i++)
		free_row(&a->rows[i]);
	free(a->rows);
	pins_free(&a->pins);
	free(a);
}

static void on_done(const char *why, void *arg)
{
	struct answer *a = arg;
	cJSON *json, *list;

	if (why != NULL) {
		http_reply_error(a->req, 503, "%s", why);
		answer_free(a);
		return;
	}
	cut(a);
	json = cJSON_CreateObject();
	json_doc_add_int64(json, "total", a->total);
	json_doc_add_int64(json, "offset", a->offset);
	json_doc_add_int64(json, "limit", a->limit);
	list = cJSON_AddArrayToObject(json, "models");
	for (size_t i = (size_t)a->offset; i < a->count; i++)
		cJSON_AddItemToArray(list, row_json(a, &a->rows[i]));
	http_reply_json(a->req, 200, json);
	answer_free(a);
}

static void got_pins(const char *why, void *arg)
{
	struct answer *a = arg;
	struct survey survey = {
		.c = a->c, .depth = SNAPSHOT_SHOW, .part = on_part, .done = on_done, .arg = a};

	if (why != NULL) {
		on_done(why, a);
		return;
	}
	survey.nodes = http_request_param(a->req, "node");
	survey_start(&survey);
}

static bool parse_sort(struct http_request *req, struct answer *a)
{
	const char *sort = http_request_param(req, "sort");
	const char *order = http_request_param(req, "order");

	a->sort = sort == NULL || strcmp(sort, "last_used") == 0 ? SORT_LAST_USED
		  : strcmp(sort, "size") == 0			 ? SORT_SIZE
								 : SORT_NAME;
	if (a->sort == SORT_NAME && strcmp(sort, "name") != 0) {
		http_reply_error(req, 400,
				 "sort: found \"%.40s\"; allowed is last_used, size or "
				 "name",
				 sort);
		return false;
	}
	a->descending = order != NULL ? strcmp(order, "desc") == 0 : a->sort == SORT_SIZE;
	if (order != NULL && strcmp(order, "desc") != 0 && strcmp(order, "asc") != 0) {
		http_reply_error(req, 400, "order: found \"%.40s\"; allowed is asc or desc", order);
		return false;
	}
	return true;
}

void api_get_models(struct http_request *req, void *arg)
{
	struct coordinator *c = arg;
	struct answer *a = xcalloc(1, sizeof(*a));
	const char *node;

	a->req = req;
	a->c = c;
	if (!api_glob(req, "node", &node) || !api_glob(req, "model", &a->model) ||
	    !parse_sort(req, a) ||
	    (a->limit = api_number(req, "limit", LIMIT_DEFAULT, LIMIT_MAX)) < 0 ||
	    (a->offset = api_number(req, "offset", 0, OFFSET_MAX)) < 0 ||
	    !api_needs_redis(c, req)) {
		free(a);
		return;
	}
	lookup_pins(c->link, c->options.redis.prefix, &a->pins, got_pins, a);
}
