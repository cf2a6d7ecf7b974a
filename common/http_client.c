/*
 * libcurl's multi interface on libevent. libcurl tells which sockets and which one timer it waits
 * for (on_socket_wish, on_timer_wish) and is told what happened (on_socket, on_timer). It must not
 * be called from within the first two, and ended transfers are removed outside of all of them.
 */
#include "common/http_client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/version.h"
#include "common/xmem.h"

struct call {
	struct http_client *client;
	CURL *curl;
	struct curl_slist *headers;
	char *data; /* of the answer */
	size_t len, room, max;
	bool too_large, unwanted;
	bool unguarded; /* it must not be sent */
	char why[CURL_ERROR_SIZE];
	bool (*on_data)(const char *bytes, size_t len, void *arg);
	void (*done)(const struct http_answer *answer, void *arg);
	void *arg;
	struct call *prev, *next;
};

struct http_client {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	struct call *calls;
	bool stopping;
};

/* ---- one request ---- */

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct call *call = arg;

	(void)size; /* always 1 */
	if (count > call->max - call->len) {
		call->too_large = true;
		return 0;
	}
	if (call->on_data != NULL) {
		call->len += count;
		call->unwanted = !call->on_data(data, count, call->arg);
		return call->unwanted ? 0 : count;
	}
	if (call->len + count + 1 > call->room) {
		call->room = 2 * (call->len + count) + 1;
		call->data = xrealloc(call->data, call->room);
	}
	memcpy(call->data + call->len, data, count);
	call->len += count;
	return count;
}

static void add_header(struct call *call, const char *name, const char *value)
{
	char *header = xasprintf("%s: %s", name, value);

	call->headers = curl_slist_append(call->headers, header);
	if (call->headers == NULL)
		abort();
	free(header);
}

/* What keeps a request where it was sent, and within its limits. False: libcurl will not have it.
 */
static bool set_guards(CURL *curl, const struct http_ask *ask)
{
	return curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_NOPROXY, "*") == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) ==
		       CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms) == CURLE_OK &&
	       curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)ask->connect_timeout_ms) ==
		       CURLE_OK &&
	       (ask->ca_file == NULL ||
		curl_easy_setopt(curl, CURLOPT_CAINFO, ask->ca_file) == CURLE_OK);
}

static void set_up(struct call *call, const struct http_ask *ask)
{
	CURL *curl = call->curl;

	call->unguarded = !set_guards(curl, ask);
	curl_easy_setopt(curl, CURLOPT_PRIVATE, call);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, call->why);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "larder/" LARDER_VERSION);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, call);
	/* Without an address nothing is sent. */
	if (!call->unguarded)
		curl_easy_setopt(curl, CURLOPT_URL, ask->url);
	if (ask->accept != NULL)
		add_header(call, "Accept", ask->accept);
	if (ask->body != NULL) {
		add_header(call, "Content-Type", "application/json");
		curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, ask->body);
	}
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, call->headers);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask->method);
	if (ask->token != NULL) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
		curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, ask->token);
	}
}

static void answer(struct call *call, long status, const char *why)
{
	struct http_answer result = {
		.status = status, .body = "", .why = why, .stopped = call->client->stopping};

	if (call->data != NULL) {
		call->data[call->len] = '\0';
		result.body = call->data;
		result.len = call->len;
	}
	call->done(&result, call->arg);
}

/* Takes the request from libcurl, then answers, then frees it. */
static void end(struct call *call, const char *why)
{
	struct http_client *client = call->client;
	long status = 0;

	curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
	curl_multi_remove_handle(client->multi, call->curl);
	curl_easy_cleanup(call->curl);
	curl_slist_free_all(call->headers);
	DL_DELETE(client->calls, call);
	answer(call, status, why);
	free(call->data);
	free(call);
}

static const char *why_of(const struct call *call, CURLcode code)
{
	if (code == CURLE_OK)
		return NULL;
	if (call->unguarded)
		return "this libcurl lacks an option that is needed";
	if (call->too_large)
		return "the answer is too large";
	if (call->unwanted)
		return "the answer is not wanted";
	return call->why[0] != '\0' ? call->why : curl_easy_strerror(code);
}

static void end_finished(struct http_client *client)
{
	const CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
		char why[CURL_ERROR_SIZE];
		const char *text;
		struct call *call;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		text = why_of(call, message->data.result);
		if (text != NULL) {
			strncpy(why, text, sizeof(why) - 1);
			why[sizeof(why) - 1] = '\0';
		}
		end(call, text != NULL ? why : NULL);
	}
}

void http_client_ask(struct http_client *client, const struct http_ask *ask)
{
	struct call *call = xcalloc(1, sizeof(*call));

	call->client = client;
	call->max = ask->max_bytes;
	call->on_data = ask->data;
	call->done = ask->done;
	call->arg = ask->arg;
	call->curl = curl_easy_init();
	if (call->curl == NULL)
		abort();
	set_up(call, ask);
	DL_APPEND(client->calls, call);
	/* Only memory can be short: bad URLs and the like are told by the transfer. */
	if (curl_multi_add_handle(client->multi, call->curl) != CURLM_OK)
		abort();
}

/* ---- libcurl and the loop ---- */

static void act(struct http_client *client, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(client->multi, fd, what, &running);
	end_finished(client);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	act(arg, fd,
	    ((what & EV_READ) != 0 ? CURL_CSELECT_IN : 0) |
		    ((what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

/* A number of a socket may be used again at once: its event goes with it. */
static int on_socket_wish(CURL *curl, curl_socket_t fd, int what, void *arg, void *of_socket)
{
	struct http_client *client = arg;
	struct event *event = of_socket;
	short wanted = EV_PERSIST;

	(void)curl;
	if (event != NULL)
		event_free(event);
	if (what == CURL_POLL_REMOVE)
		return 0;
	if ((what & CURL_POLL_IN) != 0)
		wanted |= EV_READ;
	if ((what & CURL_POLL_OUT) != 0)
		wanted |= EV_WRITE;
	event = event_new(client->base, fd, wanted, on_socket, client);
	if (event == NULL || event_add(event, NULL) != 0)
		abort();
	curl_multi_assign(client->multi, fd, event);
	return 0;
}

static int on_timer_wish(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *client = arg;
	struct timeval wait = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};

	(void)multi;
	if (timeout_ms < 0)
		event_del(client->timer);
	else if (event_add(client->timer, &wait) != 0)
		abort();
	return 0;
}

struct http_client *http_client_new(struct event_base *base)
{
	struct http_client *client = xcalloc(1, sizeof(*client));

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		abort();
	client->base = base;
	client->multi = curl_multi_init();
	client->timer = event_new(base, -1, 0, on_timer, client);
	if (client->multi == NULL || client->timer == NULL)
		abort();
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_timer_wish);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	return client;
}

void http_client_free(struct http_client *client)
{
	if (client == NULL)
		return;
	client->stopping = true;
	while (client->calls != NULL)
		end(client->calls, "stopped");
	/* This still says which sockets it waits for no more. */
	curl_multi_cleanup(client->multi);
	event_free(client->timer);
	curl_global_cleanup();
	free(client);
}
