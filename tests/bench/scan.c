/*
 * Benchmark "scan": finding and sizing files by the agent's own layouts, the first time and again
 * with nothing changed, against `du -s` and, for a Hugging Face cache, against huggingface_hub's
 * scan_cache_dir. All with warm caches.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/root.h"
#include "common/setting.h"
#include "common/xmem.h"
#include "tests/bench/bench.h"
#include "tests/bench/caches.h"

#define ROUNDS_MAX    7
#define ROUNDS_LARGE  3
#define ROUNDS_PYTHON 3
#define SETTLE_MS     30000 /* the default of settle_time */
#define SMALL	      100   /* so many times fewer models with --small */

struct times {
	double first_ms[ROUNDS_MAX], again_ms[ROUNDS_MAX], du_ms[ROUNDS_MAX];
	double python_ms[ROUNDS_PYTHON];
	int rounds;
};

struct subject {
	const char *what; /* part of the metrics' names */
	const struct layout *layout;
	char path[160];
	size_t models;
	struct caches_sum sum;
	int64_t ref_bytes; /* of files that belong to no model: refs/main of each repository */
};

/* ---- Larder ---- */

static void check_report(const struct subject *subject, const struct scan_report *report)
{
	int64_t files = 0, bytes = 0;

	if (!report->complete)
		bench_fail("%s: the scan is not complete", subject->what);
	for (size_t i = 0; i < report->count; i++) {
		const struct model_report *model = &report->models[i];

		if (model->status != MODEL_DOWNLOADED)
			bench_fail("%s is not DOWNLOADED: %s", model->name, model->why);
		files += model->files;
		bytes += model->exclusive_bytes;
	}
	bench_check("models found", (int64_t)report->count, (int64_t)subject->models);
	bench_check("bytes found", bytes, subject->sum.file_bytes - subject->ref_bytes);
	bench_check("files found", files,
		    subject->sum.links > 0 ? subject->sum.links : subject->sum.files);
}

static double scan_once(const struct subject *subject, struct root *root, void *state)
{
	struct scan_report report = {0};
	int64_t began = bench_now_ns();
	struct err err;
	double took_ms;

	if (root->config.layout->scan(state, &report, &err) != 0)
		bench_fail("%s", err.text);
	took_ms = bench_ms_since(began);
	check_report(subject, &report);
	scan_report_free(&report);
	return took_ms;
}

static bool no_txn(struct root *root, const char *txn)
{
	(void)root;
	(void)txn;
	return false;
}

static int64_t settle_ms(void)
{
	return bench_small() ? 0 : SETTLE_MS;
}

static void scan_twice(const struct subject *subject, struct times *times)
{
	struct root root = {
		.config = {.name = xstrdup(MODEL_ROOT_DEFAULT),
			   .path = xstrdup(subject->path),
			   .layout = subject->layout,
			   .settle_ms = settle_ms(),
			   .partial_ms = 600000,
			   .leftover_ms = SETTING_UNSET},
		.txn_known = no_txn,
		.fd = -1,
	};
	void *state;

	if (root_open(&root) != 0)
		bench_fail("%s", root.problem);
	state = root.config.layout->open(&root);
	root.layout_state = state;
	times->first_ms[times->rounds] = scan_once(subject, &root, state);
	times->again_ms[times->rounds] = scan_once(subject, &root, state);
	root.config.layout->close(state);
	root_close(&root);
	free(root.config.name);
	free(root.config.path);
}

/* ---- the others ---- */

static double run_du(const struct subject *subject)
{
	char log[200], text[64] = "";
	int64_t began = bench_now_ns();
	double took_ms;
	FILE *file;

	snprintf(log, sizeof(log), "%.100s/du.out", bench_dir());
	unlink(log);
	bench_join(bench_spawn(
			   (const char *const[]){"du", "-s", "--block-size=1", subject->path, NULL},
			   NULL, log),
		   "du");
	took_ms = bench_ms_since(began);
	file = fopen(log, "re");
	if (file == NULL || fgets(text, sizeof(text), file) == NULL)
		bench_fail("du says nothing");
	fclose(file);
	bench_check("bytes of du", strtoll(text, NULL, 10),
		    subject->sum.file_bytes + subject->sum.other_bytes);
	return took_ms;
}

