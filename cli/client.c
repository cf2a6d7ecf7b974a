/* One HTTP request by libcurl, and what its outcome means for the exit code. */
#include "cli/client.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/json_doc.h"
#include "common/url_part.h"
#include "common/version.h"
#include "common/xmem.h"

#define ANSWER_MAX_BYTES   ((size_t)64 << 20)
#define CONNECT_TIMEOUT_MS 10000

/* ---- the address ---- */

/* NULL with a sentence when it is no server's URL. */
static CURLU *url_parse(const char *text, struct err *err)
{
	CURLU *url = curl_url();
	const char *why = NULL;
	CURLUcode rc;

	if (url == NULL)
		abort();
	rc = curl_url_set(url, CURLUPART_URL, text, CURLU_GUESS_SCHEME);
	if (rc != CURLUE_OK)
		why = curl_url_strerror(rc);
	else if (!url_has(url, CURLUPART_SCHEME, "http") &&
		 !url_has(url, CURLUPART_SCHEME, "https"))
		why = "neither http nor https";
	else if (!url_lacks(url, CURLUPART_USER) || !url_lacks(url, CURLUPART_PASSWORD))
		why = "a user or password stands in it";
	else if (!url_lacks(url, CURLUPART_QUERY) || !url_lacks(url, CURLUPART_FRAGMENT))
		why = "a query or fragment stands in it";
	if (why == NULL)
		return url;
	err_set(err, "\"%.200s\" is no server's URL (%s); allowed is http://HOST:PORT or https",
		text, why);
	curl_url_cleanup(url);
	return NULL;
}

static void url_set(CURLU *url, CURLUPart part, const char *text, unsigned flags)
{
	/* Only memory can be short: what is put together here has been checked. */
	if (curl_url_set(url, part, text, flags) != CURLUE_OK)
		abort();
}

static char *url_text(CURLU *url, CURLUPart part)
{
	char *text, *copy;

	if (curl_url_get(url, part, &text, 0) != CURLUE_OK)
		abort();
	copy = xstrdup(text);
	curl_free(text);
	return copy;
}

static CURLU *url_build(const char *base, const struct client_request *request, struct err *err)
{
	CURLU *url = url_parse(base, err);
	char *path, *whole;
	size_t len;

	if (url == NULL)
		return NULL;
	path = url_text(url, CURLUPART_PATH);
	len = strlen(path);
	while (len > 0 && path[len - 1] == '/')
		len--;
	whole = xasprintf("%.*s%s", (int)len, path, request->path);
	url_set(url, CURLUPART_PATH, whole, 0);
	free(whole);
	free(path);
	for (const struct client_param *p = request->params; p != NULL && p->name != NULL; p++) {
		char *pair;

		if (p->value == NULL)
			continue;
		pair = xasprintf("%s=%s", p->name, p->value);
		url_set(url, CURLUPART_QUERY, pair, CURLU_APPENDQUERY | CURLU_URLENCODE);
		free(pair);
	}
	return url;
}

char *client_url_at(const struct client *client, const char *address)
{
	CURLU *url = url_parse(client->url, NULL);
	const char *colon = strrchr(address, ':');
	char *host = NULL, *whole = NULL;

	if (url == NULL || colon == NULL)
		goto out;
	host = xstrndup(address, (size_t)(colon - address));
	/* libcurl checks each part: nothing but a host and a port gets through. */
	if (*host != '\0' && curl_url_set(url, CURLUPART_HOST, host, 0) == CURLUE_OK &&
	    curl_url_set(url, CURLUPART_PORT, colon + 1, 0) == CURLUE_OK)
		whole = url_text(url, CURLUPART_URL);
out:
	free(host);
	curl_url_cleanup(url);
	return whole;
}

/* Proxies of the environment are for other hosts than this one. */
static bool url_is_local(CURLU *url)
{
	char *host = url_text(url, CURLUPART_HOST);
	bool local = strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
		     strcmp(host, "[::1]") == 0;

	free(host);
	return local;
}

/* ---- the request ---- */

struct transfer {
	CURL *curl;
	CURLU *url;
	struct curl_slist *headers;
	char *body;
	char *data; /* of the answer */
	size_t len, room;
	bool too_large;
	char why[CURL_ERROR_SIZE];
};

static size_t on_data(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;

	(void)size; /* always 1 */
	if (count > ANSWER_MAX_BYTES - t->len) {
		t->too_large = true;
		return 0;
	}
	if (t->len + count + 1 > t->room) {
		t->room = 2 * (t->len + count) + 1;
		t->data = xrealloc(t->data, t->room);
	}
	memcpy(t->data + t->len, data, count);
	t->len += count;
	return count;
}

static void add_header(struct transfer *t, const char *header)
{
	t->headers = curl_slist_append(t->headers, header);
	if (t->headers == NULL)
		abort();
}

static void set_guards(struct transfer *t, const struct client *client)
{
	long ms = (long)client->timeout_ms;

	curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(t->curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, ms);
	curl_easy_setopt(t->curl, CURLOPT_CONNECTTIMEOUT_MS,
			 ms < CONNECT_TIMEOUT_MS ? ms : (long)CONNECT_TIMEOUT_MS);
	if (client->ca_file != NULL)
		curl_easy_setopt(t->curl, CURLOPT_CAINFO, client->ca_file);
	if (url_is_local(t->url))
		curl_easy_setopt(t->curl, CURLOPT_PROXY, "");
}

