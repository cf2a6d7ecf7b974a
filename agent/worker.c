/* A root's threads and their queues. */
#include "agent/worker.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "agent/procs.h"
#include "agent/thread.h"
#include "agent/watch.h"
#include "agent/watch_plan.h"
#include "common/xmem.h"

#define SPACE_INTERVAL_MS  1000
#define REOPEN_INTERVAL_MS 5000
/* Leftovers that are moved aside after one scan. */
#define TIDY_MOST 64

enum job_kind { JOB_SCAN, JOB_REMOVE, JOB_FINISH, JOB_LOOK };

struct job {
	enum job_kind kind;
	struct removal_request *req;
	struct look *look;
	struct job *next;
};

struct worker {
	struct root *root;
	struct journal *journal;
	pthread_t thread, reaper;

	pthread_mutex_t lock;	   /* guards the queues */
	pthread_mutex_t root_lock; /* the reaper holds it while it uses the root's handle */
	pthread_cond_t wake, reaper_wake;
	struct job *jobs, *trash;
	struct worker_event *events;
	bool scan_waits;
	atomic_bool stop;

	int event_fd;
	struct event *event;
	void (*on_event)(struct worker_event *event, void *arg);
	void *arg;

	struct mono space_at, reopen_at;
	bool told_atimes; /* what the main thread believes of them */
};

/* ---- towards the main thread ---- */

static struct worker_event *new_event(struct worker *w, enum worker_event_kind kind)
{
	struct worker_event *ev = xcalloc(1, sizeof(*ev));

	ev->kind = kind;
	ev->root = w->root;
	return ev;
}

