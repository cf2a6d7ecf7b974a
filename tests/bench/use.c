/*
 * Benchmark "use": what it costs to know what is in use. A real agent watches a cache of 1,000
 * models and asks 50 engines, stand-ins in a process of their own, what they serve. After a while
 * other processes open files of the cache by their snapshots' links, 100,000 times a second, now of
 * this model and now of that. Then every other batch is of a cache that nobody watches: the
 * difference is what each opener pays.
 */
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/caches.h"
#include "tests/bench/engines.h"
#include "tests/bench/server.h"

#define MODELS	    1000
#define FILES	    10
#define OPENERS	    2
#define OPENS_PER_S 100000 /* of all openers */
#define BATCH	    50
#define LEAST_OPENS 0.95 /* of them must have been made */
#define ENGINES	    50
#define PROBE_S	    15	  /* the default of probe_interval */
#define PROBES_MS   60000 /* without any opens */
#define WARM_MS	    15000 /* one scan and more */
#define OPENS_MS    360000
#define COMPARE_MS  20000
#define SMALL_MS    2000 /* instead of each of these times */
#define TOLD_MS	    20000
#define START_MS    60000
#define GROWTH_KIB  1024 /* memory that grows by more is not flat */

/* What one opener has done and paid so far: [0] in the watched cache, [1] in the other. */
struct opener {
	_Atomic int64_t opens[2], cpu_ns[2];
};

struct shared {
	_Atomic bool compare; /* every other batch is in the other cache */
	struct opener openers[OPENERS];
};

struct load {
	pid_t pids[OPENERS];
	struct shared *shared; /* with them */
};

/* ---- opening ---- */

static int64_t cpu_ns(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) != 0)
		bench_fail("no clock of the CPU time");
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void find_files(const char *hub, glob_t *found)
{
	char pattern[256];

	snprintf(pattern, sizeof(pattern), "%s/*/snapshots/*/*", hub);
	if (glob(pattern, GLOB_NOSORT, NULL, found) != 0)
		bench_fail("%s: no files", hub);
	bench_check("files to open", (int64_t)found->gl_pathc, MODELS * FILES);
}

static void open_batch(const glob_t *files, uint64_t *state)
{
	for (int i = 0; i < BATCH; i++) {
		int fd = open(files->gl_pathv[bench_random(state) % files->gl_pathc],
			      O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			bench_fail("a file cannot be opened");
		close(fd);
	}
}

/* For ever; it ends with the benchmark. */
static void run_opener(struct shared *shared, int index, const glob_t files[2])
{
	struct opener *me = &shared->openers[index];
	uint64_t seed = (uint64_t)index + 1;
	const int64_t step_ns = INT64_C(1000000000) * BATCH * OPENERS / OPENS_PER_S;
	int64_t due = bench_now_ns();

	for (unsigned turn = 0;; turn++) {
		int which = shared->compare ? turn % 2 : 0;
		int64_t began = cpu_ns(CLOCK_THREAD_CPUTIME_ID);

		open_batch(&files[which], &seed);
		me->cpu_ns[which] += cpu_ns(CLOCK_THREAD_CPUTIME_ID) - began;
		me->opens[which] += BATCH;
		due += step_ns;
		if (due > bench_now_ns())
			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
					&(struct timespec){.tv_sec = due / 1000000000,
							   .tv_nsec = due % 1000000000},
					NULL);
	}
}

static void start_load(struct load *load, const char *const hubs[2])
{
	glob_t files[2];

	load->shared = bench_share(sizeof(*load->shared));
	for (int i = 0; i < 2; i++)
		find_files(hubs[i], &files[i]);
	for (int i = 0; i < OPENERS; i++) {
		load->pids[i] = bench_fork();
		if (load->pids[i] == 0)
			run_opener(load->shared, i, files);
	}
	for (int i = 0; i < 2; i++)
		globfree(&files[i]);
}

static void stop_load(struct load *load)
{
	for (int i = 0; i < OPENERS; i++)
		bench_end(load->pids[i]);
}

/* ---- the agent ---- */

static int64_t lasting_ms(int64_t ms)
{
	return bench_small() ? SMALL_MS : ms;
}