static void run_python(const struct subject *subject, struct times *times)
{
	const char *python = getenv("LARDER_BENCH_PYTHON");
	static const char script[] = BENCH_SOURCE_DIR "/scan_cache_dir.py";
	char log[200], rounds[16], line[200];
	FILE *file;

	snprintf(log, sizeof(log), "%.100s/python.out", bench_dir());
	snprintf(rounds, sizeof(rounds), "%d", ROUNDS_PYTHON);
	bench_join(bench_spawn((const char *const[]){python != NULL ? python : "python3", script,
						     subject->path, rounds, NULL},
			       NULL, log),
		   "scan_cache_dir.py (its modules: scripts/bench installs them)");
	file = fopen(log, "re");
	if (file == NULL)
		bench_fail("scan_cache_dir.py says nothing");
	for (int i = 0; i < ROUNDS_PYTHON; i++) {
		char *rest = line;

		if (fgets(line, sizeof(line), file) == NULL)
			bench_fail("scan_cache_dir.py says too little");
		times->python_ms[i] = strtod(rest, &rest);
		bench_check("repositories of scan_cache_dir", strtoll(rest, &rest, 10),
			    (int64_t)subject->models);
		bench_check("files of scan_cache_dir", strtoll(rest, &rest, 10),
			    subject->sum.links);
	}
	fclose(file);
}

/* ---- measuring ---- */

static void say(const char *what, const char *which, double larder, double other)
{
	char metric[64];

	snprintf(metric, sizeof(metric), "%s_%s_ms", what, which);
	bench_compare(metric, "ms", larder, other);
}

static void measure(struct subject *subject, int rounds)
{
	struct times times = {0};
	double first, again, du;

	subject->sum = caches_count(subject->path);
	bench_say("%s: %" PRId64 " files, %" PRId64 " folders, %" PRId64 " links", subject->what,
		  subject->sum.files, subject->sum.folders, subject->sum.links);
	run_du(subject); /* warms the caches */
	for (times.rounds = 0; times.rounds < rounds; times.rounds++) {
		times.du_ms[times.rounds] = run_du(subject);
		scan_twice(subject, &times);
	}
	first = bench_median(times.first_ms, (size_t)rounds);
	again = bench_median(times.again_ms, (size_t)rounds);
	du = bench_median(times.du_ms, (size_t)rounds);
	say(subject->what, "first", first, du);
	say(subject->what, "again", again, du);
	if (subject->sum.links == 0)
		return;
	run_python(subject, &times);
	du = bench_median(times.python_ms, ROUNDS_PYTHON);
	say(subject->what, "first_to_scan_cache_dir", first, du);
	say(subject->what, "again_to_scan_cache_dir", again, du);
}

static void place(struct subject *subject, const char *name)
{
	snprintf(subject->path, sizeof(subject->path), "%.100s/%s", bench_dir(), name);
	if (bench_small()) {
		subject->models = (subject->models + SMALL - 1) / SMALL;
		subject->ref_bytes /= SMALL;
	}
}

static void make_caches(const struct subject *hf, const struct subject *small,
			const struct subject *large)
{
	struct caches_shape shape = {.models = small->models,
				     .folders = 10,
				     .files = 100,
				     .bytes = 4096,
				     .by_chance = true};

	caches_make_huggingface(hf->path, hf->models, 100);
	caches_make_directory(small->path, &shape);
	shape = (struct caches_shape){
		.models = large->models, .folders = 10, .files = 100, .bytes = -65536};
	caches_make_directory(large->path, &shape);
	caches_settle(bench_dir());
	bench_say("waiting until the newest files do not look like a download any more");
	bench_sleep_ms(settle_ms() + 2100);
}

int main(int argc, char **argv)
{
	struct subject hf = {.what = "huggingface_100k",
			     .layout = &layout_huggingface,
			     .models = 1000,
			     .ref_bytes = INT64_C(4096) * 1000};
	struct subject small = {
		.what = "directory_100k", .layout = &layout_directory, .models = 100};
	struct subject large = {
		.what = "directory_1m", .layout = &layout_directory, .models = 1000};

	bench_begin(argc, argv, "scan",
		    "a Hugging Face cache of 1,000 models with 100,000 files, folders with 100,000 "
		    "files and folders with 1,000,000 files (most of them holes); scanned with "
		    "warm caches; two to eight minutes, most of it making and removing them");
	place(&hf, "hub");
	place(&small, "small");
	place(&large, "large");
	make_caches(&hf, &small, &large);
	measure(&small, ROUNDS_MAX);
	measure(&hf, ROUNDS_MAX);
	measure(&large, ROUNDS_LARGE);
	bench_say("removing the files");
	return 0;
}
