/*
 * Benchmark "use": what it costs to see files being opened. A real agent watches a cache of 1,000
 * models while other processes open its files by their snapshots' links, 100,000 times a second,
 * now of this model and now of that. Then every other batch is of a cache that nobody watches: the
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
#include "tests/bench/server.h"

#define MODELS	    1000
#define FILES	    10
#define OPENERS	    2
#define OPENS_PER_S 100000 /* of all openers */
#define BATCH	    50
#define COMPARED    4 /* one of so many batches is repeated where nobody watches */
#define COMPARE_MS  20000
#define WARM_MS	    15000 /* one scan and more */
#define SMALL_MS    2000  /* instead of each of these times */
#define SECONDS	    60	  /* LARDER_BENCH_USE_SECONDS: more of them */
#define START_MS    60000

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

static pid_t start_agent(struct server *server, const char *hub)
{
	char program[512], config[200], log[200];
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
		" \"scan_interval\": \"10s\", \"roots\": [{\"path\": \"%s\", \"layout\": "
		"\"huggingface\","
		" \"settle_time\": \"0s\"}]}\n",
		bench_dir(), server->url, hub);
	fclose(file);
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

static int64_t seconds(void)
{
	const char *text = getenv("LARDER_BENCH_USE_SECONDS");

	if (bench_small())
		return SMALL_MS / 1000;
	return text != NULL ? strtoll(text, NULL, 10) : SECONDS;
}

static void measure_agent(struct server *server, const struct load *load, pid_t agent)
{
	struct totals began, ended;
	clockid_t clock;
	int64_t kib, wall_ns;

	if (clock_getcpuclockid(agent, &clock) != 0)
		bench_fail("no clock of the agent");
	kib = bench_status_kib(agent, "VmRSS:");
	began = take(load, clock);
	bench_sleep_ms(seconds() * 1000);
	ended = take(load, clock);
	/* Everything was really seen: some beats ago each model was used a moment before. */
	bench_check("models known to be in use", used_since(server, redis_now_ms(server) - 8000),
		    MODELS);
	wall_ns = ended.wall_ns - began.wall_ns;
	bench_figure("opens_per_s", "1/s",
		     (double)(ended.opens[0] - began.opens[0]) * 1e9 / (double)wall_ns);
	bench_figure("watch_core_percent", "%",
		     (double)(ended.agent_ns - began.agent_ns) * 100 / (double)wall_ns);
	bench_figure("watch_memory_growth_kib", "KiB",
		     (double)(bench_status_kib(agent, "VmRSS:") - kib));
	bench_figure("watch_memory_kib", "KiB", (double)bench_status_kib(agent, "VmRSS:"));
}

static void measure_openers(struct load *load)
{
	struct totals began, ended;

	load->shared->compare = true;
	bench_sleep_ms(1000);
	began = take(load, CLOCK_MONOTONIC);
	bench_sleep_ms(bench_small() ? SMALL_MS : COMPARE_MS);
	ended = take(load, CLOCK_MONOTONIC);
	bench_figure("open_us", "us", cost_us(&began, &ended, 1));
	bench_figure("open_extra_us", "us",
		     cost_us(&began, &ended, 0) - cost_us(&began, &ended, 1));
}

static void measure_watch(struct server *server, const char *const hubs[2])
{
	pid_t agent = start_agent(server, hubs[0]);
	struct load load;

	start_load(&load, hubs);
	bench_sleep_ms(bench_small() ? SMALL_MS : WARM_MS);
	measure_agent(server, &load, agent);
	measure_openers(&load);
	stop_load(&load);
	bench_end(agent);
}

int main(int argc, char **argv)
{
	char watched[160], other[160];
	struct server server;

	bench_begin(argc, argv, "use",
		    "an agent that watches 1,000 models of which 100,000 files a second are "
		    "opened; two minutes");
	snprintf(watched, sizeof(watched), "%.100s/watched", bench_dir());
	snprintf(other, sizeof(other), "%.100s/other", bench_dir());
	caches_make_huggingface(watched, MODELS, FILES);
	caches_make_huggingface(other, MODELS, FILES);
	server_start(&server, "redis");
	measure_watch(&server, (const char *const[]){watched, other});
	server_stop(&server);
	return 0;
}
