/*
 * The agent's side of the conversation with Redis.
 *
 *   DOWN --link up--> ASKING (time, policy, pins) --> REGISTERING --> REGISTERED
 *                                                         ^               |
 *                                                         +- UNKNOWN, RESYNC, CLOCK
 *
 * Answers only record; what is to be said next is decided in beat_tick.
 */
#include "agent/beat.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/holds.h"
#include "agent/message.h"
#include "agent/orders.h"
#include "agent/tend.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/redis_check.h"
#include "common/redis_script.h"
#include "common/redis_sentinel.h"
#include "common/xmem.h"

#define READ_INTERVAL_MS 30000 /* pins and policy, when nobody says that they have changed */
#define TEND_PAUSE_MS	 1000  /* between two looks at the keys of the node */
/* Two agents with one name take the registration from each other: the one that notices waits. */
#define RIVAL_TIMES	3
#define RIVAL_WINDOW_MS 60000
#define SOON_US		2000
#define RIVAL_PAUSE_MS	30000

/* By so much two clocks may drift apart between two answers. */
#define SET_BACK_MS 1000

static const char clock_jumped[] = "Redis' clock has jumped";

enum beat_state { BEAT_DOWN, BEAT_ASKING, BEAT_REGISTERING, BEAT_REGISTERED };

struct beat {
	struct agent *agent;
	struct redis_link *link, *subscriber;
	struct redis_sentinel *sentinel; /* who tells where Redis is, or NULL */
	struct redis_check check;
	struct redis_args args;
	char *password;
	char incarnation[9]; /* of this registration: what was said before it counts no more */
	char client_name[NODE_NAME_MAX + 16];
	enum beat_state state;

	int64_t redis_ms; /* Redis' clock at `redis_at` */
	struct mono redis_at;
	bool jumped; /* it has; commands of before may still stand in Redis */

	struct event *soon;
	struct mono beat_due, read_due, register_due, tended;
	bool beating, reading, confirming; /* a request is under way */
	unsigned rivals; /* how often Redis did not know this incarnation, lately */
	struct mono unknown_at;
};

/* ---- the clock ---- */

int64_t beat_redis_now(const struct beat *b)
{
	return b->redis_ms == 0 ? 0 : b->redis_ms + mono_since(b->redis_at, clock_mono());
}

static void heard_clock(struct beat *b, int64_t redis_ms)
{
	bool first = b->redis_ms == 0;
	struct model *model, *next;

	b->redis_ms = redis_ms;
	b->redis_at = clock_mono();
	if (!first)
		return;
	HASH_ITER (hh, b->agent->inventory.models, model, next)
		agent_recall_use(b->agent, model);
	holds_restore(b->agent);
}

/*
 * Uses since may have lesser scores on the clock of now than a command of before has seen. Which
 * commands are of before nobody can tell, but all of them are heard with the next beat.
 */
static void note_jump(struct beat *b)
{
	b->jumped = true;
	orders_clock_jumped(b->agent->orders);
}

/* The time in an answer. */
static void answered_clock(struct beat *b, const struct said *said, int64_t redis_ms)
{
	if (redis_ms < said->redis_now_ms - SET_BACK_MS)
		note_jump(b);
	heard_clock(b, redis_ms);
}

static int64_t to_int(const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_INTEGER)
		return reply->integer;
	return reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;
}

/* Is the answer of a script a list that begins with this word? */
static bool answered(const redisReply *reply, const char *word)
{
	return reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
	       reply->element[0]->type == REDIS_REPLY_STRING &&
	       strcmp(reply->element[0]->str, word) == 0;
}

static void complain(const char *event, const redisReply *reply, const char *why)
{
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
		why = reply->str;
	else if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
		 reply->element[0]->type == REDIS_REPLY_STRING)
		why = reply->element[0]->str;
	log_warn(event, LOG_STR("reason", why != NULL ? why : "unexpected answer"));
}

static const char *cluster_key(struct beat *b, char *buf, enum cluster_key which)
{
	return key_cluster(buf, b->agent->options.redis.prefix, which);
}

/* ---- pins and policy ---- */

static void got_policy(const redisReply *reply, const char *why, void *arg)
{
	struct beat *b = arg;
	struct agent *agent = b->agent;
	struct limits base;
	cJSON *overrides = NULL;
	struct err err;

	if (reply == NULL || reply->type == REDIS_REPLY_NIL)
		return; /* no leader yet: what was known stays */
	if (reply->type != REDIS_REPLY_STRING) {
		complain("-policy", reply, why);
		return;
	}
	if (limits_receive(reply->str, &base, &overrides, &err) != 0) {
		log_warn("-policy", LOG_STR("reason", err.text));
		return;
	}
	limits_for_node(&base, overrides, agent->node, &agent->limits);
	agent->limits_known = true;
	cJSON_Delete(overrides);
}

