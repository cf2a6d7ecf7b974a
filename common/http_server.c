/*
 * JSON over evhttp, with guards.
 *
 * evhttp has no deadline for a whole request or a whole reply and no cap on connections, and does
 * not tell when a connection closes. So each connection's bufferevent is created here and kept by a
 * reference ("guard"); a sweep ends what takes too long and lets go of what evhttp has freed.
 */
#include "common/http_server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <limits.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/json_doc.h"
#include "common/xmem.h"

#define HEADERS_MAX_BYTES   16384
#define BODY_MAX_BYTES	    65536
#define CONNECTIONS_MAX	    256 /* above it, a new one has until the next sweep */
#define CONNECTIONS_MOST    512 /* here no more are taken */
#define WAITING_MAX	    64	/* requests that are not answered yet */
#define REQUEST_DEADLINE_MS 10000
#define REPLY_DEADLINE_MS   60000
#define IDLE_TIMEOUT_S	    10
#define SWEEP_MS	    500

struct guard {
	struct http_server *server;
	struct bufferevent *bev;
	struct mono deadline;	      /* of the request, then of the reply */
	struct http_request *waiting; /* its request is with a handler: no deadline */
	struct guard *prev, *next;
};

struct http_server {
	struct event_base *base;
	struct evhttp *http;
	struct event *sweep;
	struct http_server_options options;
	struct guard *guards;
	struct http_request *open; /* given to a handler, not answered yet */
	int open_count;
	int connections; /* guards */
	struct evconnlistener *listener;
	bool paused; /* takes no connections */
	int port;
};

struct http_request {
	struct http_server *server;
	struct evhttp_request *req;
	struct evkeyvalq query;
	struct guard *guard; /* of its connection; NULL once that has gone */
	bool gone;
	struct http_request *prev, *next;
};

/* ---- connections ---- */

static void guard_free(struct guard *guard)
{
	DL_DELETE(guard->server->guards, guard);
	guard->server->connections--;
	if (guard->waiting != NULL)
		guard->waiting->guard = NULL;
	bufferevent_decref(guard->bev);
	free(guard);
}

/* evhttp asks for the bufferevent of a new connection. */
static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct http_server *server = arg;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct guard *guard;
	int64_t patience = server->connections >= CONNECTIONS_MAX ? 0 : REQUEST_DEADLINE_MS;

	if (bev == NULL)
		return NULL;
	guard = xcalloc(1, sizeof(*guard));
	guard->server = server;
	guard->bev = bev;
	guard->deadline.ms = clock_mono().ms + patience;
	bufferevent_incref(bev);
	DL_APPEND(server->guards, guard);
	server->connections++;
	if (server->connections >= CONNECTIONS_MOST && !server->paused) {
		server->paused = true;
		evconnlistener_disable(server->listener);
	}
	return bev;
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;
	struct mono now = clock_mono();
	struct guard *guard, *next;

	(void)fd;
	(void)what;
	DL_FOREACH_SAFE (server->guards, guard, next) {
		bufferevent_event_cb on_event = NULL;

		bufferevent_getcb(guard->bev, NULL, NULL, &on_event, NULL);
		if (on_event == NULL) /* evhttp has freed it */
			guard_free(guard);
		else if (guard->waiting == NULL && mono_since(guard->deadline, now) >= 0)
			/* Too slow: let evhttp believe that the peer has gone. */
			bufferevent_trigger_event(guard->bev, BEV_EVENT_READING | BEV_EVENT_EOF,
						  BEV_OPT_DEFER_CALLBACKS);
	}
	if (server->paused && server->connections < CONNECTIONS_MOST) {
		server->paused = false;
		evconnlistener_enable(server->listener);
	}
}

static struct guard *guard_of(struct http_server *server, struct evhttp_connection *con)
{
	struct bufferevent *bev = evhttp_connection_get_bufferevent(con);
	struct guard *guard;

	DL_FOREACH (server->guards, guard) {
		if (guard->bev == bev)
			return guard;
	}
	return NULL;
}

/* ---- requests ---- */

