/* Reads the kernel's events and keeps what they say. */
#include "agent/watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "agent/root.h"
#include "agent/thread.h"
#include "agent/watch_plan.h"
#include "common/hook.h"
#include "common/xmem.h"

/* After some work it sleeps for so long, so that many events cost one awakening. */
#define NAP_NS 5000000

struct watch_root {
	struct watch_groups *groups; /* its worker's */
	struct watch_state state;
	bool blind;
};

struct watch {
	const struct watch_kernel *kernel;
	size_t most_dirs;
	int fd; /* of the kernel's queue; -1: none */
	int error;
	int news_fd, wake_fd;
	pthread_t thread;

	pthread_mutex_t lock; /* guards all that follows */
	struct watch_map map;
	struct watch_root *roots;
	struct mono now; /* of the batch that is read; 0: not asked yet */
	bool told;	 /* news_fd is readable */
	bool wants_scan;
	bool stop;
};

/* ---- events; the lock is held ---- */

static struct mono batch_time(struct watch *w)
{
	/* After the batch was read: no use is believed to be earlier than it was. */
	if (w->now.ms == 0)
		w->now = clock_mono();
	return w->now;
}

static void on_event(void *arg, const struct watch_key *key, unsigned what, const char *name)
{
	struct watch *w = arg;

	watch_map_event(&w->map, key, what, name, batch_time(w));
}

static bool is_blind(int root, void *arg)
{
	const struct watch *w = arg;

	return w->roots[root].blind;
}

static void on_overflow(void *arg)
{
	struct watch *w = arg;

	watch_map_overflow(&w->map, is_blind, w, batch_time(w));
	w->wants_scan = true;
}

static void lose(struct watch *w, struct watch_dir *dir)
{
	dir->lost = true;
	w->wants_scan = true;
	/* Until a scan has found out more. */
	watch_map_used(&w->map, dir, batch_time(w));
}

static void on_gone(void *arg, const struct watch_key *key)
{
	struct watch *w = arg;
	struct watch_dir *dir = watch_map_find(&w->map, key);

	if (dir != NULL && !dir->lost)
		lose(w, dir);
}

/* Tells the kernel who rests and who does not any more. */
static bool turn(struct watch *w)
{
	struct watch_dir *dir;
	bool any = false;

	while ((dir = watch_map_turning(&w->map)) != NULL) {
		any = true;
		if (dir->lost || w->kernel->rest(w->fd, dir->handle, dir->resting) == 0)
			continue;
		if (dir->resting)
			dir->restless = true; /* it is heard all the time, which only costs more */
		else
			lose(w, dir);
	}
	return any;
}

static bool read_batch(struct watch *w)
{
	const struct watch_ear ear = {on_event, on_overflow, on_gone, w};
	size_t len;

	w->now.ms = 0;
	len = w->fd >= 0 ? w->kernel->read(w->fd, &ear) : 0;
	return turn(w) || len > 0;
}

static void publish(struct watch *w)
{
	uint64_t one = 1;

	if (w->told || (w->map.news == NULL && !w->wants_scan))
		return;
	w->told = true;
	if (write(w->news_fd, &one, sizeof(one)) < 0)
		abort(); /* an eventfd takes 2^64 - 1 of these */
}

static void settle(struct watch *w)
{
	while (read_batch(w))
		continue;
	publish(w);
}

/* ---- the thread ---- */

static void wait_for_work(struct watch *w, int fd, int64_t wait_ms)
{
	struct pollfd fds[2] = {{.fd = w->wake_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
	uint64_t count;

	if (poll(fds, 2, (int)wait_ms) < 0)
		return; /* interrupted: looked at again */
	if ((fds[0].revents & POLLIN) != 0 && read(w->wake_fd, &count, sizeof(count)) < 0)
		abort(); /* it was readable */
}

static void *watch_main(void *arg)
{
	struct watch *w = arg;
	bool stop = false;

	while (!stop) {
		bool worked = false;
		int64_t wait_ms;
		int fd;

		hook_point("watch-read");
		pthread_mutex_lock(&w->lock);
		while (read_batch(w)) {
			worked = true;
			/* Others may have their turn. */
			pthread_mutex_unlock(&w->lock);
			pthread_mutex_lock(&w->lock);
		}
		watch_map_wake(&w->map, clock_mono());
		worked |= turn(w);
		publish(w);
		wait_ms = watch_map_wait_ms(&w->map, clock_mono());
		fd = w->fd;
		stop = w->stop;
		pthread_mutex_unlock(&w->lock);
		if (stop)
			break;
		if (worked)
			nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
		wait_for_work(w, fd, wait_ms);
	}
	return NULL;
}

static void wake(struct watch *w)
{
	uint64_t one = 1;

	if (write(w->wake_fd, &one, sizeof(one)) < 0)
		abort();
}

static int new_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		abort();
	return fd;
}

static bool ensure_queue(struct watch *w)
{
	if (w->fd >= 0)
		return true;
	w->fd = w->kernel->open();
	w->error = w->fd < 0 ? errno : 0;
	if (w->fd < 0)
		return false;
	wake(w);
	return true;
}

struct watch *watch_start(const struct watch_kernel *kernel, int root_count, size_t most_dirs)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	w->kernel = kernel;
	w->most_dirs = most_dirs;
	w->fd = -1;
	w->news_fd = new_eventfd();
	w->wake_fd = new_eventfd();
	w->roots = xcalloc((size_t)root_count, sizeof(*w->roots));
	watch_map_init(&w->map, root_count);
	pthread_mutex_init(&w->lock, NULL);
	ensure_queue(w);
	thread_start(&w->thread, watch_main, w);
	return w;
}