static void got_pins(const redisReply *reply, const char *why, void *arg)
{
	struct said *said = arg;
	struct beat *b = said->beat;
	struct agent *agent = b->agent;
	struct pins pins = {0};
	struct model *model, *next;
	struct err err;

	b->reading = false;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		complain("-pins", reply, why);
		said_free(said);
		return;
	}
	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		const char *glob = reply->element[i]->str;

		if (pins_add(&pins, glob, reply->element[i + 1]->str, &err) != 0)
			log_warn("-pin", LOG_STR("glob", glob), LOG_STR("reason", err.text));
	}
	if (b->redis_ms != 0)
		pins_settle(&pins, beat_redis_now(b), clock_wall_ms());
	pins_free(&agent->pins);
	agent->pins = pins;
	HASH_ITER (hh, agent->inventory.models, model, next) {
		if (model->removal != NULL &&
		    pins_match(&pins, model->name, beat_redis_now(b)) != NULL)
			removal_veto(model->removal, "pinned");
	}
	orders_pins_read(agent->orders, said->asked);
	said_free(said);
}

static void read_cluster(struct beat *b)
{
	char key[KEY_SIZE];

	b->reading = true;
	b->read_due.ms = clock_mono().ms + READ_INTERVAL_MS;
	redis_args_start(&b->args, "GET");
	redis_args_add(&b->args, cluster_key(b, key, KEY_POLICY));
	redis_link_command(b->link, &b->args, got_policy, b);
	redis_args_start(&b->args, "HGETALL");
	redis_args_add(&b->args, cluster_key(b, key, KEY_PINS));
	redis_link_command(b->link, &b->args, got_pins, said_new(b, b->agent));
}

/* ---- registration and differences ---- */

static void on_mended(void *arg);

static void tend(struct beat *b)
{
	b->tended = clock_mono();
	tend_keys(b->link, b->agent, on_mended, b);
}

/* A script has failed. It may not like what stands in the node's keys: then that is put right. */
static void refused(struct beat *b, const char *event, const redisReply *reply, const char *why)
{
	complain(event, reply, why);
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR &&
	    mono_since(b->tended, clock_mono()) >= TEND_PAUSE_MS)
		tend(b);
}

/* Redis does not know this node as it is: everything is told anew. */
static void register_again(struct beat *b, const char *why)
{
	if (b->state == BEAT_REGISTERED || b->state == BEAT_REGISTERING)
		log_warn("-registration", LOG_STR("reason", why));
	if (b->state != BEAT_DOWN)
		b->state = BEAT_REGISTERING;
	inventory_untold(&b->agent->inventory);
}

static void on_mended(void *arg)
{
	register_again(arg, "keys of it were overwritten");
}

static void got_registered(const redisReply *reply, const char *why, void *arg)
{
	struct said *said = arg;
	struct beat *b = said->beat;

	if (answered(reply, "OK") && reply->elements > 1) {
		int64_t now = to_int(reply->element[1]);

		answered_clock(b, said, now);
		said_acknowledged(said, now);
		if (said->last && b->state == BEAT_REGISTERING) {
			b->state = BEAT_REGISTERED;
			b->beat_due.ms = 0;
			log_info("+registered",
				 LOG_INT("models", HASH_COUNT(b->agent->inventory.models)));
		}
	} else if (answered(reply, "CLOCK")) {
		said_lost(said);
		note_jump(b);
		/* At once, and once: all calls of a registration may be answered so. */
		if (strcmp(said->incarnation, b->incarnation) == 0 &&
		    (b->state != BEAT_REGISTERING || b->register_due.ms != 0)) {
			b->register_due.ms = 0;
			register_again(b, clock_jumped);
		}
	} else {
		said_lost(said);
		refused(b, "-register", reply, why);
		b->register_due.ms = clock_mono().ms + 1000;
		register_again(b, "it failed");
	}
	said_free(said);
}

static void register_all(struct beat *b)
{
	struct agent *agent = b->agent;
	void *next = agent->inventory.models;
	size_t left = 0;
	bool first = true;

	clock_random_hex(b->incarnation, 4);
	b->register_due.ms = clock_mono().ms + agent->options.redis.command_timeout_ms + 1000;
	tend(b);
	for (const struct model *model = next; model != NULL; model = model->hh.next)
		left += !model->gone;
	do {
		struct said *said = said_new(b, agent);

		message_register(&b->args, said, b->incarnation, first, &next, &left);
		redis_script_call(b->link, &script_register, &b->args, got_registered, said);
		first = false;
	} while (left > 0);
}

