/* Receipts into the audit trail. */
#include "coordinator/follow.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/log.h"
#include "common/redis_args.h"
#include "common/xmem.h"
#include "coordinator/coordinator.h"
#include "coordinator/copies.h"
#include "coordinator/cycles.h"
#include "coordinator/leader.h"
#include "coordinator/lookup.h"
#include "coordinator/trail.h"

#define READ_COUNT	 200
#define READS_AT_ONCE	 50
#define LOOK_INTERVAL_MS 2000 /* at nodes with open commands, should a message be lost */
/* What the last leader may have written to the trail without removing it from the stream. */
#define SEEN_COUNT 1000

struct waiting {
	char *node;
	UT_hash_handle hh;
};

/* A receipt that already stands in the audit trail: "node command-id". */
struct seen {
	char *key;
	UT_hash_handle hh;
};

struct follow {
	struct coordinator *c;
	struct waiting *waiting; /* nodes to be read */
	struct seen *seen;
	size_t reads;
	bool trail_read; /* `seen` is filled */
	struct mono look_due;
};

struct read {
	struct follow *follow;
	char *node;
};

struct follow *follow_new(struct coordinator *c)
{
	struct follow *f = xcalloc(1, sizeof(*f));

	f->c = c;
	return f;
}

static void drop_waiting(struct follow *f, struct waiting *waiting)
{
	HASH_DEL(f->waiting, waiting);
	free(waiting->node);
	free(waiting);
}

static void forget_seen(struct follow *f)
{
	struct seen *seen, *next;

	HASH_ITER (hh, f->seen, seen, next) {
		HASH_DEL(f->seen, seen);
		free(seen->key);
		free(seen);
	}
}

void follow_free(struct follow *f)
{
	struct waiting *waiting, *next;

	if (f == NULL)
		return;
	HASH_ITER (hh, f->waiting, waiting, next)
		drop_waiting(f, waiting);
	forget_seen(f);
	free(f);
}

void follow_node(struct follow *f, const char *node)
{
	struct waiting *waiting;

	if (!model_name_node_valid(node))
		return;
	HASH_FIND_STR(f->waiting, node, waiting);
	if (waiting != NULL)
		return;
	waiting = xcalloc(1, sizeof(*waiting));
	waiting->node = xstrdup(node);
	HASH_ADD_KEYPTR(hh, f->waiting, waiting->node, strlen(waiting->node), waiting);
}

/* ---- one receipt ---- */

/* The value of a field in a stream entry's flat list, or "". */
static const char *field(const redisReply *fields, const char *name)
{
	for (size_t i = 0; i + 1 < fields->elements; i += 2) {
		if (fields->element[i]->type == REDIS_REPLY_STRING &&
		    strcmp(fields->element[i]->str, name) == 0 &&
		    fields->element[i + 1]->type == REDIS_REPLY_STRING)
			return fields->element[i + 1]->str;
	}
	return "";
}

/* Not the end of a command, but the return of what one has deleted. */
static bool is_refault(const redisReply *fields)
{
	return strcmp(field(fields, "outcome"), "refault") == 0;
}

static char *seen_key(const char *node, const char *id)
{
	return xasprintf("%.*s %.*s", NODE_NAME_MAX, node, COMMAND_ID_MAX, id);
}

/* True unless it stood in the trail already when we became the leader. */
static bool is_new(struct follow *f, const char *node, const char *id)
{
	char *key = seen_key(node, id);
	struct seen *seen;

	HASH_FIND_STR(f->seen, key, seen);
	free(key);
	return seen == NULL;
}

static void write_trail(struct follow *f, const char *node, const char *entry_id,
			const redisReply *fields)
{
	static const char *const kept[] = {"id",     "model", "outcome",      "bytes",	"why",
					   "reason", "epoch", "last_used_ms", "took_ms"};
	struct redis_args args = {0};

	trail_start(f->c, &args, is_refault(fields) ? "refault" : "eviction");
	redis_args_add(&args, "node");
	redis_args_add(&args, node);
	redis_args_add(&args, "at_ms");
	redis_args_add_len(&args, entry_id, strcspn(entry_id, "-"));
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		redis_args_add(&args, kept[i]);
		redis_args_add(&args, field(fields, kept[i]));
	}
	trail_send(f->c, &args);
}

/* Its copy is gone, or stays after all; unless another command for it has been issued since. */
static void settle_copy(struct coordinator *c, const char *node, const char *model, bool gone)
{
	if (c->copies == NULL)
		return;
	if (gone)
		copies_gone(c->copies, node, model);
	else if (!ledger_open(c->ledger, node, model))
		copies_give_back(c->copies, node, model);
}

static void close_command(struct follow *f, const char *node, const redisReply *fields)
{
	const char *outcome = field(fields, "outcome");
	bool success = strcmp(outcome, "deleted") == 0 || strcmp(outcome, "gone") == 0;
	struct ledger_entry entry;

	if (is_refault(fields)) {
		log_info("+refault", LOG_STR("node", node),
			 LOG_STR("model", field(fields, "model")),
			 LOG_STR("reason", field(fields, "reason")),
			 LOG_STR("away_ms", field(fields, "took_ms")));
		return;
	}
	log_info(success ? "+evicted" : "-not-evicted", LOG_STR("node", node),
		 LOG_STR("model", field(fields, "model")), LOG_STR("id", field(fields, "id")),
		 LOG_STR("outcome", outcome), LOG_STR("reason", field(fields, "reason")),
		 LOG_STR("why", field(fields, "why")), LOG_STR("bytes", field(fields, "bytes")));
	if (ledger_receipt(f->c->ledger, node, field(fields, "model"), field(fields, "id"), success,
			   clock_mono(), &entry))
		cycles_command_ended(f->c->cycles, &entry, outcome,
				     strtoll(field(fields, "bytes"), NULL, 10));
	settle_copy(f->c, node, field(fields, "model"), success);
}

