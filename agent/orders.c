/*
 * Commands on this node.
 *
 *   WAITING --pins read--> judged --+--> RUNNING --> ENDED --receipt confirmed, later--> forgotten
 *                                   +--> ENDED (refused, gone)
 */
#include "agent/orders.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "agent/agent.h"
#include "agent/beat.h"
#include "agent/guard.h"
#include "agent/holds.h"
#include "agent/sources.h"
#include "agent/watch.h"
#include "common/log.h"
#include "common/xmem.h"

/* A command may still arrive in an answer that Redis gave before it took the receipt. */
#define REMEMBER_MS 600000
/* A model that was found open is held for this long, so that others go first. */
#define BUSY_HOLD_MS	 300000
#define RECOVER_AGAIN_MS 10000

enum order_state { ORDER_WAITING, ORDER_RUNNING, ORDER_ENDED };

struct order {
	char *key; /* model and command: the same text for the same model is the same order */
	char *model;
	char text[COMMAND_TEXT_MAX];
	struct command command;
	enum order_state state;
	bool judged;		/* WAITING: judged once, and nothing has changed since */
	bool waits_for_sources; /* until they have looked */
	struct mono heard, ended;
	UT_hash_handle hh;
};

struct again {
	struct removal_request *req;
	struct mono due;
	struct again *next;
};

struct orders {
	struct agent *agent;
	struct order *list;
	size_t running;
	struct again *again; /* removals that could not be put back yet */
};

struct orders *orders_new(struct agent *agent)
{
	struct orders *orders = xcalloc(1, sizeof(*orders));

	orders->agent = agent;
	return orders;
}

static void forget(struct orders *orders, struct order *order)
{
	HASH_DEL(orders->list, order);
	free(order->key);
	free(order->model);
	free(order);
}

void orders_free(struct orders *orders)
{
	struct order *order, *next;

	if (orders == NULL)
		return;
	HASH_ITER (hh, orders->list, order, next)
		forget(orders, order);
	while (orders->again != NULL) {
		struct again *again = orders->again;

		orders->again = again->next;
		removal_request_free(again->req);
		free(again);
	}
	free(orders);
}

size_t orders_running(const struct orders *orders)
{
	return orders->running;
}

/* ---- hearing ---- */

/* NULL when it is there already. */
static struct order *add_order(struct orders *orders, const char *model, const char *text)
{
	char *key = xasprintf("%.*s %.*s", MODEL_NAME_MAX, model, COMMAND_TEXT_MAX, text);
	struct order *order;

	HASH_FIND_STR(orders->list, key, order);
	if (order != NULL) {
		free(key);
		return NULL;
	}
	order = xcalloc(1, sizeof(*order));
	order->key = key;
	order->model = xstrndup(model, strnlen(model, MODEL_NAME_MAX));
	order->heard = clock_mono();
	HASH_ADD_KEYPTR(hh, orders->list, order->key, strlen(order->key), order);
	return order;
}

void orders_hear(struct orders *orders, const char *model, const char *text)
{
	struct order *order = add_order(orders, model, text);
	struct err err;

	if (order == NULL)
		return;
	if (!model_name_valid(model) || command_parse(text, &order->command, &err) != 0) {
		log_warn("-command-ignored", LOG_STR("model", order->model),
			 LOG_STR("command", text),
			 LOG_STR("reason", model_name_valid(model) ? err.text : "bad model name"));
		order->state = ORDER_ENDED;
		order->ended = order->heard;
		return;
	}
	snprintf(order->text, sizeof(order->text), "%s", text);
	log_info("+command-heard", LOG_STR("model", model), LOG_STR("id", order->command.id),
		 LOG_STR("reason", command_reason_name(order->command.reason)));
}

bool orders_want_pins(const struct orders *orders)
{
	for (const struct order *order = orders->list; order != NULL; order = order->hh.next) {
		if (order->state == ORDER_WAITING && !order->judged)
			return true;
	}
	return false;
}

/* ---- ending ---- */

static void write_receipt(struct orders *orders, struct receipt *receipt, const char *txn)
{
	struct agent *agent = orders->agent;
	struct model *model = inventory_find(&agent->inventory, receipt->model);

	if (model != NULL)
		use_hurry(&model->use);
	if (journal_end(agent->journal, txn, receipt) != 0)
		log_error("-journal", LOG_STR("reason", strerror(errno)));
	log_info(strcmp(receipt->outcome, "deleted") == 0 ? "+deleted" : "-not-deleted",
		 LOG_STR("model", receipt->model), LOG_STR("id", receipt->id),
		 LOG_STR("outcome", receipt->outcome), LOG_STR("why", receipt->why),
		 LOG_STR("reason", command_reason_name(receipt->reason)),
		 LOG_INT("bytes", receipt->bytes), LOG_INT("took_ms", receipt->took_ms));
	beat_soon(agent->beat);
}