static void tell_differences(struct beat *b)
{
	struct said *said = said_new(b, b->agent);

	if (message_differences(&b->args, said, b->incarnation))
		redis_script_call(b->link, &script_register, &b->args, got_registered, said);
	else
		said_free(said);
}

/* ---- receipts ---- */

static void confirm(struct beat *b);

static void got_confirmed(const redisReply *reply, const char *why, void *arg)
{
	struct said *said = arg;
	struct beat *b = said->beat;

	b->confirming = false;
	if (answered(reply, "OK")) {
		journal_confirmed(b->agent->journal, said->receipt_number);
		confirm(b); /* there may be more */
	} else {
		refused(b, "-confirm", reply, why);
		if (answered(reply, "UNKNOWN"))
			register_again(b, "UNKNOWN");
	}
	said_free(said);
}

static void confirm(struct beat *b)
{
	struct said *said = said_new(b, b->agent);

	if (!message_confirm(&b->args, said, b->incarnation)) {
		said_free(said);
		return;
	}
	b->confirming = true;
	redis_script_call(b->link, &script_confirm, &b->args, got_confirmed, said);
}

/* ---- the beat ---- */

/* A text as it came. A NUL would hide what stands behind it: no name and no command holds this. */
static const char *whole_text(redisReply *reply)
{
	if (reply->type != REDIS_REPLY_STRING)
		return "";
	for (char *p = reply->str; p < reply->str + reply->len; p++) {
		if (*p == '\0')
			*p = '\1';
	}
	return reply->str;
}

static void got_beat(const redisReply *reply, const char *why, void *arg)
{
	struct said *said = arg;
	struct beat *b = said->beat;

	b->beating = false;
	if (answered(reply, "OK") && reply->elements > 1) {
		int64_t now = to_int(reply->element[1]);

		answered_clock(b, said, now);
		said_acknowledged(said, now);
		for (size_t i = 2; i + 1 < reply->elements; i += 2)
			orders_hear(b->agent->orders, whole_text(reply->element[i]),
				    whole_text(reply->element[i + 1]));
		if (b->jumped)
			orders_clock_jumped(b->agent->orders);
		b->jumped = false;
		if (orders_want_pins(b->agent->orders) && !b->reading)
			read_cluster(b);
	} else {
		said_lost(said);
		if (answered(reply, "UNKNOWN")) {
			struct mono now = clock_mono();

			b->rivals = mono_since(b->unknown_at, now) < RIVAL_WINDOW_MS ? b->rivals + 1
										     : 1;
			b->unknown_at = now;
			if (b->rivals >= RIVAL_TIMES) {
				log_error("-rival", LOG_STR("node", b->agent->node),
					  LOG_STR("reason", "another agent uses this node's name"));
				b->register_due.ms = clock_mono().ms + RIVAL_PAUSE_MS;
			}
			register_again(b, "UNKNOWN");
		} else if (answered(reply, "RESYNC")) {
			register_again(b, "RESYNC");
		} else if (answered(reply, "CLOCK")) {
			b->register_due.ms = 0;
			note_jump(b);
			register_again(b, clock_jumped);
		} else {
			refused(b, "-beat", reply, why);
		}
	}
	said_free(said);
}

static void send_beat(struct beat *b)
{
	struct said *said = said_new(b, b->agent);

	message_beat(&b->args, said, b->incarnation);
	b->beating = true;
	redis_script_call(b->link, &script_beat, &b->args, got_beat, said);
}

/* ---- the link ---- */

static void got_time(const redisReply *reply, const char *why, void *arg)
{
	struct beat *b = arg;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
		complain("-time", reply, why);
		return;
	}
	/* Later only by a registration: by what was known before, Redis sees that it has jumped. */
	if (b->redis_ms == 0)
		heard_clock(b, to_int(reply->element[0]) * 1000 + to_int(reply->element[1]) / 1000);
	b->state = BEAT_REGISTERING;
	b->register_due.ms = 0;
}

static void on_up(const struct redis_link_server *server, void *arg)
{
	struct beat *b = arg;

	redis_check_start(&b->check, b->link, server);
	b->state = BEAT_ASKING;
	redis_script_load(b->link,
			  (const struct redis_script *[]){&script_beat, &script_register,
							  &script_confirm, &script_mend, NULL});
	redis_args_start(&b->args, "TIME");
	redis_link_command(b->link, &b->args, got_time, b);
	read_cluster(b);
}

