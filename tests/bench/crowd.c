/* Agents by the thousand. */
#include "tests/bench/crowd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

#include "agent/beat.h"
#include "agent/orders.h"
#include "agent/sources.h"
#include "common/log.h"
#include "common/xmem.h"
#include "tests/bench/agents.h"
#include "tests/bench/bench.h"

#define TICK_MS		  50 /* as in agent/main.c */
#define START_EVERY_MS	  5
#define REGISTER_LIMIT_MS 60000

/* One agent, found by what its parts have in hand. */
struct seat {
	struct agent *agent;
	size_t node;
	struct orders *orders;
	struct journal *journal;
	int64_t confirmed;
	bool registered;
	UT_hash_handle by_orders, by_journal;
};

static struct place {
	const struct fleet *fleet;
	const struct server *server;
	struct crowd *crowd;
	struct daemon *daemon;
	struct seat *seats, *orders, *journals;
	size_t started;
	int64_t ticked_ms; /* agents have ticked up to there */
} place;

/* ---- what is looked at in passing; the linker leads these calls here (--wrap) ---- */

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void __real_orders_hear(struct orders *orders, const char *model, const char *text);
void __wrap_orders_hear(struct orders *orders, const char *model, const char *text);
void __real_journal_confirmed(struct journal *journal, int64_t up_to);
void __wrap_journal_confirmed(struct journal *journal, int64_t up_to);
void __wrap_worker_remove(struct worker *worker, struct removal_request *req);
void __wrap_worker_scan(struct worker *worker);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

void __wrap_orders_hear(struct orders *orders, const char *model, const char *text)
{
	struct crowd *crowd = place.crowd;
	struct seat *seat;
	int64_t issued;

	HASH_FIND(by_orders, place.orders, &orders, sizeof(struct orders *), seat);
	if (seat == NULL)
		bench_fail("a command for no agent");
	issued = atomic_exchange(&crowd->issued_ns[seat->node], 0);
	if (issued != 0) {
		size_t at = atomic_load(&crowd->heard);

		if (at == CROWD_HEARD_MAX)
			bench_fail("too many commands are timed");
		crowd->heard_ms[at] = bench_ms_since(issued);
		atomic_store(&crowd->heard, at + 1);
	}
	__real_orders_hear(orders, model, text);
}

/* Receipts of a journal are numbered from one on. */
void __wrap_journal_confirmed(struct journal *journal, int64_t up_to)
{
	struct seat *seat;

	HASH_FIND(by_journal, place.journals, &journal, sizeof(struct journal *), seat);
	if (seat == NULL)
		bench_fail("a receipt of no agent");
	atomic_fetch_add(&place.crowd->acked, (size_t)(up_to - seat->confirmed));
	seat->confirmed = up_to;
	__real_journal_confirmed(journal, up_to);
}

int __wrap_fdatasync(int fd)
{
	(void)fd;
	return 0;
}

int __wrap_fsync(int fd)
{
	(void)fd;
	return 0;
}

/* ---- the worker of a root, without a disk (agent/worker.c) ---- */

struct ending {
	struct agent *agent;
	struct removal_request *req;
};

static void end_removal(evutil_socket_t fd, short what, void *arg)
{
	struct ending *ending = arg;
	struct model *model;

	(void)fd;
	(void)what;
	HASH_FIND_STR(ending->agent->inventory.models, ending->req->model, model);
	ending->req->outcome = REMOVAL_DELETED;
	ending->req->reaped.freed_bytes = model != NULL ? model->report.exclusive_bytes : 0;
	orders_removed(ending->agent->orders, ending->req);
	free(ending);
}

void __wrap_worker_remove(struct worker *worker, struct removal_request *req)
{
	struct ending *ending = xcalloc(1, sizeof(*ending));

	/* What stands in for the worker is the agent itself. */
	ending->agent = (struct agent *)(void *)worker;
	ending->req = req;
	event_base_once(daemon_base(place.daemon), -1, EV_TIMEOUT, end_removal, ending,
			&(struct timeval){0});
}

void __wrap_worker_scan(struct worker *worker)
{
	(void)worker;
}

/* ---- the process ---- */

static void start_agent(size_t node)
{
	struct seat *seat = &place.seats[node];
	struct agent *agent = agents_new(place.fleet, node, place.server);
	char *dir = xasprintf("%s/journal-%zu", bench_dir(), node);
	struct err err;

	agent->daemon = place.daemon;
	agent->workers[0] = (struct worker *)(void *)agent;
	agent->journal = journal_open(dir, &err);
	if (agent->journal == NULL)
		bench_fail("%s", err.text);
	agent->orders = orders_new(agent);
	agent->sources = sources_start(agent, &err);
	if (agent->sources == NULL)
		bench_fail("%s", err.text);
	agent->beat = beat_new(agent, &err);
	if (agent->beat == NULL)
		bench_fail("%s", err.text);
	*seat = (struct seat){
		.agent = agent, .node = node, .orders = agent->orders, .journal = agent->journal};
	HASH_ADD(by_orders, place.orders, orders, sizeof(struct orders *), seat);
	HASH_ADD(by_journal, place.journals, journal, sizeof(struct journal *), seat);
	free(dir);
}

static void tick_agent(struct seat *seat)
{
	orders_tick(seat->agent->orders);
	beat_tick(seat->agent->beat);
	if (!seat->registered && beat_registered(seat->agent->beat)) {
		seat->registered = true;
		atomic_fetch_add(&place.crowd->registered, 1);
	}
}

/*
 * Every millisecond another part of them: agents on a thousand nodes do not tick in step. They
 * start one after the other too, so that their beats spread over the interval.
 */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	int64_t now_ms = bench_now_ns() / 1000000;

	(void)fd;
	(void)what;
	(void)arg;
	for (; place.ticked_ms < now_ms; place.ticked_ms++) {
		size_t part = (size_t)(place.ticked_ms % TICK_MS);

		for (size_t i = part; i < place.started; i += TICK_MS)
			tick_agent(&place.seats[i]);
		if (part % START_EVERY_MS == 0 && place.started < place.fleet->nodes)
			start_agent(place.started++);
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

static void run_agents(void)
{
	const struct daemon_hooks hooks = {.tick = nothing, .reload = nothing, .stop = nothing};
	struct event *timer;

	bench_raise_file_limit();
	bench_quiet_log();
	log_setup("agent", LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	setenv("EVENT_PRECISE_TIMER", "1", 1);
	place.daemon = daemon_new(TICK_MS, &hooks);
	place.seats = xcalloc(place.fleet->nodes, sizeof(*place.seats));
	place.ticked_ms = bench_now_ns() / 1000000;
	timer = event_new(daemon_base(place.daemon), -1, EV_PERSIST, on_timer, NULL);
	event_add(timer, &(struct timeval){.tv_usec = 1000});
	daemon_run(place.daemon, 0);
	_exit(1); /* only a signal ends it */
}

struct crowd *crowd_start(const struct fleet *fleet, const struct server *server)
{
	int64_t began = bench_now_ns();

	place.crowd = bench_share(sizeof(struct crowd) + fleet->nodes * sizeof(int64_t));
	place.fleet = fleet;
	place.server = server;
	if (bench_fork() == 0)
		run_agents();
	while (atomic_load(&place.crowd->registered) < fleet->nodes) {
		if (bench_ms_since(began) > REGISTER_LIMIT_MS)
			bench_fail("only %zu agents are registered",
				   atomic_load(&place.crowd->registered));
		bench_sleep_ms(20);
	}
	bench_say("%zu agents registered in %.1f s", fleet->nodes, bench_ms_since(began) / 1000);
	return place.crowd;
}
