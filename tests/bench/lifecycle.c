/*
 * Benchmark "lifecycle": from the coordinator's decision to the receipt in the audit trail, with a
 * thousand agents. First one command at a time, for the latency; then whole cycles that evict some
 * 10,000 models at once, for the throughput.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"
#include "coordinator/cycles.h"
#include "coordinator/issue.h"
#include "coordinator/ledger.h"
#include "tests/bench/bench.h"
#include "tests/bench/coord.h"
#include "tests/bench/crowd.h"

#define NODES	       1000
#define MODELS	       100
#define COMMANDS_PER_S 1000
#define PER_NODE       10 /* single commands: ten seconds */
#define BURSTS	       3
#define LEAST_BURST    8 /* models of a node in one cycle, on average */
/* with --small */
#define SMALL_NODES	     50
#define SMALL_COMMANDS_PER_S 100
#define SMALL_PER_NODE	     1

struct run {
	struct fleet fleet;
	struct server server;
	struct coord *coord;
	struct crowd *crowd;
	char incarnations[NODES][17];

	/* single commands */
	struct youngest {
		size_t model;
		int64_t last_used_ms;
	} youngest[NODES][PER_NODE];
	size_t per_node, commands_per_s;
	int64_t began_ns;
	size_t sent, issued, wanted;
	struct event *timer;

	/* bursts */
	size_t acked_before;
	double acked_ms; /* 0: not all are */
	double acked_per_s[BURSTS], archived_per_s[BURSTS], cpu_us[BURSTS];
};

/* ---- single commands ---- */

static const struct fleet *ages_of;
static size_t ages_node;

static int youngest_first(const void *a, const void *b)
{
	int64_t left = fleet_age_ms(ages_of, ages_node, *(const size_t *)a);
	int64_t right = fleet_age_ms(ages_of, ages_node, *(const size_t *)b);

	return (left > right) - (left < right);
}

/* Those that no burst takes. */
static void choose_youngest(struct run *run, size_t node)
{
	char name[FLEET_NODE_SIZE], model[FLEET_MODEL_SIZE];
	size_t order[MODELS];
	redisReply *reply;

	ages_of = &run->fleet;
	ages_node = node;
	for (size_t i = 0; i < MODELS; i++)
		order[i] = i;
	qsort(order, MODELS, sizeof(order[0]), youngest_first);
	fleet_node(node, name);
	reply = server_ask(&run->server, "HGET larder:{%s} inc", name);
	snprintf(run->incarnations[node], sizeof(run->incarnations[node]), "%s", reply->str);
	freeReplyObject(reply);
	for (size_t i = 0; i < run->per_node; i++) {
		fleet_model(node, order[i], model);
		reply = server_ask(&run->server, "ZSCORE larder:{%s}:lru %s", name, model);
		if (reply->type != REDIS_REPLY_STRING)
			bench_fail("%s is not on %s", model, name);
		run->youngest[node][i] = (struct youngest){order[i], strtoll(reply->str, NULL, 10)};
		freeReplyObject(reply);
	}
}

static void on_issued(struct issue_batch *batch, void *arg)
{
	struct run *run = arg;

	if (strcmp(batch->items[0].outcome, "issued") != 0)
		bench_fail("a command was not issued: %s", batch->items[0].outcome);
	run->issued++;
}

static void issue_one(struct run *run, size_t node, const struct youngest *youngest)
{
	char name[FLEET_NODE_SIZE], model[FLEET_MODEL_SIZE];
	struct issue_batch *batch;

	fleet_node(node, name);
	fleet_model(node, youngest->model, model);
	batch = issue_batch_new(&run->coord->c, name, run->incarnations[node],
				cycles_next_id(run->coord->c.cycles));
	issue_batch_add(batch, model, youngest->last_used_ms, REASON_TIME_THRESHOLD, false);
	batch->done = on_issued;
	batch->arg = run;
	atomic_store(&run->crowd->issued_ns[node], bench_now_ns());
	issue_send(batch);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;

	(void)fd;
	(void)what;
	while (run->sent < run->wanted && (double)run->sent < bench_ms_since(run->began_ns) / 1000 *
								      (double)run->commands_per_s) {
		size_t node = run->sent % run->fleet.nodes, round = run->sent / run->fleet.nodes;

		/* Its last command has not been heard for a second: that counts, and is waited for.
		 */
		if (atomic_load(&run->crowd->issued_ns[node]) != 0)
			break;
		issue_one(run, node, &run->youngest[node][round]);
		run->sent++;
	}
}

static bool all_archived(void *arg)
{
	const struct run *run = arg;

	return run->issued == run->wanted && ledger_count(run->coord->c.ledger) == 0 &&
	       redis_link_pending(run->coord->c.link) == 0;
}

static int64_t trail_length(struct run *run)
{
	redisReply *reply = server_ask(&run->server, "XINFO STREAM larder:log");
	int64_t added = -1;

	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		if (strcmp(reply->element[i]->str, "entries-added") == 0)
			added = reply->element[i + 1]->integer;
	}
	freeReplyObject(reply);
	return added;
}

