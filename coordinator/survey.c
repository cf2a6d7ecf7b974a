/* Reads nodes to show them. */
#include "coordinator/survey.h"

#include <stdlib.h>

#include "common/glob.h"
#include "common/xmem.h"
#include "coordinator/coordinator.h"
#include "coordinator/lookup.h"

struct going {
	struct survey want;
	char **names;
	size_t count, next;
	int64_t now_ms;
	struct mono now_at;
	struct event *gap;
};

static void finish(struct going *g, const char *why)
{
	g->want.done(why, g->want.arg);
	for (size_t i = 0; i < g->count; i++)
		free(g->names[i]);
	free(g->names);
	event_free(g->gap);
	free(g);
}

static int64_t redis_now(const struct going *g)
{
	return g->now_ms + mono_since(g->now_at, clock_mono());
}

static void on_window(struct cluster *read, const char *why, void *arg)
{
	struct going *g = arg;
	struct cluster cluster;

	if (read == NULL) {
		finish(g, why);
		return;
	}
	cluster = *read;
	g->want.part(&cluster, redis_now(g), g->want.arg);
	cluster_free(&cluster);
	evtimer_add(g->gap, &(struct timeval){.tv_usec = SNAPSHOT_GAP_US});
}

static void next_window(struct going *g)
{
	size_t most = g->want.depth == SNAPSHOT_ALL || g->want.depth == SNAPSHOT_SHOW
			      ? SNAPSHOT_WINDOW_WHOLE
			      : SNAPSHOT_WINDOW;
	size_t left = g->count - g->next;
	struct snapshot snapshot = {
		.link = g->want.c->link,
		.prefix = g->want.c->options.redis.prefix,
		.count = left < most ? left : most,
		.depth = g->want.depth,
		.now_ms = redis_now(g),
		.node_timeout_ms = g->want.c->options.node_timeout_ms,
		.done = on_window,
		.arg = g,
	};

	if (left == 0) {
		finish(g, NULL);
		return;
	}
	snapshot.nodes = (const char *const *)g->names + g->next;
	g->next += snapshot.count;
	snapshot_read(&snapshot);
}

static void on_gap(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	next_window(arg);
}

static void on_names(char **names, size_t count, const char *why, void *arg)
{
	struct going *g = arg;
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (g->want.nodes == NULL || glob_match(g->want.nodes, names[i]))
			names[kept++] = names[i];
		else
			free(names[i]);
	}
	g->names = names;
	g->count = kept;
	if (why != NULL)
		finish(g, why);
	else
		next_window(g);
}

static void on_clock(int64_t now_ms, const char *why, void *arg)
{
	struct going *g = arg;

	if (why != NULL) {
		finish(g, why);
		return;
	}
	g->now_ms = now_ms;
	g->now_at = clock_mono();
	lookup_nodes(g->want.c->link, g->want.c->options.redis.prefix, on_names, g);
}

void survey_start(const struct survey *survey)
{
	struct going *g = xcalloc(1, sizeof(*g));

	g->want = *survey;
	g->gap = evtimer_new(daemon_base(survey->c->daemon), on_gap, g);
	lookup_clock(survey->c->link, on_clock, g);
}
