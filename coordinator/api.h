/* The coordinator's HTTP API (docs/api.md). */
#ifndef LARDER_COORDINATOR_API_H
#define LARDER_COORDINATOR_API_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/err.h"
#include "common/http_server.h"

struct coordinator;
struct cycle_result;

struct http_server *api_start(struct coordinator *c, struct err *err) MUST_USE;

/* ---- for the files that answer the routes ---- */

void api_get_status(struct http_request *req, void *arg);
void api_get_stats(struct http_request *req, void *arg);
void api_get_nodes(struct http_request *req, void *arg);
void api_get_models(struct http_request *req, void *arg);
void api_get_plan(struct http_request *req, void *arg);
void api_get_evictions(struct http_request *req, void *arg);
void api_get_refaults(struct http_request *req, void *arg);
void api_post_evictions(struct http_request *req, void *arg);
void api_get_pins(struct http_request *req, void *arg);
void api_post_pins(struct http_request *req, void *arg);
void api_delete_pins(struct http_request *req, void *arg);

/* Adds `key`_ms and the same as RFC 3339 under `key`; null for 0. */
void api_add_time(cJSON *json, const char *key, int64_t ms);

/* A whole number in the query, `def` when it is missing; -1 after answering 400. */
int64_t api_number(struct http_request *req, const char *name, int64_t def, int64_t max);

/* A glob in the query, NULL when it is missing; false after answering 400. */
bool api_glob(struct http_request *req, const char *name, const char **glob);

/* True when Redis is connected; otherwise 503 was answered. */
bool api_needs_redis(struct coordinator *c, struct http_request *req);

/* True when this one leads; otherwise 503 was answered, with where the leader is. */
bool api_needs_leader(struct coordinator *c, struct http_request *req);

#endif
