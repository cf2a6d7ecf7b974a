/* larderctl doctor: asks Redis itself, with the settings of a coordinator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/human.h"
#include "common/clock.h"
#include "common/daemon.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/redis_check.h"
#include "common/redis_script.h"
#include "common/redis_sentinel.h"

#define TICK_MS	 10
#define CLOCK_MS 5000 /* clocks that differ by less are the same */
#define SCRIPTS	 ARRAY_SIZE(scripts)

static const struct redis_script *const scripts[] = {
	&script_beat,	&script_register, &script_issue, &script_confirm, &script_elect,
	&script_resign, &script_pin,	  &script_mend,	 &script_rights,
};

struct exam {
	struct findings *f;
	struct doctor_view *view;
	const struct redis_options *options;
	struct daemon *daemon;
	struct redis_link_target target;
	struct redis_sentinel *sentinel;
	struct redis_link *link;
	struct redis_check check;
	struct redis_args args;
	struct mono deadline;
	bool up;
	int waiting;	/* answers to come */
	size_t scripts; /* that Redis took */
};

/* ---- what is asked when it is connected ---- */

/* The reply, unless the connection broke; then the end is seen in the tick. */
static bool answered(struct exam *exam, const redisReply *reply)
{
	exam->waiting--;
	return reply != NULL;
}

static void got_info(const redisReply *reply, const char *why, void *arg)
{
	struct exam *exam = arg;

	(void)why;
	if (answered(exam, reply) && reply->type == REDIS_REPLY_STRING)
		doctor_info(exam->f, reply->str, exam->sentinel != NULL);
}

