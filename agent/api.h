/* The agent's HTTP routes (docs/api.md). */
#ifndef LARDER_AGENT_API_H
#define LARDER_AGENT_API_H

#include "common/err.h"

struct agent;
struct http_server;

struct http_request;

/* The routes of api_holds.c. */
void api_post_touch(struct http_request *req, void *arg);
void api_get_holds(struct http_request *req, void *arg);
void api_post_hold(struct http_request *req, void *arg);
void api_post_inuse(struct http_request *req, void *arg);
void api_delete_hold(struct http_request *req, void *arg);

struct http_server *api_start(struct agent *agent, struct err *err) MUST_USE;

#endif
