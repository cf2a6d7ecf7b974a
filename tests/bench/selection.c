/*
 * Benchmark "selection": choosing what to evict among a million models. Larder's own cycle reads
 * 10,000 nodes and plans; the other way is SCAN, HGETALL and a sort over the same models, in a
 * Redis of its own.
 */
#include <stdlib.h>

#include "common/xmem.h"
#include "coordinator/leader.h"
#include "tests/bench/agents.h"
#include "tests/bench/bench.h"
#include "tests/bench/coord.h"
#include "tests/bench/fleet.h"
#include "tests/bench/rival.h"
#include "tests/bench/samples.h"

#define ROUNDS	      5
#define PACED_ROUNDS  10
#define IDLE_MS	      2000
#define PING_PAUSE_NS 200000
#define SMALL_NODES   500 /* with --small */

struct pass {
	struct cycle_result result;
	size_t victims;
	bool ended;
};

struct run {
	struct fleet fleet;
	size_t expired;
	struct server larder, other;
	struct coord *coord;
};

struct costs {
	double wall_ms[PACED_ROUNDS], cpu_ms[PACED_ROUNDS], bytes[PACED_ROUNDS];
	size_t rounds;
};

static void count_victims(const struct cluster *cluster, const struct limits *limits,
			  const struct plan *plan, void *arg)
{
	struct pass *pass = arg;

	(void)cluster;
	(void)limits;
	pass->victims += plan->victim_count;
}

static void note_end(struct cycle *cycle, void *arg)
{
	struct pass *pass = arg;

	(void)cycle;
	pass->ended = true;
}

static bool has_ended(void *arg)
{
	const struct pass *pass = arg;

	return pass->ended;
}

/* One acting cycle over all nodes that issues nothing. Returns the milliseconds it took. */
static double select_once(const struct run *run)
{
	struct pass pass = {.result = {.id = 1, .trigger = "demand", .act = true, .dry_run = true}};
	const struct cycle_hooks hooks = {.part = count_victims, .done = note_end, .arg = &pass};
	int64_t began = bench_now_ns(), nodes = (int64_t)run->fleet.nodes;
	struct cycle *cycle = cycle_new(&run->coord->c, &pass.result, NULL, 0, &hooks);
	double took_ms;

	cycle_begin(cycle);
	coord_run(run->coord, has_ended, &pass);
	took_ms = bench_ms_since(began);
	if (pass.result.stopped != NULL)
		bench_fail("the cycle stopped: %s", pass.result.stopped);
	bench_check("nodes read", (int64_t)pass.result.nodes, nodes);
	bench_check("live nodes", (int64_t)pass.result.live, nodes);
	bench_check("victims", (int64_t)pass.victims, (int64_t)run->expired);
	return took_ms;
}

static void add_cost(struct costs *costs, double wall_ms, struct server_use before,
		     struct server_use after)
{
	costs->wall_ms[costs->rounds] = wall_ms;
	costs->cpu_ms[costs->rounds] = after.cpu_ms - before.cpu_ms;
	costs->bytes[costs->rounds++] = after.bytes - before.bytes;
}

static void select_by_larder(struct run *run, struct costs *costs)
{
	struct server_use before = server_use(&run->larder);
	double took_ms = select_once(run);

	add_cost(costs, took_ms, before, server_use(&run->larder));
}

static void select_by_rival(struct run *run, struct costs *costs)
{
	struct server_use before = server_use(&run->other);
	int64_t began = bench_now_ns();
	size_t victims = rival_select(&run->other);

	add_cost(costs, bench_ms_since(began), before, server_use(&run->other));
	bench_check("victims of the other way", (int64_t)victims, (int64_t)run->expired);
}

static double median(double *values, const struct costs *costs)
{
	return bench_median(values, costs->rounds);
}

static void measure_unpaced(struct run *run)
{
	struct costs ours = {0}, theirs = {0};

	coord_pace(false);
	for (int i = 0; i < ROUNDS; i++) {
		select_by_larder(run, &ours);
		select_by_rival(run, &theirs);
		bench_say("round %d: %.1f ms and %.0f ms", i + 1, ours.wall_ms[i],
			  theirs.wall_ms[i]);
	}
	bench_compare("wall_ms", "ms", median(ours.wall_ms, &ours),
		      median(theirs.wall_ms, &theirs));
	bench_compare("redis_cpu_ms", "ms", median(ours.cpu_ms, &ours),
		      median(theirs.cpu_ms, &theirs));
	bench_compare("bytes", "B", median(ours.bytes, &ours), median(theirs.bytes, &theirs));
}

/* Another user of the same Redis. */
static int ping(void *arg)
{
	redisReply *reply = redisCommand(arg, "PING");

	if (reply == NULL)
		return -1;
	freeReplyObject(reply);
	return 0;
}

static void measure_paced(struct run *run)
{
	redisContext *redis = server_connect(&run->larder);
	struct samples *bystander = samples_start(ping, redis, PING_PAUSE_NS);
	int64_t idle_from = bench_now_ns(), swept_from;
	struct costs costs = {0};

	coord_pace(true);
	bench_sleep_ms(bench_small() ? 100 : IDLE_MS);
	swept_from = bench_now_ns();
	for (int i = 0; i < PACED_ROUNDS; i++)
		select_by_larder(run, &costs);
	bench_figure("paced_wall_ms", "ms", median(costs.wall_ms, &costs));
	bench_figure("bystander_p99_ms", "ms",
		     samples_percentile(bystander, swept_from, bench_now_ns(), 0.99));
	bench_figure("bystander_idle_p99_ms", "ms",
		     samples_percentile(bystander, idle_from, swept_from, 0.99));
	samples_stop(bystander);
	redisFree(redis);
}

int main(int argc, char **argv)
{
	struct run run = {.fleet = {.nodes = 10000, .models = 100, .expired_permille = 10}};

	bench_begin(argc, argv, "selection",
		    "two private Redis servers with 1,000,000 models, 1 % of them not used for "
		    "more than 7 days: sorted sets of 10,000 nodes for Larder, a hash per model "
		    "for the other way; about a minute");
	if (bench_small())
		run.fleet.nodes = SMALL_NODES;
	server_start(&run.larder, "larder");
	server_start(&run.other, "other");
	agents_register(&run.fleet, &run.larder, NULL);
	rival_register(&run.fleet, &run.other);
	run.expired = fleet_expired(&run.fleet);
	bench_say("%zu victims; memory %.0f MiB and %.0f MiB", run.expired,
		  server_info(&run.larder, "memory", "used_memory") / 1048576,
		  server_info(&run.other, "memory", "used_memory") / 1048576);
	bench_quiet_log();
	run.coord = coord_start(&run.larder);
	coord_pace(false);
	select_once(&run);
	measure_unpaced(&run);
	measure_paced(&run);
	coord_free(run.coord);
	server_stop(&run.larder);
	server_stop(&run.other);
	return 0;
}
