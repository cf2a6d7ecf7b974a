/*
 * Benchmark "delete": how a model goes, by the agent's own worker and reaper, against `rm -rf`:
 * when its name is gone, when its bytes are back, and how long another reader of the disk waits
 * meanwhile. A tree of 100,000 small files and one of 40 big ones, cold, as what was not used for
 * long is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/journal.h"
#include "agent/worker.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/setting.h"
#include "common/xmem.h"
#include "tests/bench/bench.h"
#include "tests/bench/caches.h"
#include "tests/bench/samples.h"

#define ROUNDS	      3
#define IDLE_MS	      3000
#define TAIL_MS	      1000 /* a file system may free blocks after it has answered */
#define LIMIT_MS      120000
#define LOOK_NS	      200000
#define READ_BYTES    4096
#define READ_PAUSE_NS 2000000
#define MIB	      (INT64_C(1) << 20)
#define BIG_FILES     40
#define BIG_BYTES     (256 * MIB)
/* What was freed counts as back when this much of it can be seen: others write to the disk too. */
#define BACK 0.95

struct reader {
	int fd;
	int64_t blocks;
	uint64_t chance;
	void *buffer;
};

struct way {
	double gone_ms[ROUNDS], back_ms[ROUNDS], p99_ms[ROUNDS];
};

struct run {
	char cache[160], model[200];
	struct reader reader;
	struct samples *samples;
	struct journal *journal;
	struct event_base *base;
};

/* ---- another reader of the same disk ---- */

static int read_once(void *arg)
{
	struct reader *reader = arg;
	off_t at = (off_t)(bench_random(&reader->chance) % (uint64_t)reader->blocks) * READ_BYTES;

	return pread(reader->fd, reader->buffer, READ_BYTES, at) == READ_BYTES ? 0 : -1;
}

static void open_reader(struct reader *reader)
{
	char folder[160], path[200];
	int64_t bytes = bench_small() ? MIB : 64 * MIB;

	snprintf(folder, sizeof(folder), "%.100s/reader", bench_dir());
	caches_make_directory(folder, &(struct caches_shape){1, 1, 1, bytes, false});
	caches_settle(folder);
	snprintf(path, sizeof(path), "%s/model-00000/part-0000/tensor-00000.safetensors", folder);
	reader->fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	reader->blocks = bytes / READ_BYTES;
	if (reader->fd < 0 || posix_memalign(&reader->buffer, READ_BYTES, READ_BYTES) != 0 ||
	    read_once(reader) != 0)
		bench_fail("%s cannot be read past the page cache (%s); let LARDER_BENCH_DIR name "
			   "a folder on a disk",
			   path, strerror(errno));
}

/* ---- what can be seen of a removal ---- */

struct sight {
	const struct run *run;
	int64_t began_ns, bytes;
	uint64_t free_before;
	double gone_ms, back_ms; /* 0: not yet */
};

static uint64_t free_bytes(void)
{
	struct statvfs fs;

	if (statvfs(bench_dir(), &fs) != 0)
		bench_fail("%s: %s", bench_dir(), strerror(errno));
	return (uint64_t)fs.f_bfree * fs.f_frsize;
}

static void begin_sight(struct sight *sight, const struct run *run, int64_t bytes)
{
	*sight = (struct sight){.run = run, .bytes = bytes, .free_before = free_bytes()};
	sight->began_ns = bench_now_ns();
}

static void look(struct sight *sight)
{
	double now_ms = bench_ms_since(sight->began_ns);

	if (sight->gone_ms == 0 && access(sight->run->model, F_OK) != 0)
		sight->gone_ms = now_ms;
	if (sight->back_ms == 0 &&
	    (double)free_bytes() - (double)sight->free_before >= BACK * (double)sight->bytes)
		sight->back_ms = now_ms;
	if (now_ms > LIMIT_MS)
		bench_fail("%s is not removed after %d s", sight->run->model, LIMIT_MS / 1000);
	nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
}

