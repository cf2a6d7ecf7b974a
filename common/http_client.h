/*
 * HTTP requests that do not block, by libcurl on a libevent loop. Each request has its own limits
 * and its own token, follows no redirect, uses no proxy, and ends in exactly one call of `done`.
 * All functions run on the loop's thread.
 */
#ifndef LARDER_HTTP_CLIENT_H
#define LARDER_HTTP_CLIENT_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attributes.h"

struct http_client;

struct http_answer {
	long status;	  /* of HTTP; 0: none came */
	const char *body; /* ends with a NUL; "" when `data` took it. Valid during the call only */
	size_t len;
	const char *why; /* why this is not a whole answer; NULL: it is one */
	bool stopped;	 /* the client is being freed: nothing can be asked any more */
};

/* All texts are copied. */
struct http_ask {
	const char *method; /* "GET", "POST" */
	const char *url;
	const char *body;    /* JSON; NULL: none */
	const char *accept;  /* NULL: anything */
	const char *token;   /* sent as bearer token, to this URL only; NULL: none */
	const char *ca_file; /* CAs that may have signed the server's certificate; NULL: system's */
	size_t max_bytes;    /* of the answer's body; more is an error */
	int64_t connect_timeout_ms;
	int64_t timeout_ms; /* for all of it; 0: none */
	/* Takes the body as it comes, instead of `done`; false ends the request. May be NULL. */
	bool (*data)(const char *bytes, size_t len, void *arg);
	void (*done)(const struct http_answer *answer, void *arg);
	void *arg;
};

struct http_client *http_client_new(struct event_base *base) MUST_USE;

/* `done` is never called before this returns; it may ask again. */
void http_client_ask(struct http_client *client, const struct http_ask *ask);

/* Ends what is under way, `stopped`. */
void http_client_free(struct http_client *client);

#endif
