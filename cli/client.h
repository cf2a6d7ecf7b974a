/*
 * Asks a coordinator or an agent over HTTP (libcurl): one request, one answer. No redirects, no
 * other protocols than http and https, a limit on time and on size.
 */
#ifndef LARDER_CLI_CLIENT_H
#define LARDER_CLI_CLIENT_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "common/err.h"

/* Whom to ask. All is borrowed. */
struct client {
	const char *url;     /* http://HOST:PORT, or https, with an optional path before /v1 */
	const char *token;   /* NULL: none */
	const char *ca_file; /* https: NULL: the system's CAs */
	int64_t timeout_ms;  /* for one request */
};

struct client_param {
	const char *name;
	const char *value; /* NULL: left out */
};

struct client_request {
	const char *method;		   /* "GET", "POST", "DELETE" */
	const char *path;		   /* "/v1/status" */
	const struct client_param *params; /* ends with one without name; NULL: none */
	const cJSON *body;		   /* NULL: none */
};

struct client_answer {
	long status; /* HTTP's; 0: no answer came */
	char *text;  /* the body as it came */
	cJSON *tree; /* the same; NULL when it is no JSON object */
};

/*
 * Returns 0 when the server did what it was asked for. Otherwise the exit code that says what went
 * wrong, with a sentence; what came of an answer is there nevertheless. The caller frees the
 * answer in any case.
 */
int client_ask(const struct client *client, const struct client_request *request,
	       struct client_answer *answer, struct err *err) MUST_USE;

void client_answer_free(struct client_answer *answer);

/*
 * The client's URL with another HOST:PORT; NULL when `address` is none. The caller frees it.
 */
char *client_url_at(const struct client *client, const char *address) MUST_USE;

/* What to do when the answer to a request that was granted has not the expected form. */
int client_not_understood(const char *what, struct err *err) MUST_USE;

#endif
