/*
 * Benchmark "footprint": resident memory of the real daemons. A coordinator with 10,000 nodes, and
 * the Redis with their million models; an agent with 1,000 models and 100,000 files, in a Hugging
 * Face cache and in plain directories.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/agents.h"
#include "tests/bench/bench.h"
#include "tests/bench/caches.h"
#include "tests/bench/fleet.h"

#define WAIT_MS	     120000
#define LOOK_MS	     100
#define CYCLES	     5
#define SETTLE_MS    3000 /* Redis shrinks a client's buffers by then */
#define SCANS_MS     6000 /* the agent scans some more times */
#define MIB	     1048576.0
#define AGENT_MODELS 1000
#define AGENT_FILES  100 /* of a model */

struct daemon_run {
	char log[180];
	pid_t pid;
};

/* How many lines of the log hold these words. */
static int count_lines(const struct daemon_run *run, const char *words)
{
	FILE *file = fopen(run->log, "re");
	char line[4096];
	int count = 0;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		count += strstr(line, words) != NULL;
	if (file != NULL)
		fclose(file);
	return count;
}

static void wait_lines(const struct daemon_run *run, const char *words, int count)
{
	int64_t began = bench_now_ns();

	while (count_lines(run, words) < count) {
		bench_status_kib(run->pid, "VmRSS:"); /* fails when it has ended */
		if (bench_ms_since(began) > WAIT_MS)
			bench_fail("%s does not say \"%s\"", run->log, words);
		bench_sleep_ms(LOOK_MS);
	}
}

static void say_memory(const char *metric, pid_t pid, const char *field)
{
	bench_figure(metric, "MiB", (double)bench_status_kib(pid, field) / 1024);
}

static void start(struct daemon_run *run, const char *program, const char *name,
		  const char *const *env)
{
	snprintf(run->log, sizeof(run->log), "%.100s/%s.log", bench_dir(), name);
	run->pid = bench_spawn((const char *const[]){program, NULL}, env, run->log);
}

/* ---- Redis and the coordinator ---- */

static void measure_redis(struct server *server)
{
	redisFree(server->redis); /* with the buffers of the registration */
	server->redis = server_connect(server);
	bench_sleep_ms(bench_small() ? 0 : SETTLE_MS);
	bench_figure("redis_mib", "MiB", server_info(server, "memory", "used_memory") / MIB);
	say_memory("redis_rss_mib", server->pid, "VmRSS:");
}

static void measure_coordinator(const struct server *server, size_t nodes)
{
	struct daemon_run run;
	char url[160], words[64];

	snprintf(url, sizeof(url), "LARDER_REDIS_URL=%s", server->url);
	/* The made-up nodes beat once; what is issued to them stays open. */
	start(&run, LARDER_COORDINATOR, "coordinator",
	      (const char *const[]){url, "LARDER_HTTP_LISTEN=127.0.0.1:0", "LARDER_HOLD_OFF=0s",
				    "LARDER_CHECK_INTERVAL=1s", "LARDER_NODE_TIMEOUT=1d", NULL});
	wait_lines(&run, "event=+leader", 1);
	wait_lines(&run, "event=+evict-sent", 1);
	/* Those after the first have nothing left to issue, so they end. */
	snprintf(words, sizeof(words), " nodes=%zu live=%zu ", nodes, nodes);
	wait_lines(&run, words, bench_small() ? 1 : CYCLES);
	say_memory("coordinator_rss_mib", run.pid, "VmRSS:");
	say_memory("coordinator_peak_mib", run.pid, "VmHWM:");
	bench_end(run.pid);
}

/* ---- the agent ---- */

static void measure_agent(const struct server *server, const char *layout, const char *metric,
			  size_t models)
{
	struct daemon_run run;
	char url[160], roots[300], state[160], words[64];

	snprintf(url, sizeof(url), "LARDER_REDIS_URL=%s", server->url);
	snprintf(state, sizeof(state), "LARDER_STATE_DIR=%.100s/state-%s", bench_dir(), layout);
	snprintf(roots, sizeof(roots),
		 "LARDER_ROOTS=[{\"path\": \"%.100s/%s\", \"layout\": \"%s\", "
		 "\"settle_time\": \"0s\"}]",
		 bench_dir(), layout, layout);
	start(&run, LARDER_AGENT, layout,
	      (const char *const[]){url, state, roots, "LARDER_NODE_NAME=bench",
				    "LARDER_HTTP_LISTEN=127.0.0.1:0", "LARDER_SCAN_INTERVAL=1s",
				    NULL});
	snprintf(words, sizeof(words), "event=+registered models=%zu", models);
	wait_lines(&run, words, 1);
	bench_sleep_ms(bench_small() ? 500 : SCANS_MS);
	bench_check("models that are DOWNLOADED", count_lines(&run, "status=DOWNLOADED"),
		    (int64_t)models);
	say_memory(metric, run.pid, "VmRSS:");
	bench_end(run.pid);
}

static void make_caches(size_t models)
{
	struct caches_shape shape = {.models = models,
				     .folders = 1,
				     .files = AGENT_FILES,
				     .bytes = 4096,
				     .by_chance = true};
	char path[160];

	snprintf(path, sizeof(path), "%.100s/huggingface", bench_dir());
	caches_make_huggingface(path, models, AGENT_FILES);
	snprintf(path, sizeof(path), "%.100s/directory", bench_dir());
	caches_make_directory(path, &shape);
}

int main(int argc, char **argv)
{
	struct fleet fleet = {.nodes = 10000, .models = 100, .expired_permille = 10};
	size_t models = AGENT_MODELS;
	struct server server;

	bench_begin(argc, argv, "footprint",
		    "a private Redis with 10,000 nodes of 100 models, a coordinator, and an agent "
		    "with 1,000 models of 100 files each in a Hugging Face cache and in plain "
		    "directories; one to three minutes");
	if (bench_small()) {
		fleet.nodes = 100;
		models = 10;
	}
	server_start(&server, "larder");
	agents_register(&fleet, &server, NULL);
	measure_redis(&server);
	measure_coordinator(&server, fleet.nodes);
	make_caches(models);
	measure_agent(&server, "huggingface", "agent_rss_mib", models);
	measure_agent(&server, "directory", "agent_rss_directory_mib", models);
	server_stop(&server);
	return 0;
}
