/* Follows the master that Redis Sentinels tell of. */
#include "common/redis_sentinel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/file_io.h"
#include "common/log.h"
#include "common/xmem.h"

#define LINKS_MAX 4

struct redis_sentinel {
	struct redis_link *link; /* to one of the Sentinels */
	struct redis_link_guide to_sentinel, to_master;
	struct redis_url url;
	const char *question[4]; /* for a Sentinel */
	char *password;
	size_t next; /* which Sentinel is asked next */
	struct redis_place asked, master;
	bool known;  /* where the master is */
	bool asking; /* an answer is to come */
	struct redis_link *followers[LINKS_MAX];
	char why[240];
};

static const char *const role_question[] = {"ROLE", NULL};

/* ---- towards the Sentinels ---- */

/* One after the other. */
static const char *next_sentinel(struct redis_place *place, void *arg)
{
	struct redis_sentinel *s = arg;

	s->asked = s->url.sentinels[s->next];
	s->next = (s->next + 1) % s->url.sentinel_count;
	s->asking = true;
	*place = s->asked;
	return NULL;
}

static void learn(struct redis_sentinel *s, const struct redis_place *master)
{
	if (!redis_place_same(master, &s->master))
		log_info("+redis-master", LOG_STR("master", s->url.master),
			 LOG_STR("host", master->host), LOG_INT("port", master->port),
			 LOG_STR("sentinel", s->asked.host));
	s->master = *master;
	s->known = true;
	for (size_t i = 0; i < LINKS_MAX; i++) {
		if (s->followers[i] != NULL)
			redis_link_relocate(s->followers[i]);
	}
}

static bool is_text(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING;
}

/* The answer to SENTINEL GET-MASTER-ADDR-BY-NAME: host and port, or nil. */
static const char *judge_sentinel(const redisReply *reply, void *arg)
{
	struct redis_sentinel *s = arg;
	struct redis_place master;
	struct err err;

	if (reply->type == REDIS_REPLY_NIL) {
		snprintf(s->why, sizeof(s->why), "no master is called \"%s\" here", s->url.master);
		return s->why;
	}
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    !is_text(reply->element[0]) || !is_text(reply->element[1]))
		return "the answer is no Sentinel's";
	if (redis_place_set(reply->element[0]->str, reply->element[1]->str, &master, &err) != 0) {
		snprintf(s->why, sizeof(s->why), "of the master: %.200s", err.text);
		return s->why;
	}
	s->asking = false;
	learn(s, &master);
	return NULL;
}

static void on_switched(const char *channel, const char *payload, size_t len, void *arg)
{
	struct redis_sentinel *s = arg;
	struct redis_place master;

	(void)channel;
	(void)len;
	if (redis_place_switched(payload, s->url.master, &master))
		learn(s, &master);
}

static void on_up(const struct redis_link_server *server, void *arg)
{
	(void)server;
	(void)arg;
}

static void on_down(const char *why, void *arg)
{
	(void)why;
	(void)arg;
}

static void sentinel_lost(const struct redis_place *place, void *arg)
{
	(void)place;
	(void)arg;
}

static void sentinel_followed(struct redis_link *link, bool follows, void *arg)
{
	(void)link;
	(void)follows;
	(void)arg;
}

/* ---- towards the links ---- */

static const char *locate_master(struct redis_place *place, void *arg)
{
	struct redis_sentinel *s = arg;

	if (s->known) {
		*place = s->master;
		return NULL;
	}
	/* Whoever has been told once hears no more unless it changes: a new connection asks. */
	if (!s->asking)
		redis_link_again(s->link, "the master is asked for again");
	s->asking = true;
	snprintf(s->why, sizeof(s->why), "no Sentinel tells of the master \"%s\": %.120s",
		 s->url.master, redis_link_last_error(s->link));
	return s->why;
}

/* The answer to ROLE: what it is, and more. */
static const char *judge_master(const redisReply *reply, void *arg)
{
	(void)arg;
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 || !is_text(reply->element[0]))
		return "the answer to ROLE is not understood";
	return strcmp(reply->element[0]->str, "master") == 0 ? NULL : "this Redis is not a master";
}

static void master_lost(const struct redis_place *place, void *arg)
{
	struct redis_sentinel *s = arg;

	if (redis_place_same(place, &s->master))
		s->known = false;
}

static void follow(struct redis_link *link, bool follows, void *arg)
{
	struct redis_sentinel *s = arg;
	struct redis_link *before = follows ? NULL : link;

	for (size_t i = 0; i < LINKS_MAX; i++) {
		if (s->followers[i] != before)
			continue;
		s->followers[i] = follows ? link : NULL;
		return;
	}
	abort(); /* no daemon has so many */
}

/* ---- start and end ---- */

static struct redis_sentinel *new_sentinel(const struct redis_link_target *target)
{
	struct redis_sentinel *s = xcalloc(1, sizeof(*s));

	s->url = target->url;
	s->asking = true; /* as soon as it is connected */
	/* Not all agents at the same one. */
	s->next = clock_random((uint32_t)s->url.sentinel_count);
	s->question[0] = "SENTINEL";
	s->question[1] = "GET-MASTER-ADDR-BY-NAME";
	s->question[2] = s->url.master;
	s->to_sentinel = (struct redis_link_guide){.locate = next_sentinel,
						   .question = s->question,
						   .judge = judge_sentinel,
						   .lost = sentinel_lost,
						   .follow = sentinel_followed,
						   .arg = s};
	s->to_master = (struct redis_link_guide){.locate = locate_master,
						 .question = role_question,
						 .judge = judge_master,
						 .lost = master_lost,
						 .follow = follow,
						 .arg = s};
	return s;
}

int redis_sentinel_start(struct daemon *daemon, const struct sentinel_options *options,
			 struct redis_link_target *target, struct redis_sentinel **out,
			 struct err *err)
{
	struct redis_link_hooks hooks = {.up = on_up, .down = on_down, .message = on_switched};
	struct redis_link_target to = *target;
	struct redis_sentinel *s;
	char *password = NULL;

	*out = NULL;
	if (target->url.sentinel_count == 0)
		return 0;
	if (options->password_file != NULL) {
		password = file_read_secret(options->password_file, err);
		if (password == NULL)
			return -1;
	} else if (options->password != NULL) {
		password = xstrdup(options->password);
	}
	s = new_sentinel(target);
	s->password = password;
	to.url.user[0] = '\0';
	to.url.db = 0;
	to.user = options->user;
	to.password = password;
	to.guide = &s->to_sentinel;
	hooks.arg = s;
	s->link = redis_link_new(daemon_base(daemon), daemon_dns(daemon), &to,
				 (const char *[]){"+switch-master", NULL}, &hooks);
	target->guide = &s->to_master;
	*out = s;
	return 0;
}

void redis_sentinel_free(struct redis_sentinel *s)
{
	if (s == NULL)
		return;
	redis_link_free(s->link);
	free(s->password);
	free(s);
}
