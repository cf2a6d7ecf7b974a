/* Receipts into the audit trail. */
#include "coordinator/follow.h"

#include <stdio.h>
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

#define READ_COUNT	 100
#define READS_AT_ONCE	 50
#define LOOK_INTERVAL_MS 2000  /* at nodes with open commands, should a message be lost */
#define PAUSE_MAX_MS	 60000 /* between tries of what Redis refuses */
/* What a leader may have written to the trail without removing it from the streams. */
#define SEEN_COUNT     (READ_COUNT * READS_AT_ONCE)
#define STREAM_ID_SIZE 42 /* two numbers of 20 digits */

/* The receipts of a node: kept while they are read, or are to be. */
struct stream {
	struct follow *follow;
	char *node;
	bool due, reading;
	struct mono not_before;
	int64_t pause_ms;	   /* until the next try; doubles with each that fails */
	char told[STREAM_ID_SIZE]; /* the last receipt whose command was closed */
	UT_hash_handle hh;
};

/* A receipt that already stands in the audit trail: "node command-id". */
struct seen {
	char *key;
	UT_hash_handle hh;
};

struct follow {
	struct coordinator *c;
	struct stream *streams;
	struct seen *seen;
	size_t reads;
	bool trail_due, names_due; /* are to be read */
	size_t trail_asked;	   /* how often, without an answer yet */
	struct mono look_due;
};

/* Receipts that were read, on their way into the trail. */
struct batch {
	struct stream *stream;
	struct batch_entry {
		struct batch *batch;
		char id[STREAM_ID_SIZE];
		bool written;
	} * entries;
	size_t count, waiting;
	bool failed;
};

struct follow *follow_new(struct coordinator *c)
{
	struct follow *f = xcalloc(1, sizeof(*f));

	f->c = c;
	return f;
}

static void drop_stream(struct follow *f, struct stream *stream)
{
	HASH_DEL(f->streams, stream);
	free(stream->node);
	free(stream);
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
	struct stream *stream, *next;

	if (f == NULL)
		return;
	HASH_ITER (hh, f->streams, stream, next)
		drop_stream(f, stream);
	forget_seen(f);
	free(f);
}

void follow_node(struct follow *f, const char *node)
{
	struct stream *stream;

	if (!model_name_node_valid(node))
		return;
	HASH_FIND_STR(f->streams, node, stream);
	if (stream == NULL) {
		stream = xcalloc(1, sizeof(*stream));
		stream->follow = f;
		stream->node = xstrdup(node);
		HASH_ADD_KEYPTR(hh, f->streams, stream->node, strlen(stream->node), stream);
	}
	stream->due = true;
}

/* ---- one receipt ---- */

/* Not the end of a command, but the return of what one has deleted. */
static bool is_refault(const redisReply *fields)
{
	return strcmp(trail_field(fields, "outcome"), "refault") == 0;
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

static void got_written(const redisReply *reply, const char *why, void *arg);

static void write_trail(struct follow *f, const char *node, const redisReply *fields,
			struct batch_entry *entry)
{
	static const char *const kept[] = {"id",     "model", "outcome",      "bytes",	"why",
					   "reason", "epoch", "last_used_ms", "took_ms"};
	struct redis_args args = {0};

	trail_start(f->c, &args, is_refault(fields) ? "refault" : "eviction");
	redis_args_add(&args, "node");
	redis_args_add(&args, node);
	redis_args_add(&args, "at_ms");
	redis_args_add_len(&args, entry->id, strcspn(entry->id, "-"));
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		redis_args_add(&args, kept[i]);
		redis_args_add(&args, trail_field(fields, kept[i]));
	}
	entry->batch->waiting++;
	redis_link_command(f->c->link, &args, got_written, entry);
	redis_args_free(&args);
}

/* Its copy is gone, or stays after all; unless another command for it has been issued since. */
static void settle_copy(struct coordinator *c, const char *node, const char *model, bool gone)
{
	if (c->copies == NULL)
		return;
	if (gone)
		copies_gone(c->copies, node, model);
	else if (ledger_state(c->ledger, node, model, clock_mono()) != LEDGER_OPEN)
		copies_give_back(c->copies, node, model);
}

static void close_command(struct follow *f, const char *node, const redisReply *fields)
{
	const char *outcome = trail_field(fields, "outcome");
	bool success = strcmp(outcome, "deleted") == 0 || strcmp(outcome, "gone") == 0;
	struct ledger_entry entry;

	if (is_refault(fields)) {
		log_info("+refault", LOG_STR("node", node),
			 LOG_STR("model", trail_field(fields, "model")),
			 LOG_STR("reason", trail_field(fields, "reason")),
			 LOG_STR("away_ms", trail_field(fields, "took_ms")));
		return;
	}
	log_info(success ? "+evicted" : "-not-evicted", LOG_STR("node", node),
		 LOG_STR("model", trail_field(fields, "model")),
		 LOG_STR("id", trail_field(fields, "id")), LOG_STR("outcome", outcome),
		 LOG_STR("reason", trail_field(fields, "reason")),
		 LOG_STR("why", trail_field(fields, "why")),
		 LOG_STR("bytes", trail_field(fields, "bytes")));
	if (ledger_receipt(f->c->ledger, node, trail_field(fields, "model"),
			   trail_field(fields, "id"), success, clock_mono(), &entry))
		cycles_command_ended(f->c->cycles, &entry, outcome,
				     strtoll(trail_field(fields, "bytes"), NULL, 10));
	settle_copy(f->c, node, trail_field(fields, "model"), success);
}

