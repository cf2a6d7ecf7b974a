/*
 * A connection to Redis that keeps itself up.
 *
 *   WAITING --timer--> CONNECTING --connected--> GREETING --answers--> UP
 *      ^                   |                        |                  |
 *      +------ back-off ---+----- any failure ------+------------------+
 *
 * With a guide there is LOCATING before CONNECTING: the guide tells when it knows where Redis is.
 */
#include "common/redis_link.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/redis_info.h"
#include "common/redis_socket.h"
#include "common/xmem.h"

#define BACKOFF_MIN_MS	 200
#define BACKOFF_MAX_MS	 30000
#define PING_INTERVAL_MS 10000
#define OUTPUT_MAX_BYTES (64u << 20)
#define NAME_SIZE	 272 /* of a place */

const char *const redis_link_err_down = "Redis is not connected";
const char *const redis_link_err_lost = "the connection to Redis was lost";
const char *const redis_link_err_timeout = "Redis did not answer in time";
const char *const redis_link_err_full = "too much is waiting to be sent to Redis";
const char *const redis_link_err_closed = "the connection to Redis was closed";

enum link_state { LINK_WAITING, LINK_LOCATING, LINK_CONNECTING, LINK_GREETING, LINK_UP };

struct request {
	redis_link_cb cb;
	void *arg;
	struct mono deadline;
	const char *why; /* of a request that failed before it was sent */
	struct request *next;
};

struct redis_link {
	struct event_base *base;
	struct evdns_base *dns;
	struct redis_link_target target;
	struct redis_link_hooks hooks;
	char **channels;
	size_t channel_count, subscribed;

	enum link_state state;
	struct bufferevent *bev;
	redisReader *reader;
	struct event *timer;  /* back-off, connect time-out, command time-out, ping */
	struct event *failer; /* delivers what failed before it was sent */
	struct request *sent, *sent_tail;
	struct request *failed;
	size_t pending;
	struct mono deadline; /* of the connection attempt */
	struct mono pinged;   /* subscribers: when the last ping went out, 0 when answered */
	struct mono ping_due;
	unsigned attempts;
	const char *drop_why; /* set inside a callback: drop when it returns */
	bool wanted;	      /* it is dropped because somebody wants a new connection */
	char last_error[256];
	struct redis_link_server server;
};

static void drop(struct redis_link *link, const char *why);

static void arm(struct redis_link *link, int64_t ms)
{
	struct timeval tv;

	if (ms < 1)
		ms = 1;
	tv.tv_sec = ms / 1000;
	tv.tv_usec = (suseconds_t)(ms % 1000) * 1000;
	evtimer_add(link->timer, &tv);
}

/* Sets the timer for whatever comes next in the present state. */
static void arm_for_state(struct redis_link *link)
{
	struct mono now = clock_mono();

	if (link->state >= LINK_LOCATING && link->state <= LINK_GREETING)
		arm(link, mono_since(now, link->deadline));
	else if (link->state == LINK_UP && link->channels != NULL)
		arm(link, mono_since(now, link->ping_due));
	else if (link->state == LINK_UP && link->sent != NULL)
		arm(link, mono_since(now, link->sent->deadline));
	else if (link->state == LINK_UP)
		evtimer_del(link->timer);
}

static void fail_later(struct redis_link *link, redis_link_cb cb, void *arg, const char *why)
{
	struct request *req = xcalloc(1, sizeof(*req));

	req->cb = cb;
	req->arg = arg;
	req->why = why;
	LL_APPEND(link->failed, req);
	event_active(link->failer, EV_TIMEOUT, 0);
}

static void deliver_failed(evutil_socket_t fd, short what, void *arg)
{
	struct redis_link *link = arg;
	struct request *list = link->failed, *req, *next;

	(void)fd;
	(void)what;
	link->failed = NULL;
	LL_FOREACH_SAFE (list, req, next) {
		if (req->cb != NULL)
			req->cb(NULL, req->why, req->arg);
		free(req);
	}
}

/* Ends everything that was sent and not answered. */
static void fail_sent(struct redis_link *link, const char *why)
{
	struct request *list = link->sent, *req, *next;

	link->sent = link->sent_tail = NULL;
	link->pending = 0;
	LL_FOREACH_SAFE (list, req, next) {
		if (req->cb != NULL)
			req->cb(NULL, why, req->arg);
		free(req);
	}
}

static void push_request(struct redis_link *link, redis_link_cb cb, void *arg)
{
	struct request *req = xcalloc(1, sizeof(*req));

	req->cb = cb;
	req->arg = arg;
	req->deadline.ms = clock_mono().ms + link->target.command_timeout_ms;
	if (link->sent_tail != NULL)
		link->sent_tail->next = req;
	else
		link->sent = req;
	link->sent_tail = req;
	link->pending++;
}