static void request_free(struct http_request *r)
{
	DL_DELETE(r->server->open, r);
	r->server->open_count--;
	if (r->guard != NULL) {
		r->guard->waiting = NULL;
		r->guard->deadline.ms = clock_mono().ms + REPLY_DEADLINE_MS;
	}
	evhttp_clear_headers(&r->query);
	free(r);
}

/*
 * The client has gone. evhttp still has the request in its queue while it calls this, so the
 * request is only freed when the handler answers.
 */
static void on_close(struct evhttp_connection *con, void *arg)
{
	struct http_request *r = arg;

	(void)con;
	r->gone = true;
	if (r->guard != NULL)
		guard_free(r->guard);
}

/* The reply was sent, or will not be. */
static void on_replied(struct evhttp_connection *con, void *arg)
{
	struct guard *guard = guard_of(arg, con);

	if (guard != NULL)
		guard_free(guard);
}

static void send_reply(struct http_request *r, int code, const char *type, const char *data,
		       size_t len)
{
	struct evhttp_connection *con;
	struct evkeyvalq *headers;
	struct evbuffer *body;
	char length[24];

	if (r->gone) {
		evhttp_request_free(r->req);
		request_free(r);
		return;
	}
	con = evhttp_request_get_connection(r->req);
	evhttp_connection_set_closecb(con, on_replied, r->server);
	/* evhttp's again: it frees the request when it was sent, or with its connection. */
	r->req->flags &= ~EVHTTP_USER_OWNED;
	headers = evhttp_request_get_output_headers(r->req);
	evhttp_add_header(headers, "Content-Type", type);
	evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evhttp_add_header(headers, "Connection", "close");
	if (code == 401)
		evhttp_add_header(headers, "WWW-Authenticate", "Bearer");
	body = evbuffer_new();
	if (evhttp_request_get_command(r->req) == EVHTTP_REQ_HEAD) {
		snprintf(length, sizeof(length), "%zu", len);
		evhttp_add_header(headers, "Content-Length", length);
	} else {
		evbuffer_add(body, data, len);
	}
	evhttp_send_reply(r->req, code, NULL, body);
	evbuffer_free(body);
	request_free(r);
}

void http_reply_text(struct http_request *r, int code, const char *type, const char *text)
{
	send_reply(r, code, type, text, strlen(text));
}

void http_reply_json(struct http_request *r, int code, cJSON *body)
{
	char *text = json_doc_print(body);

	cJSON_Delete(body);
	send_reply(r, code, "application/json", text, strlen(text));
	free(text);
}

void http_reply_error(struct http_request *r, int code, const char *fmt, ...)
{
	cJSON *body = cJSON_CreateObject();
	char text[600];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cJSON_AddStringToObject(body, "error", text);
	http_reply_json(r, code, body);
}

const char *http_request_param(struct http_request *r, const char *name)
{
	return evhttp_find_header(&r->query, name);
}

static bool is_json(const char *type)
{
	size_t len = strlen("application/json");

	return type != NULL && strncasecmp(type, "application/json", len) == 0 &&
	       (type[len] == '\0' || type[len] == ';' || type[len] == ' ');
}

cJSON *http_request_json(struct http_request *r)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(r->req);
	struct evbuffer *body = evhttp_request_get_input_buffer(r->req);
	size_t len = evbuffer_get_length(body);
	struct err err;
	cJSON *tree;

	/* A browser cannot send this type to another site without asking first. */
	if (!is_json(evhttp_find_header(headers, "Content-Type"))) {
		http_reply_error(r, 415, "Content-Type must be application/json");
		return NULL;
	}
	tree = json_doc_parse(len > 0 ? (const char *)evbuffer_pullup(body, -1) : "", len, &err);
	if (tree != NULL && cJSON_IsObject(tree))
		return tree;
	http_reply_error(r, 400, "bad JSON: %s", tree != NULL ? "allowed is an object" : err.text);
	cJSON_Delete(tree);
	return NULL;
}

static bool token_matches(const char *header, const char *token)
{
	size_t len = strlen(token);

	if (header == NULL || strncasecmp(header, "Bearer ", 7) != 0)
		return false;
	return strlen(header + 7) == len && CRYPTO_memcmp(header + 7, token, len) == 0;
}