static void measure_single(struct run *run)
{
	struct server_use before = server_use(&run->server), after;
	struct event_base *base = daemon_base(run->coord->c.daemon);
	size_t heard;

	run->wanted = run->fleet.nodes * run->per_node;
	run->began_ns = bench_now_ns();
	run->timer = event_new(base, -1, EV_PERSIST, on_timer, run);
	event_add(run->timer,
		  &(struct timeval){.tv_usec = (suseconds_t)(1000000 / run->commands_per_s)});
	coord_run(run->coord, all_archived, run);
	event_del(run->timer);
	after = server_use(&run->server);
	heard = atomic_load(&run->crowd->heard);
	bench_check("commands heard", (int64_t)heard, (int64_t)run->wanted);
	bench_check("receipts taken", (int64_t)atomic_load(&run->crowd->acked),
		    (int64_t)run->wanted);
	bench_figure("latency_p50_ms", "ms", bench_percentile(run->crowd->heard_ms, heard, 0.5));
	bench_figure("latency_p99_ms", "ms", bench_percentile(run->crowd->heard_ms, heard, 0.99));
	bench_figure("redis_us_per_single_eviction", "us",
		     (after.cpu_ms - before.cpu_ms) * 1000 / (double)heard);
}

/* ---- bursts ---- */

static bool cycle_over(void *arg)
{
	struct run *run = arg;
	const struct cycle_result *r = cycles_result(run->coord->c.cycles, 0);
	size_t acked = atomic_load(&run->crowd->acked) - run->acked_before;

	if (r == NULL || r->id < run->wanted)
		return false; /* still being read and issued */
	if (run->acked_ms == 0 && acked >= r->issued)
		run->acked_ms = bench_ms_since(run->began_ns);
	return run->acked_ms != 0 && r->ended && redis_link_pending(run->coord->c.link) == 0;
}

static void measure_burst(struct run *run, int round)
{
	struct cycles *cycles = run->coord->c.cycles;
	struct server_use before = server_use(&run->server);
	const struct cycle_result *r;
	double archived_ms, evicted;

	/* What was used least recently of what is left. */
	run->coord->c.options.policy.unused_threshold_ms =
		FLEET_THRESHOLD_MS - round * (FLEET_THRESHOLD_MS / 9);
	run->acked_before = atomic_load(&run->crowd->acked);
	run->acked_ms = 0;
	run->wanted = cycles_next_id(cycles);
	run->began_ns = bench_now_ns();
	cycles_demand(cycles);
	cycles_tick(cycles);
	coord_run(run->coord, cycle_over, run);
	archived_ms = bench_ms_since(run->began_ns);
	r = cycles_result(cycles, 0);
	evicted = (double)r->evicted[REASON_TIME_THRESHOLD];
	if (r->stopped != NULL || r->issued < LEAST_BURST * run->fleet.nodes)
		bench_fail("the cycle issued %zu: %s", r->issued,
			   r->stopped != NULL ? r->stopped : "too few to measure");
	bench_check("commands issued", (int64_t)r->issued,
		    (int64_t)r->planned[REASON_TIME_THRESHOLD]);
	bench_check("models evicted", (int64_t)evicted, (int64_t)r->issued);
	bench_check("receipts taken",
		    (int64_t)(atomic_load(&run->crowd->acked) - run->acked_before),
		    (int64_t)r->issued);
	run->acked_per_s[round] = evicted / run->acked_ms * 1000;
	run->archived_per_s[round] = evicted / archived_ms * 1000;
	run->cpu_us[round] = (server_use(&run->server).cpu_ms - before.cpu_ms) * 1000 / evicted;
	bench_say("%.0f evictions: decided and issued in %lld ms, acknowledged in %.0f ms, in the "
		  "audit trail in %.0f ms",
		  evicted, (long long)r->read_ms, run->acked_ms, archived_ms);
}

int main(int argc, char **argv)
{
	static struct run run = {
		.fleet = {.nodes = NODES, .models = MODELS, .expired_permille = 100},
		.per_node = PER_NODE,
		.commands_per_s = COMMANDS_PER_S,
	};

	bench_begin(argc, argv, "lifecycle",
		    "a private Redis, 1,000 agents without disks in one process, a coordinator; "
		    "10,000 single commands in 10 s, then cycles that evict about 10,000 models "
		    "each; about a minute");
	if (bench_small()) {
		run.fleet.nodes = SMALL_NODES;
		run.per_node = SMALL_PER_NODE;
		run.commands_per_s = SMALL_COMMANDS_PER_S;
	}
	server_start(&run.server, "larder");
	run.crowd = crowd_start(&run.fleet, &run.server);
	for (size_t node = 0; node < run.fleet.nodes; node++)
		choose_youngest(&run, node);
	bench_quiet_log();
	run.coord = coord_start(&run.server);
	measure_single(&run);
	bench_check("entries of the audit trail", trail_length(&run),
		    (int64_t)(run.fleet.nodes * run.per_node));
	for (int i = 0; i < BURSTS; i++)
		measure_burst(&run, i);
	bench_figure("acked_per_s", "1/s", bench_median(run.acked_per_s, BURSTS));
	bench_figure("archived_per_s", "1/s", bench_median(run.archived_per_s, BURSTS));
	bench_figure("redis_us_per_eviction", "us", bench_median(run.cpu_us, BURSTS));
	coord_free(run.coord);
	server_stop(&run.server);
	return 0;
}
