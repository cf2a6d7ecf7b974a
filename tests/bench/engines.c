/* Stand-ins for inference engines. */
#include "tests/bench/engines.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <glob.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/attributes.h"
#include "common/file_io.h"
#include "common/xmem.h"
#include "tests/bench/bench.h"

#define START_MS	  10000
#define METRICS_BYTES	  65536 /* dozens of histograms */
#define ANSWERS_OF_A_KIND 3

/* What the bodies name: a repository, one of its folders, and its commit. */
#define REPO   "acme/llama"
#define FOLDER "acme--tiny-gguf"
#define COMMIT "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct kind {
	const char *name;
	struct answer {
		const char *path, *file;
	} answers[ANSWERS_OF_A_KIND];
} kinds[] = {
	{"vllm", {{"/v1/models", "vllm-models.json"}, {"/metrics", "vllm-metrics.txt"}}},
	{"sglang",
	 {{"/get_model_info", "sglang-model-info.json"},
	  {"/get_server_info", "sglang-server-info.json"},
	  {"/metrics", "sglang-metrics.txt"}}},
	{"tgi", {{"/info", "tgi-info.json"}, {"/metrics", "tgi-metrics.txt"}}},
	{"llamacpp",
	 {{"/models", "llamacpp-models.json"},
	  {"/props", "llamacpp-props.json"},
	  {"/metrics", "llamacpp-metrics.txt"}}},
};

struct stand_in {
	struct engines_shared *shared;
	size_t index;
	struct body {
		const char *path;
		struct evbuffer *text;
	} bodies[ANSWERS_OF_A_KIND];
};

/* ---- bodies ---- */

static void replace(struct evbuffer *text, const char *what, const char *by)
{
	struct evbuffer *after = evbuffer_new();
	struct evbuffer_ptr at;

	while (at = evbuffer_search(text, what, strlen(what), NULL), at.pos >= 0) {
		evbuffer_remove_buffer(text, after, (size_t)at.pos);
		evbuffer_drain(text, strlen(what));
		evbuffer_add_printf(after, "%s", by);
	}
	evbuffer_prepend_buffer(text, after);
	evbuffer_free(after);
}

/* Histograms of durations. */
static void lengthen(struct evbuffer *text)
{
	for (unsigned i = 0; evbuffer_get_length(text) < METRICS_BYTES; i++) {
		if (i % 16 == 0)
			evbuffer_add_printf(text, "# TYPE engine:phase_%u_seconds histogram\n",
					    i / 16);
		evbuffer_add_printf(text,
				    "engine:phase_%u_seconds_bucket{engine=\"0\",le=\"%g\","
				    "model_name=\"chat\"} %u.0\n",
				    i / 16, 0.001 * (1 << i % 16), 100 * (i % 16));
	}
}

/* The commit of the one revision that model number `index` has. */
static void find_commit(const char *hub, size_t index, char *buf, size_t size)
{
	char pattern[256];
	glob_t found;

	snprintf(pattern, sizeof(pattern),
		 "%.120s/models--larder-bench--Model-%05zu-Instruct/snapshots/*", hub, index);
	if (glob(pattern, 0, NULL, &found) != 0 || found.gl_pathc != 1)
		bench_fail("%s: no revision", pattern);
	snprintf(buf, size, "%s", strrchr(found.gl_pathv[0], '/') + 1);
	globfree(&found);
}

static struct evbuffer *make_body(const char *file, const char *hub, size_t index)
{
	struct evbuffer *text = evbuffer_new();
	char path[256], commit[64], repo[64];
	struct err err;
	char *content;

	snprintf(path, sizeof(path), "%s/%s", BENCH_ENGINE_DATA, file);
	content = file_read(path, 1 << 20, NULL, &err);
	if (content == NULL)
		bench_fail("%s", err.text);
	evbuffer_add_printf(text, "%s", content);
	free(content);
	find_commit(hub, index, commit, sizeof(commit));
	replace(text, COMMIT, commit);
	snprintf(repo, sizeof(repo), "larder-bench/Model-%05zu-Instruct", index);
	replace(text, REPO, repo);
	snprintf(repo, sizeof(repo), "larder-bench--Model-%05zu-Instruct", index);
	replace(text, FOLDER, repo);
	if (strstr(file, "metrics") != NULL)
		lengthen(text);
	return text;
}

