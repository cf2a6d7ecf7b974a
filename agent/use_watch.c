/*
 * A source of use: files as they are opened, by whatever process in whatever container. What the
 * watch (watch.h) has seen is told to the models here; and how well it sees, to the operator.
 */
#include "agent/use_watch.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/source.h"
#include "agent/watch.h"
#include "common/json_doc.h"
#include "common/log.h"
#include "common/xmem.h"

#define LOOK_MS 1000

/* What was said last of a root. */
struct said {
	struct watch_state state;
	bool any;
};

struct use_watch {
	struct agent *agent;
	struct watch *watch;
	const struct watch_kernel *kernel;
	struct event *event;
	struct said *said;
	struct mono due;
	int64_t most;
	int error;	    /* the queue's, as it was said last */
	uint64_t overflows; /* likewise */
};

/* ---- news ---- */

static void deliver(struct use_watch *u)
{
	struct agent *agent = u->agent;
	struct mono at;
	char *name;

	while ((name = watch_news(u->watch, &at)) != NULL) {
		struct model *model = inventory_find(&agent->inventory, name);

		if (model != NULL)
			agent_use(agent, model, at, USE_WATCH);
		free(name);
	}
	if (watch_wants_scan(u->watch))
		agent_scan_now(agent);
}

static void on_news(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;
	ssize_t ignored = read(fd, &count, sizeof(count));

	(void)ignored;
	(void)what;
	deliver(arg);
}

static void settle(void *state)
{
	struct use_watch *u = state;

	watch_settle(u->watch);
	deliver(u);
}

/* ---- how well it sees ---- */

static const char *why_not(const struct watch_state *state)
{
	if (state->unwatched == 0)
		return "";
	if (state->full)
		return "watch_max_directories, or more than 256 in one model";
	switch (state->error) {
	case ENOSPC: return "fs.inotify.max_user_watches is reached";
	case EMFILE: return "the process or fs.inotify.max_user_instances allows no more";
	case EACCES: return "no permission to read a directory";
	default: return strerror(state->error);
	}
}

static void say_root(struct use_watch *u, int index)
{
	struct said *said = &u->said[index];
	const char *root = u->agent->roots[index].config.name;
	struct watch_state state;

	watch_state(u->watch, index, &state);
	if (!u->agent->views[index].looked_at ||
	    (said->any && said->state.error == state.error && said->state.full == state.full &&
	     (said->state.unwatched == 0) == (state.unwatched == 0)))
		return;
	if (state.unwatched > 0)
		log_warn("-watch", LOG_STR("root", root), LOG_STR("reason", why_not(&state)),
			 LOG_INT("directories", (int64_t)state.dirs),
			 LOG_INT("unwatched", (int64_t)state.unwatched));
	else
		log_info("+watch", LOG_STR("root", root), LOG_STR("by", u->kernel->name),
			 LOG_INT("directories", (int64_t)state.dirs));
	said->state = state;
	said->any = true;
}

static void say(struct use_watch *u)
{
	struct watch_counts counts;

	watch_counts(u->watch, &counts);
	if (counts.error != u->error)
		log_warn(counts.error != 0 ? "-watch" : "+watch", LOG_STR("by", u->kernel->name),
			 LOG_STR("reason", counts.error != 0 ? strerror(counts.error) : ""));
	if (counts.overflows != u->overflows)
		log_warn("-watch-overflow",
			 LOG_INT("overflows", (int64_t)(counts.overflows - u->overflows)));
	u->error = counts.error;
	u->overflows = counts.overflows;
	for (int i = 0; i < u->agent->root_count; i++)
		say_root(u, i);
}

static void tick(void *state, struct mono now)
{
	struct use_watch *u = state;

	if (mono_since(u->due, now) < 0)
		return;
	u->due.ms = now.ms + LOOK_MS;
	say(u);
}

static void describe_root(const struct use_watch *u, int index, cJSON *list)
{
	cJSON *json = cJSON_CreateObject();
	struct watch_state state;

	watch_state(u->watch, index, &state);
	cJSON_AddStringToObject(json, "root", u->agent->roots[index].config.name);
	json_doc_add_int64(json, "directories", (int64_t)state.dirs);
	json_doc_add_int64(json, "unwatched", (int64_t)state.unwatched);
	cJSON_AddStringToObject(json, "reason", why_not(&state));
	cJSON_AddItemToArray(list, json);
}