/* ---- reading a node's stream ---- */

static bool is_refused(const redisReply *reply)
{
	return reply != NULL && reply->type == REDIS_REPLY_ERROR;
}

static void end_read(struct stream *stream)
{
	struct follow *f = stream->follow;

	f->reads--;
	stream->reading = false;
	if (!stream->due)
		drop_stream(f, stream);
}

static void read_later(struct stream *stream)
{
	int64_t pause = 2 * stream->pause_ms;

	if (pause < LOOK_INTERVAL_MS)
		pause = LOOK_INTERVAL_MS;
	stream->pause_ms = pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
	stream->due = true;
	stream->not_before.ms = clock_mono().ms + stream->pause_ms;
}

static void got_deleted(const redisReply *reply, const char *why, void *arg)
{
	struct stream *stream = arg;

	(void)why;
	if (is_refused(reply))
		log_warn("-receipts", LOG_STR("node", stream->node), LOG_STR("reason", reply->str));
	if (reply == NULL || is_refused(reply)) {
		/* They may be there still, and stand in the trail. */
		stream->follow->trail_due = true;
		read_later(stream);
	} else if (mono_since(stream->not_before, clock_mono()) >= 0) {
		stream->pause_ms = 0; /* all of it went well */
	}
	end_read(stream);
}

/* Removes what is in the trail; what is not is tried again. */
static void finish_batch(struct batch *batch)
{
	struct stream *stream = batch->stream;
	struct coordinator *c = stream->follow->c;
	struct redis_args args = {0};
	char key[KEY_SIZE];
	size_t written = 0;

	redis_args_start(&args, "XDEL");
	redis_args_add(&args, key_node(key, c->options.redis.prefix, stream->node, KEY_RECEIPTS));
	for (size_t i = 0; i < batch->count; i++) {
		if (!batch->entries[i].written)
			continue;
		redis_args_add(&args, batch->entries[i].id);
		written++;
	}
	if (batch->failed)
		read_later(stream);
	else if (batch->count == READ_COUNT)
		stream->due = true;
	if (written > 0)
		redis_link_command(c->link, &args, got_deleted, stream);
	else
		end_read(stream);
	redis_args_free(&args);
	free(batch->entries);
	free(batch);
}

static void got_written(const redisReply *reply, const char *why, void *arg)
{
	struct batch_entry *entry = arg;
	struct batch *batch = entry->batch;

	entry->written = reply != NULL && !is_refused(reply);
	if (!entry->written && !batch->failed)
		log_warn("-trail", LOG_STR("node", batch->stream->node),
			 LOG_STR("reason", reply != NULL ? reply->str : why));
	batch->failed |= !entry->written;
	/* It may have been written nevertheless. */
	if (reply == NULL)
		follow_all(batch->stream->follow);
	if (--batch->waiting == 0)
		finish_batch(batch);
}

static bool later(const char *id, const char *than)
{
	char *rest, *than_rest;
	unsigned long long ms = strtoull(id, &rest, 10), than_ms = strtoull(than, &than_rest, 10);

	if (ms != than_ms)
		return ms > than_ms;
	return strtoull(*rest == '-' ? rest + 1 : "", NULL, 10) >
	       strtoull(*than_rest == '-' ? than_rest + 1 : "", NULL, 10);
}

