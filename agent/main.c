/* larder-agent: puts the parts together. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/api.h"
#include "agent/beat.h"
#include "agent/holds.h"
#include "agent/orders.h"
#include "agent/refault.h"
#include "agent/sources.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/version.h"
#include "common/xmem.h"

#define TICK_MS		 50
#define STOP_GRACE_MS	 10000
#define JOURNAL_FLUSH_MS 10000
#define JOURNAL_ALONE_MS 1000 /* while Redis is away: what it is not told only we know */

static struct {
	int argc;
	char **argv;
} command_line;

/* ---- what the parts share ---- */

static void note_use_in_journal(struct agent *agent, const struct model *model)
{
	int64_t age = mono_since(model->use.last, clock_mono());
	int64_t redis_now = beat_redis_now(agent->beat);
	struct journal_time used = {.redis_ms = redis_now != 0 ? redis_now - age : 0,
				    .wall_ms = clock_wall_ms() - age};

	journal_note_use(agent->journal, model->name, used, use_source_name(model->use.source));
}

/* Uses that Redis may never hear of otherwise: it is away, and we are about to end, say. */
static void note_untold_uses(struct agent *agent)
{
	for (const struct model *m = agent->inventory.models; m != NULL; m = m->hh.next) {
		if (m->use.known && m->use.dirty && !m->gone)
			note_use_in_journal(agent, m);
	}
}

/*
 * Written before anybody relies on it: an agent that died now would find the command in Redis after
 * its restart, and would obey it if it knew of the use no more.
 */
static void keep_use(struct agent *agent, const struct model *model)
{
	note_use_in_journal(agent, model);
	if (journal_keep_use(agent->journal, model->name) != 0)
		log_error("-journal", LOG_STR("reason", strerror(errno)));
}

enum agent_touch agent_use(struct agent *agent, struct model *model, struct mono at,
			   enum use_source source)
{
	if (model->removal != NULL && !removal_veto(model->removal, "used"))
		return TOUCH_TOO_LATE;
	agent->uses[source] += use_note(&model->use, at, source);
	if (source == USE_API || (model->removal != NULL && !model->removal->use_kept)) {
		if (model->removal != NULL)
			model->removal->use_kept = true;
		keep_use(agent, model);
	}
	return TOUCH_NOTED;
}

int64_t agent_floor_bytes(const struct agent *agent, const struct root_view *view)
{
	if (!agent->limits_known || view->total_bytes == 0)
		return 0;
	return limits_wanted_available(&agent->limits, view->total_bytes, view->available_bytes);
}

int64_t agent_wanted_bytes(const struct agent *agent)
{
	int64_t wanted = 0;

	for (int i = 0; i < agent->root_count; i++) {
		const struct root_view *view = &agent->views[i];
		int64_t missing = agent_floor_bytes(agent, view) - view->available_bytes;
		bool counted = false;

		/* Roots that share a disk share its space; one that is gone says nothing of it. */
		for (int j = 0; j < i; j++)
			counted |= agent->views[j].opened &&
				   strcmp(agent->views[j].disk, view->disk) == 0;
		if (!counted && view->opened && missing > 0)
			wanted += missing;
	}
	return wanted;
}

void agent_scan_now(struct agent *agent)
{
	for (int i = 0; i < agent->root_count; i++)
		worker_scan(agent->workers[i]);
}

void agent_recall_use(struct agent *agent, struct model *model)
{
	struct journal_time now = {beat_redis_now(agent->beat), clock_wall_ms()};
	const char *source;
	int64_t age = journal_unused_ms(agent->journal, model->name, now, &source);

	if (age >= 0)
		use_note(&model->use, (struct mono){clock_mono().ms - age},
			 use_source_parse(source));
}

/* ---- events of the workers ---- */

