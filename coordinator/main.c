/* larder-coordinator: puts the parts together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "common/http_server.h"
#include "common/log.h"
#include "common/redis_script.h"
#include "common/redis_sentinel.h"
#include "common/version.h"
#include "common/xmem.h"
#include "coordinator/api.h"
#include "coordinator/coordinator.h"
#include "coordinator/copies.h"
#include "coordinator/cycles.h"
#include "coordinator/follow.h"
#include "coordinator/leader.h"
#include "coordinator/trail.h"

#define TICK_MS	      50
#define STOP_GRACE_MS 5000

static struct {
	int argc;
	char **argv;
} command_line;

void coordinator_limits(const struct coordinator *c, const char *node, struct limits *out)
{
	limits_for_node(&c->options.policy, c->options.overrides, node, out);
}

void coordinator_publish_policy(struct coordinator *c)
{
	cJSON *policy = limits_publish(&c->options.policy, c->options.overrides);
	char *text = cJSON_PrintUnformatted(policy);
	struct redis_args args = {0};
	char key[KEY_SIZE];

	redis_args_start(&args, "SET");
	redis_args_add(&args, coordinator_key(c, key, KEY_POLICY));
	redis_args_add(&args, text);
	redis_link_command(c->link, &args, NULL, NULL);
	redis_args_free(&args);
	cJSON_free(text);
	cJSON_Delete(policy);
}

/* And tells the agents that it has changed. */
static void announce_policy(struct coordinator *c)
{
	struct redis_args args = {0};
	char key[KEY_SIZE];

	coordinator_publish_policy(c);
	redis_args_start(&args, "PUBLISH");
	redis_args_add(&args, coordinator_key(c, key, KEY_CHANGED));
	redis_args_add(&args, "policy");
	redis_link_command(c->link, &args, NULL, NULL);
	redis_args_free(&args);
}

/* ---- leadership ---- */

static void on_gained(int64_t epoch, void *arg)
{
	struct coordinator *c = arg;
	struct redis_args args = {0};

	caution_event(&c->caution, "the leadership is new", clock_mono());
	/* With the epoch of before nobody else has led meanwhile: what is open is still ours. */
	if (epoch != c->epoch_led) {
		ledger_clear(c->ledger);
		cycles_ledger_cleared(c->cycles);
	}
	c->epoch_led = epoch;
	/* What was under way before, and what the last leader has under way, is read anew. */
	if (c->copies != NULL)
		copies_keep(c->copies, NULL, 0);
	announce_policy(c);
	follow_all(c->follow);
	trail_start(c, &args, "leader");
	redis_args_add(&args, "id");
	redis_args_add(&args, leader_own_id(c->leader));
	redis_args_add(&args, "epoch");
	redis_args_add_int(&args, epoch);
	trail_send(c, &args);
}

static void on_lost(const char *why, void *arg)
{
	struct coordinator *c = arg;

	(void)why;
	cycles_stop(c->cycles, "not the leader any more");
}

/* ---- Redis ---- */

static void on_up(const struct redis_link_server *server, void *arg)
{
	struct coordinator *c = arg;

	caution_event(&c->caution,
		      c->server.run_id[0] == '\0' ? "the coordinator has just started"
						  : "Redis has come back",
		      clock_mono());
	c->server = *server;
	redis_check_start(&c->check, c->link, server);
	redis_script_load(c->link,
			  (const struct redis_script *[]){&script_elect, &script_issue,
							  &script_resign, &script_pin, NULL});
	leader_tick(c->leader);
}

static void on_down(const char *why, void *arg)
{
	struct coordinator *c = arg;

	(void)why;
	leader_link_down(c->leader);
	cycles_stop(c->cycles, redis_link_err_lost);
}

static void on_subscribed(const struct redis_link_server *server, void *arg)
{
	struct coordinator *c = arg;

	(void)server;
	if (!leader_leads(c->leader))
		return;
	/* Which nodes asked or answered meanwhile is not known: look at all of them. */
	cycles_demand(c->cycles);
	follow_all(c->follow);
}

static void on_unsubscribed(const char *why, void *arg)
{
	(void)why;
	(void)arg;
}

static void on_message(const char *channel, const char *payload, size_t len, void *arg)
{
	struct coordinator *c = arg;
	char key[KEY_SIZE];

	if (len > NODE_NAME_MAX || !model_name_node_valid(payload))
		return;
	if (strcmp(channel, coordinator_key(c, key, KEY_PRESSURE)) == 0) {
		log_info("+pressure", LOG_STR("node", payload));
		cycles_pressure(c->cycles, payload);
	} else {
		follow_node(c->follow, payload);
	}
}

/* ---- tick, reload, stop ---- */

static void on_tick(void *arg)
{
	struct coordinator *c = arg;

	caution_alive(&c->caution, clock_mono());
	leader_tick(c->leader);
	follow_tick(c->follow);
	cycles_tick(c->cycles);
	if (c->stopping && http_server_open(c->http) == 0)
		daemon_stopped(c->daemon);
}

static void take_token(struct coordinator *c)
{
	char *token;
	struct err err;

	if (http_options_token(&c->options.http, &token, &err) != 0) {
		log_error("-reload", LOG_STR("reason", err.text));
		return;
	}
	http_server_set_token(c->http, token);
	free(c->http_token);
	c->http_token = token;
}

static void take_settings(struct coordinator *c)
{
	log_setup("coordinator", (enum log_level)c->options.log.level,
		  (enum log_format)c->options.log.format);
	c->caution.hold_off_ms = c->options.hold_off_ms;
	ledger_set_retry(c->ledger, c->options.check_interval_ms);
}

