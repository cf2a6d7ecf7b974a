/*
 * Lists and watches pods.
 *
 *   LIST --all pages--> WATCH --ended, cut off--> WATCH from the last version
 *    ^                    |
 *    +--- 410, every RELIST_MS, an answer that is not understood
 */
#include "agent/pod_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/file_io.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/xmem.h"

#define PAGE_PODS	   "250"
#define LIST_BYTES_MAX	   (32 << 20)
#define EVENT_BYTES_MAX	   (4 << 20)
#define TOKEN_BYTES_MAX	   65536
#define CONNECT_TIMEOUT_MS 5000
#define LIST_TIMEOUT_MS	   30000
/* The API ends a watch by itself after this; with some patience it is taken for dead. */
#define WATCH_SECONDS	 "240"
#define WATCH_TIMEOUT_MS 270000
#define RELIST_MS	 300000
#define BACK_OFF_MIN_MS	 500
#define BACK_OFF_MAX_MS	 60000
/*
 * While watches break, lists show what has come: often enough, and without a storm. One that has
 * lasted for this long does not break any more.
 */
#define ANEW_MAX_MS 4000
#define STEADY_MS   3000
#define GONE	    410

enum state { POD_LIST, POD_WATCH };

struct pod_watch {
	struct pod_watch_options options;
	struct pod_watch_hooks hooks;
	struct http_client *client;
	enum state state;
	bool asking;
	bool in_list;  /* some pages have come */
	char *page;    /* where the next page begins; NULL: at the first */
	char *version; /* where a watch goes on */
	struct mono due, relist_due;
	struct mono list_began, watch_began;
	struct mono listed_from; /* the last whole list shows all that was there at this moment */
	int64_t back_off_ms;	 /* 0: the last list was answered */
	int64_t anew_ms;	 /* so long it has waited to list anew since the last break */
	int breaks;		 /* of watches in a row */
	char problem[200];
	char *line; /* of a watch, as far as it has come */
	size_t line_len, line_room;
	bool broken; /* the watch has said something that must be listed anew */
};

/* ---- what went wrong ---- */

static void set_problem(struct pod_watch *w, const char *what)
{
	if (strcmp(w->problem, what) == 0)
		return;
	snprintf(w->problem, sizeof(w->problem), "%s", what);
	if (*what != '\0')
		log_warn("-pods", LOG_STR("reason", what));
	else
		log_info("+pods", LOG_STR("node", w->options.node));
}

static void forget_line(struct pod_watch *w)
{
	w->line_len = 0;
}

static void list_anew(struct pod_watch *w)
{
	w->state = POD_LIST;
	w->in_list = false;
	free(w->page);
	w->page = NULL;
}

static int64_t longer(int64_t ms, int64_t max_ms)
{
	int64_t next = ms > 0 ? 2 * ms : BACK_OFF_MIN_MS;

	return next < max_ms ? next : max_ms;
}

static void pause_for(struct pod_watch *w, int64_t ms)
{
	w->due.ms = clock_mono().ms + ms / 2 + clock_random((uint32_t)(ms / 2 + 1));
}

static void failed(struct pod_watch *w, const char *why)
{
	w->back_off_ms = longer(w->back_off_ms, BACK_OFF_MAX_MS);
	pause_for(w, w->back_off_ms);
	set_problem(w, why);
	/* What happened meanwhile is in the list; its first pages belong to another moment by then.
	 */
	list_anew(w);
}

/* What has happened meanwhile is in the list. Once is usual: the API forgets old versions. */
static void watch_broke(struct pod_watch *w, const char *why)
{
	list_anew(w);
	w->anew_ms = longer(w->anew_ms, ANEW_MAX_MS);
	pause_for(w, w->anew_ms);
	if (++w->breaks > 1)
		set_problem(w, why);
}

static void watch_holds(struct pod_watch *w)
{
	w->anew_ms = 0;
	w->breaks = 0;
	set_problem(w, "");
}

static void succeeded(struct pod_watch *w)
{
	w->due.ms = 0;
	w->hooks.fresh(w->hooks.arg);
}

/* ---- answers ---- */

static const char *version_of(const cJSON *object)
{
	const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
	const char *version =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(metadata, "resourceVersion"));

	return version != NULL && *version != '\0' ? version : NULL;
}

static void set_version(struct pod_watch *w, const char *version)
{
	char *copy = version != NULL ? xstrdup(version) : NULL;

	free(w->version);
	w->version = copy;
}