static void on_root(struct agent *agent, const struct worker_event *ev)
{
	struct root_view *view = &agent->views[ev->root->index];

	view->opened = ev->opened;
	view->leases = ev->leases;
	view->atimes = ev->atimes;
	view->deletes = ev->deletes;
	snprintf(view->note, sizeof(view->note), "%s", ev->note);
	if (!ev->opened)
		log_error("-root", LOG_STR("root", ev->root->config.name),
			  LOG_STR("reason", ev->note));
	else
		log_fields(ev->deletes ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "+root",
			   (const struct log_field[]){
				   LOG_STR("root", ev->root->config.name),
				   LOG_STR("path", ev->root->config.path),
				   LOG_STR("mode", ev->deletes ? "delete" : "report"),
				   LOG_STR("access_times", ev->atimes ? "yes" : "no"),
				   LOG_STR("note", ev->note)},
			   5);
}

static void on_space(struct agent *agent, const struct worker_event *ev)
{
	struct root_view *view = &agent->views[ev->root->index];
	int64_t before = agent_wanted_bytes(agent);

	view->total_bytes = ev->total_bytes;
	snprintf(view->disk, sizeof(view->disk), "%s", ev->disk);
	/* True for all roots on this disk, unless a quota gives each its own space. */
	for (int i = 0; i < agent->root_count; i++) {
		if (strcmp(agent->views[i].disk, ev->disk) == 0 &&
		    agent->views[i].total_bytes == ev->total_bytes)
			agent->views[i].available_bytes = ev->available_bytes;
	}
	if (before == 0 && agent_wanted_bytes(agent) > 0) {
		log_warn("+pressure", LOG_STR("root", ev->root->config.name),
			 LOG_INT("available_bytes", ev->available_bytes),
			 LOG_INT("wanted_bytes", agent_wanted_bytes(agent)));
		beat_soon(agent->beat);
	}
}

static void on_appeared(struct model *model, void *arg)
{
	struct agent *agent = arg;

	agent_recall_use(agent, model);
	holds_apply(agent, model);
	refault_check(agent, model);
	log_info("+model", LOG_STR("model", model->name),
		 LOG_STR("status", model->report.status == MODEL_DOWNLOADED    ? "DOWNLOADED"
				   : model->report.status == MODEL_DOWNLOADING ? "DOWNLOADING"
									       : "ERROR"),
		 LOG_STR("why", model->report.why), LOG_INT("bytes", model->report.logical_bytes));
}

static void on_scanned(struct agent *agent, struct worker_event *ev)
{
	struct root_view *view = &agent->views[ev->root->index];
	struct inventory_scan scan = {
		.root = ev->root->index,
		.report = &ev->report,
		.now = clock_mono(),
		.wall_ms = clock_wall_ms(),
		.before = view->complete ? &view->scan_began : NULL,
		.appeared = on_appeared,
		.arg = agent,
	};

	view->looked_at = true;
	view->scan_took_ms = mono_since(ev->began, ev->ended);
	if (!ev->scanned) {
		log_warn("-scan", LOG_STR("root", ev->root->config.name),
			 LOG_STR("reason", ev->note));
		return;
	}
	if (!ev->report.complete)
		log_warn("-scan", LOG_STR("root", ev->root->config.name),
			 LOG_STR("reason", "a folder cannot be read; what was there is kept"));
	view->leftover_bytes = ev->report.leftover_bytes;
	inventory_merge(&agent->inventory, &scan);
	if (ev->report.complete) {
		view->complete = true;
		view->scan_began = ev->began;
	}
	scan_report_free(&ev->report);
	sources_models_changed(agent->sources);
}

static void on_worker_event(struct worker_event *ev, void *arg)
{
	struct agent *agent = arg;

	switch (ev->kind) {
	case WORKER_ROOT: on_root(agent, ev); break;
	case WORKER_SPACE: on_space(agent, ev); break;
	case WORKER_SCANNED: on_scanned(agent, ev); break;
	case WORKER_REMOVED: orders_removed(agent->orders, ev->removal); break;
	case WORKER_LOOKED: ev->look->done(ev->look, ev->look->arg); break;
	}
}

/* ---- tick, reload, stop ---- */