static void got_time(const redisReply *reply, const char *why, void *arg)
{
	struct exam *exam = arg;
	struct finding found = {.check = "redis-clock", .state = FINDING_GOOD};
	int64_t ahead_ms;
	char buf[HUMAN_SIZE];

	(void)why;
	if (!answered(exam, reply) || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
		return;
	ahead_ms = strtoll(reply->element[0]->str, NULL, 10) * 1000 - clock_wall_ms();
	if (llabs(ahead_ms) < CLOCK_MS) {
		findings_add(exam->f, &found, "as this host's");
		return;
	}
	found.state = FINDING_WARNING;
	found.advice = "synchronize both by NTP: a jump of Redis' clock makes models look older or "
		       "younger";
	findings_add(exam->f, &found, "%s %s this host's", human_duration(llabs(ahead_ms), buf),
		     ahead_ms > 0 ? "ahead of" : "behind");
}

static const char *text_of(const redisReply *reply, size_t index)
{
	return reply->elements > index && reply->element[index]->type == REDIS_REPLY_STRING
		       ? reply->element[index]->str
		       : "";
}

static void got_leader(const redisReply *reply, const char *why, void *arg)
{
	struct exam *exam = arg;
	struct finding found = {.check = "leader", .state = FINDING_GOOD};

	(void)why;
	if (!answered(exam, reply) || reply->type != REDIS_REPLY_ARRAY)
		return;
	snprintf(exam->view->leader, sizeof(exam->view->leader), "%s", text_of(reply, 0));
	if (exam->view->leader[0] != '\0') {
		findings_add(exam->f, &found, "%s at %s", exam->view->leader, text_of(reply, 1));
		return;
	}
	found.state = FINDING_BAD;
	found.advice =
		"start larder-coordinator with this redis.url and redis.prefix; its log says "
		"-redis-link or -elect when it cannot lead";
	findings_add(exam->f, &found, "nobody leads in %s", exam->options->prefix);
}

static void got_script(const redisReply *reply, const char *why, void *arg)
{
	struct exam *exam = arg;
	struct finding found = {.check = "redis-scripts", .state = FINDING_BAD};

	(void)why;
	if (!answered(exam, reply))
		return;
	if (reply->type == REDIS_REPLY_ERROR) {
		found.advice = "allow the user SCRIPT LOAD, as docs/redis.md has it";
		if (!findings_bad(exam->f, found.check))
			findings_add(exam->f, &found, "Redis takes no scripts: %s", reply->str);
		return;
	}
	exam->scripts++;
	found.state = FINDING_GOOD;
	if (exam->scripts == SCRIPTS)
		findings_add(exam->f, &found, "Redis takes all %zu", SCRIPTS);
}

static const struct {
	const char *name, *check, *good;
} problems[] = {
	{"version", "redis-version", "new enough"},
	{"mode", "redis-mode", "no Redis Cluster"},
	{"role", "redis-role", "a master"},
	{"policy", "redis-policy", "noeviction"},
	{"rights", "redis-rights", "the user may do what a coordinator must"},
};

static void checked(void *arg)
{
	struct exam *exam = arg;
	const struct redis_check *check = &exam->check;

	exam->waiting--;
	for (size_t i = 0; i < ARRAY_SIZE(problems); i++) {
		struct finding found = {.check = problems[i].check, .state = FINDING_GOOD};
		const char *text = problems[i].good;

		for (size_t j = 0; j < check->count; j++) {
			if (strcmp(check->problems[j].check, problems[i].name) != 0)
				continue;
			text = check->problems[j].text;
			found.advice = check->problems[j].advice;
			found.state = check->problems[j].harmless ? FINDING_WARNING : FINDING_BAD;
		}
		findings_add(exam->f, &found, "%s", text);
	}
}

static void ask(struct exam *exam, const char *const *words, redis_link_cb cb)
{
	redis_args_start(&exam->args, words[0]);
	for (size_t i = 1; words[i] != NULL; i++)
		redis_args_add(&exam->args, words[i]);
	redis_link_command(exam->link, &exam->args, cb, exam);
	exam->waiting++;
}

static void on_up(const struct redis_link_server *server, void *arg)
{
	struct exam *exam = arg;
	char key[KEY_SIZE];

	if (exam->up)
		return; /* it broke in between */
	exam->up = true;
	exam->view->redis_asked = true;
	findings_add(exam->f, &(struct finding){.check = "redis"}, "version %s answers at %s",
		     server->version, exam->options->url);
	exam->waiting++;
	redis_check_start(&exam->check, exam->link, server);
	for (size_t i = 0; i < SCRIPTS; i++)
		ask(exam, (const char *[]){"SCRIPT", "LOAD", scripts[i]->text, NULL}, got_script);
	ask(exam, (const char *[]){"INFO", NULL}, got_info);
	ask(exam, (const char *[]){"TIME", NULL}, got_time);
	key_cluster(key, exam->options->prefix, KEY_LEADER);
	ask(exam, (const char *[]){"HMGET", key, "id", "address", NULL}, got_leader);
}

/* ---- when it cannot be reached ---- */

static const struct {
	const char *said, *advice;
} causes[] = {
	{"no master is called", "mend the name at the end of redis.url: the Sentinels list theirs "
				"with SENTINEL MASTERS"},
	{"no Sentinel tells", "mend the addresses in redis.url, or redis.sentinel.user and "
			      "redis.sentinel.password_file"},
	{"not a master", "let the Sentinels finish their fail-over, or mend what they monitor"},
	{"WRONGPASS", "mend redis.user and redis.password_file, or the user in Redis"},
	{"invalid password", "mend redis.password_file"},
	{"NOAUTH", "set redis.password_file: Redis asks for a password"},
	{"NOPERM", "give the user the rights that docs/redis.md has"},
	{"TLS", "mend redis.ca_file, redis.server_name or redis.cert_file; is it a TLS port?"},
	{"refused", "start Redis, or mend redis.url"},
	{"loading", "wait until Redis has read its data"},
	{"in time", "look for what is between: a firewall, a Redis that hangs"},
};

static void not_reached(struct exam *exam)
{
	struct finding found = {.check = "redis",
				.state = FINDING_BAD,
				.advice = "mend redis.url, or what is between"};
	const char *why = redis_link_last_error(exam->link);

	if (*why == '\0')
		why = redis_link_err_timeout;
	for (size_t i = ARRAY_SIZE(causes); i-- > 0;) {
		if (strstr(why, causes[i].said) != NULL)
			found.advice = causes[i].advice;
	}
	findings_add(exam->f, &found, "%s does not answer: %s", exam->options->url, why);
}

/* ---- the loop ---- */

static void on_tick(void *arg)
{
	struct exam *exam = arg;
	bool failed = *redis_link_last_error(exam->link) != '\0';
	/* One Sentinel that does not answer is no reason: the next one is asked. */
	bool done = exam->up ? exam->waiting == 0 : failed && exam->sentinel == NULL;

	if (done || mono_since(exam->deadline, clock_mono()) >= 0)
		daemon_stopped(exam->daemon);
}

static void on_stop(void *arg)
{
	struct exam *exam = arg;

	daemon_stopped(exam->daemon);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void on_down(const char *why, void *arg)
{
	(void)why;
	(void)arg;
}

static void examine(struct exam *exam)
{
	const struct redis_link_hooks hooks = {.up = on_up, .down = on_down, .arg = exam};
	const struct redis_options *o = exam->options;

	exam->check = (struct redis_check){.rights = redis_rights_coordinator,
					   .prefix = o->prefix,
					   .node = "NODE",
					   .done = checked,
					   .arg = exam};
	exam->deadline.ms = clock_mono().ms + o->connect_timeout_ms + o->command_timeout_ms;
	exam->link = redis_link_new(daemon_base(exam->daemon), daemon_dns(exam->daemon),
				    &exam->target, NULL, &hooks);
	daemon_run(exam->daemon, 0);
	if (!exam->up)
		not_reached(exam);
	else if (exam->waiting > 0)
		findings_add(exam->f,
			     &(struct finding){.check = "redis",
					       .state = FINDING_BAD,
					       .advice = "look at its load and its log"},
			     "%d questions were not answered", exam->waiting);
	redis_link_free(exam->link);
}

void doctor_redis(struct findings *f, const struct redis_options *options, struct doctor_view *view)
{
	struct exam exam = {.f = f, .view = view, .options = options};
	const struct daemon_hooks hooks = {
		.tick = on_tick, .reload = nothing, .stop = on_stop, .arg = &exam};
	char *password = NULL;
	struct err err;

	log_setup("larderctl", LOG_LEVEL_NONE, LOG_FORMAT_LOGFMT);
	exam.daemon = daemon_new(TICK_MS, &hooks);
	if (redis_options_target(options, "larderctl", &exam.target, &password, &err) != 0 ||
	    redis_sentinel_start(exam.daemon, &options->sentinel, &exam.target, &exam.sentinel,
				 &err) != 0)
		findings_add(f,
			     &(struct finding){.check = "redis",
					       .state = FINDING_BAD,
					       .advice = "run it as a user that may read the file"},
			     "%s", err.text);
	else
		examine(&exam);
	redis_sentinel_free(exam.sentinel);
	redis_args_free(&exam.args);
	daemon_free(exam.daemon);
	free(password);
}