static void take_page(struct pod_watch *w, const cJSON *tree)
{
	const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(tree, "metadata");
	const char *more =
		cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(metadata, "continue"));
	const cJSON *pod;

	if (!w->in_list)
		w->hooks.listing(w->hooks.arg);
	w->in_list = true;
	cJSON_ArrayForEach (pod, cJSON_GetObjectItemCaseSensitive(tree, "items"))
		w->hooks.pod(pod, w->hooks.arg);
	set_version(w, version_of(tree));
	free(w->page);
	w->page = more != NULL && *more != '\0' ? xstrdup(more) : NULL;
	if (w->page != NULL)
		return;
	w->in_list = false;
	w->state = POD_WATCH;
	w->relist_due.ms = clock_mono().ms + RELIST_MS;
	w->listed_from = w->list_began;
	w->hooks.listed(w->hooks.arg);
}

static void got_list(const struct http_answer *answer, void *arg)
{
	struct pod_watch *w = arg;
	cJSON *tree = NULL;
	char why[120];

	w->asking = false;
	if (answer->stopped)
		return;
	if (answer->why == NULL && answer->status == 200)
		tree = cJSON_ParseWithLength(answer->body, answer->len);
	if (cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(tree, "items")) &&
	    version_of(tree) != NULL) {
		take_page(w, tree);
		w->back_off_ms = 0;
		/* Of watches that break a list knows nothing. */
		if (w->breaks <= 1)
			set_problem(w, "");
		succeeded(w);
	} else {
		if (answer->why != NULL)
			snprintf(why, sizeof(why), "%.100s", answer->why);
		else if (answer->status != 200)
			snprintf(why, sizeof(why), "listing pods was answered by %ld",
				 answer->status);
		else
			snprintf(why, sizeof(why), "the list of pods is not understood");
		failed(w, why);
	}
	cJSON_Delete(tree);
}

/* One line of a watch: {"type": "ADDED", "object": {...}}. */
static void take_event(struct pod_watch *w, const char *text, size_t len)
{
	cJSON *tree = cJSON_ParseWithLength(text, len);
	const cJSON *object = cJSON_GetObjectItemCaseSensitive(tree, "object");
	const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tree, "type"));

	if (type == NULL || !cJSON_IsObject(object) || strcmp(type, "ERROR") == 0) {
		/* ERROR has a Status, mostly 410: the version is too old. */
		w->broken = true;
	} else if (strcmp(type, "DELETED") == 0) {
		w->hooks.deleted(object, w->hooks.arg);
	} else if (strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0) {
		w->hooks.pod(object, w->hooks.arg);
	}
	if (!w->broken && version_of(object) != NULL) {
		set_version(w, version_of(object));
		watch_holds(w);
		succeeded(w);
	}
	cJSON_Delete(tree);
}

static bool got_bytes(const char *bytes, size_t len, void *arg)
{
	struct pod_watch *w = arg;

	while (len > 0 && !w->broken) {
		const char *end = memchr(bytes, '\n', len);
		size_t part = end != NULL ? (size_t)(end - bytes) : len;

		if (w->line_len + part > EVENT_BYTES_MAX) {
			w->broken = true;
			break;
		}
		if (w->line_len + part > w->line_room) {
			w->line_room = w->line_len + part + 65536;
			w->line = xrealloc(w->line, w->line_room);
		}
		if (part > 0)
			memcpy(w->line + w->line_len, bytes, part);
		w->line_len += part;
		if (end == NULL)
			break;
		if (w->line_len > 0)
			take_event(w, w->line, w->line_len);
		forget_line(w);
		bytes = end + 1;
		len -= part + 1;
	}
	return !w->broken;
}

static void watch_ended(const struct http_answer *answer, void *arg)
{
	struct pod_watch *w = arg;
	char why[120];

	w->asking = false;
	forget_line(w);
	if (answer->stopped)
		return;
	if (w->broken || answer->status == GONE || (answer->status == 200 && w->breaks > 0)) {
		w->broken = false;
		watch_broke(w, "watches of pods break again and again; lists show them late");
		return;
	}
	if (answer->status == 200) {
		/* Ended by the API or cut off: it goes on from the last version. */
		w->due.ms = clock_mono().ms + clock_random(BACK_OFF_MIN_MS);
		return;
	}
	if (answer->status != 0)
		snprintf(why, sizeof(why), "watching pods was answered by %ld", answer->status);
	else
		snprintf(why, sizeof(why), "%.100s", answer->why != NULL ? answer->why : "");
	watch_broke(w, why);
	set_problem(w, why);
}