static void flush_journal(struct agent *agent, struct mono now)
{
	bool failed;

	if (mono_since(agent->journal_due, now) < 0)
		return;
	agent->journal_due.ms =
		now.ms + (beat_registered(agent->beat) ? JOURNAL_FLUSH_MS : JOURNAL_ALONE_MS);
	note_untold_uses(agent);
	failed = journal_flush(agent->journal) != 0;
	if (failed && !agent->journal_failed)
		log_error("-journal", LOG_STR("reason", strerror(errno)));
	agent->journal_failed = failed;
}

static void on_tick(void *arg)
{
	struct agent *agent = arg;
	struct mono now = clock_mono();

	for (int i = 0; i < agent->root_count; i++) {
		struct root_view *view = &agent->views[i];

		if (mono_since(view->scan_due, now) < 0)
			continue;
		view->scan_due.ms = now.ms + agent->options.scan_interval_ms -
				    clock_random((uint32_t)(agent->options.scan_interval_ms / 10));
		worker_scan(agent->workers[i]);
	}
	holds_tick(agent, now);
	sources_tick(agent->sources, now);
	orders_tick(agent->orders);
	beat_tick(agent->beat);
	flush_journal(agent, now);
	if (agent->stopping && orders_running(agent->orders) == 0)
		daemon_stopped(agent->daemon);
}

static void take_token(struct agent *agent)
{
	char *token;
	struct err err;

	if (http_options_token(&agent->options.http, &token, &err) != 0) {
		log_error("-reload", LOG_STR("reason", err.text));
		return;
	}
	http_server_set_token(agent->http, token);
	free(agent->http_token);
	agent->http_token = token;
}

static void on_reload(void *arg)
{
	struct agent *agent = arg;
	struct agent_options fresh = {0};
	struct err err;
	char path[128];

	if (settings_reload(&agent_program, command_line.argc, command_line.argv, &fresh, &err) !=
	    0) {
		log_error("-reload", LOG_STR("reason", err.text));
		setting_free(agent_program.rows, &fresh);
		return;
	}
	if (setting_differs(agent_program.rows, &agent->options, &fresh, SETTING_RELOAD, path,
			    sizeof(path)))
		log_warn("+reload", LOG_STR("setting", path),
			 LOG_STR("reason", "takes effect at the next start"));
	setting_copy(agent_program.rows, &agent->options, &fresh, SETTING_RELOAD);
	setting_free(agent_program.rows, &fresh);
	log_setup("agent", (enum log_level)agent->options.log.level,
		  (enum log_format)agent->options.log.format);
	take_token(agent);
	log_info("+reload", LOG_STR("node", agent->node));
}

static void on_stop(void *arg)
{
	struct agent *agent = arg;

	/* What runs is finished or undone; what waits is found again in Redis. */
	agent->stopping = true;
}

/* ---- start ---- */

static int find_node_name(struct agent *agent, struct err *err)
{
	char host[NODE_NAME_MAX + 1] = "";

	if (agent->options.node_name != NULL) {
		snprintf(agent->node, sizeof(agent->node), "%s", agent->options.node_name);
		return 0;
	}
	if (gethostname(host, sizeof(host)) != 0 || host[NODE_NAME_MAX] != '\0' ||
	    !model_name_node_valid(host))
		return err_set(err, "the host name is no node name; set node_name");
	snprintf(agent->node, sizeof(agent->node), "%s", host);
	return 0;
}

static char *copy(const char *text)
{
	return text != NULL ? xstrdup(text) : NULL;
}

static int make_roots(struct agent *agent, struct err *err)
{
	agent->root_count = cJSON_GetArraySize(agent->options.roots);
	agent->roots = xcalloc((size_t)agent->root_count, sizeof(*agent->roots));
	agent->views = xcalloc((size_t)agent->root_count, sizeof(*agent->views));
	agent->workers = xcalloc((size_t)agent->root_count, sizeof(struct worker *));
	for (int i = 0; i < agent->root_count; i++) {
		struct agent_root_options o = {0};

		if (agent_root_options(agent->options.roots, i, &o, err) != 0)
			return -1;
		agent->roots[i] = (struct root){
			.index = i,
			.config = {.name = copy(o.name),
				   .path = copy(o.path),
				   .glob = copy(o.glob),
				   .layout = layout_find(o.layout),
				   .delete_without_leases = o.delete_without_leases,
				   .report_only = o.report_only,
				   .settle_ms = o.settle_time_ms,
				   .partial_ms = o.partial_timeout_ms,
				   .leftover_ms = o.leftover_max_age_ms},
		};
		agent_root_options_free(&o);
	}
	return 0;
}