static void write_args(struct redis_link *link, const struct redis_args *args)
{
	size_t len;
	char *text = redis_args_format(args, &len);

	bufferevent_write(link->bev, text, len);
	redisFreeCommand(text);
}

void redis_link_command(struct redis_link *link, const struct redis_args *args, redis_link_cb cb,
			void *arg)
{
	bool first = link->sent == NULL;

	if (link->state != LINK_UP || link->channels != NULL || link->drop_why != NULL) {
		fail_later(link, cb, arg, redis_link_err_down);
		return;
	}
	if (evbuffer_get_length(bufferevent_get_output(link->bev)) > OUTPUT_MAX_BYTES) {
		fail_later(link, cb, arg, redis_link_err_full);
		return;
	}
	write_args(link, args);
	push_request(link, cb, arg);
	if (first)
		arm_for_state(link);
}

/* ---- greeting: AUTH, SELECT, CLIENT SETNAME, the guide's question, INFO or SUBSCRIBE ---- */

static void greet(struct redis_link *link, redis_link_cb cb, const char *const *words)
{
	struct redis_args args = {0};

	redis_args_start(&args, words[0]);
	for (size_t i = 1; words[i] != NULL; i++)
		redis_args_add(&args, words[i]);
	write_args(link, &args);
	redis_args_free(&args);
	push_request(link, cb, link);
}

static void note_error(struct redis_link *link, const char *text)
{
	if (text != link->last_error)
		snprintf(link->last_error, sizeof(link->last_error), "%s", text);
}

/* From inside a callback: drop the connection when it returns. */
static void give_up(struct redis_link *link, const char *why)
{
	note_error(link, why);
	link->drop_why = link->last_error;
}

static void greeting_must_succeed(const redisReply *reply, const char *why, void *arg)
{
	struct redis_link *link = arg;

	(void)why;
	if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
		give_up(link, reply->str);
}

static void answered_guide(const redisReply *reply, const char *why, void *arg)
{
	struct redis_link *link = arg;
	const struct redis_link_guide *guide = link->target.guide;

	if (reply == NULL)
		return;
	why = reply->type == REDIS_REPLY_ERROR ? reply->str : guide->judge(reply, guide->arg);
	if (why != NULL)
		give_up(link, why);
}

static void came_up(struct redis_link *link)
{
	char name[NAME_SIZE];

	link->state = LINK_UP;
	link->attempts = 0;
	link->ping_due.ms = clock_mono().ms + PING_INTERVAL_MS;
	link->pinged.ms = 0;
	arm_for_state(link);
	log_info("+redis-link", LOG_STR("name", link->target.client_name),
		 LOG_STR("address", redis_socket_name(&link->target, name, sizeof(name))),
		 LOG_STR("version", link->server.version));
	link->hooks.up(link->channels == NULL ? &link->server : NULL, link->hooks.arg);
}

static void got_info(const redisReply *reply, const char *why, void *arg)
{
	struct redis_link *link = arg;
	bool loading;

	(void)why;
	if (reply == NULL)
		return;
	if (reply->type != REDIS_REPLY_STRING) {
		give_up(link, reply->type == REDIS_REPLY_ERROR ? reply->str : "INFO failed");
		return;
	}
	redis_info_parse(reply->str, &link->server, &loading);
	if (loading) {
		give_up(link, "Redis is loading its dataset");
		return;
	}
	came_up(link);
}

static void send_subscribe(struct redis_link *link)
{
	struct redis_args args = {0};

	redis_args_start(&args, "SUBSCRIBE");
	for (size_t i = 0; i < link->channel_count; i++)
		redis_args_add(&args, link->channels[i]);
	write_args(link, &args);
	redis_args_free(&args);
}

static void start_greeting(struct redis_link *link)
{
	const struct redis_link_target *t = &link->target;
	const char *user = t->user != NULL ? t->user : t->url.user[0] != '\0' ? t->url.user : NULL;
	char db[16];

	link->state = LINK_GREETING;
	link->subscribed = 0;
	if (t->password != NULL && user != NULL)
		greet(link, greeting_must_succeed,
		      (const char *[]){"AUTH", user, t->password, NULL});
	else if (t->password != NULL)
		greet(link, greeting_must_succeed, (const char *[]){"AUTH", t->password, NULL});
	if (t->url.db != 0) {
		snprintf(db, sizeof(db), "%d", t->url.db);
		greet(link, greeting_must_succeed, (const char *[]){"SELECT", db, NULL});
	}
	/* Rights may not cover it, and nothing depends on it. */
	greet(link, NULL, (const char *[]){"CLIENT", "SETNAME", t->client_name, NULL});
	if (t->guide != NULL)
		greet(link, answered_guide, t->guide->question);
	if (link->channels != NULL)
		send_subscribe(link);
	else
		greet(link, got_info, (const char *[]){"INFO", NULL});
}