static void on_down(const char *why, void *arg)
{
	struct beat *b = arg;

	(void)why;
	b->state = BEAT_DOWN;
	b->beating = b->reading = b->confirming = false;
	/* What was said and not answered may or may not have arrived. */
	inventory_untold(&b->agent->inventory);
}

static void on_subscribed(const struct redis_link_server *server, void *arg)
{
	struct beat *b = arg;

	(void)server;
	/* What was published before is not known: look. */
	b->beat_due.ms = 0;
	b->read_due.ms = 0;
}

static void on_unsubscribed(const char *why, void *arg)
{
	(void)why;
	(void)arg;
}

static void on_message(const char *channel, const char *payload, size_t len, void *arg)
{
	struct beat *b = arg;
	char key[KEY_SIZE];

	(void)payload;
	(void)len;
	if (strcmp(channel, cluster_key(b, key, KEY_CHANGED)) == 0)
		b->read_due.ms = 0;
	else
		b->beat_due.ms = 0;
	beat_tick(b);
}

/* Everything that is due, in the order in which Redis must see it. */
void beat_tick(struct beat *b)
{
	struct agent *agent = b->agent;
	struct mono now = clock_mono();

	if (!redis_link_is_up(b->link))
		return;
	if (b->state == BEAT_REGISTERING && mono_since(b->register_due, now) >= 0) {
		/* A registration before the first scan would say that there are no models. */
		for (int i = 0; i < agent->root_count; i++) {
			if (!agent->views[i].looked_at)
				return;
		}
		register_all(b);
	}
	if (b->state == BEAT_REGISTERED && mono_since(b->beat_due, now) >= 0 && !b->beating) {
		b->beat_due.ms = now.ms + agent->options.beat_interval_ms;
		if (!b->confirming)
			confirm(b);
		tell_differences(b);
		send_beat(b);
	}
	if (b->state == BEAT_ASKING || b->reading)
		return;
	if (b->state == BEAT_REGISTERED && mono_since(b->read_due, now) >= 0)
		tend(b);
	if (mono_since(b->read_due, now) >= 0 || orders_want_pins(agent->orders))
		read_cluster(b);
}

static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	beat_tick(arg);
}

void beat_soon(struct beat *b)
{
	/* In a moment, so that what happens together is told together. */
	b->beat_due.ms = 0;
	evtimer_add(b->soon, &(struct timeval){.tv_usec = SOON_US});
}

bool beat_registered(const struct beat *b)
{
	return b->state == BEAT_REGISTERED;
}

struct beat *beat_new(struct agent *agent, struct err *err)
{
	struct beat *b = xcalloc(1, sizeof(*b));
	struct redis_link_target target;
	struct redis_link_hooks hooks = {.up = on_up, .down = on_down, .arg = b};
	struct redis_link_hooks heard = {
		.up = on_subscribed, .down = on_unsubscribed, .message = on_message, .arg = b};
	char wake[KEY_SIZE], changed[KEY_SIZE];

	b->agent = agent;
	b->check.rights = redis_rights_agent;
	b->check.prefix = agent->options.redis.prefix;
	b->check.node = agent->node;
	b->soon = evtimer_new(daemon_base(agent->daemon), on_soon, b);
	snprintf(b->client_name, sizeof(b->client_name), "larder-agent-%s", agent->node);
	if (redis_options_target(&agent->options.redis, b->client_name, &target, &b->password,
				 err) != 0 ||
	    redis_sentinel_start(agent->daemon, &agent->options.redis.sentinel, &target,
				 &b->sentinel, err) != 0) {
		beat_free(b);
		return NULL;
	}
	key_node(wake, agent->options.redis.prefix, agent->node, KEY_WAKE);
	cluster_key(b, changed, KEY_CHANGED);
	b->link = redis_link_new(daemon_base(agent->daemon), daemon_dns(agent->daemon), &target,
				 NULL, &hooks);
	b->subscriber = redis_link_new(daemon_base(agent->daemon), daemon_dns(agent->daemon),
				       &target, (const char *[]){wake, changed, NULL}, &heard);
	return b;
}

void beat_free(struct beat *b)
{
	if (b == NULL)
		return;
	redis_link_free(b->link);
	redis_link_free(b->subscriber);
	redis_sentinel_free(b->sentinel);
	event_free(b->soon);
	redis_args_free(&b->args);
	free(b->password);
	free(b);
}