static int start(struct agent *agent, struct err *err)
{
	const struct daemon_hooks hooks = {
		.tick = on_tick, .reload = on_reload, .stop = on_stop, .arg = agent};

	if (find_node_name(agent, err) != 0 || make_roots(agent, err) != 0)
		return -1;
	agent->journal = journal_open(agent->options.state_dir, err);
	if (agent->journal == NULL)
		return -1;
	agent->daemon = daemon_new(TICK_MS, &hooks);
	agent->orders = orders_new(agent);
	agent->beat = beat_new(agent, err);
	if (agent->beat == NULL ||
	    http_options_token(&agent->options.http, &agent->http_token, err) != 0)
		return -1;
	agent->sources = sources_start(agent, err);
	if (agent->sources == NULL)
		return -1;
	agent->http = api_start(agent, err);
	if (agent->http == NULL)
		return -1;
	for (int i = 0; i < agent->root_count; i++)
		agent->workers[i] = worker_new(daemon_base(agent->daemon), &agent->roots[i],
					       agent->journal, on_worker_event, agent);
	orders_recover(agent->orders);
	return 0;
}

static void stop(struct agent *agent)
{
	for (int i = 0; i < agent->root_count; i++) {
		if (agent->workers[i] != NULL)
			worker_free(agent->workers[i]);
	}
	if (agent->beat != NULL)
		note_untold_uses(agent);
	if (agent->journal != NULL && journal_flush(agent->journal) != 0)
		log_error("-journal", LOG_STR("reason", strerror(errno)));
	http_server_free(agent->http);
	sources_free(agent->sources);
	beat_free(agent->beat);
	orders_free(agent->orders);
	journal_close(agent->journal);
	inventory_free(&agent->inventory);
	claims_free(&agent->claims);
	pins_free(&agent->pins);
	if (agent->daemon != NULL)
		daemon_free(agent->daemon);
	for (int i = 0; i < agent->root_count; i++) {
		free(agent->roots[i].config.name);
		free(agent->roots[i].config.path);
		free(agent->roots[i].config.glob);
	}
	free(agent->roots);
	free(agent->views);
	free(agent->workers);
	free(agent->http_token);
	setting_free(agent_program.rows, &agent->options);
}

/* One descriptor per leased file: as many as we may have. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		log_warn("-file-limit", LOG_STR("reason", strerror(errno)));
}

int main(int argc, char **argv)
{
	struct agent agent = {0};
	struct settings_start how;
	struct err err = {""};

	command_line.argc = argc;
	command_line.argv = argv;
	if (settings_load(&agent_program, argc, argv, &agent.options, &how, &err) != 0) {
		fprintf(stderr, "larder-agent: %s\n", err.text);
	} else if (how.action == SETTINGS_RUN) {
		log_setup("agent", (enum log_level)agent.options.log.level,
			  (enum log_format)agent.options.log.format);
		signal(SIGIO, SIG_IGN); /* what a broken lease sends; it is asked for instead */
		raise_file_limit();
		if (start(&agent, &err) == 0) {
			log_info("+start", LOG_STR("node", agent.node),
				 LOG_STR("version", LARDER_VERSION),
				 LOG_INT("http_port", http_server_port(agent.http)));
			daemon_run(agent.daemon, STOP_GRACE_MS);
			log_info("-start", LOG_STR("node", agent.node));
		} else {
			log_error("-start", LOG_STR("reason", err.text));
			how.exit_code = EX_UNAVAILABLE;
		}
		stop(&agent);
	}
	setting_free(agent_program.rows, &agent.options);
	free(how.file);
	return how.exit_code;
}