static void post(struct worker *w, struct worker_event *ev)
{
	uint64_t one = 1;

	pthread_mutex_lock(&w->lock);
	LL_APPEND(w->events, ev);
	pthread_mutex_unlock(&w->lock);
	if (write(w->event_fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd takes 2^64 - 1 of these */
}

static void on_event_fd(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct worker_event *list, *ev, *next;
	uint64_t count;
	ssize_t ignored = read(fd, &count, sizeof(count));

	(void)ignored;
	(void)what;
	pthread_mutex_lock(&w->lock);
	list = w->events;
	w->events = NULL;
	pthread_mutex_unlock(&w->lock);
	LL_FOREACH_SAFE (list, ev, next) {
		w->on_event(ev, w->arg);
		free(ev);
	}
}

/* ---- the worker thread ---- */

static bool atimes_tell(const struct root *root)
{
	return root->atimes && !root->unarmed;
}

static void post_root(struct worker *w)
{
	struct root *root = w->root;
	struct worker_event *ev = new_event(w, WORKER_ROOT);
	const char *why;

	ev->opened = root->fd >= 0;
	ev->leases = root->leases;
	ev->atimes = w->told_atimes = atimes_tell(root);
	ev->deletes = root_deletes(root, &why);
	snprintf(ev->note, sizeof(ev->note), "%s", why != NULL ? why : root->limits);
	post(w, ev);
}

/* Any walk may find out that they do not tell. */
static void post_atimes(struct worker *w)
{
	if (atimes_tell(w->root) != w->told_atimes)
		post_root(w);
}

static void look_at_space(struct worker *w)
{
	struct mono now = clock_mono();
	struct worker_event *ev;

	if (w->root->fd < 0 ||
	    (w->space_at.ms != 0 && mono_since(w->space_at, now) < SPACE_INTERVAL_MS))
		return;
	w->space_at = now;
	ev = new_event(w, WORKER_SPACE);
	if (disk_space(w->root->fd, &ev->total_bytes, &ev->available_bytes) != 0) {
		free(ev);
		return;
	}
	snprintf(ev->disk, sizeof(ev->disk), "%" PRIx64, w->root->identity.device);
	post(w, ev);
}

static void breathe(struct root *root)
{
	look_at_space(root->worker);
}

static bool txn_known(struct root *root, const char *txn)
{
	struct worker *w = root->worker;

	return journal_has_intent(w->journal, txn);
}

/* Opens the root, or opens it anew when another directory stands at its path. */
static bool ensure_open(struct worker *w)
{
	struct root *root = w->root;
	struct mono now = clock_mono();

	if (root->fd >= 0 && root_same(root))
		return true;
	if (root->fd >= 0) {
		if (pthread_mutex_trylock(&w->root_lock) != 0)
			return false; /* the reaper is still at work in the old one */
		watch_plan_forget(root);
		root->config.layout->close(root->layout_state);
		root->layout_state = root->config.layout->open(root);
		root_close(root);
		pthread_mutex_unlock(&w->root_lock);
		snprintf(root->problem, sizeof(root->problem), "the directory was replaced");
		post_root(w);
	} else if (w->reopen_at.ms != 0 && mono_since(w->reopen_at, now) < REOPEN_INTERVAL_MS) {
		return false;
	}
	w->reopen_at = now;
	if (root_open(root) != 0) {
		post_root(w);
		return false;
	}
	post_root(w);
	w->space_at.ms = 0;
	look_at_space(w);
	return true;
}

static void scan(struct worker *w)
{
	struct worker_event *ev = new_event(w, WORKER_SCANNED);
	struct err err;

	ev->began = clock_mono();
	if (!ensure_open(w))
		snprintf(ev->note, sizeof(ev->note), "%s", w->root->problem);
	else if (w->root->config.layout->scan(w->root->layout_state, &ev->report, &err) != 0)
		snprintf(ev->note, sizeof(ev->note), "%.150s", err.text);
	else
		ev->scanned = true;
	post_atimes(w);
	/* Before anybody hears of a model, its files are watched. */
	if (ev->scanned)
		watch_plan_run(w->root);
	ev->ended = clock_mono();
	post(w, ev);
}

static void post_removed(struct worker *w, struct removal_request *req)
{
	struct worker_event *ev = new_event(w, WORKER_REMOVED);

	/*
	 * What came free is told before the receipt: a coordinator that saw the receipt alone would
	 * find the disk as full as before, and free as much again.
	 */
	w->space_at.ms = 0;
	look_at_space(w);
	if (!req->tidy)
		w->root->config.layout->doubt(w->root->layout_state, req->locator);
	ev->removal = req;
	post(w, ev);
}

/* Hands a committed removal, or a leftover, to the reaper. */
static void give_trash(struct worker *w, struct removal_request *req)
{
	struct job *job = xcalloc(1, sizeof(*job));

	job->req = req;
	pthread_mutex_lock(&w->lock);
	LL_APPEND(w->trash, job);
	pthread_cond_signal(&w->reaper_wake);
	pthread_mutex_unlock(&w->lock);
}

static void remove_model(struct worker *w, struct removal_request *req)
{
	if (!ensure_open(w)) {
		req->outcome = REMOVAL_FAILED;
		snprintf(req->why, sizeof(req->why), "root: %.100s", w->root->problem);
		req->stuck = req->recover;
		post_removed(w, req);
		return;
	}
	if (!removal_run(req, w->journal)) {
		post_removed(w, req);
		return;
	}
	give_trash(w, req);
}

static void look(struct worker *w, struct look *look)
{
	const struct layout *layout = w->root->config.layout;
	struct worker_event *ev = new_event(w, WORKER_LOOKED);
	struct removal_task task = {.root = w->root, .txn = "look", .locator = look->locator};

	look->outcome = REMOVAL_REFUSED;
	if (!ensure_open(w)) {
		snprintf(look->why, sizeof(look->why), "unknown: %.80s", w->root->problem);
	} else if (!watch_own_begin(w->root, look->model, NULL)) {
		snprintf(look->why, sizeof(look->why), "busy: opened a moment ago");
	} else {
		look->outcome = layout->look(&task);
		if (look->outcome == REMOVAL_GOES_ON &&
		    watch_own_seen(w->root, look->model, NULL, task.tested))
			look->outcome =
				removal_end(&task, REMOVAL_REFUSED, "busy: opened a moment ago");
		snprintf(look->why, sizeof(look->why), "%s", task.why);
		watch_own_closes(w->root, look->model);
		layout->end(&task);
		watch_own_end(w->root, look->model);
	}
	if (look->names && strncmp(look->why, "busy", 4) == 0 && task.open_inode != 0)
		procs_with_open(task.open_device, task.open_inode, look->processes,
				sizeof(look->processes));
	ev->look = look;
	post(w, ev);
}

/* After a scan: what others and crashes have left. */
static void tidy(struct worker *w)
{
	char trash[sizeof(((struct removal_request *)NULL)->trash)];
	const char *why;

	for (int i = 0; i < TIDY_MOST && root_deletes(w->root, &why) && !atomic_load(&w->stop) &&
			w->root->config.layout->tidy(w->root->layout_state, trash, sizeof(trash));
	     i++) {
		struct removal_request *req = removal_request_new(w->root, "", trash);

		req->tidy = true;
		snprintf(req->trash, sizeof(req->trash), "%s", trash);
		give_trash(w, req);
	}
}

static void run_job(struct worker *w, struct job *job)
{
	switch (job->kind) {
	case JOB_SCAN:
		scan(w);
		tidy(w);
		break;
	case JOB_REMOVE: remove_model(w, job->req); break;
	case JOB_LOOK: look(w, job->look); break;
	case JOB_FINISH:
		removal_finish(job->req);
		post_removed(w, job->req);
		break;
	}
	post_atimes(w);
	free(job);
}

/* Waits for a job, at most a second. NULL: none has come. */
static struct job *next_job(struct worker *w)
{
	struct timespec until;
	struct job *job;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 1;
	pthread_mutex_lock(&w->lock);
	while (w->jobs == NULL && !atomic_load(&w->stop)) {
		if (pthread_cond_timedwait(&w->wake, &w->lock, &until) == ETIMEDOUT)
			break;
	}
	job = w->jobs;
	if (job != NULL)
		LL_DELETE(w->jobs, job);
	if (job != NULL && job->kind == JOB_SCAN)
		w->scan_waits = false;
	pthread_mutex_unlock(&w->lock);
	return job;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	ensure_open(w);
	while (!atomic_load(&w->stop)) {
		struct job *job = next_job(w);

		if (job != NULL)
			run_job(w, job);
		else if (!ensure_open(w))
			continue;
		look_at_space(w);
	}
	return NULL;
}

/* ---- the reaper's thread ---- */

static void free_jobs(struct job *list)
{
	struct job *job, *next;

	LL_FOREACH_SAFE (list, job, next) {
		if (job->req != NULL && job->req->task.layout_data != NULL)
			job->req->root->config.layout->end(&job->req->task);
		removal_request_free(job->req);
		look_free(job->look);
		free(job);
	}
}

static void *reaper_main(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		struct job *job;

		pthread_mutex_lock(&w->lock);
		while (w->trash == NULL && !atomic_load(&w->stop))
			pthread_cond_wait(&w->reaper_wake, &w->lock);
		job = atomic_load(&w->stop) ? NULL : w->trash;
		if (job != NULL)
			LL_DELETE(w->trash, job);
		pthread_mutex_unlock(&w->lock);
		if (job == NULL)
			return NULL;
		if (job->req->trash[0] != '\0') {
			pthread_mutex_lock(&w->root_lock);
			reaper_empty(w->root, job->req->trash, &w->stop, &job->req->reaped);
			pthread_mutex_unlock(&w->root_lock);
		}
		if (atomic_load(&w->stop)) { /* the next start goes on with it */
			job->next = NULL;
			free_jobs(job);
			return NULL;
		}
		job->kind = JOB_FINISH;
		pthread_mutex_lock(&w->lock);
		LL_APPEND(w->jobs, job);
		pthread_cond_signal(&w->wake);
		pthread_mutex_unlock(&w->lock);
	}
}

/* ---- the main thread's side ---- */

struct worker *worker_new(struct event_base *base, struct root *root, struct journal *journal,
			  void (*on_event)(struct worker_event *event, void *arg), void *arg)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	pthread_condattr_t attr;

	w->root = root;
	w->journal = journal;
	w->on_event = on_event;
	w->arg = arg;
	root->worker = w;
	root->fd = -1;
	root->breathe = breathe;
	root->txn_known = txn_known;
	root->layout_state = root->config.layout->open(root);
	pthread_mutex_init(&w->lock, NULL);
	pthread_mutex_init(&w->root_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->wake, &attr);
	pthread_cond_init(&w->reaper_wake, &attr);
	pthread_condattr_destroy(&attr);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event_fd < 0)
		abort();
	w->event = event_new(base, w->event_fd, EV_READ | EV_PERSIST, on_event_fd, w);
	event_add(w->event, NULL);
	thread_start(&w->thread, worker_main, w);
	thread_start(&w->reaper, reaper_main, w);
	return w;
}

