/* The agent's HTTP routes (docs/api.md). */
#ifndef LARDER_AGENT_API_H
#define LARDER_AGENT_API_H

#include "common/err.h"

struct agent;
struct http_server;

struct http_server *api_start(struct agent *agent, struct err *err) MUST_USE;

#endif
