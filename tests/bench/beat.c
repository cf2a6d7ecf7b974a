/*
 * Benchmark "beat": 2,000 beats a second from 1,000 connections, each after 50 uses of 30 models,
 * so 100,000 uses a second. First the same 30 models of a node all the time, then 30 others each
 * time, so that the agents have to tell of all 30 in each beat. The other way tells every use by a
 * command of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "agent/beat.h"
#include "agent/message.h"
#include "common/log.h"
#include "common/redis_link.h"
#include "common/redis_script.h"
#include "common/xmem.h"
#include "tests/bench/agents.h"
#include "tests/bench/bench.h"

#define LINKS	      1000
#define BEATS_PER_S   2000
#define USES_PER_BEAT 50
#define MODELS	      100
#define MODELS_USED   30
#define WARM_MS	      2000
#define RUN_MS	      20000
#define SINGLE_MS     5000
#define SMALL	      20 /* so many times shorter with --small */
/* At which all nodes together beat that often. */
#define BEAT_INTERVAL_MS(run) ((int64_t)((run)->fleet.nodes * 1000 / BEATS_PER_S))

struct run {
	struct fleet fleet;
	struct server server;
	struct daemon *daemon;
	struct agent **agents;
	struct model **models; /* of all agents, one after the other */
	size_t *first;	       /* per agent: where the models begin that are used next */
	struct redis_link *links[LINKS];
	size_t up;
	struct event *timer;
	struct redis_args args;

	size_t next; /* node whose turn it is */
	int64_t began_ns, phase_ns;
	size_t sent, answered; /* since the timer was started */
	size_t touches;	       /* told in the measured part */
	size_t moved;	       /* scores by single commands, as Redis says */
	bool others;	       /* than in the last beat are used */
	bool measuring;
	double *took_ms;
	size_t took_count, took_capacity;
	uint64_t chance;
};

struct asked {
	struct run *run;
	struct said *said;
	int64_t at_ns;
};

/* ---- one journal is enough: what the messages note there is left out ---- */

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void __wrap_journal_note_use(struct journal *journal, const char *model, struct journal_time used,
			     const char *source);
const char *__wrap_journal_id(const struct journal *journal);
size_t __wrap_journal_receipts(struct journal *journal, struct receipt *out, size_t max);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

void __wrap_journal_note_use(struct journal *journal, const char *model, struct journal_time used,
			     const char *source)
{
	(void)journal;
	(void)model;
	(void)used;
	(void)source;
}

const char *__wrap_journal_id(const struct journal *journal)
{
	(void)journal;
	return "";
}

size_t __wrap_journal_receipts(struct journal *journal, struct receipt *out, size_t max)
{
	(void)journal;
	(void)out;
	(void)max;
	return 0;
}

/* ---- links ---- */

static void on_up(const struct redis_link_server *server, void *arg)
{
	struct run *run = arg;

	(void)server;
	run->up++;
}

static void on_down(const char *why, void *arg)
{
	(void)arg;
	bench_fail("a link was lost: %s", why);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void loop_until(struct run *run, int64_t until_ns)
{
	while (bench_now_ns() < until_ns)
		event_base_loop(daemon_base(run->daemon), EVLOOP_ONCE);
}

static void connect_all(struct run *run)
{
	const struct daemon_hooks hooks = {.tick = nothing, .reload = nothing, .stop = nothing};
	const struct redis_link_hooks link_hooks = {.up = on_up, .down = on_down, .arg = run};
	struct redis_link_target target;
	char *password;
	struct err err;

	/* Timers of libevent are otherwise as coarse as the kernel's tick, and beats come in heaps.
	 */
	setenv("EVENT_PRECISE_TIMER", "1", 1);
	run->daemon = daemon_new(50, &hooks);
	if (redis_options_target(&run->agents[0]->options.redis, "larder-agent-bench", &target,
				 &password, &err) != 0)
		bench_fail("%s", err.text);
	for (size_t i = 0; i < LINKS; i++)
		run->links[i] = redis_link_new(daemon_base(run->daemon), daemon_dns(run->daemon),
					       &target, NULL, &link_hooks);
	while (run->up < LINKS)
		event_base_loop(daemon_base(run->daemon), EVLOOP_ONCE);
}

/* ---- beats ---- */

/*
 * What happens on a node from one beat to the next: 50 uses of 30 models. How many of these the
 * agent then tells of is its own affair.
 */
static void use_models(struct run *run, size_t node)
{
	size_t first = run->others ? run->first[node] : 0;
	struct model **models = run->models + node * MODELS;
	struct mono now = clock_mono();

	for (size_t i = 0; i < USES_PER_BEAT; i++)
		agent_use(run->agents[node], models[(first + i % MODELS_USED) % MODELS], now,
			  USE_API);
	run->first[node] = (first + MODELS_USED) % MODELS;
}

static void got_beat(const redisReply *reply, const char *why, void *arg)
{
	struct asked *asked = arg;
	struct run *run = asked->run;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 ||
	    strcmp(reply->element[0]->str, "OK") != 0)
		bench_fail("a beat was not taken: %s", reply == NULL ? why
						       : reply->type == REDIS_REPLY_ERROR
							       ? reply->str
							       : reply->element[0]->str);
	run->answered++;
	if (run->measuring) {
		run->took_ms = xgrow(run->took_ms, run->took_count, &run->took_capacity,
				     sizeof(*run->took_ms));
		run->took_ms[run->took_count++] = bench_ms_since(asked->at_ns);
	}
	said_acknowledged(asked->said, strtoll(reply->element[1]->str, NULL, 10));
	said_free(asked->said);
	free(asked);
}

