/* Writes commands to the nodes. */
#include "coordinator/issue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/redis_script.h"
#include "common/xmem.h"
#include "coordinator/coordinator.h"
#include "coordinator/copies.h"
#include "coordinator/leader.h"

struct issue_batch *issue_batch_new(struct coordinator *c, const char *node,
				    const char *incarnation, uint64_t cycle)
{
	struct issue_batch *batch = xcalloc(1, sizeof(*batch));

	batch->owner = c;
	batch->node = xstrdup(node);
	batch->cycle = cycle;
	snprintf(batch->incarnation, sizeof(batch->incarnation), "%s", incarnation);
	return batch;
}

void issue_batch_add(struct issue_batch *batch, const char *model, int64_t last_used_ms,
		     enum evict_reason reason, bool force)
{
	struct issue_item *item;

	batch->items = xgrow(batch->items, batch->count, &batch->capacity, sizeof(*batch->items));
	item = &batch->items[batch->count++];
	*item = (struct issue_item){
		.model = xstrdup(model),
		.last_used_ms = last_used_ms,
		.reason = reason,
		.force = force,
		.outcome = "not issued",
	};
	clock_random_hex(item->id, 8);
}

static void finish(struct issue_batch *batch)
{
	batch->done(batch, batch->arg);
	for (size_t i = 0; i < batch->count; i++)
		free(batch->items[i].model);
	free(batch->items);
	free(batch->node);
	free(batch);
}

/* One copy that a plan has taken and no command of this batch takes away. */
static void settle_copy(struct coordinator *c, const char *node, const struct issue_item *item)
{
	bool stays = strcmp(item->outcome, "used") == 0 || strcmp(item->outcome, "held") == 0;

	if (stays) {
		/* Unless somebody has ordered it by hand meanwhile. */
		if (ledger_state(c->ledger, node, item->model, clock_mono()) != LEDGER_OPEN)
			copies_give_back(c->copies, node, item->model);
	} else if (strcmp(item->outcome, "gone") == 0) {
		copies_gone(c->copies, node, item->model);
	} else if (strcmp(item->outcome, "pending") != 0) {
		copies_drop(c->copies, node);
	}
}

void issue_settle_copies(const struct issue_batch *batch)
{
	struct coordinator *c = batch->owner;

	for (size_t i = 0; i < batch->count && c->copies != NULL; i++) {
		if (strcmp(batch->items[i].outcome, "issued") != 0)
			settle_copy(c, batch->node, &batch->items[i]);
	}
}

static const char *outcome_word(const char *text)
{
	static const char *const words[] = {"issued", "used", "held", "pending", "gone"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], text) == 0)
			return words[i];
	}
	return "not understood";
}

static void note_issued(struct issue_batch *batch, struct issue_item *item, struct mono now)
{
	struct coordinator *c = batch->owner;
	struct ledger_entry entry = {
		.node = batch->node,
		.model = item->model,
		.cycle = batch->cycle,
		.reason = item->reason,
		.deadline = {now.ms + c->options.command_ttl_ms},
	};

	memcpy(entry.id, item->id, sizeof(entry.id));
	ledger_issued(c->ledger, &entry);
	if (c->copies != NULL)
		copies_take(c->copies, batch->node, item->model);
	log_info("+evict-sent", LOG_STR("node", batch->node), LOG_STR("model", item->model),
		 LOG_STR("id", item->id), LOG_STR("reason", command_reason_name(item->reason)),
		 LOG_INT("bytes", item->bytes));
}

/* {"OK", now, outcome, "bytes generation", ...} */
static void take_outcomes(struct issue_batch *batch, const redisReply *reply)
{
	struct mono now = clock_mono();

	for (size_t i = 0; i < batch->count; i++) {
		struct issue_item *item = &batch->items[i];
		size_t at = 2 + 2 * i;

		if (at + 1 >= reply->elements || reply->element[at]->type != REDIS_REPLY_STRING)
			continue;
		item->outcome = outcome_word(reply->element[at]->str);
		if (strcmp(item->outcome, "issued") != 0)
			continue;
		if (reply->element[at + 1]->type == REDIS_REPLY_STRING)
			item->bytes = strtoll(reply->element[at + 1]->str, NULL, 10);
		note_issued(batch, item, now);
	}
}

static void refuse_all(struct issue_batch *batch, const char *outcome)
{
	for (size_t i = 0; i < batch->count; i++)
		batch->items[i].outcome = outcome;
}

static void got_issued(const redisReply *reply, const char *why, void *arg)
{
	struct issue_batch *batch = arg;
	struct copies *copies = batch->owner->copies;
	const char *word = "";

	/* Issued or not: only a look at the node tells. Until then none of its copies counts. */
	if (reply == NULL && copies != NULL)
		copies_drop(copies, batch->node);
	if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
	    reply->element[0]->type == REDIS_REPLY_STRING)
		word = reply->element[0]->str;
	if (strcmp(word, "OK") == 0) {
		take_outcomes(batch, reply);
	} else {
		if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
			why = reply->str;
		else if (*word != '\0')
			why = word;
		log_warn("-issue", LOG_STR("node", batch->node), LOG_STR("reason", why));
		if (strcmp(word, "FENCED") == 0 && reply->elements > 1)
			leader_outdated(batch->owner->leader,
					strtoll(reply->element[1]->str, NULL, 10));
		refuse_all(batch, strcmp(word, "FENCED") == 0	     ? "fenced"
				  : strcmp(word, "LOADING") == 0     ? "registering"
				  : strcmp(word, "INCARNATION") == 0 ? "restarted"
				  : strcmp(word, "UNKNOWN") == 0     ? "unknown node"
								     : "not issued");
	}
	finish(batch);
}

static void not_leading(evutil_socket_t fd, short what, void *arg)
{
	struct issue_batch *batch = arg;

	(void)fd;
	(void)what;
	refuse_all(batch, "not the leader");
	finish(batch);
}

void issue_send(struct issue_batch *batch)
{
	struct coordinator *c = batch->owner;
	const char *prefix = c->options.redis.prefix;
	static const enum node_key keys[] = {KEY_STATE, KEY_LRU, KEY_SIZE_GEN,
					     KEY_HOLD,	KEY_CMD, KEY_STATUS};
	struct redis_args args = {0};
	char key[KEY_SIZE];

	if (!leader_leads(c->leader)) {
		event_base_once(daemon_base(c->daemon), -1, EV_TIMEOUT, not_leading, batch,
				&(struct timeval){0});
		return;
	}
	redis_script_start(&args, &script_issue, ARRAY_SIZE(keys));
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		redis_args_add(&args, key_node(key, prefix, batch->node, keys[i]));
	redis_args_add(&args, key_node(key, prefix, batch->node, KEY_WAKE));
	redis_args_add_int(&args, leader_epoch(c->leader));
	redis_args_add(&args, batch->incarnation);
	redis_args_add_int(&args, c->options.command_ttl_ms);
	redis_args_add_int(&args, COMMAND_TTL_MAX_MS);
	for (size_t i = 0; i < batch->count; i++) {
		const struct issue_item *item = &batch->items[i];

		redis_args_add(&args, item->id);
		redis_args_add(&args, item->model);
		redis_args_add_int(&args, item->last_used_ms);
		redis_args_add(&args, command_reason_name(item->reason));
		redis_args_add(&args, item->force ? "1" : "0");
	}
	redis_script_call(c->link, &script_issue, &args, got_issued, batch);
	redis_args_free(&args);
}