/* True when the request may go on; otherwise it has been answered. */
static bool authorize(struct http_request *r, const struct http_route *route)
{
	struct evkeyvalq *headers = evhttp_request_get_input_headers(r->req);
	const struct http_server_options *options = &r->server->options;

	if (!route->token || (options->token == NULL && options->anonymous_changes))
		return true;
	if (options->token == NULL) {
		http_reply_error(r, 403, "changes are off: http.token_file is not set");
		return false;
	}
	if (token_matches(evhttp_find_header(headers, "Authorization"), options->token))
		return true;
	http_reply_error(r, 401, "a valid bearer token is needed");
	return false;
}

/* What evhttp lets through and a proxy may read otherwise, or NULL. */
static const char *header_fault(const struct evkeyvalq *headers)
{
	static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "!#$%&'*+-.^_`|~";
	const struct evkeyval *header;
	int lengths = 0;

	TAILQ_FOREACH(header, headers, next)
	{
		size_t len = strlen(header->key);

		if (len == 0 || strspn(header->key, token) != len)
			return "a header has a bad name";
		lengths += strcasecmp(header->key, "Content-Length") == 0;
	}
	return lengths > 1 ? "Content-Length stands twice" : NULL;
}

static enum http_method method_of(const struct evhttp_request *req)
{
	switch (evhttp_request_get_command(req)) {
	case EVHTTP_REQ_GET:
	case EVHTTP_REQ_HEAD: return HTTP_GET;
	case EVHTTP_REQ_DELETE: return HTTP_DELETE;
	default: return HTTP_POST;
	}
}

static void dispatch(struct http_request *r, const char *path)
{
	enum http_method method = method_of(r->req);
	bool known = false;

	/* Health is asked for by those who would end us. */
	if (r->server->open_count > WAITING_MAX && strncmp(path, "/v1/", 4) == 0) {
		http_reply_error(r, 503, "too many requests wait for an answer");
		return;
	}
	for (const struct http_route *route = r->server->options.routes; route->path != NULL;
	     route++) {
		if (strcmp(route->path, path) != 0)
			continue;
		known = true;
		if (route->method != method)
			continue;
		if (authorize(r, route))
			route->handle(r, r->server->options.arg);
		return;
	}
	if (known)
		http_reply_error(r, 405, "this path has no such method");
	else
		http_reply_error(r, 404, "no such path");
}

static void on_request(struct evhttp_request *req, void *arg)
{
	struct http_server *server = arg;
	struct evhttp_connection *con = evhttp_request_get_connection(req);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	struct http_request *r = xcalloc(1, sizeof(*r));
	const char *query = uri != NULL ? evhttp_uri_get_query(uri) : NULL;
	const char *fault = header_fault(evhttp_request_get_input_headers(req));
	bool bad_query;

	r->server = server;
	r->req = req;
	TAILQ_INIT(&r->query);
	DL_APPEND(server->open, r);
	server->open_count++;
	r->guard = guard_of(server, con);
	if (r->guard != NULL)
		r->guard->waiting = r; /* no deadline runs until it is answered */
	evhttp_request_own(req);
	req->flags &= ~EVHTTP_PROXY_REQUEST; /* it would keep the connection open */
	evhttp_connection_set_closecb(con, on_close, r);
	bad_query = query != NULL && evhttp_parse_query_str(query, &r->query) != 0;
	if (req->major != 1 || req->minor < 0 || req->minor > 1) {
		req->major = req->minor = 1; /* evhttp answers in the version of the request */
		http_reply_error(r, 400, "allowed are HTTP/1.0 and HTTP/1.1");
	} else if (uri == NULL || evhttp_uri_get_path(uri) == NULL || bad_query ||
		   evhttp_uri_get_host(uri) != NULL) {
		http_reply_error(r, 400, "bad request target");
	} else if (fault != NULL) {
		http_reply_error(r, 400, "%s", fault);
	} else {
		dispatch(r, evhttp_uri_get_path(uri));
	}
}

/* ---- the server ---- */