static void beat_once(struct run *run)
{
	struct agent *agent = run->agents[run->next];
	struct asked *asked = xcalloc(1, sizeof(*asked));

	use_models(run, run->next);
	asked->run = run;
	asked->said = said_new(NULL, agent);
	message_beat(&run->args, asked->said, agents_incarnation());
	if (run->measuring)
		run->touches += asked->said->use_count;
	asked->at_ns = bench_now_ns();
	redis_script_call(run->links[run->next % LINKS], &script_beat, &run->args, got_beat, asked);
	run->sent++;
	run->next = (run->next + 1) % run->fleet.nodes;
}

/* One every half millisecond, whether or not earlier ones were answered. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;
	double due = bench_ms_since(run->began_ns) / 1000 * BEATS_PER_S;

	(void)fd;
	(void)what;
	while ((double)run->sent < due)
		beat_once(run);
}

static int64_t phase_ns(int64_t ms)
{
	return ms * INT64_C(1000000) / (bench_small() ? SMALL : 1);
}

struct beats {
	double seconds, cpu_ms;
	size_t answered;
};

/* Counts from here on for a while, and must have kept the pace. */
static struct beats count_beats(struct run *run)
{
	struct server_use before = server_use(&run->server);
	size_t sent = run->sent, answered = run->answered;
	struct beats beats;

	run->measuring = true;
	run->phase_ns = bench_now_ns();
	loop_until(run, run->phase_ns + phase_ns(RUN_MS));
	beats.cpu_ms = server_use(&run->server).cpu_ms - before.cpu_ms;
	beats.seconds = bench_ms_since(run->phase_ns) / 1000;
	beats.answered = run->answered - answered;
	run->measuring = false;
	sent = run->sent - sent;
	if ((double)beats.answered < 0.99 * BEATS_PER_S * beats.seconds && !bench_small())
		bench_fail("only %zu of %zu beats were answered in %.1f s", beats.answered, sent,
			   beats.seconds);
	bench_say("%.0f beats a second, %.0f uses a second, %.1f models told in each beat",
		  (double)beats.answered / beats.seconds,
		  (double)beats.answered / beats.seconds * USES_PER_BEAT,
		  (double)run->touches / (double)sent);
	return beats;
}

static struct beats measure_beats(struct run *run, bool others)
{
	struct beats beats;

	run->others = others;
	run->sent = run->answered = run->touches = run->took_count = 0;
	run->timer = event_new(daemon_base(run->daemon), -1, EV_PERSIST, on_timer, run);
	event_add(run->timer, &(struct timeval){.tv_usec = 1000000 / BEATS_PER_S});
	run->began_ns = bench_now_ns();
	loop_until(run, run->began_ns + phase_ns(WARM_MS));
	beats = count_beats(run);
	event_free(run->timer);
	while (run->answered < run->sent)
		event_base_loop(daemon_base(run->daemon), EVLOOP_ONCE);
	if (run->touches == 0)
		bench_fail("no use was told");
	return beats;
}

static double core_percent(const struct beats *beats)
{
	return beats->cpu_ms / beats->seconds / 10;
}

/* What the agents were told is acknowledged must stand in Redis. */
static void check_scores(struct run *run)
{
	size_t checked = 0;

	for (size_t node = 0; node < run->fleet.nodes; node += bench_small() ? 1 : 97) {
		struct agent *agent = run->agents[node];

		for (struct model *m = agent->inventory.models; m != NULL; m = m->hh.next) {
			redisReply *reply;

			if (m->use.source != USE_API)
				continue;
			reply = server_ask(&run->server, "ZSCORE larder:{%s}:lru %s", agent->node,
					   m->name);
			if (reply->type != REDIS_REPLY_STRING ||
			    strtoll(reply->str, NULL, 10) < m->use.score_ms)
				bench_fail("%s of %s does not have its score", m->name,
					   agent->node);
			freeReplyObject(reply);
			checked++;
		}
	}
	if (checked < MODELS_USED)
		bench_fail("only %zu models were used on the nodes that were looked at", checked);
	bench_say("%zu scores looked up, all true", checked);
}

/* ---- one command per use ---- */