/* ---- replies ---- */

static bool word_is(const redisReply *reply, const char *word)
{
	return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, word) == 0;
}

/* What comes on a subscribed connection: confirmations, messages and pongs are arrays. */
static void handle_push(struct redis_link *link, const redisReply *reply)
{
	if (reply->elements >= 3 && word_is(reply->element[0], "subscribe")) {
		if (++link->subscribed == link->channel_count && link->state == LINK_GREETING)
			came_up(link);
	} else if (reply->elements >= 3 && word_is(reply->element[0], "message") &&
		   reply->element[1]->type == REDIS_REPLY_STRING &&
		   reply->element[2]->type == REDIS_REPLY_STRING) {
		link->hooks.message(reply->element[1]->str, reply->element[2]->str,
				    (size_t)reply->element[2]->len, link->hooks.arg);
	} else if (reply->elements >= 1 && word_is(reply->element[0], "pong")) {
		link->pinged.ms = 0;
	}
}

static void handle_reply(struct redis_link *link, const redisReply *reply)
{
	struct request *req = link->sent;

	if (link->channels != NULL && req == NULL && reply->type == REDIS_REPLY_ARRAY) {
		handle_push(link, reply);
		return;
	}
	if (req == NULL) {
		give_up(link,
			reply->type == REDIS_REPLY_ERROR ? reply->str : "a reply nobody asked for");
		return;
	}
	link->sent = req->next;
	if (link->sent == NULL)
		link->sent_tail = NULL;
	link->pending--;
	if (req->cb != NULL)
		req->cb(reply, NULL, req->arg);
	free(req);
	if (reply->type == REDIS_REPLY_ERROR && link->drop_why == NULL &&
	    (strncmp(reply->str, "READONLY ", 9) == 0 || strncmp(reply->str, "LOADING ", 8) == 0)) {
		give_up(link, reply->str);
	}
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct redis_link *link = arg;
	struct evbuffer *input = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(input);
	redisReader *reader = link->reader;
	void *reply = NULL;

	redisReaderFeed(reader, (const char *)evbuffer_pullup(input, -1), len);
	evbuffer_drain(input, len);
	while (link->drop_why == NULL) {
		if (redisReaderGetReply(reader, &reply) != REDIS_OK) {
			give_up(link, reader->errstr);
		} else if (reply == NULL) {
			break;
		} else {
			handle_reply(link, reply);
			freeReplyObject(reply);
		}
	}
	if (link->drop_why != NULL)
		drop(link, link->drop_why);
	else
		arm_for_state(link);
}

/* ---- connecting ---- */

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct redis_link *link = arg;

	if (what & BEV_EVENT_CONNECTED) {
		redis_socket_tune(bev, &link->target);
		start_greeting(link);
	} else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT)) {
		redis_socket_error(bev, &link->target, what, link->last_error,
				   sizeof(link->last_error));
		drop(link, link->last_error);
	}
}

/* Why it is not known where Redis is; NULL when it is. */
static const char *locate(struct redis_link *link)
{
	const struct redis_link_guide *guide = link->target.guide;

	return guide != NULL ? guide->locate(&link->target.url.place, guide->arg) : NULL;
}

static void connect_start(struct redis_link *link)
{
	struct err err;

	link->state = LINK_LOCATING;
	link->drop_why = NULL;
	link->deadline.ms = clock_mono().ms + link->target.connect_timeout_ms;
	arm_for_state(link);
	if (locate(link) != NULL)
		return; /* the guide calls redis_link_relocate, or the time ends */
	link->state = LINK_CONNECTING;
	link->bev = redis_socket_new(link->base, &link->target, &err);
	if (link->bev == NULL) {
		drop(link, err.text);
		return;
	}
	link->reader = redisReaderCreate();
	bufferevent_setcb(link->bev, on_read, NULL, on_event, link);
	bufferevent_enable(link->bev, EV_READ | EV_WRITE);
	/* It may have failed and called on_event already, which then dropped the link. */
	if (redis_socket_connect(link->bev, link->dns, &link->target) != 0 &&
	    link->state == LINK_CONNECTING)
		drop(link, strerror(errno));
}