/* ---- requests ---- */

/* NULL with a problem when it cannot be read; "" when none is configured. */
static char *read_token(struct pod_watch *w)
{
	struct err err;
	size_t len;
	char *token;

	if (w->options.token_file == NULL)
		return xstrdup("");
	token = file_read(w->options.token_file, TOKEN_BYTES_MAX, &len, &err);
	if (token == NULL) {
		failed(w, err.text);
		return NULL;
	}
	token[strcspn(token, "\r\n")] = '\0';
	return token;
}

static void ask(struct pod_watch *w, char *url, struct http_ask *how)
{
	char *token = read_token(w);

	if (token != NULL) {
		how->method = "GET";
		how->url = url;
		how->accept = "application/json";
		how->token = *token != '\0' ? token : NULL;
		how->ca_file = w->options.ca_file;
		how->connect_timeout_ms = CONNECT_TIMEOUT_MS;
		how->arg = w;
		w->asking = true;
		http_client_ask(w->client, how);
	}
	free(token);
	free(url);
}

/* The API's tokens for pages are base64 without what must be escaped in a query but '='. */
static char *escaped(const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "-._~";
	char *out = xcalloc(3 * strlen(text) + 1, 1);
	size_t used = 0;

	for (; *text != '\0'; text++) {
		if (strchr(plain, *text) != NULL)
			out[used++] = *text;
		else
			used += (size_t)snprintf(out + used, 4, "%%%02X", (unsigned char)*text);
	}
	return out;
}

static char *pods_url(const struct pod_watch *w)
{
	/* Names of nodes need no escaping (model_name_node_valid). */
	return xasprintf("%s/api/v1/pods?fieldSelector=spec.nodeName%%3D%s", w->options.url,
			 w->options.node);
}

static void list(struct pod_watch *w)
{
	struct http_ask how = {
		.max_bytes = LIST_BYTES_MAX, .timeout_ms = LIST_TIMEOUT_MS, .done = got_list};
	char *pods = pods_url(w), *page = escaped(w->page != NULL ? w->page : "");
	char *url = xasprintf("%s&limit=" PAGE_PODS "%s%s", pods, *page != '\0' ? "&continue=" : "",
			      page);

	free(pods);
	free(page);
	if (!w->in_list)
		w->list_began = clock_mono();
	ask(w, url, &how);
}

static void watch(struct pod_watch *w)
{
	struct http_ask how = {.timeout_ms = WATCH_TIMEOUT_MS,
			       .data = got_bytes,
			       .done = watch_ended,
			       .max_bytes = SIZE_MAX};
	char *pods = pods_url(w), *version = escaped(w->version);
	char *url = xasprintf("%s&watch=true&allowWatchBookmarks=true&timeoutSeconds=" WATCH_SECONDS
			      "&resourceVersion=%s",
			      pods, version);

	free(pods);
	free(version);
	w->watch_began = clock_mono();
	ask(w, url, &how);
}

void pod_watch_tick(struct pod_watch *w, struct mono now)
{
	if (w->asking && w->state == POD_WATCH && w->breaks > 0 &&
	    mono_since(w->watch_began, now) >= STEADY_MS)
		watch_holds(w);
	if (w->asking || mono_since(w->due, now) < 0)
		return;
	if (w->state == POD_WATCH && mono_since(w->relist_due, now) >= 0)
		list_anew(w);
	if (w->state == POD_LIST)
		list(w);
	else
		watch(w);
}

const char *pod_watch_problem(const struct pod_watch *w)
{
	return w->problem[0] != '\0' ? w->problem : NULL;
}

bool pod_watch_answers(const struct pod_watch *w)
{
	return w->back_off_ms == 0;
}

bool pod_watch_behind(const struct pod_watch *w, struct mono since)
{
	return w->breaks > 0 && pod_watch_answers(w) && mono_since(since, w->listed_from) <= 0;
}

struct pod_watch *pod_watch_new(struct event_base *base, const struct pod_watch_options *options,
				const struct pod_watch_hooks *hooks)
{
	struct pod_watch *w = xcalloc(1, sizeof(*w));

	w->options = *options;
	w->hooks = *hooks;
	w->client = http_client_new(base);
	return w;
}

void pod_watch_free(struct pod_watch *w)
{
	http_client_free(w->client);
	free(w->page);
	free(w->version);
	free(w->line);
	free(w);
}