static void on_reload(void *arg)
{
	struct coordinator *c = arg;
	struct coordinator_options fresh = {0};
	struct err err;
	char path[128];

	if (settings_reload(&coordinator_program, command_line.argc, command_line.argv, &fresh,
			    &err) != 0) {
		/* A bad file changes nothing. */
		log_error("-reload", LOG_STR("reason", err.text));
		setting_free(coordinator_program.rows, &fresh);
		return;
	}
	if (setting_differs(coordinator_program.rows, &c->options, &fresh, SETTING_RELOAD, path,
			    sizeof(path)))
		log_warn("+reload", LOG_STR("setting", path),
			 LOG_STR("reason", "takes effect at the next start"));
	setting_copy(coordinator_program.rows, &c->options, &fresh, SETTING_RELOAD);
	setting_free(coordinator_program.rows, &fresh);
	take_settings(c);
	take_token(c);
	cycles_settings_changed(c->cycles);
	if (leader_leads(c->leader))
		announce_policy(c);
	log_info("+reload", LOG_STR("enabled", c->options.enabled ? "yes" : "no"));
}

static void on_resigned(void *arg)
{
	struct coordinator *c = arg;

	c->stopping = true;
}

static void on_stop(void *arg)
{
	struct coordinator *c = arg;

	leader_resign(c->leader, on_resigned, c);
}

/* ---- start ---- */

static int start_links(struct coordinator *c, struct err *err)
{
	struct redis_link_target target;
	struct redis_link_hooks hooks = {.up = on_up, .down = on_down, .arg = c};
	struct redis_link_hooks heard = {
		.up = on_subscribed, .down = on_unsubscribed, .message = on_message, .arg = c};
	struct event_base *base = daemon_base(c->daemon);
	char pressure[KEY_SIZE], done[KEY_SIZE];

	if (redis_options_target(&c->options.redis, "larder-coordinator", &target,
				 &c->redis_password, err) != 0 ||
	    redis_sentinel_start(c->daemon, &c->options.redis.sentinel, &target, &c->sentinel,
				 err) != 0)
		return -1;
	c->check.rights = redis_rights_coordinator;
	c->check.prefix = c->options.redis.prefix;
	c->check.node = "NODE"; /* any: it may use the keys of all of them */
	coordinator_key(c, pressure, KEY_PRESSURE);
	coordinator_key(c, done, KEY_DONE);
	c->link = redis_link_new(base, daemon_dns(c->daemon), &target, NULL, &hooks);
	c->subscriber = redis_link_new(base, daemon_dns(c->daemon), &target,
				       (const char *[]){pressure, done, NULL}, &heard);
	return 0;
}

static void find_address(struct coordinator *c)
{
	const char *listen = c->options.http.listen;
	const char *colon = strrchr(listen, ':');

	if (c->options.advertise != NULL)
		snprintf(c->address, sizeof(c->address), "%s", c->options.advertise);
	else
		snprintf(c->address, sizeof(c->address), "%.*s:%d",
			 (int)(colon != NULL ? colon - listen : 0), listen,
			 http_server_port(c->http));
}

static int start(struct coordinator *c, struct err *err)
{
	const struct daemon_hooks hooks = {
		.tick = on_tick, .reload = on_reload, .stop = on_stop, .arg = c};
	const struct leader_hooks leading = {.gained = on_gained, .lost = on_lost, .arg = c};

	c->daemon = daemon_new(TICK_MS, &hooks);
	c->ledger = ledger_new();
	caution_start(&c->caution, c->options.hold_off_ms, clock_mono());
	take_settings(c);
	if (http_options_token(&c->options.http, &c->http_token, err) != 0)
		return -1;
	c->http = api_start(c, err);
	if (c->http == NULL)
		return -1;
	find_address(c);
	if (start_links(c, err) != 0)
		return -1;
	c->leader = leader_new(c->link, c->options.redis.prefix, c->address, c->options.lease_ms,
			       &leading);
	c->cycles = cycles_new(c);
	c->follow = follow_new(c);
	return 0;
}

static void stop(struct coordinator *c)
{
	redis_link_free(c->subscriber);
	redis_link_free(c->link);
	redis_sentinel_free(c->sentinel);
	cycles_free(c->cycles);
	follow_free(c->follow);
	leader_free(c->leader);
	http_server_free(c->http);
	ledger_free(c->ledger);
	copies_free(c->copies);
	if (c->daemon != NULL)
		daemon_free(c->daemon);
	free(c->redis_password);
	free(c->http_token);
}

int main(int argc, char **argv)
{
	struct coordinator c = {0};
	struct settings_start how;
	struct err err = {""};

	command_line.argc = argc;
	command_line.argv = argv;
	if (settings_load(&coordinator_program, argc, argv, &c.options, &how, &err) != 0) {
		fprintf(stderr, "larder-coordinator: %s\n", err.text);
	} else if (how.action == SETTINGS_RUN) {
		log_setup("coordinator", (enum log_level)c.options.log.level,
			  (enum log_format)c.options.log.format);
		if (start(&c, &err) == 0) {
			log_info("+start", LOG_STR("version", LARDER_VERSION),
				 LOG_STR("id", leader_own_id(c.leader)),
				 LOG_INT("http_port", http_server_port(c.http)));
			daemon_run(c.daemon, STOP_GRACE_MS);
			log_info("-start", LOG_STR("id", leader_own_id(c.leader)));
		} else {
			log_error("-start", LOG_STR("reason", err.text));
			how.exit_code = EX_UNAVAILABLE;
		}
		stop(&c);
	}
	setting_free(coordinator_program.rows, &c.options);
	free(how.file);
	return how.exit_code;
}