static void drop(struct redis_link *link, const char *why)
{
	bool was_up = link->state == LINK_UP;
	const char *reason = why == redis_link_err_timeout ? why : redis_link_err_lost;
	const struct redis_link_guide *guide = link->target.guide;
	int64_t ceiling = BACKOFF_MIN_MS;
	char name[NAME_SIZE];

	for (unsigned i = 0; i < link->attempts && ceiling < BACKOFF_MAX_MS; i++)
		ceiling = ceiling < BACKOFF_MAX_MS / 2 ? ceiling * 2 : BACKOFF_MAX_MS;
	note_error(link, why);
	if (!link->wanted && (was_up || link->attempts % 8 == 0))
		log_warn("-redis-link", LOG_STR("name", link->target.client_name),
			 LOG_STR("address", redis_socket_name(&link->target, name, sizeof(name))),
			 LOG_STR("reason", why), LOG_INT("attempts", link->attempts));
	link->attempts++;
	link->state = LINK_WAITING;
	link->drop_why = NULL;
	if (link->bev != NULL)
		bufferevent_free(link->bev);
	link->bev = NULL;
	if (link->reader != NULL)
		redisReaderFree(link->reader);
	link->reader = NULL;
	arm(link, 20 + clock_random((uint32_t)ceiling));
	if (guide != NULL)
		guide->lost(&link->target.url.place, guide->arg);
	fail_sent(link, reason);
	if (was_up)
		link->hooks.down(why, link->hooks.arg);
}

static void ping(struct redis_link *link)
{
	struct redis_args args = {0};
	struct mono now = clock_mono();

	if (link->pinged.ms != 0) {
		drop(link, redis_link_err_timeout);
		return;
	}
	redis_args_start(&args, "PING");
	write_args(link, &args);
	redis_args_free(&args);
	link->pinged = now;
	link->ping_due.ms = now.ms + PING_INTERVAL_MS;
	arm_for_state(link);
}

/* Has the server not answered in time? */
static bool overdue(const struct redis_link *link, struct mono now)
{
	if (link->state != LINK_UP)
		return mono_since(link->deadline, now) >= 0;
	return link->channels == NULL && link->sent != NULL &&
	       mono_since(link->sent->deadline, now) >= 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct redis_link *link = arg;
	struct mono now = clock_mono();
	const char *why = link->state == LINK_LOCATING ? locate(link) : NULL;

	(void)fd;
	(void)what;
	if (link->state == LINK_WAITING)
		connect_start(link);
	else if (overdue(link, now))
		drop(link, why != NULL ? why : redis_link_err_timeout);
	else if (link->state == LINK_UP && link->channels != NULL)
		ping(link);
	else
		arm_for_state(link);
}

struct redis_link *redis_link_new(struct event_base *base, struct evdns_base *dns,
				  const struct redis_link_target *target,
				  const char *const *channels, const struct redis_link_hooks *hooks)
{
	struct redis_link *link = xcalloc(1, sizeof(*link));

	link->base = base;
	link->dns = dns;
	link->target = *target;
	link->hooks = *hooks;
	link->timer = evtimer_new(base, on_timer, link);
	link->failer = event_new(base, -1, 0, deliver_failed, link);
	for (size_t i = 0; channels != NULL && channels[i] != NULL; i++) {
		link->channels = xrealloc(link->channels, (i + 1) * sizeof(*link->channels));
		link->channels[i] = xstrdup(channels[i]);
		link->channel_count = i + 1;
	}
	arm(link, 1);
	if (target->guide != NULL)
		target->guide->follow(link, true, target->guide->arg);
	return link;
}

void redis_link_free(struct redis_link *link)
{
	if (link == NULL)
		return;
	if (link->target.guide != NULL)
		link->target.guide->follow(link, false, link->target.guide->arg);
	if (link->bev != NULL)
		bufferevent_free(link->bev);
	if (link->reader != NULL)
		redisReaderFree(link->reader);
	link->bev = NULL;
	link->state = LINK_WAITING;
	fail_sent(link, redis_link_err_closed);
	deliver_failed(-1, 0, link);
	event_free(link->timer);
	event_free(link->failer);
	for (size_t i = 0; i < link->channel_count; i++)
		free(link->channels[i]);
	free(link->channels);
	free(link);
}

void redis_link_relocate(struct redis_link *link)
{
	const struct redis_link_guide *guide = link->target.guide;
	struct redis_place place;

	if (guide->locate(&place, guide->arg) != NULL)
		return;
	if (link->state == LINK_LOCATING) {
		link->state = LINK_WAITING;
		arm(link, 1);
	} else if (!redis_place_same(&place, &link->target.url.place)) {
		redis_link_again(link, "Redis is elsewhere now");
	}
}

void redis_link_again(struct redis_link *link, const char *why)
{
	link->attempts = 0;
	link->wanted = true;
	if (link->state == LINK_WAITING)
		arm(link, 20 + clock_random(BACKOFF_MIN_MS));
	else
		drop(link, why);
	link->wanted = false;
}

const char *redis_link_last_error(const struct redis_link *link)
{
	return link->last_error;
}

bool redis_link_is_up(const struct redis_link *link)
{
	return link->state == LINK_UP;
}

size_t redis_link_pending(const struct redis_link *link)
{
	return link->pending;
}