/* It has ended; what cannot be seen by then may be seen a little later. */
static void end_sight(struct sight *sight, struct way *way, int round)
{
	int64_t ended_ns = bench_now_ns();

	if (access(sight->run->model, F_OK) == 0)
		bench_fail("%s is still there", sight->run->model);
	while (bench_ms_since(ended_ns) < (bench_small() ? TAIL_MS / 10 : TAIL_MS))
		look(sight);
	/* The few bytes of --small may come free unseen: others write and remove files too. */
	if (sight->back_ms == 0 && !bench_small())
		bench_fail("%" PRId64 " bytes were removed and did not come free; somebody else "
			   "writes to the disk of %s",
			   sight->bytes, bench_dir());
	way->gone_ms[round] = sight->gone_ms;
	way->back_ms[round] = sight->back_ms;
	way->p99_ms[round] =
		samples_percentile(sight->run->samples, sight->began_ns, bench_now_ns(), 0.99);
}

/* ---- rm -rf ---- */

static void remove_by_rm(struct run *run, int64_t bytes, struct way *way, int round)
{
	struct sight sight;
	pid_t pid;
	siginfo_t ended = {0};

	begin_sight(&sight, run, bytes);
	pid = bench_spawn((const char *const[]){"rm", "-rf", run->model, NULL}, NULL, NULL);
	while (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       ended.si_pid == 0)
		look(&sight);
	end_sight(&sight, way, round);
	bench_join(pid, "rm");
}

/* ---- Larder ---- */

struct removing {
	struct removal_request *req;
	bool scanned, ended;
};

static void take_model(struct removing *rm, struct worker_event *ev)
{
	const struct model_report *model = ev->report.models;

	if (!ev->scanned || ev->report.count != 1 || model->status != MODEL_DOWNLOADED)
		bench_fail("the scan found no model that can be removed: %s %s", ev->note,
			   ev->report.count > 0 ? model->why : "");
	rm->req = removal_request_new(ev->root, model->name, model->locator);
	rm->req->generation = model->generation;
	rm->req->used_wall_ms = model->used_wall_ms;
	rm->req->heard = clock_mono();
	rm->scanned = true;
	scan_report_free(&ev->report);
}

static void on_event(struct worker_event *ev, void *arg)
{
	struct removing *rm = arg;

	if (ev->kind == WORKER_ROOT && !ev->deletes)
		bench_fail("nothing can be removed there: %s", ev->note);
	if (ev->kind == WORKER_SCANNED)
		take_model(rm, ev);
	rm->ended |= ev->kind == WORKER_REMOVED;
}

static void remove_by_larder(struct run *run, int64_t bytes, struct way *way, int round)
{
	struct root root = {
		.config = {.name = xstrdup(MODEL_ROOT_DEFAULT),
			   .path = xstrdup(run->cache),
			   .layout = &layout_directory,
			   .leftover_ms = SETTING_UNSET},
	};
	struct removing rm = {0};
	struct worker *worker = worker_new(run->base, &root, run->journal, on_event, &rm);
	struct sight sight;

	worker_scan(worker);
	while (!rm.scanned)
		event_base_loop(run->base, EVLOOP_ONCE);
	begin_sight(&sight, run, bytes);
	worker_remove(worker, rm.req);
	while (!rm.ended) {
		event_base_loop(run->base, EVLOOP_NONBLOCK);
		look(&sight);
	}
	if (rm.req->outcome != REMOVAL_DELETED || rm.req->reaped.left > 0)
		bench_fail("it was not removed: %s", rm.req->why);
	end_sight(&sight, way, round);
	if (rm.req->reaped.freed_bytes != bytes)
		bench_fail("%" PRId64 " bytes were counted as freed, of %" PRId64,
			   rm.req->reaped.freed_bytes, bytes);
	worker_free(worker);
	removal_request_free(rm.req);
	free(root.config.name);
	free(root.config.path);
}

/* ---- measuring ---- */