/* ---- serving ---- */

static void on_request(struct evhttp_request *req, void *arg)
{
	struct stand_in *me = arg;
	const char *path = evhttp_request_get_uri(req);

	for (size_t i = 0; i < ANSWERS_OF_A_KIND; i++) {
		struct evbuffer *copy;

		if (me->bodies[i].path == NULL || strcmp(me->bodies[i].path, path) != 0)
			continue;
		copy = evbuffer_new();
		evbuffer_add_buffer_reference(copy, me->bodies[i].text);
		evhttp_send_reply(req, HTTP_OK, "OK", copy);
		evbuffer_free(copy);
		atomic_fetch_add(&me->shared->answers[me->index], 1);
		return;
	}
	evhttp_send_error(req, HTTP_NOTFOUND, "Not Found");
}

static int port_of(struct evhttp_bound_socket *bound)
{
	struct sockaddr_in address = {0};
	socklen_t size = sizeof(address);

	if (getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &size) != 0)
		bench_fail("a stand-in has no port");
	return ntohs(address.sin_port);
}

static void open_stand_in(struct event_base *base, struct engines_shared *shared, const char *hub,
			  size_t index)
{
	const struct kind *kind = &kinds[index % ARRAY_SIZE(kinds)];
	struct stand_in *me = xcalloc(1, sizeof(*me));
	struct evhttp *http = evhttp_new(base);
	struct evhttp_bound_socket *bound =
		http != NULL ? evhttp_bind_socket_with_handle(http, "127.0.0.1", 0) : NULL;

	if (bound == NULL)
		bench_fail("a stand-in cannot listen");
	me->shared = shared;
	me->index = index;
	for (size_t i = 0; i < ANSWERS_OF_A_KIND && kind->answers[i].path != NULL; i++)
		me->bodies[i] = (struct body){kind->answers[i].path,
					      make_body(kind->answers[i].file, hub, index)};
	evhttp_set_gencb(http, on_request, me);
	atomic_store(&shared->ports[index], port_of(bound));
}

void engines_start(struct engines *engines, const char *hub, size_t count)
{
	int64_t began = bench_now_ns();

	*engines =
		(struct engines){.count = count, .shared = bench_share(sizeof(*engines->shared))};
	engines->pid = bench_fork();
	if (engines->pid == 0) {
		struct event_base *base = event_base_new();

		for (size_t i = 0; i < count; i++)
			open_stand_in(base, engines->shared, hub, i);
		event_base_dispatch(base); /* for ever; it ends with the benchmark */
		_exit(1);
	}
	for (size_t i = 0; i < count; bench_sleep_ms(1)) {
		while (i < count && atomic_load(&engines->shared->ports[i]) != 0)
			i++;
		if (bench_ms_since(began) > START_MS)
			bench_fail("only %zu stand-ins listen", i);
	}
}

void engines_stop(struct engines *engines)
{
	bench_end(engines->pid);
}

char *engines_setting(const struct engines *engines)
{
	cJSON *list = cJSON_CreateArray();
	char url[64], *text;

	for (size_t i = 0; i < engines->count; i++) {
		cJSON *one = cJSON_CreateObject();

		snprintf(url, sizeof(url), "http://127.0.0.1:%d",
			 atomic_load(&engines->shared->ports[i]));
		cJSON_AddStringToObject(one, "engine", kinds[i % ARRAY_SIZE(kinds)].name);
		cJSON_AddStringToObject(one, "url", url);
		cJSON_AddItemToArray(list, one);
	}
	text = cJSON_PrintUnformatted(list);
	cJSON_Delete(list);
	return text;
}

size_t engines_least_answers(const struct engines *engines)
{
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < engines->count; i++) {
		size_t answers = atomic_load(&engines->shared->answers[i]);

		least = answers < least ? answers : least;
	}
	return least;
}