/* ---- reading a node's stream ---- */

static void delete_entries(struct follow *f, const char *node, const redisReply *entries)
{
	struct redis_args args = {0};
	char key[KEY_SIZE];

	redis_args_start(&args, "XDEL");
	redis_args_add(&args, key_node(key, f->c->options.redis.prefix, node, KEY_RECEIPTS));
	for (size_t i = 0; i < entries->elements; i++)
		redis_args_add(&args, entries->element[i]->element[0]->str);
	redis_link_command(f->c->link, &args, NULL, NULL);
	redis_args_free(&args);
}

static bool well_formed(const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY)
		return false;
	for (size_t i = 0; i < reply->elements; i++) {
		const redisReply *entry = reply->element[i];

		if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
		    entry->element[0]->type != REDIS_REPLY_STRING ||
		    entry->element[1]->type != REDIS_REPLY_ARRAY)
			return false;
	}
	return true;
}

static void got_receipts(const redisReply *reply, const char *why, void *arg)
{
	struct read *rd = arg;
	struct follow *f = rd->follow;

	(void)why; /* read again when the link is back: the node's commands are open */
	f->reads--;
	if (reply != NULL && !well_formed(reply))
		log_warn("-receipts", LOG_STR("node", rd->node),
			 LOG_STR("reason",
				 reply->type == REDIS_REPLY_ERROR ? reply->str : "not understood"));
	else if (reply != NULL && reply->elements > 0 && leader_leads(f->c->leader)) {
		for (size_t i = 0; i < reply->elements; i++) {
			const redisReply *entry = reply->element[i];
			const redisReply *fields = entry->element[1];

			if (is_new(f, rd->node, field(fields, "id")))
				write_trail(f, rd->node, entry->element[0]->str, fields);
			close_command(f, rd->node, fields);
		}
		delete_entries(f, rd->node, reply);
		if (reply->elements == READ_COUNT)
			follow_node(f, rd->node);
	}
	free(rd->node);
	free(rd);
}

static void read_node(struct follow *f, const char *node)
{
	struct read *rd = xcalloc(1, sizeof(*rd));
	struct redis_args args = {0};
	char key[KEY_SIZE];

	rd->follow = f;
	rd->node = xstrdup(node);
	f->reads++;
	redis_args_start(&args, "XRANGE");
	redis_args_add(&args, key_node(key, f->c->options.redis.prefix, node, KEY_RECEIPTS));
	redis_args_add(&args, "-");
	redis_args_add(&args, "+");
	redis_args_add(&args, "COUNT");
	redis_args_add_int(&args, READ_COUNT);
	redis_link_command(f->c->link, &args, got_receipts, rd);
	redis_args_free(&args);
}

/* ---- taking over from another leader ---- */

static void got_all_names(char **names, size_t count, const char *why, void *arg)
{
	struct follow *f = arg;

	if (why != NULL)
		log_warn("-receipts", LOG_STR("reason", why));
	for (size_t i = 0; i < count; i++) {
		follow_node(f, names[i]);
		free(names[i]);
	}
	free(names);
}

static void got_trail(const redisReply *reply, const char *why, void *arg)
{
	struct follow *f = arg;

	(void)why;
	f->trail_read = true;
	for (size_t i = 0; reply != NULL && well_formed(reply) && i < reply->elements; i++) {
		const redisReply *fields = reply->element[i]->element[1];
		struct seen *seen;

		if (!is_new(f, field(fields, "node"), field(fields, "id")))
			continue;
		seen = xcalloc(1, sizeof(*seen));
		seen->key = seen_key(field(fields, "node"), field(fields, "id"));
		HASH_ADD_KEYPTR(hh, f->seen, seen->key, strlen(seen->key), seen);
	}
	lookup_nodes(f->c->link, f->c->options.redis.prefix, got_all_names, f);
}

void follow_all(struct follow *f)
{
	struct redis_args args = {0};
	char key[KEY_SIZE];

	forget_seen(f);
	f->trail_read = false;
	redis_args_start(&args, "XREVRANGE");
	redis_args_add(&args, coordinator_key(f->c, key, KEY_LOG));
	redis_args_add(&args, "+");
	redis_args_add(&args, "-");
	redis_args_add(&args, "COUNT");
	redis_args_add_int(&args, SEEN_COUNT);
	redis_link_command(f->c->link, &args, got_trail, f);
	redis_args_free(&args);
}

static void look_at(const char *node, void *arg)
{
	follow_node(arg, node);
}

void follow_tick(struct follow *f)
{
	struct coordinator *c = f->c;
	struct mono now = clock_mono();
	struct waiting *waiting, *next;
	struct ledger_entry entry;

	if (!redis_link_is_up(c->link) || !leader_leads(c->leader) || !f->trail_read)
		return;
	if (mono_since(f->look_due, now) >= 0) {
		f->look_due.ms = now.ms + LOOK_INTERVAL_MS;
		ledger_each_node(c->ledger, look_at, f);
	}
	HASH_ITER (hh, f->waiting, waiting, next) {
		if (f->reads >= READS_AT_ONCE)
			break;
		read_node(f, waiting->node);
		drop_waiting(f, waiting);
	}
	while (ledger_overdue(c->ledger, now, &entry)) {
		log_warn("-command-expired", LOG_STR("node", entry.node),
			 LOG_STR("model", entry.model), LOG_STR("id", entry.id));
		/* The agent may have begun in time: only a look at the node tells. */
		if (c->copies != NULL)
			copies_drop(c->copies, entry.node);
		cycles_command_ended(c->cycles, &entry, "expired", 0);
	}
}