static pid_t start_agent(struct server *server, const char *hub, const struct engines *engines)
{
	char program[512], config[200], log[200], *asked = engines_setting(engines);
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 32);
	FILE *file;
	pid_t pid;

	if (len < 0)
		bench_fail("/proc is needed");
	program[len] = '\0';
	strcpy(strrchr(program, '/'), "/larder-agent"); /* NOLINT: room was left for it */
	snprintf(config, sizeof(config), "%.100s/agent.json", bench_dir());
	snprintf(log, sizeof(log), "%.100s/agent.log", bench_dir());
	file = fopen(config, "we");
	if (file == NULL)
		bench_fail("%s cannot be written", config);
	fprintf(file,
		"{\"node_name\": \"bench\", \"state_dir\": \"%s\", \"redis\": {\"url\": \"%s\"},"
		" \"http\": {\"listen\": \"127.0.0.1:0\"}, \"watch\": \"inotify\","
		" \"scan_interval\": \"10s\", \"probe_interval\": %d, \"engines\": %s, \"roots\": "
		"[{\"path\": \"%s\", \"layout\": \"huggingface\", \"settle_time\": \"0s\"}]}\n",
		bench_dir(), server->url, bench_small() ? 1 : PROBE_S, asked, hub);
	fclose(file);
	free(asked);
	pid = bench_spawn((const char *const[]){program, "--config", config, NULL}, NULL, log);
	for (int64_t began = bench_now_ns(), found = 0; found < MODELS; bench_sleep_ms(50)) {
		redisReply *reply = server_ask(server, "ZCARD larder:{bench}:lru");

		found = reply->integer;
		freeReplyObject(reply);
		if (bench_ms_since(began) > START_MS)
			bench_fail("the agent finds %" PRId64 " models, see %s", found, log);
	}
	return pid;
}

/* Of the models that Redis knows, how many were used since then? */
static int64_t used_since(struct server *server, int64_t redis_ms)
{
	redisReply *reply =
		server_ask(server, "ZCOUNT larder:{bench}:lru %" PRId64 " +inf", redis_ms);
	int64_t count = reply->integer;

	freeReplyObject(reply);
	return count;
}

static int64_t redis_now_ms(struct server *server)
{
	redisReply *reply = server_ask(server, "TIME");
	int64_t ms = strtoll(reply->element[0]->str, NULL, 10) * 1000 +
		     strtoll(reply->element[1]->str, NULL, 10) / 1000;

	freeReplyObject(reply);
	return ms;
}

/* ---- measuring ---- */

struct totals {
	int64_t opens[2], cpu_ns[2], agent_ns, wall_ns;
};

static struct totals take(const struct load *load, clockid_t agent)
{
	struct totals t = {.agent_ns = cpu_ns(agent), .wall_ns = bench_now_ns()};

	for (int i = 0; i < OPENERS; i++) {
		for (int j = 0; j < 2; j++) {
			t.opens[j] += load->shared->openers[i].opens[j];
			t.cpu_ns[j] += load->shared->openers[i].cpu_ns[j];
		}
	}
	return t;
}

static double cost_us(const struct totals *a, const struct totals *b, int which)
{
	return (double)(b->cpu_ns[which] - a->cpu_ns[which]) /
	       (double)(b->opens[which] - a->opens[which]) / 1000;
}

static clockid_t clock_of(pid_t pid)
{
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0)
		bench_fail("no clock of the agent");
	return clock;
}

/* What the engines serve is known, and told. */
static void wait_held(struct server *server)
{
	int64_t held = 0;

	for (int64_t began = bench_now_ns(); held != ENGINES; bench_sleep_ms(100)) {
		redisReply *reply = server_ask(server, "ZCARD larder:{bench}:hold");

		held = reply->integer;
		freeReplyObject(reply);
		if (bench_ms_since(began) > START_MS)
			bench_fail("%" PRId64 " models are held, but %d are served", held, ENGINES);
	}
}

/*
 * Everything was really seen. A model in constant use is told of in every third beat, of which
 * there is one in 5 s.
 */
static void wait_used(struct server *server)
{
	int64_t used = 0;

	for (int64_t began = bench_now_ns(); used != MODELS; bench_sleep_ms(100)) {
		used = used_since(server, redis_now_ms(server) - TOLD_MS);
		if (bench_ms_since(began) > START_MS)
			bench_fail("%" PRId64 " models are known to be in use, but %d are", used,
				   MODELS);
	}
}

