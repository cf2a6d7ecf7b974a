/* A coordinator to be measured. */
#include "tests/bench/coord.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/redis_script.h"
#include "common/xmem.h"
#include "coordinator/copies.h"
#include "coordinator/cycles.h"
#include "coordinator/follow.h"
#include "coordinator/leader.h"
#include "tests/bench/bench.h"

#define TICK_MS	   50
#define GAP_US	   1000 /* WINDOW_GAP_MS of coordinator/cycle.c */
#define DAY_MS	   INT64_C(86400000)
#define TIMEOUT_MS 60000
#define LEASE_MS   60000 /* the loop stands still while the other way is measured */

static bool unpaced;

/* ---- what coordinator/main.c offers to the other parts ---- */

void coordinator_limits(const struct coordinator *c, const char *node, struct limits *out)
{
	limits_for_node(&c->options.policy, c->options.overrides, node, out);
}

void coordinator_publish_policy(struct coordinator *c)
{
	cJSON *policy = limits_publish(&c->options.policy, c->options.overrides);
	char *text = cJSON_PrintUnformatted(policy), key[KEY_SIZE];
	struct redis_args args = {0};

	redis_args_start(&args, "SET");
	redis_args_add(&args, coordinator_key(c, key, KEY_POLICY));
	redis_args_add(&args, text);
	redis_link_command(c->link, &args, NULL, NULL);
	redis_args_free(&args);
	cJSON_free(text);
	cJSON_Delete(policy);
}

/* ---- the pause between windows ---- */

/*
 * The linker leads calls of event_add here (--wrap). A cycle that is not paced is the product's
 * own code with the gap taken out.
 */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
int __real_event_add(struct event *ev, const struct timeval *tv);
int __wrap_event_add(struct event *ev, const struct timeval *tv);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

int __wrap_event_add(struct event *ev, const struct timeval *tv)
{
	if (unpaced && tv != NULL && tv->tv_sec == 0 && tv->tv_usec == GAP_US) {
		event_active(ev, EV_TIMEOUT, 0);
		return 0;
	}
	return __real_event_add(ev, tv);
}

void coord_pace(bool paced)
{
	unpaced = !paced;
}

/* ---- hooks, as in coordinator/main.c ---- */

static void on_gained(int64_t epoch, void *arg)
{
	struct coord *coord = arg;
	struct coordinator *c = &coord->c;

	(void)epoch;
	ledger_clear(c->ledger);
	coordinator_publish_policy(c);
	follow_all(c->follow);
}

static void on_lost(const char *why, void *arg)
{
	(void)arg;
	bench_fail("the coordinator does not lead any more: %s", why);
}

static void on_up(const struct redis_link_server *server, void *arg)
{
	struct coord *coord = arg;

	(void)server;
	redis_script_load(coord->c.link,
			  (const struct redis_script *[]){&script_elect, &script_issue,
							  &script_resign, &script_pin, NULL});
	leader_tick(coord->c.leader);
}

static void on_subscribed(const struct redis_link_server *server, void *arg)
{
	(void)server;
	(void)arg;
}

static void on_down(const char *why, void *arg)
{
	(void)arg;
	bench_fail("Redis is gone: %s", why);
}

static void on_message(const char *channel, const char *payload, size_t len, void *arg)
{
	struct coord *coord = arg;
	char key[KEY_SIZE];

	(void)len;
	if (strcmp(channel, coordinator_key(&coord->c, key, KEY_PRESSURE)) != 0)
		follow_node(coord->c.follow, payload);
}

static void on_tick(void *arg)
{
	struct coord *coord = arg;

	caution_alive(&coord->c.caution, clock_mono());
	leader_tick(coord->c.leader);
	follow_tick(coord->c.follow);
}

static void on_signal(void *arg)
{
	(void)arg;
}

/* ---- start and end ---- */

static void start_links(struct coord *coord)
{
	struct coordinator *c = &coord->c;
	struct redis_link_hooks hooks = {.up = on_up, .down = on_down, .arg = coord};
	struct redis_link_hooks heard = {
		.up = on_subscribed, .down = on_down, .message = on_message, .arg = coord};
	struct redis_link_target target;
	char pressure[KEY_SIZE], done[KEY_SIZE];
	struct err err;

	if (redis_options_target(&c->options.redis, "larder-coordinator", &target,
				 &c->redis_password, &err) != 0)
		bench_fail("%s", err.text);
	coordinator_key(c, pressure, KEY_PRESSURE);
	coordinator_key(c, done, KEY_DONE);
	c->link = redis_link_new(daemon_base(c->daemon), daemon_dns(c->daemon), &target, NULL,
				 &hooks);
	c->subscriber = redis_link_new(daemon_base(c->daemon), daemon_dns(c->daemon), &target,
				       (const char *[]){pressure, done, NULL}, &heard);
}

static bool leads(void *arg)
{
	struct coord *coord = arg;

	return leader_leads(coord->c.leader) && redis_link_is_up(coord->c.subscriber) &&
	       redis_link_pending(coord->c.link) == 0;
}

struct coord *coord_start(const struct server *server)
{
	struct coord *coord = xcalloc(1, sizeof(*coord));
	struct coordinator *c = &coord->c;
	const struct daemon_hooks hooks = {
		.tick = on_tick, .reload = on_signal, .stop = on_signal, .arg = coord};
	const struct leader_hooks leading = {.gained = on_gained, .lost = on_lost, .arg = coord};

	setting_defaults(coordinator_program.rows, &c->options);
	free(c->options.redis.url);
	c->options.redis.url = xstrdup(server->url);
	c->options.hold_off_ms = 0;
	c->options.lease_ms = LEASE_MS;
	c->options.node_timeout_ms = DAY_MS;
	log_setup("coordinator", LOG_LEVEL_INFO, LOG_FORMAT_LOGFMT);
	c->daemon = daemon_new(TICK_MS, &hooks);
	c->ledger = ledger_new();
	ledger_set_retry(c->ledger, c->options.check_interval_ms);
	caution_start(&c->caution, 0, clock_mono());
	start_links(coord);
	c->leader = leader_new(c->link, c->options.redis.prefix, "bench:1", c->options.lease_ms,
			       &leading);
	c->cycles = cycles_new(c);
	c->follow = follow_new(c);
	coord_run(coord, leads, coord);
	return coord;
}

void coord_free(struct coord *coord)
{
	struct coordinator *c = &coord->c;

	redis_link_free(c->subscriber);
	redis_link_free(c->link);
	cycles_free(c->cycles);
	follow_free(c->follow);
	leader_free(c->leader);
	ledger_free(c->ledger);
	copies_free(c->copies);
	daemon_free(c->daemon);
	setting_free(coordinator_program.rows, &c->options);
	free(c->redis_password);
	free(coord);
}

void coord_run(struct coord *coord, bool (*done)(void *arg), void *arg)
{
	int64_t began = bench_now_ns();

	while (!done(arg)) {
		if (bench_ms_since(began) > TIMEOUT_MS)
			bench_fail("the coordinator does not get on");
		event_base_loop(daemon_base(coord->c.daemon), EVLOOP_ONCE);
	}
}