/* "host:port", "[v6]:port". libevent refuses port 0, which means any free one here. */
static int parse_listen(const char *text, struct sockaddr_storage *addr, int *len, struct err *err)
{
	const char *colon = strrchr(text, ':');
	bool any = colon != NULL && strcmp(colon, ":0") == 0;
	char *copy =
		xasprintf("%.*s%s", any ? (int)(colon - text) : INT_MAX, text, any ? ":1" : "");
	int rc;

	*len = sizeof(*addr);
	/* Without a port libevent takes 0, "[::1]" for one. */
	rc = colon == NULL || strspn(colon + 1, "0123456789") != strlen(colon + 1)
		     ? -1
		     : evutil_parse_sockaddr_port(copy, (struct sockaddr *)addr, len);
	free(copy);
	if (rc != 0)
		return err_set(err,
			       "found \"%.60s\"; allowed is ADDRESS:PORT with a numeric address",
			       text);
	if (any && addr->ss_family == AF_INET6)
		((struct sockaddr_in6 *)addr)->sin6_port = 0;
	else if (any)
		((struct sockaddr_in *)addr)->sin_port = 0;
	return 0;
}

/* 0 when it cannot be told: it is only shown. */
static int bound_port(evutil_socket_t fd)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} addr = {0};
	socklen_t len = sizeof(addr);

	if (getsockname(fd, &addr.any, &len) != 0)
		return 0;
	return ntohs(addr.any.sa_family == AF_INET6 ? addr.v6.sin6_port : addr.v4.sin_port);
}

static int listen_on(struct http_server *server, struct err *err)
{
	struct sockaddr_storage addr;
	struct evconnlistener *listener;
	int len;

	if (parse_listen(server->options.listen, &addr, &len, err) != 0)
		return -1;
	listener = evconnlistener_new_bind(server->base, NULL, NULL,
					   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC |
						   LEV_OPT_REUSEABLE,
					   128, (struct sockaddr *)&addr, len);
	if (listener == NULL)
		return err_set(err, "cannot listen on %s: %s", server->options.listen,
			       evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	server->port = bound_port(evconnlistener_get_fd(listener));
	if (evhttp_bind_listener(server->http, listener) == NULL) {
		evconnlistener_free(listener);
		return err_set(err, "cannot listen on %s", server->options.listen);
	}
	return 0;
}

static void take_listener(struct evhttp_bound_socket *bound, void *arg)
{
	struct http_server *server = arg;

	server->listener = evhttp_bound_socket_get_listener(bound);
}

struct http_server *http_server_new(struct event_base *base,
				    const struct http_server_options *options, struct err *err)
{
	struct http_server *server = xcalloc(1, sizeof(*server));
	struct timeval tv = {.tv_usec = SWEEP_MS * 1000};

	server->base = base;
	server->options = *options;
	server->http = evhttp_new(base);
	if (server->http == NULL)
		abort();
	evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD |
							 EVHTTP_REQ_POST | EVHTTP_REQ_DELETE);
	evhttp_set_max_headers_size(server->http, HEADERS_MAX_BYTES);
	evhttp_set_max_body_size(server->http, BODY_MAX_BYTES);
	evhttp_set_timeout(server->http, IDLE_TIMEOUT_S);
	evhttp_set_bevcb(server->http, on_connection, server);
	evhttp_set_gencb(server->http, on_request, server);
	server->sweep = event_new(base, -1, EV_PERSIST, on_sweep, server);
	event_add(server->sweep, &tv);
	if (listen_on(server, err) != 0) {
		http_server_free(server);
		return NULL;
	}
	evhttp_foreach_bound_socket(server->http, take_listener, server);
	return server;
}

int http_server_check_listen(const char *text, struct err *err)
{
	struct sockaddr_storage addr;
	int len;

	return parse_listen(text, &addr, &len, err);
}

int http_server_port(const struct http_server *server)
{
	return server->port;
}

int http_server_open(const struct http_server *server)
{
	return server->open_count;
}

void http_server_set_token(struct http_server *server, const char *token)
{
	server->options.token = token;
}

void http_server_free(struct http_server *server)
{
	struct http_request *r, *next_r;
	struct guard *guard, *next;

	if (server == NULL)
		return;
	event_free(server->sweep);
	evhttp_free(server->http);
	DL_FOREACH_SAFE (server->open, r, next_r) {
		evhttp_request_free(r->req);
		request_free(r);
	}
	DL_FOREACH_SAFE (server->guards, guard, next)
		guard_free(guard);
	free(server);
}