void watch_stop(struct watch *w)
{
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_mutex_unlock(&w->lock);
	wake(w);
	pthread_join(w->thread, NULL);
	for (int i = 0; i < w->map.root_count; i++)
		watch_plan_free(w, i);
	watch_map_free(&w->map);
	if (w->fd >= 0)
		close(w->fd);
	close(w->news_fd);
	close(w->wake_fd);
	pthread_mutex_destroy(&w->lock);
	free(w->roots);
	free(w);
}

/* ---- the main thread's side ---- */

int watch_news_fd(const struct watch *w)
{
	return w->news_fd;
}

char *watch_news(struct watch *w, struct mono *at)
{
	char *model;

	pthread_mutex_lock(&w->lock);
	model = watch_map_news(&w->map, at);
	if (model == NULL)
		w->told = false;
	pthread_mutex_unlock(&w->lock);
	return model;
}

bool watch_wants_scan(struct watch *w)
{
	bool wants;

	pthread_mutex_lock(&w->lock);
	wants = w->wants_scan;
	w->wants_scan = false;
	pthread_mutex_unlock(&w->lock);
	return wants;
}

void watch_set_blind(struct watch *w, int root, bool blind)
{
	pthread_mutex_lock(&w->lock);
	w->roots[root].blind = blind;
	pthread_mutex_unlock(&w->lock);
}

void watch_settle(struct watch *w)
{
	pthread_mutex_lock(&w->lock);
	settle(w);
	pthread_mutex_unlock(&w->lock);
}

void watch_counts(struct watch *w, struct watch_counts *out)
{
	pthread_mutex_lock(&w->lock);
	*out = (struct watch_counts){
		.dirs = HASH_COUNT(w->map.dirs),
		.events = w->map.events,
		.uses = w->map.uses,
		.rests = w->map.rests,
		.overflows = w->map.overflows,
		.error = w->error,
	};
	for (const struct watch_model *m = w->map.models; m != NULL; m = m->hh.next)
		out->models += m->refs > m->gaps;
	for (const struct watch_dir *dir = w->map.resting; dir != NULL; dir = dir->next)
		out->resting++;
	pthread_mutex_unlock(&w->lock);
}

void watch_state(struct watch *w, int root, struct watch_state *out)
{
	pthread_mutex_lock(&w->lock);
	*out = w->roots[root].state;
	pthread_mutex_unlock(&w->lock);
}

void watch_mark(struct watch *w, const char *model, struct watch_mark *mark)
{
	memset(mark, 0, sizeof(*mark));
	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	watch_map_mark(&w->map, model, mark);
	pthread_mutex_unlock(&w->lock);
}

int64_t watch_watched_ms(struct watch *w, const char *model)
{
	int64_t ms;

	if (w == NULL)
		return -1;
	pthread_mutex_lock(&w->lock);
	ms = watch_map_watched_ms(&w->map, model, clock_mono());
	pthread_mutex_unlock(&w->lock);
	return ms;
}

/* ---- the agent's own opens ---- */

static void set_own(struct watch *w, const char *model, enum watch_own own)
{
	/* What came before is judged by the rule that held when it came. */
	settle(w);
	if (!w->kernel->tells_who)
		watch_map_own(&w->map, model, own);
}

bool watch_own_begin(const struct root *root, const char *model, const struct watch_mark *mark)
{
	struct watch *w = root->watch;
	bool used;

	if (w == NULL)
		return true;
	pthread_mutex_lock(&w->lock);
	settle(w);
	used = mark != NULL && watch_map_used_since(&w->map, model, mark);
	if (!used)
		set_own(w, model, WATCH_OWN_OPENS);
	pthread_mutex_unlock(&w->lock);
	return !used;
}

