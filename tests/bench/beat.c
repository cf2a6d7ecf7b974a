/*
 * Benchmark "beat": 2,000 beats a second with 30 models touched in each, from 1,000 connections;
 * each stands for 50 uses, so 100,000 uses a second. The other way tells every use by a command of
 * its own.
 */
#include <stdlib.h>
#include <string.h>

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
#define MODELS_USED   30
#define WARM_MS	      2000
#define RUN_MS	      20000
#define SINGLE_MS     5000

struct run {
	struct fleet fleet;
	struct server server;
	struct daemon *daemon;
	struct agent **agents;
	struct redis_link *links[LINKS];
	size_t up;
	struct event *timer;
	struct redis_args args;

	size_t next; /* node whose turn it is */
	int64_t began_ns, phase_ns;
	size_t sent, answered; /* since the timer was started */
	size_t touches;	       /* told in the measured part */
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

void journal_note_use(struct journal *journal, const char *model, int64_t used_redis_ms,
		      const char *source)
{
	(void)journal;
	(void)model;
	(void)used_redis_ms;
	(void)source;
}

const char *journal_id(const struct journal *journal)
{
	(void)journal;
	return "";
}

size_t journal_receipts(struct journal *journal, struct receipt *out, size_t max)
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
 * 30 of a node's models are in use, always the same ones, and used 50 times from one beat to the
 * next. How many of them the agent then tells is its own affair.
 */
static void use_models(struct agent *agent)
{
	struct model *model = agent->inventory.models;
	struct mono now = clock_mono();

	for (size_t i = 0; i < USES_PER_BEAT; i++) {
		agent_use(agent, model, now, USE_API);
		model = (i + 1) % MODELS_USED == 0 ? agent->inventory.models : model->hh.next;
	}
}

/* As said_acknowledged does. */
static void acknowledge(const struct said *said, int64_t redis_now)
{
	for (size_t i = 0; i < said->use_count; i++) {
		struct model *model;

		HASH_FIND_STR(said->agent->inventory.models, said->uses[i].model, model);
		use_acknowledged(&model->use, redis_now, said->uses[i].age_ms, 0);
	}
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
	acknowledge(asked->said, strtoll(reply->element[1]->str, NULL, 10));
	said_free(asked->said);
	free(asked);
}

static void beat_once(struct run *run)
{
	struct agent *agent = run->agents[run->next];
	struct asked *asked = xcalloc(1, sizeof(*asked));

	use_models(agent);
	asked->run = run;
	asked->said = said_new(NULL, agent);
	message_beat(&run->args, asked->said, fleet_incarnation());
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

/* Returns the microseconds of Redis that one use cost. */
static double measure_beats(struct run *run)
{
	struct server_use before, after;
	size_t sent, answered;
	double seconds, cpu_ms;

	run->timer = event_new(daemon_base(run->daemon), -1, EV_PERSIST, on_timer, run);
	event_add(run->timer, &(struct timeval){.tv_usec = 1000000 / BEATS_PER_S});
	run->began_ns = bench_now_ns();
	loop_until(run, run->began_ns + WARM_MS * INT64_C(1000000));
	run->measuring = true;
	sent = run->sent;
	answered = run->answered;
	before = server_use(&run->server);
	run->phase_ns = bench_now_ns();
	loop_until(run, run->phase_ns + RUN_MS * INT64_C(1000000));
	after = server_use(&run->server);
	seconds = bench_ms_since(run->phase_ns) / 1000;
	run->measuring = false;
	answered = run->answered - answered;
	sent = run->sent - sent;
	if ((double)answered < 0.99 * BEATS_PER_S * seconds)
		bench_fail("only %zu of %zu beats were answered in %.1f s", answered, sent,
			   seconds);
	cpu_ms = after.cpu_ms - before.cpu_ms;
	bench_say("%.0f beats a second, %.0f uses a second, %.1f models touched in each beat",
		  (double)answered / seconds, (double)answered / seconds * USES_PER_BEAT,
		  (double)run->touches / (double)sent);
	if (run->touches == 0)
		bench_fail("no use was told");
	bench_figure("redis_core_percent", "%", cpu_ms / seconds / 10);
	bench_figure("p50_ms", "ms", bench_percentile(run->took_ms, run->took_count, 0.5));
	bench_figure("p99_ms", "ms", bench_percentile(run->took_ms, run->took_count, 0.99));
	event_del(run->timer);
	while (run->answered < run->sent)
		event_base_loop(daemon_base(run->daemon), EVLOOP_ONCE);
	return cpu_ms * 1000 / ((double)answered * USES_PER_BEAT);
}

/* What the agents were told is acknowledged must stand in Redis. */
static void check_scores(struct run *run)
{
	size_t checked = 0;

	for (size_t node = 0; node < run->fleet.nodes; node += 97) {
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
	bench_check("models used on the nodes that were looked at", (int64_t)checked,
		    (int64_t)(MODELS_USED * ((run->fleet.nodes + 96) / 97)));
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
	loop_until(run, bench_now_ns() + SINGLE_MS / 5 * INT64_C(1000000));
	run->answered = 0;
	before = server_use(&run->server);
	began = bench_now_ns();
	loop_until(run, began + SINGLE_MS * INT64_C(1000000));
	after = server_use(&run->server);
	cpu_ms = after.cpu_ms - before.cpu_ms;
	bench_say("one command per use: %.0f uses a second, Redis busy for %.0f %% of the time",
		  (double)run->answered / bench_ms_since(began) * 1000,
		  cpu_ms / bench_ms_since(began) * 100);
	return cpu_ms * 1000 / (double)run->answered;
}

int main(void)
{
	static struct run run = {.fleet = {.nodes = 10000, .models = 100}};
	double beats_us, single_us;

	bench_begin("beat", "a private Redis with 10,000 nodes of 100 models, 1,000 connections, "
			    "2,000 beats a second for 20 s, then one command per use; about a "
			    "minute");
	bench_raise_file_limit();
	server_start(&run.server, "larder");
	fleet_register(&run.fleet, &run.server);
	run.agents = xcalloc(run.fleet.nodes, sizeof(struct agent *));
	for (size_t i = 0; i < run.fleet.nodes; i++)
		run.agents[i] = agents_new(&run.fleet, i, &run.server, true);
	bench_quiet_log();
	log_setup("agent", LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	connect_all(&run);
	beats_us = measure_beats(&run);
	check_scores(&run);
	single_us = measure_single(&run);
	bench_compare("redis_us_per_use", "us", beats_us, single_us);
	server_stop(&run.server);
	return 0;
}