static int64_t make_model(struct run *run, const struct caches_shape *shape)
{
	rmdir(run->cache);
	caches_make_directory(run->cache, shape);
	caches_settle(run->cache);
	caches_cool(run->cache);
	/* Only now: how many blocks a file takes is settled when they are written. */
	return caches_count(run->cache).file_bytes;
}

static void say(const char *what, const char *which, double *larder, double *other)
{
	char metric[64];

	snprintf(metric, sizeof(metric), "%s_%s_ms", what, which);
	bench_compare(metric, "ms", bench_median(larder, ROUNDS), bench_median(other, ROUNDS));
}

static void measure(struct run *run, const char *what, const struct caches_shape *shape)
{
	struct way ours = {0}, theirs = {0};

	for (int i = 0; i < ROUNDS; i++) {
		remove_by_larder(run, make_model(run, shape), &ours, i);
		remove_by_rm(run, make_model(run, shape), &theirs, i);
		bench_say("%s, round %d: name gone after %.0f ms and %.0f ms, bytes back after "
			  "%.0f ms and %.0f ms",
			  what, i + 1, ours.gone_ms[i], theirs.gone_ms[i], ours.back_ms[i],
			  theirs.back_ms[i]);
	}
	say(what, "name_gone", ours.gone_ms, theirs.gone_ms);
	say(what, "bytes_back", ours.back_ms, theirs.back_ms);
	say(what, "reader_p99", ours.p99_ms, theirs.p99_ms);
}

/* Less where the disk is short of room: a quarter of it at most. */
static int64_t big_file_bytes(void)
{
	int64_t bytes = (int64_t)(free_bytes() / 4 / BIG_FILES) / MIB * MIB;

	if (bench_small())
		return 2 * MIB;
	if (bytes < MIB)
		bench_fail("%s: too little room on the disk", bench_dir());
	return bytes < BIG_BYTES ? bytes : BIG_BYTES;
}

static void measure_idle(struct run *run)
{
	int64_t began = bench_now_ns();

	bench_sleep_ms(bench_small() ? 200 : IDLE_MS);
	bench_figure("reader_idle_p99_ms", "ms",
		     samples_percentile(run->samples, began, bench_now_ns(), 0.99));
}

int main(int argc, char **argv)
{
	struct run run = {.base = NULL};
	struct caches_shape small = {
		.models = 1, .folders = 100, .files = 1000, .bytes = READ_BYTES};
	struct caches_shape big = {.models = 1, .folders = 1, .files = BIG_FILES};
	char journal[160];
	struct err err;

	bench_begin(
		argc, argv, "delete",
		"a model of 100,000 files of 4 KiB and one of 40 files of 256 MiB, written, "
		"flushed and dropped from the page cache, each removed three times by Larder and "
		"three times by rm -rf; two to eight minutes, most of it writing them");
	bench_raise_file_limit();
	signal(SIGIO, SIG_IGN); /* as the agent does: what a broken lease sends */
	if (bench_small())
		small.files = 10;
	big.bytes = big_file_bytes();
	bench_say("big files have %" PRId64 " MiB", big.bytes / MIB);
	snprintf(run.cache, sizeof(run.cache), "%.100s/cache", bench_dir());
	snprintf(run.model, sizeof(run.model), "%s/model-00000", run.cache);
	snprintf(journal, sizeof(journal), "%.100s/journal", bench_dir());
	bench_quiet_log();
	log_setup("agent", LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	run.base = event_base_new();
	run.journal = journal_open(journal, &err);
	if (run.base == NULL || run.journal == NULL)
		bench_fail("%s", run.base == NULL ? "no event loop" : err.text);
	open_reader(&run.reader);
	run.samples = samples_start(read_once, &run.reader, READ_PAUSE_NS);
	measure_idle(&run);
	measure(&run, "small", &small);
	measure(&run, "big", &big);
	samples_stop(run.samples);
	close(run.reader.fd);
	free(run.reader.buffer);
	journal_close(run.journal);
	event_base_free(run.base);
	return 0;
}