struct single {
	struct run *run;
	struct redis_link *link;
};

static void tell_one(struct single *single);

static void got_one(const redisReply *reply, const char *why, void *arg)
{
	struct single *single = arg;

	if (reply == NULL || reply->type != REDIS_REPLY_INTEGER)
		bench_fail("a use was not taken: %s", reply == NULL ? why : reply->str);
	single->run->answered++;
	single->run->moved += (size_t)reply->integer;
	tell_one(single);
}

static void tell_one(struct single *single)
{
	struct run *run = single->run;
	struct agent *agent = run->agents[bench_random(&run->chance) % run->fleet.nodes];
	struct model *model = agent->inventory.models;
	char key[KEY_SIZE];

	for (size_t skip = bench_random(&run->chance) % 16; skip > 0; skip--)
		model = model->hh.next;
	redis_args_start(&run->args, "ZADD");
	redis_args_add(&run->args, key_node(key, "larder:", agent->node, KEY_LRU));
	redis_args_add(&run->args, "XX");
	redis_args_add(&run->args, "GT");
	redis_args_add(&run->args, "CH");
	redis_args_add_int(&run->args, clock_wall_ms());
	redis_args_add(&run->args, model->name);
	redis_link_command(single->link, &run->args, got_one, single);
}

/* From the same connections, each with one command under way, as fast as it goes. */
static double measure_single(struct run *run)
{
	struct single *singles = xcalloc(LINKS, sizeof(*singles));
	struct server_use before, after;
	int64_t began;
	double cpu_ms;

	for (size_t i = 0; i < LINKS; i++) {
		singles[i] = (struct single){run, run->links[i]};
		tell_one(&singles[i]);
	}
	loop_until(run, bench_now_ns() + phase_ns(SINGLE_MS / 5));
	run->answered = run->moved = 0;
	before = server_use(&run->server);
	began = bench_now_ns();
	loop_until(run, began + phase_ns(SINGLE_MS));
	after = server_use(&run->server);
	cpu_ms = after.cpu_ms - before.cpu_ms;
	/* Not all: a model may be used twice within a millisecond. */
	if (run->moved * 2 < run->answered)
		bench_fail("of %zu uses only %zu moved a score", run->answered, run->moved);
	bench_say("one command per use: %.0f uses a second, Redis busy for %.0f %% of the time",
		  (double)run->answered / bench_ms_since(began) * 1000,
		  cpu_ms / bench_ms_since(began) * 100);
	return cpu_ms * 1000 / (double)run->answered;
}

/* Models came into use at any time: what is told of them spreads over the beats. */
static void spread(struct run *run, struct model *model)
{
	uint64_t three_beats = 3 * (uint64_t)BEAT_INTERVAL_MS(run);

	model->use.sent_at.ms =
		clock_mono().ms - (int64_t)(bench_random(&run->chance) % three_beats);
}

static void make_agents(struct run *run)
{
	size_t next = 0;

	run->agents = xcalloc(run->fleet.nodes, sizeof(struct agent *));
	run->models = xcalloc(run->fleet.nodes * MODELS, sizeof(struct model *));
	run->first = xcalloc(run->fleet.nodes, sizeof(*run->first));
	agents_register(&run->fleet, &run->server, run->agents);
	for (size_t i = 0; i < run->fleet.nodes; i++) {
		run->agents[i]->options.beat_interval_ms = BEAT_INTERVAL_MS(run);
		for (struct model *m = run->agents[i]->inventory.models; m != NULL;
		     m = m->hh.next) {
			spread(run, m);
			run->models[next++] = m;
		}
	}
}

static void measure(struct run *run)
{
	struct beats same = measure_beats(run, false), all;
	double single_us;

	bench_figure("redis_core_percent", "%", core_percent(&same));
	bench_figure("p50_ms", "ms", bench_percentile(run->took_ms, run->took_count, 0.5));
	bench_figure("p99_ms", "ms", bench_percentile(run->took_ms, run->took_count, 0.99));
	all = measure_beats(run, true);
	bench_figure("redis_core_percent_all_told", "%", core_percent(&all));
	check_scores(run);
	single_us = measure_single(run);
	bench_compare("redis_us_per_use", "us",
		      same.cpu_ms * 1000 / ((double)same.answered * USES_PER_BEAT), single_us);
}

int main(int argc, char **argv)
{
	static struct run run = {.fleet = {.nodes = 10000, .models = MODELS}};

	bench_begin(
		argc, argv, "beat",
		"a private Redis with 10,000 nodes of 100 models, 1,000 connections, twice 2,000 "
		"beats a second for 20 s, then one command per use; about a minute");
	if (bench_small())
		run.fleet.nodes = 100;
	bench_raise_file_limit();
	server_start(&run.server, "larder");
	make_agents(&run);
	bench_quiet_log();
	log_setup("agent", LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	connect_all(&run);
	measure(&run);
	server_stop(&run.server);
	return 0;
}