static void fill_receipt(struct receipt *receipt, const char *model, const struct command *cmd,
			 const char *outcome, const char *why)
{
	*receipt = (struct receipt){
		.outcome = outcome,
		.reason = cmd->reason,
		.epoch = cmd->epoch,
		.last_used_ms = cmd->last_used_ms,
	};
	snprintf(receipt->model, sizeof(receipt->model), "%s", model);
	snprintf(receipt->id, sizeof(receipt->id), "%s", cmd->id);
	snprintf(receipt->why, sizeof(receipt->why), "%s", why);
}

static void end_order(struct orders *orders, struct order *order, const char *outcome,
		      const char *why)
{
	struct receipt receipt;

	order->state = ORDER_ENDED;
	order->ended = clock_mono();
	fill_receipt(&receipt, order->model, &order->command, outcome, why);
	receipt.took_ms = mono_since(order->heard, order->ended);
	write_receipt(orders, &receipt, "");
}

/* ---- judging ---- */

static int64_t lesser(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Age, and whether a use of it would be known. */
static void judge_age(const struct agent *agent, const struct model *model, struct mono now,
		      struct guard_model *out)
{
	int64_t watched;

	out->age_ms = lesser(model->use.known ? mono_since(model->use.last, now) : 0,
			     clock_wall_ms() - model->report.modified_wall_ms);
	/* Without a watch at all the operator has said that what else is known must do. */
	if (agent->watch == NULL || agent->views[model->root].atimes)
		return;
	/*
	 * Neither access times nor anybody tells of what happened before it was watched. It is as
	 * young as that: a loader may be between two of its files.
	 */
	watched = watch_watched_ms(agent->watch, model->name);
	out->unseen = watched < 0;
	if (watched >= 0)
		out->age_ms = lesser(out->age_ms, watched);
}

static void execute(struct orders *orders, struct order *order, struct model *model,
		    const struct watch_mark *mark)
{
	struct agent *agent = orders->agent;
	struct removal_request *req =
		removal_request_new(&agent->roots[model->root], model->name, model->report.locator);

	snprintf(req->command, sizeof(req->command), "%s", order->text);
	/* By hand and in ERROR: whatever is there. Otherwise exactly what Redis was told of. */
	req->generation = model->report.status == MODEL_ERROR ? 0 : model->report.generation;
	req->used_wall_ms = order->command.force ? INT64_MAX : model->used_wall_ms;
	req->heard = order->heard;
	req->mark = *mark;
	model->removal = req;
	order->state = ORDER_RUNNING;
	orders->running++;
	worker_remove(agent->workers[model->root], req);
}

static void judge(struct orders *orders, struct order *order)
{
	struct agent *agent = orders->agent;
	struct model *model = inventory_find(&agent->inventory, order->model);
	int64_t redis_now = beat_redis_now(agent->beat);
	char generation[INVENTORY_GENERATION_SIZE], why[96] = "";
	struct mono now = clock_mono();
	struct watch_mark mark;
	struct guard_model gm;
	struct guard_facts facts = {
		.command = &order->command,
		.redis_now_ms = redis_now,
		.highest_epoch = journal_epoch(agent->journal),
		.pins_known = true,
		.pinned = pins_match(&agent->pins, order->model, redis_now) != NULL,
		.min_age_ms = agent->limits_known ? limits_min_age_ms(&agent->limits) : 0,
	};

	/* In this order: an open is known to this judgement, or comes after the mark. */
	watch_mark(agent->watch, order->model, &mark);
	sources_settle(agent->sources);
	if (model != NULL) {
		const struct root_view *view = &agent->views[model->root];
		int64_t held = mono_since(now, model->hold_until);

		gm = (struct guard_model){
			.status = model->report.status,
			.generation = inventory_generation(model->report.generation, generation),
			.use = &model->use,
			.hold_left_ms = held > 0 ? held : 0,
			.hold_who = model->hold_who,
			.removing = model->removal != NULL,
		};
		judge_age(agent, model, now, &gm);
		facts.model = &gm;
		facts.root_refuses = view->deletes ? NULL : view->note;
		facts.sources_wait = sources_wait(agent->sources, order->heard);
		facts.node_objects = sources_object(agent->sources);
		facts.holds_lost = holds_lost(agent);
	}
	order->judged = true;
	switch (guard_judge(&facts, why, sizeof(why))) {
	case GUARD_GO:
		if (journal_raise_epoch(agent->journal, order->command.epoch) == 0)
			execute(orders, order, model, &mark);
		else
			end_order(orders, order, "failed", "journal: cannot be written");
		break;
	case GUARD_WAIT: /* judged again when the pins are read next, or a source has looked */
		order->waits_for_sources = facts.sources_wait != NULL;
		break;
	case GUARD_GONE: end_order(orders, order, "gone", ""); break;
	case GUARD_REFUSE:
		/* Redis may have been set back: without this it would ask, in vain, for ever. */
		if (model != NULL)
			use_seen(&model->use, order->command.last_used_ms);
		end_order(orders, order, "refused", why);
		break;
	}
}

void orders_pins_read(struct orders *orders, struct mono asked)
{
	struct order *order, *next;

	if (orders->agent->stopping)
		return;
	/* A hold that has just ended is a use until now. */
	holds_tick(orders->agent, clock_mono());
	HASH_ITER (hh, orders->list, order, next) {
		if (order->state == ORDER_WAITING && mono_since(order->heard, asked) >= 0)
			judge(orders, order);
	}
}

void orders_clock_jumped(struct orders *orders)
{
	struct order *order, *next;

	HASH_ITER (hh, orders->list, order, next) {
		if (order->state == ORDER_WAITING)
			end_order(orders, order, "refused",
				  "clock: Redis' clock has jumped since the command");
	}
}

/* ---- the end of a removal ---- */

static struct order *order_of(struct orders *orders, const struct removal_request *req)
{
	char *key = xasprintf("%s %s", req->model, req->command);
	struct order *order;

	HASH_FIND_STR(orders->list, key, order);
	free(key);
	return order;
}

void orders_found_open(struct agent *agent, const struct model *model, const char *what)
{
	char *id = xasprintf("open:%s", model->name);
	struct claim *claim = claim_new(id, USE_OPEN, what);
	struct model_ref ref;

	model_ref_make(&ref, MODEL_REF_NAME, model->name, NULL);
	claim_add(claim, &ref);
	claim->since = clock_mono();
	claim->until.ms = claim->since.ms + BUSY_HOLD_MS;
	holds_set(agent, claim);
	free(id);
}

/* What the attempt has taught about the model. */
static void learn(struct orders *orders, struct model *model, const struct removal_request *req)
{
	struct agent *agent = orders->agent;
	struct mono now = clock_mono();
	int64_t age = clock_wall_ms() - req->seen_used_wall_ms;

	if (req->outcome == REMOVAL_REFUSED && strncmp(req->why, "busy", 4) == 0) {
		orders_found_open(agent, model, req->why);
	} else if (req->outcome == REMOVAL_REFUSED && strncmp(req->why, "used", 4) == 0 &&
		   req->seen_used_wall_ms > model->used_wall_ms) {
		model->used_wall_ms = req->seen_used_wall_ms;
		use_note(&model->use, (struct mono){now.ms - (age > 0 ? age : 0)}, USE_ATIME);
	} else if (req->outcome == REMOVAL_DELETED || req->outcome == REMOVAL_GONE) {
		model->gone = true; /* until a scan finds it again */
		journal_forget_use(agent->journal, model->name);
	}
}

static const char *outcome_word(const struct removal_request *req)
{
	switch (req->outcome) {
	case REMOVAL_DELETED: return "deleted";
	case REMOVAL_GONE: return "gone";
	case REMOVAL_REFUSED: return "refused";
	default: return "failed";
	}
}

/* Moved away, and could not be put back: the model is in the trash. Tried until it succeeds. */
static void try_again(struct orders *orders, const struct removal_request *req)
{
	struct again *again = xcalloc(1, sizeof(*again));

	log_error("-removal-stuck", LOG_STR("model", req->model), LOG_STR("txn", req->txn),
		  LOG_STR("reason", req->why));
	again->req = removal_request_new(req->root, req->model, req->locator);
	snprintf(again->req->txn, sizeof(again->req->txn), "%s", req->txn);
	again->req->recover = true;
	again->req->heard = req->heard;
	/* One that was begun just now has its receipt already: it failed. */
	if (req->recover)
		snprintf(again->req->command, sizeof(again->req->command), "%s", req->command);
	again->due.ms = clock_mono().ms + RECOVER_AGAIN_MS;
	again->next = orders->again;
	orders->again = again;
}

void orders_judge_again(struct orders *orders)
{
	for (struct order *order = orders->list; order != NULL; order = order->hh.next)
		order->judged = false;
}

static void note_evicted(struct agent *agent, const struct receipt *receipt)
{
	int64_t redis_now = beat_redis_now(agent->beat);
	struct journal_evicted eviction = {
		.reason = receipt->reason,
		.at_wall_ms = clock_wall_ms(),
		.last_used_ms = receipt->last_used_ms,
		.bytes = receipt->bytes,
	};

	if (redis_now > receipt->last_used_ms)
		eviction.unused_ms = redis_now - receipt->last_used_ms;
	snprintf(eviction.id, sizeof(eviction.id), "%s", receipt->id);
	journal_note_evicted(agent->journal, receipt->model, &eviction);
}

static void end_running(struct orders *orders, const struct removal_request *req)
{
	struct order *order = order_of(orders, req);

	if (order != NULL && order->state == ORDER_RUNNING) {
		orders->running--;
		order->state = ORDER_ENDED;
		order->ended = clock_mono();
		/* Undone after a restart: heard again, it is executed again. */
		if (req->recover && req->outcome == REMOVAL_REFUSED)
			forget(orders, order);
	}
	/* Another command for the same model may have waited for this one. */
	orders_judge_again(orders);
}

void orders_removed(struct orders *orders, struct removal_request *req)
{
	struct agent *agent = orders->agent;
	struct model *model;
	struct command cmd;
	struct receipt receipt;

	if (req->tidy) {
		log_info("+tidied", LOG_STR("path", req->trash),
			 LOG_INT("bytes", req->reaped.freed_bytes), LOG_STR("why", req->why));
		worker_scan(agent->workers[req->root->index]);
		removal_request_free(req);
		return;
	}
	HASH_FIND_STR(agent->inventory.models, req->model, model);
	if (model != NULL && model->removal == req) {
		model->removal = NULL;
		learn(orders, model, req);
	}
	/* Undone after a restart, the command is heard again; not recovered yet, it is still open.
	 */
	if (req->command[0] != '\0' &&
	    !(req->recover && (req->outcome == REMOVAL_REFUSED || req->stuck)) &&
	    command_parse(req->command, &cmd, NULL) == 0) {
		fill_receipt(&receipt, req->model, &cmd, outcome_word(req), req->why);
		receipt.bytes = req->reaped.freed_bytes;
		receipt.took_ms = mono_since(req->heard, clock_mono());
		write_receipt(orders, &receipt, req->stuck ? "" : req->txn);
		if (req->outcome == REMOVAL_DELETED)
			note_evicted(agent, &receipt);
	} else if (!req->stuck && journal_end(agent->journal, req->txn, NULL) != 0) {
		log_error("-journal", LOG_STR("reason", strerror(errno)));
	}
	if (req->stuck)
		try_again(orders, req);
	if (!(req->recover && req->stuck))
		end_running(orders, req);
	worker_scan(agent->workers[req->root->index]);
	removal_request_free(req);
}

/* ---- after a restart ---- */

static struct root *root_named(struct agent *agent, const char *name)
{
	for (int i = 0; i < agent->root_count; i++) {
		if (strcmp(agent->roots[i].config.name, name) == 0)
			return &agent->roots[i];
	}
	return NULL;
}

/* The command may still stand in Redis: heard again, it is this one. */
static void remember_running(struct orders *orders, const struct removal_request *req)
{
	struct order *order;

	if (req->command[0] == '\0')
		return;
	order = add_order(orders, req->model, req->command);
	if (order == NULL)
		return;
	order->state = ORDER_RUNNING;
	orders->running++;
}

void orders_recover(struct orders *orders)
{
	struct agent *agent = orders->agent;
	size_t count;
	const struct intent *intents = journal_intents(agent->journal, &count);

	for (size_t i = 0; i < count; i++) {
		struct root *root = root_named(agent, intents[i].root);
		struct removal_request *req;

		if (root == NULL) {
			log_warn("-removal-stuck", LOG_STR("model", intents[i].model),
				 LOG_STR("reason", "its root is not configured any more"),
				 LOG_STR("root", intents[i].root));
			continue;
		}
		req = removal_request_new(root, intents[i].model, intents[i].locator);
		snprintf(req->txn, sizeof(req->txn), "%s", intents[i].txn);
		snprintf(req->command, sizeof(req->command), "%s", intents[i].command);
		req->recover = true;
		req->heard = clock_mono();
		remember_running(orders, req);
		worker_remove(agent->workers[root->index], req);
	}
}

void orders_tick(struct orders *orders)
{
	struct mono now = clock_mono();
	struct order *order, *next;
	struct again **link = &orders->again;

	HASH_ITER (hh, orders->list, order, next) {
		if (order->state == ORDER_WAITING && order->waits_for_sources &&
		    sources_wait(orders->agent->sources, order->heard) == NULL)
			order->waits_for_sources = order->judged = false;
		if (order->state == ORDER_ENDED && mono_since(order->ended, now) > REMEMBER_MS)
			forget(orders, order);
	}
	while (*link != NULL) {
		struct again *again = *link;

		if (mono_since(again->due, now) < 0) {
			link = &again->next;
			continue;
		}
		*link = again->next;
		worker_remove(orders->agent->workers[again->req->root->index], again->req);
		free(again);
	}
}