static void take_receipts(struct stream *stream, const redisReply *reply)
{
	struct follow *f = stream->follow;
	struct batch *batch = xcalloc(1, sizeof(*batch));

	batch->stream = stream;
	batch->count = reply->elements;
	batch->entries = xcalloc(batch->count, sizeof(*batch->entries));
	batch->waiting = 1;
	for (size_t i = 0; i < reply->elements; i++) {
		const redisReply *fields = reply->element[i]->element[1];
		struct batch_entry *entry = &batch->entries[i];

		entry->batch = batch;
		snprintf(entry->id, sizeof(entry->id), "%s", reply->element[i]->element[0]->str);
		if (is_new(f, stream->node, trail_field(fields, "id")))
			write_trail(f, stream->node, fields, entry);
		else
			entry->written = true;
		if (stream->told[0] != '\0' && !later(entry->id, stream->told))
			continue;
		close_command(f, stream->node, fields);
		memcpy(stream->told, entry->id, sizeof(stream->told));
	}
	if (--batch->waiting == 0)
		finish_batch(batch);
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

static bool trail_is_read(const struct follow *f)
{
	return !f->trail_due && f->trail_asked == 0;
}

static void got_receipts(const redisReply *reply, const char *why, void *arg)
{
	struct stream *stream = arg;
	struct follow *f = stream->follow;

	(void)why;
	if (reply == NULL) {
		read_later(stream);
	} else if (!well_formed(reply)) {
		log_warn("-receipts", LOG_STR("node", stream->node),
			 LOG_STR("reason", is_refused(reply) ? reply->str : "not understood"));
		read_later(stream);
	} else if (leader_leads(f->c->leader) && !trail_is_read(f)) {
		stream->due = true;
	} else if (leader_leads(f->c->leader) && reply->elements > 0) {
		take_receipts(stream, reply);
		return;
	}
	end_read(stream);
}

static void read_stream(struct follow *f, struct stream *stream)
{
	struct redis_args args = {0};
	char key[KEY_SIZE];

	stream->due = false;
	stream->reading = true;
	f->reads++;
	redis_args_start(&args, "XRANGE");
	redis_args_add(&args,
		       key_node(key, f->c->options.redis.prefix, stream->node, KEY_RECEIPTS));
	redis_args_add(&args, "-");
	redis_args_add(&args, "+");
	redis_args_add(&args, "COUNT");
	redis_args_add_int(&args, READ_COUNT);
	redis_link_command(f->c->link, &args, got_receipts, stream);
	redis_args_free(&args);
}

/* ---- taking over from another leader ---- */

static void got_all_names(char **names, size_t count, const char *why, void *arg)
{
	struct follow *f = arg;

	if (why != NULL) {
		log_warn("-receipts", LOG_STR("reason", why));
		f->names_due = true;
	}
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
	/* What was asked before we led says too little. */
	if (--f->trail_asked > 0)
		return;
	/* In what is no stream nothing stands. Any other refusal says nothing. */
	if (reply == NULL || (is_refused(reply) && strncmp(reply->str, "WRONGTYPE", 9) != 0)) {
		if (reply != NULL)
			log_warn("-trail", LOG_STR("reason", reply->str));
		f->trail_due = true;
		return;
	}
	forget_seen(f);
	for (size_t i = 0; well_formed(reply) && i < reply->elements; i++) {
		const redisReply *fields = reply->element[i]->element[1];
		struct seen *seen;

		if (!is_new(f, trail_field(fields, "node"), trail_field(fields, "id")))
			continue;
		seen = xcalloc(1, sizeof(*seen));
		seen->key = seen_key(trail_field(fields, "node"), trail_field(fields, "id"));
		HASH_ADD_KEYPTR(hh, f->seen, seen->key, strlen(seen->key), seen);
	}
}

static void read_trail(struct follow *f)
{
	struct redis_args args = {0};
	char key[KEY_SIZE];

	f->trail_due = false;
	f->trail_asked++;
	redis_args_start(&args, "XREVRANGE");
	redis_args_add(&args, coordinator_key(f->c, key, KEY_LOG));
	redis_args_add(&args, "+");
	redis_args_add(&args, "-");
	redis_args_add(&args, "COUNT");
	redis_args_add_int(&args, SEEN_COUNT);
	redis_link_command(f->c->link, &args, got_trail, f);
	redis_args_free(&args);
}

void follow_all(struct follow *f)
{
	f->trail_due = f->names_due = true;
	f->look_due.ms = 0;
}

static void look_at(const char *node, void *arg)
{
	follow_node(arg, node);
}

/* At those of whom something is awaited, or at all. */
static void look(struct follow *f, struct mono now)
{
	f->look_due.ms = now.ms + LOOK_INTERVAL_MS;
	if (f->trail_due)
		read_trail(f);
	if (f->names_due) {
		f->names_due = false;
		lookup_nodes(f->c->link, f->c->options.redis.prefix, got_all_names, f);
	}
	ledger_each_node(f->c->ledger, look_at, f);
}

static void on_overdue(const struct ledger_entry *entry, void *arg)
{
	struct coordinator *c = arg;

	log_warn("-command-expired", LOG_STR("node", entry->node), LOG_STR("model", entry->model),
		 LOG_STR("id", entry->id));
	/* The agent may have begun in time: only a look at the node tells. */
	if (c->copies != NULL)
		copies_drop(c->copies, entry->node);
	cycles_command_ended(c->cycles, entry, "expired", 0);
}

void follow_tick(struct follow *f)
{
	struct coordinator *c = f->c;
	struct mono now = clock_mono();
	struct stream *stream, *next;

	if (!redis_link_is_up(c->link) || !leader_leads(c->leader))
		return;
	if (mono_since(f->look_due, now) >= 0)
		look(f, now);
	HASH_ITER (hh, f->streams, stream, next) {
		if (f->reads >= READS_AT_ONCE || !trail_is_read(f))
			break;
		if (stream->due && !stream->reading && mono_since(stream->not_before, now) >= 0)
			read_stream(f, stream);
	}
	ledger_overdue(c->ledger, now, on_overdue, c);
}
