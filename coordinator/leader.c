/*
 * The lease.
 *
 *   FOLLOWER --elect.lua says LEADER--> LEADER --lease over, or elect says FOLLOWER--> FOLLOWER
 *
 * A lease counts from when its renewal was sent, not from when it was answered.
 */
#include "coordinator/leader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/command.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/redis_script.h"
#include "common/xmem.h"

/* Nothing is issued in the last part of a lease. */
#define MARGIN_MS 500
#define JITTER_MS 150

struct leader {
	struct redis_link *link;
	const char *prefix, *address;
	struct leader_hooks hooks;
	int64_t lease_ms;
	char id[80];
	bool leads;
	bool asking;
	int64_t epoch, min_epoch;
	struct mono sent;  /* when the renewal that is under way was sent */
	struct mono valid; /* the lease is ours until then */
	struct mono due;
	char leader_id[80], leader_address[300];
	void (*resigned)(void *arg);
	void *resigned_arg;
};

struct leader *leader_new(struct redis_link *link, const char *prefix, const char *address,
			  int64_t lease_ms, const struct leader_hooks *hooks)
{
	struct leader *ld = xcalloc(1, sizeof(*ld));
	char host[48] = "", random[9];

	if (gethostname(host, sizeof(host) - 1) != 0)
		snprintf(host, sizeof(host), "unknown");
	clock_random_hex(random, 4);
	snprintf(ld->id, sizeof(ld->id), "%s-%d-%s", host, (int)getpid(), random);
	ld->link = link;
	ld->prefix = prefix;
	ld->address = address;
	ld->lease_ms = lease_ms;
	ld->hooks = *hooks;
	return ld;
}

void leader_free(struct leader *ld)
{
	free(ld);
}

static void lose(struct leader *ld, const char *why)
{
	if (!ld->leads)
		return;
	ld->leads = false;
	log_warn("-leader", LOG_STR("id", ld->id), LOG_INT("epoch", ld->epoch),
		 LOG_STR("reason", why));
	ld->hooks.lost(why, ld->hooks.arg);
}

static void gain(struct leader *ld, int64_t epoch)
{
	ld->valid.ms = ld->sent.ms + ld->lease_ms;
	snprintf(ld->leader_id, sizeof(ld->leader_id), "%s", ld->id);
	snprintf(ld->leader_address, sizeof(ld->leader_address), "%s", ld->address);
	if (ld->leads && ld->epoch == epoch)
		return;
	lose(ld, "another epoch");
	ld->leads = true;
	ld->epoch = epoch;
	log_info("+leader", LOG_STR("id", ld->id), LOG_INT("epoch", epoch));
	ld->hooks.gained(epoch, ld->hooks.arg);
}

static const char *text_at(const redisReply *reply, size_t i)
{
	return i < reply->elements && reply->element[i]->type == REDIS_REPLY_STRING
		       ? reply->element[i]->str
		       : "";
}

static void got_answer(const redisReply *reply, const char *why, void *arg)
{
	struct leader *ld = arg;
	int64_t left;

	ld->asking = false;
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
			log_warn("-elect", LOG_STR("reason", reply->str));
		(void)why; /* the lease runs on by our own clock */
		ld->due.ms = ld->sent.ms + ld->lease_ms / 3;
		return;
	}
	if (strcmp(text_at(reply, 0), "LEADER") == 0) {
		gain(ld, strtoll(text_at(reply, 1), NULL, 10));
		ld->due.ms = ld->sent.ms + ld->lease_ms / 3;
		return;
	}
	lose(ld, "another one leads");
	snprintf(ld->leader_id, sizeof(ld->leader_id), "%s", text_at(reply, 1));
	snprintf(ld->leader_address, sizeof(ld->leader_address), "%s", text_at(reply, 2));
	left = strtoll(text_at(reply, 3), NULL, 10);
	if (left < 0 || left > ld->lease_ms)
		left = ld->lease_ms;
	/* As soon as the lease can be free, and not all at the same moment. */
	ld->due.ms = clock_mono().ms + left + 20 + clock_random(JITTER_MS);
}

static void ask(struct leader *ld)
{
	struct redis_args args = {0};
	char key[KEY_SIZE];

	redis_script_start(&args, &script_elect, 2);
	redis_args_add(&args, key_cluster(key, ld->prefix, KEY_LEADER));
	redis_args_add(&args, key_cluster(key, ld->prefix, KEY_EPOCH));
	redis_args_add(&args, ld->id);
	redis_args_add(&args, ld->address);
	redis_args_add_int(&args, ld->lease_ms);
	redis_args_add_int(&args, ld->min_epoch);
	redis_args_add(&args, "1");
	ld->asking = true;
	ld->sent = clock_mono();
	redis_script_call(ld->link, &script_elect, &args, got_answer, ld);
	redis_args_free(&args);
}

void leader_tick(struct leader *ld)
{
	struct mono now = clock_mono();

	if (ld->leads && mono_since(ld->valid, now) >= 0)
		lose(ld, "the lease was not renewed in time");
	if (ld->resigned == NULL && !ld->asking && redis_link_is_up(ld->link) &&
	    mono_since(ld->due, now) >= 0)
		ask(ld);
}

void leader_link_down(struct leader *ld)
{
	ld->due.ms = 0;
}

bool leader_leads(const struct leader *ld)
{
	return ld->leads && mono_since(clock_mono(), ld->valid) > MARGIN_MS;
}

int64_t leader_epoch(const struct leader *ld)
{
	return ld->epoch;
}

static void got_resigned(const redisReply *reply, const char *why, void *arg)
{
	struct leader *ld = arg;

	(void)reply;
	(void)why;
	if (ld->resigned != NULL)
		ld->resigned(ld->resigned_arg);
}

static void give_up(struct leader *ld, redis_link_cb cb)
{
	struct redis_args args = {0};
	char key[KEY_SIZE];

	redis_script_start(&args, &script_resign, 1);
	redis_args_add(&args, key_cluster(key, ld->prefix, KEY_LEADER));
	redis_args_add(&args, ld->id);
	redis_script_call(ld->link, &script_resign, &args, cb, ld);
	redis_args_free(&args);
}

void leader_outdated(struct leader *ld, int64_t seen_epoch)
{
	/* What is not followed stops its own node alone; the agent takes it away (mend.lua). */
	if (seen_epoch <= ld->epoch || seen_epoch >= COMMAND_EPOCH_FAR)
		return;
	ld->min_epoch = seen_epoch + 1;
	lose(ld, "a later epoch was seen");
	give_up(ld, NULL);
	ld->due.ms = 0;
}

const char *leader_id(const struct leader *ld)
{
	return ld->leader_id;
}

const char *leader_address(const struct leader *ld)
{
	return ld->leader_address;
}

const char *leader_own_id(const struct leader *ld)
{
	return ld->id;
}

void leader_resign(struct leader *ld, void (*done)(void *arg), void *arg)
{
	bool led = ld->leads;

	ld->resigned = done;
	ld->resigned_arg = arg;
	lose(ld, "stopping");
	if (led && redis_link_is_up(ld->link))
		give_up(ld, got_resigned);
	else
		done(arg);
}