static void describe(void *state, cJSON *out)
{
	const struct use_watch *u = state;
	struct watch_counts counts;
	cJSON *roots;

	watch_counts(u->watch, &counts);
	cJSON_AddStringToObject(out, "by", u->kernel->name);
	cJSON_AddBoolToObject(out, "works", counts.error == 0);
	cJSON_AddStringToObject(out, "reason", counts.error != 0 ? strerror(counts.error) : "");
	json_doc_add_int64(out, "directories", (int64_t)counts.dirs);
	json_doc_add_int64(out, "directories_max", u->most);
	json_doc_add_int64(out, "models", (int64_t)counts.models);
	json_doc_add_int64(out, "resting", (int64_t)counts.resting);
	json_doc_add_int64(out, "events", (int64_t)counts.events);
	json_doc_add_int64(out, "uses", (int64_t)counts.uses);
	json_doc_add_int64(out, "rests", (int64_t)counts.rests);
	json_doc_add_int64(out, "overflows", (int64_t)counts.overflows);
	roots = cJSON_AddArrayToObject(out, "roots");
	for (int i = 0; i < u->agent->root_count; i++)
		describe_root(u, i, roots);
}

static const char *problem(void *state)
{
	const struct use_watch *u = state;
	struct watch_counts counts;

	watch_counts(u->watch, &counts);
	if (counts.error != 0)
		return strerror(counts.error);
	for (int i = 0; i < u->agent->root_count; i++) {
		struct watch_state root;

		watch_state(u->watch, i, &root);
		if (root.unwatched > 0)
			return why_not(&root);
	}
	return NULL;
}

/* ---- start and stop ---- */

static const struct watch_kernel *choose(enum watch_backend backend)
{
	int fd;

	if (backend != WATCH_BY_FANOTIFY)
		return &watch_inotify;
	fd = watch_fanotify.open();
	if (fd >= 0) {
		close(fd);
		return &watch_fanotify;
	}
	log_warn("-watch", LOG_STR("by", watch_fanotify.name), LOG_STR("reason", strerror(errno)),
		 LOG_STR("instead", watch_inotify.name));
	return &watch_inotify;
}

/* Each watched directory costs a descriptor, and removals need some too. */
static int64_t most_directories(int64_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	    (int64_t)(limit.rlim_cur / 2) < wanted)
		return (int64_t)(limit.rlim_cur / 2);
	return wanted;
}

static int start(struct agent *agent, void **state, struct err *err)
{
	struct use_watch *u;

	(void)err;
	*state = NULL;
	if (agent->options.watch == WATCH_OFF)
		return 0;
	u = xcalloc(1, sizeof(*u));
	u->agent = agent;
	u->kernel = choose((enum watch_backend)agent->options.watch);
	u->most = most_directories(agent->options.watch_max_directories);
	u->said = xcalloc((size_t)agent->root_count, sizeof(*u->said));
	u->watch = watch_start(u->kernel, agent->root_count, (size_t)u->most);
	u->event = event_new(daemon_base(agent->daemon), watch_news_fd(u->watch),
			     EV_READ | EV_PERSIST, on_news, u);
	event_add(u->event, NULL);
	agent->watch = u->watch;
	for (int i = 0; i < agent->root_count; i++)
		agent->roots[i].watch = u->watch;
	*state = u;
	return 0;
}

static void models_changed(void *state)
{
	struct use_watch *u = state;

	for (int i = 0; i < u->agent->root_count; i++)
		watch_set_blind(u->watch, i, !u->agent->views[i].atimes);
}

static void stop(void *state)
{
	struct use_watch *u = state;

	u->agent->watch = NULL;
	for (int i = 0; i < u->agent->root_count; i++)
		u->agent->roots[i].watch = NULL;
	event_free(u->event);
	watch_stop(u->watch);
	free(u->said);
	free(u);
}

const struct source source_watch = {
	.name = "watch",
	.start = start,
	.stop = stop,
	.tick = tick,
	.models_changed = models_changed,
	.settle = settle,
	.problem = problem,
	.describe = describe,
};