/* Nobody opens anything: what the agent takes is for the engines, its beats and its scans. */
static void measure_probes(const struct engines *engines, pid_t agent)
{
	clockid_t clock = clock_of(agent);
	int64_t began = bench_now_ns(), cpu = cpu_ns(clock);
	size_t answers = engines_least_answers(engines);
	double wall_ms;

	bench_sleep_ms(lasting_ms(PROBES_MS));
	wall_ms = bench_ms_since(began);
	cpu = cpu_ns(clock) - cpu;
	if (engines_least_answers(engines) == answers)
		bench_fail("an engine was not asked");
	bench_figure("probe_core_percent", "%", (double)cpu / 1e4 / wall_ms);
}

static void measure_agent(struct server *server, const struct load *load, pid_t agent)
{
	clockid_t clock = clock_of(agent);
	int64_t kib = bench_status_kib(agent, "VmRSS:"), wall_ns;
	struct totals began = take(load, clock), ended;
	double opens_per_s;

	bench_sleep_ms(lasting_ms(OPENS_MS));
	ended = take(load, clock);
	wait_used(server);
	wall_ns = ended.wall_ns - began.wall_ns;
	opens_per_s = (double)(ended.opens[0] - began.opens[0]) * 1e9 / (double)wall_ns;
	bench_figure("opens_per_s", "1/s", opens_per_s);
	if (opens_per_s < LEAST_OPENS * OPENS_PER_S && !bench_small())
		bench_fail("that are too few: the machine is too slow, or busy");
	bench_figure("watch_core_percent", "%",
		     (double)(ended.agent_ns - began.agent_ns) * 100 / (double)wall_ns);
	kib = bench_status_kib(agent, "VmRSS:") - kib;
	bench_say("memory grew by %" PRId64 " KiB in %" PRId64 " s, to %" PRId64 " KiB", kib,
		  wall_ns / 1000000000, bench_status_kib(agent, "VmRSS:"));
	bench_figure("memory_growth_kib", "KiB", (double)kib);
	bench_figure("memory_growth_s", "s", (double)wall_ns / 1e9);
	if (kib > GROWTH_KIB && !bench_small())
		bench_fail("that is not flat");
}

static void measure_openers(struct load *load)
{
	struct totals began, ended;

	load->shared->compare = true;
	bench_sleep_ms(1000);
	began = take(load, CLOCK_MONOTONIC);
	bench_sleep_ms(lasting_ms(COMPARE_MS));
	ended = take(load, CLOCK_MONOTONIC);
	bench_figure("open_us", "us", cost_us(&began, &ended, 1));
	bench_figure("open_extra_us", "us",
		     cost_us(&began, &ended, 0) - cost_us(&began, &ended, 1));
}

static void measure(struct server *server, const char *const hubs[2])
{
	struct engines engines;
	struct load load;
	pid_t agent;

	engines_start(&engines, hubs[0], ENGINES);
	agent = start_agent(server, hubs[0], &engines);
	wait_held(server);
	bench_sleep_ms(lasting_ms(WARM_MS));
	measure_probes(&engines, agent);
	start_load(&load, hubs);
	bench_sleep_ms(lasting_ms(WARM_MS));
	measure_agent(server, &load, agent);
	measure_openers(&load);
	stop_load(&load);
	bench_end(agent);
	engines_stop(&engines);
}

int main(int argc, char **argv)
{
	char watched[160], other[160];
	struct server server;

	bench_begin(
		argc, argv, "use",
		"an agent that watches 1,000 models of 10 files and asks 50 engines every 15 s, "
		"for a minute; then 100,000 files a second are opened, for six minutes; then "
		"every other batch where nobody watches; eight minutes");
	snprintf(watched, sizeof(watched), "%.100s/watched", bench_dir());
	snprintf(other, sizeof(other), "%.100s/other", bench_dir());
	caches_make_huggingface(watched, MODELS, FILES);
	caches_make_huggingface(other, MODELS, FILES);
	server_start(&server, "redis");
	measure(&server, (const char *const[]){watched, other});
	server_stop(&server);
	return 0;
}
