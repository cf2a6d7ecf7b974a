/*
 * A small JSON server on evhttp, with the guards that evhttp does not have by itself: sizes, a
 * deadline for a whole request, a cap on connections, one request per connection, exact routes, a
 * bearer token for what changes something.
 */
#ifndef LARDER_HTTP_SERVER_H
#define LARDER_HTTP_SERVER_H

#include <cjson/cJSON.h>
#include <event2/event.h>
#include <stdbool.h>

#include "common/err.h"

struct http_server;
struct http_request;

enum http_method { HTTP_GET = 1, HTTP_POST = 2, HTTP_DELETE = 4 };

struct http_route {
	enum http_method method;
	const char *path; /* matched exactly */
	bool token;	  /* changes something: needs the bearer token */
	/* Answers now, or keeps `req` and answers later; exactly once. */
	void (*handle)(struct http_request *req, void *arg);
};

struct http_server_options {
	const char *listen;		 /* "127.0.0.1:9480" or "[::1]:9480"; port 0: any */
	const char *token;		 /* NULL: see anonymous_changes */
	bool anonymous_changes;		 /* without a token: allow changes (true) or refuse them */
	const struct http_route *routes; /* ends with a route without path */
	void *arg;
};

/* 0 when `text` can stand in `listen` above, -1 with a sentence. */
int http_server_check_listen(const char *text, struct err *err);

/* Starts to listen. NULL with a sentence on error. */
struct http_server *http_server_new(struct event_base *base,
				    const struct http_server_options *options,
				    struct err *err) MUST_USE;

/* The port that is listened on. */
int http_server_port(const struct http_server *server);

/* Requests that are not answered yet. */
int http_server_open(const struct http_server *server);

/* Takes a new token over (borrowed), for SIGHUP. */
void http_server_set_token(struct http_server *server, const char *token);

/* Requests that are still open are closed without an answer; their `handle` must not answer. */
void http_server_free(struct http_server *server);

/* ---- inside a handler ---- */

/* A parameter of the query, percent-decoded, or NULL. Borrowed until the answer. */
const char *http_request_param(struct http_request *req, const char *name);

/*
 * The body as a JSON object. NULL when it is none: the request was then answered with 400 or 415.
 * The caller frees it.
 */
cJSON *http_request_json(struct http_request *req) MUST_USE;

/* Answers with `body`, which it frees. */
void http_reply_json(struct http_request *req, int code, cJSON *body);

/* Answers {"error": sentence}. */
void http_reply_error(struct http_request *req, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Answers with a text. */
void http_reply_text(struct http_request *req, int code, const char *type, const char *text);

#endif