static void give(struct worker *w, struct job what)
{
	struct job *job = xcalloc(1, sizeof(*job));

	*job = what;
	pthread_mutex_lock(&w->lock);
	LL_APPEND(w->jobs, job);
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

void worker_scan(struct worker *w)
{
	bool waits;

	pthread_mutex_lock(&w->lock);
	waits = w->scan_waits;
	w->scan_waits = true;
	pthread_mutex_unlock(&w->lock);
	if (!waits)
		give(w, (struct job){.kind = JOB_SCAN});
}

void worker_remove(struct worker *w, struct removal_request *req)
{
	give(w, (struct job){.kind = JOB_REMOVE, .req = req});
}

void worker_look(struct worker *w, struct look *look)
{
	give(w, (struct job){.kind = JOB_LOOK, .look = look});
}

struct look *look_new(const char *model, const char *locator)
{
	struct look *look = xcalloc(1, sizeof(*look));

	look->model = xstrdup(model);
	look->locator = xstrdup(locator);
	return look;
}

void look_free(struct look *look)
{
	if (look == NULL)
		return;
	free(look->model);
	free(look->locator);
	free(look->owned);
	free(look);
}

void worker_free(struct worker *w)
{
	struct worker_event *ev, *next;

	pthread_mutex_lock(&w->lock);
	atomic_store(&w->stop, true);
	pthread_cond_broadcast(&w->wake);
	pthread_cond_broadcast(&w->reaper_wake);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_join(w->reaper, NULL);
	free_jobs(w->jobs);
	free_jobs(w->trash);
	LL_FOREACH_SAFE (w->events, ev, next) {
		if (ev->kind == WORKER_SCANNED)
			scan_report_free(&ev->report);
		removal_request_free(ev->removal);
		look_free(ev->look);
		free(ev);
	}
	event_free(w->event);
	close(w->event_fd);
	w->root->config.layout->close(w->root->layout_state);
	root_close(w->root);
	pthread_mutex_destroy(&w->lock);
	pthread_mutex_destroy(&w->root_lock);
	pthread_cond_destroy(&w->wake);
	pthread_cond_destroy(&w->reaper_wake);
	free(w);
}