static void set_up(struct transfer *t, const struct client *client,
		   const struct client_request *request)
{
	t->curl = curl_easy_init();
	if (t->curl == NULL)
		abort();
	curl_easy_setopt(t->curl, CURLOPT_CURLU, t->url);
	curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->why);
	curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "larderctl/" LARDER_VERSION);
	curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
	set_guards(t, client);
	add_header(t, "Accept: application/json");
	if (request->body != NULL) {
		t->body = cJSON_PrintUnformatted(request->body);
		if (t->body == NULL)
			abort();
		add_header(t, "Content-Type: application/json");
		curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS, t->body);
	}
	curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, request->method);
	if (client->token != NULL) {
		curl_easy_setopt(t->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		curl_easy_setopt(t->curl, CURLOPT_XOAUTH2_BEARER, client->token);
	}
}

static void tear_down(struct transfer *t)
{
	curl_easy_cleanup(t->curl);
	curl_slist_free_all(t->headers);
	curl_url_cleanup(t->url);
	cJSON_free(t->body);
	free(t->data);
}

/* ---- the answer ---- */

int client_not_understood(const char *what, struct err *err)
{
	err_set(err, "the server's answer is not understood: %s", what);
	return EX_SOFTWARE;
}

static int no_answer(const struct transfer *t, const struct client *client, CURLcode code,
		     struct err *err)
{
	const char *why = t->why[0] != '\0' ? t->why : curl_easy_strerror(code);

	if (t->too_large)
		return client_not_understood("it is larger than 64 MiB", err);
	if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL)
		return client_not_understood(why, err);
	err_set(err, "cannot ask %.200s: %.200s", client->url, why);
	return code == CURLE_SSL_CACERT_BADFILE ? EX_CONFIG : EX_UNAVAILABLE;
}

/* The exit code that a status of HTTP comes to. */
static int exit_code(long status)
{
	switch (status) {
	case 401:
	case 403: return EX_NOPERM;
	case 400:
	case 413:
	case 415: return EX_USAGE;
	case 404:
	case 409: return EXIT_FAILURE;
	case 429:
	case 502:
	case 503:
	case 504: return EX_UNAVAILABLE;
	default: return status >= 200 && status < 300 ? EX_OK : EX_SOFTWARE;
	}
}

/* An answer that says no. */
static int refused(const struct client *client, const struct client_request *request,
		   const struct client_answer *answer, struct err *err)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(answer->tree, "error");
	const char *why = cJSON_IsString(item) ? item->valuestring : NULL;
	int code = exit_code(answer->status);
	bool foreign = why == NULL || answer->status == 405 || strcmp(why, "no such path") == 0;

	/* Some other server; but a gateway may say that it is not allowed, or not now. */
	if (foreign && code != EX_NOPERM && code != EX_UNAVAILABLE) {
		err_set(err,
			"%.200s answers %s %s with HTTP status %ld: it is not the server that is "
			"meant",
			client->url, request->method, request->path, answer->status);
		return EX_SOFTWARE;
	}
	if (why == NULL)
		err_set(err, "%.200s answers with HTTP status %ld", client->url, answer->status);
	else if (code == EX_UNAVAILABLE || code == EX_SOFTWARE)
		err_set(err, "%.200s: %s", client->url, why);
	else if (answer->status == 401 && client->token == NULL)
		err_set(err, "%s (--token-file, LARDER_TOKEN_FILE or LARDER_TOKEN)", why);
	else
		err_set(err, "%s", why);
	return code;
}

static int take_answer(struct transfer *t, struct client_answer *answer, struct err *err)
{
	struct err why;

	/* The callback is not called for an empty body. */
	if (t->data == NULL)
		t->data = xstrdup("");
	t->data[t->len] = '\0';
	answer->text = t->data;
	t->data = NULL;
	answer->tree = json_doc_parse(answer->text, t->len, &why);
	if (answer->tree != NULL && !cJSON_IsObject(answer->tree)) {
		cJSON_Delete(answer->tree);
		answer->tree = NULL;
		err_set(&why, "it is not a JSON object");
	}
	return answer->tree != NULL ? 0 : client_not_understood(why.text, err);
}

int client_ask(const struct client *client, const struct client_request *request,
	       struct client_answer *answer, struct err *err)
{
	struct transfer t = {0};
	CURLcode code;
	int rc;

	*answer = (struct client_answer){0};
	t.url = url_build(client->url, request, err);
	if (t.url == NULL)
		return EX_USAGE;
	set_up(&t, client, request);
	code = curl_easy_perform(t.curl);
	if (code == CURLE_OK) {
		curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &answer->status);
		rc = take_answer(&t, answer, err);
		if (exit_code(answer->status) != EX_OK)
			rc = refused(client, request, answer, err);
	} else {
		rc = no_answer(&t, client, code, err);
	}
	tear_down(&t);
	return rc;
}

void client_answer_free(struct client_answer *answer)
{
	free(answer->text);
	cJSON_Delete(answer->tree);
	*answer = (struct client_answer){0};
}
