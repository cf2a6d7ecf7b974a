/* Reads what concerns the whole cluster. */
#include "coordinator/lookup.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/model_name.h"
#include "common/xmem.h"

#define SCAN_COUNT "500"

static bool is_text(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING;
}

/* ---- the clock ---- */

static const char clock_unreadable[] = "Redis' clock cannot be read";

struct asking_clock {
	void (*done)(int64_t now_ms, const char *why, void *arg);
	void *arg;
};

/* 0 when it is none. */
static int64_t time_in(const redisReply *reply)
{
	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    !is_text(reply->element[0]) || !is_text(reply->element[1]))
		return 0;
	return strtoll(reply->element[0]->str, NULL, 10) * 1000 +
	       strtoll(reply->element[1]->str, NULL, 10) / 1000;
}

static void got_clock(const redisReply *reply, const char *why, void *arg)
{
	struct asking_clock *ask = arg;
	int64_t now_ms = time_in(reply);

	if (reply != NULL)
		why = now_ms > 0 ? NULL : clock_unreadable;
	ask->done(now_ms, why, ask->arg);
	free(ask);
}

void lookup_clock(struct redis_link *link, void (*done)(int64_t now_ms, const char *why, void *arg),
		  void *arg)
{
	struct asking_clock *ask = xcalloc(1, sizeof(*ask));
	struct redis_args args = {0};

	*ask = (struct asking_clock){done, arg};
	redis_args_start(&args, "TIME");
	redis_link_command(link, &args, got_clock, ask);
	redis_args_free(&args);
}

/* ---- pins ---- */

struct asking_pins {
	struct pins *pins;
	int64_t now_ms; /* Redis' clock; 0: it cannot be read */
	void (*done)(const char *why, void *arg);
	void *arg;
};

static void got_clock_for_pins(const redisReply *reply, const char *why, void *arg)
{
	struct asking_pins *ask = arg;

	(void)why; /* what follows comes to nothing too */
	ask->now_ms = time_in(reply);
}

static void got_pins(const redisReply *reply, const char *why, void *arg)
{
	struct asking_pins *ask = arg;
	struct err err;

	if (reply != NULL && reply->type != REDIS_REPLY_ARRAY)
		why = "the pins cannot be read";
	else if (reply != NULL && ask->now_ms == 0)
		why = clock_unreadable;
	for (size_t i = 0; why == NULL && i + 1 < reply->elements; i += 2) {
		if (pins_add(ask->pins, reply->element[i]->str, reply->element[i + 1]->str, &err) !=
		    0)
			log_warn("-pin", LOG_STR("glob", reply->element[i]->str),
				 LOG_STR("reason", err.text));
	}
	if (why == NULL)
		pins_settle(ask->pins, ask->now_ms, clock_wall_ms());
	ask->done(why, ask->arg);
	free(ask);
}

void lookup_pins(struct redis_link *link, const char *prefix, struct pins *pins,
		 void (*done)(const char *why, void *arg), void *arg)
{
	struct asking_pins *ask = xcalloc(1, sizeof(*ask));
	struct redis_args args = {0};
	char key[KEY_SIZE];

	*ask = (struct asking_pins){.pins = pins, .done = done, .arg = arg};
	redis_args_start(&args, "TIME");
	redis_link_command(link, &args, got_clock_for_pins, ask);
	redis_args_start(&args, "HGETALL");
	redis_args_add(&args, key_cluster(key, prefix, KEY_PINS));
	redis_link_command(link, &args, got_pins, ask);
	redis_args_free(&args);
}

/* ---- names of nodes ---- */

struct naming {
	struct redis_link *link;
	char key[KEY_SIZE];
	char **names;
	size_t count, capacity;
	void (*done)(char **names, size_t count, const char *why, void *arg);
	void *arg;
};

static int string_order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void end_naming(struct naming *nm, const char *why)
{
	size_t kept = 0;

	/* A scan may give a name twice. */
	if (nm->count > 1)
		qsort(nm->names, nm->count, sizeof(*nm->names), string_order);
	for (size_t i = 0; i < nm->count; i++) {
		if (why != NULL || (kept > 0 && strcmp(nm->names[kept - 1], nm->names[i]) == 0))
			free(nm->names[i]);
		else
			nm->names[kept++] = nm->names[i];
	}
	if (why != NULL) {
		free(nm->names);
		nm->names = NULL;
		kept = 0;
	}
	nm->done(nm->names, kept, why, nm->arg);
	free(nm);
}

static void scan_more(struct naming *nm, const char *cursor);

static void got_names(const redisReply *reply, const char *why, void *arg)
{
	struct naming *nm = arg;
	const redisReply *list;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
	    !is_text(reply->element[0]) || reply->element[1]->type != REDIS_REPLY_ARRAY) {
		end_naming(nm, reply == NULL ? why : "the set of nodes cannot be read");
		return;
	}
	list = reply->element[1];
	for (size_t i = 0; i < list->elements; i++) {
		const redisReply *name = list->element[i];

		if (!is_text(name) || strlen(name->str) != (size_t)name->len ||
		    !model_name_node_valid(name->str)) {
			log_warn("-node-ignored", LOG_STR("reason", "bad name"),
				 LOG_STR("node", is_text(name) ? name->str : "?"));
			continue;
		}
		nm->names = xgrow(nm->names, nm->count, &nm->capacity, sizeof(*nm->names));
		nm->names[nm->count++] = xstrdup(name->str);
	}
	if (strcmp(reply->element[0]->str, "0") == 0)
		end_naming(nm, NULL);
	else
		scan_more(nm, reply->element[0]->str);
}

static void scan_more(struct naming *nm, const char *cursor)
{
	struct redis_args args = {0};

	redis_args_start(&args, "SSCAN");
	redis_args_add(&args, nm->key);
	redis_args_add(&args, cursor);
	redis_args_add(&args, "COUNT");
	redis_args_add(&args, SCAN_COUNT);
	redis_link_command(nm->link, &args, got_names, nm);
	redis_args_free(&args);
}

void lookup_nodes(struct redis_link *link, const char *prefix,
		  void (*done)(char **names, size_t count, const char *why, void *arg), void *arg)
{
	struct naming *nm = xcalloc(1, sizeof(*nm));

	nm->link = link;
	nm->done = done;
	nm->arg = arg;
	key_cluster(nm->key, prefix, KEY_NODES);
	scan_more(nm, "0");
}