bool watch_own_seen(const struct root *root, const char *model, const struct watch_mark *mark,
		    size_t closed)
{
	struct watch *w = root->watch;
	bool seen;

	if (w == NULL)
		return false;
	pthread_mutex_lock(&w->lock);
	settle(w);
	seen = mark != NULL && watch_map_used_since(&w->map, model, mark);
	if (watch_map_closings(&w->map, model) > closed) {
		seen = true;
		watch_map_note(&w->map, model, clock_mono());
		publish(w);
	}
	pthread_mutex_unlock(&w->lock);
	return seen;
}

static void change_own(const struct root *root, const char *model, enum watch_own own)
{
	struct watch *w = root->watch;

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	set_own(w, model, own);
	pthread_mutex_unlock(&w->lock);
}

void watch_own_closes(const struct root *root, const char *model)
{
	change_own(root, model, WATCH_OWN_CLOSES);
}

void watch_own_end(const struct root *root, const char *model)
{
	change_own(root, model, WATCH_OWN_NONE);
}

void watch_own_moment(const struct root *root, enum watch_own own)
{
	struct watch *w = root->watch;

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	settle(w);
	if (!w->kernel->tells_who)
		watch_map_own_root(&w->map, root->index, own);
	pthread_mutex_unlock(&w->lock);
}

/* ---- what is watched ---- */

static bool may_add(struct watch *w)
{
	bool may = ensure_queue(w);

	errno = may ? EDQUOT : w->error;
	return may && HASH_COUNT(w->map.dirs) < w->most_dirs;
}

static int kernel_add(struct watch *w, const struct watch_want *want, struct watch_key *key)
{
	uint64_t strays = w->map.strays;
	int rc, error;

	if (!want->restless)
		return w->kernel->add(w->fd, want->handle, key);
	/* A remote disk may take its time; nobody must wait for it. */
	pthread_mutex_unlock(&w->lock);
	rc = w->kernel->add(w->fd, want->handle, key);
	error = errno;
	pthread_mutex_lock(&w->lock);
	settle(w);
	errno = error;
	/* An event of a directory that is not known yet may have been of this one. */
	return rc == 0 && w->map.strays != strays ? 1 : rc;
}

struct watch_dir *watch_add(struct watch *w, const struct watch_want *want)
{
	struct watch_dir *dir = NULL;
	struct watch_key key;
	int rc = -1;

	pthread_mutex_lock(&w->lock);
	settle(w);
	if (may_add(w))
		rc = kernel_add(w, want, &key);
	if (rc >= 0)
		dir = watch_map_add(&w->map, &key, want->root);
	if (dir != NULL) {
		dir->handle = want->handle;
		dir->restless = want->restless;
		watch_map_fill(&w->map, dir, want->entries, want->count, clock_mono());
		if (rc > 0)
			watch_map_used(&w->map, dir, clock_mono());
		publish(w);
	} else if (rc >= 0) {
		errno = EEXIST;
	}
	pthread_mutex_unlock(&w->lock);
	return dir;
}

void watch_fill(struct watch *w, struct watch_dir *dir, const struct watch_entry *entries,
		size_t count)
{
	pthread_mutex_lock(&w->lock);
	settle(w);
	watch_map_fill(&w->map, dir, entries, count, clock_mono());
	pthread_mutex_unlock(&w->lock);
}

void watch_gap(struct watch *w, const char *model, bool begins)
{
	pthread_mutex_lock(&w->lock);
	watch_map_gap(&w->map, model, begins, clock_mono());
	pthread_mutex_unlock(&w->lock);
}

bool watch_lost(struct watch *w, const struct watch_dir *dir)
{
	bool lost;

	pthread_mutex_lock(&w->lock);
	lost = dir->lost;
	pthread_mutex_unlock(&w->lock);
	return lost;
}

void watch_drop(struct watch *w, struct watch_dir *dir)
{
	pthread_mutex_lock(&w->lock);
	settle(w);
	if (!dir->lost)
		w->kernel->drop(w->fd, dir->handle, &dir->key);
	watch_map_drop(&w->map, dir);
	pthread_mutex_unlock(&w->lock);
}

void watch_set_state(struct watch *w, int root, const struct watch_state *state)
{
	pthread_mutex_lock(&w->lock);
	w->roots[root].state = *state;
	pthread_mutex_unlock(&w->lock);
}

struct watch_groups **watch_groups(struct watch *w, int root)
{
	return &w->roots[root].groups;
}
