/* Reads windows of nodes. */
#include "coordinator/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/command.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/xmem.h"

#define NUMBER_MAX (INT64_C(1) << 53)
/* So much later than our idea of Redis' clock a heartbeat may be: that is late by one answer. */
#define HEARTBEAT_AHEAD_MS 5000

enum part {
	PART_STATE,
	PART_LRU,
	PART_SIZE,
	PART_HOLD,
	PART_HOLDERS,
	PART_CMD,
	PART_STATUS,
	PARTS
};

struct reading {
	struct snapshot want;
	struct mono began;
	struct cluster cluster;
	struct redis_args args;
	size_t waiting; /* replies to come, and one while they are sent */
	const char *why;
	struct slot {
		struct reading *reading;
		size_t node;
		enum part part;
	} * slots;
	size_t slot_count;
	/* Commands, read before the models that they are for; those of a node stand together. */
	struct order {
		size_t node;
		const char *model; /* of the cluster */
		bool pending;
	} * orders;
	size_t order_count, order_capacity;
};

static bool is_text(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING;
}

/* A time or an amount. Agents write none below zero, and none beyond what Lua holds exactly. */
static int64_t magnitude(const char *text)
{
	int64_t value = strtoll(text, NULL, 10);

	return value < 0 ? 0 : value > NUMBER_MAX ? NUMBER_MAX : value;
}

static int64_t number(const redisReply *reply)
{
	return is_text(reply) ? magnitude(reply->str) : 0;
}

/* A score, which Redis holds as a floating point number; -1 for what is no time. */
static int64_t score(const redisReply *reply)
{
	double value = is_text(reply) ? strtod(reply->str, NULL) : -1;

	return value >= 0 && value <= (double)NUMBER_MAX ? (int64_t)value : -1;
}

/* ---- what each reply says ---- */

static void set_counter(struct cluster_node *node, const char *key, int64_t value)
{
	const struct {
		const char *key;
		int64_t *at;
	} counters[] = {
		{"since", &node->since_ms},   {"downloading", &node->downloading},
		{"error", &node->error},      {"bytes", &node->bytes},
		{"deleted", &node->deleted},  {"refused", &node->refused},
		{"failed", &node->failed},    {"freed", &node->freed_bytes},
		{"refault", &node->refaults},
	};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		if (strcmp(counters[i].key, key) == 0)
			*counters[i].at = value;
	}
}

static void set_state(struct cluster_node *node, const char *key, const redisReply *value)
{
	if (!is_text(value))
		return;
	if (strcmp(key, "inc") == 0) {
		node->known = value->len > 0 && (size_t)value->len < sizeof(node->incarnation);
		snprintf(node->incarnation, sizeof(node->incarnation), "%s", value->str);
	} else if (strcmp(key, "hb") == 0) {
		node->heartbeat_ms = number(value);
	} else if (strcmp(key, "n") == 0) {
		node->model_count = number(value);
	} else if (strcmp(key, "clock") == 0) {
		node->clock_ahead_ms =
			value->str[0] == '-' ? -magnitude(value->str + 1) : magnitude(value->str);
	} else if (strcmp(key, "want") == 0) {
		node->wanted_bytes = number(value);
	} else if (strcmp(key, "attention") == 0) {
		node->attention = number(value);
	} else if (strcmp(key, "inv") == 0) {
		node->inventory = number(value);
	} else if (strcmp(key, "version") == 0) {
		snprintf(node->version, sizeof(node->version), "%s", value->str);
	} else if (strncmp(key, "root:", 5) == 0) {
		if (!cluster_add_root(node, key + 5, value->str))
			log_warn("-root-unreadable", LOG_STR("node", node->name),
				 LOG_STR("field", key));
	} else {
		set_counter(node, key, number(value));
	}
}

static void finish_state(struct reading *rd, struct cluster_node *node)
{
	int64_t age = rd->want.now_ms - node->heartbeat_ms;
	int64_t ahead = HEARTBEAT_AHEAD_MS + mono_since(rd->began, clock_mono());

	/* One from the future was before Redis' clock was set back. */
	node->live = node->heartbeat_ms > 0 && age < rd->want.node_timeout_ms && age > -ahead;
}

static bool reads_whole(const struct reading *rd)
{
	return rd->want.depth == SNAPSHOT_ALL || rd->want.depth == SNAPSHOT_SHOW;
}

static bool reads_all_fields(const struct reading *rd)
{
	return reads_whole(rd) || rd->want.depth == SNAPSHOT_SUMMARY;
}

static const char *const light_fields[] = {"inc", "hb", "n", "attention", "inv"};

/* Of a hash that is not there: no fields, or none of those that were asked for. */
static bool says_nothing(const redisReply *reply)
{
	for (size_t i = 0; i < reply->elements; i++) {
		if (reply->element[i]->type != REDIS_REPLY_NIL)
			return false;
	}
	return true;
}

static void got_state(struct reading *rd, struct cluster_node *node, const redisReply *reply)
{
	bool loading = false;

	if (reads_all_fields(rd)) {
		for (size_t i = 0; i + 1 < reply->elements; i += 2) {
			if (!is_text(reply->element[i]))
				continue;
			loading |= strcmp(reply->element[i]->str, "loading") == 0;
			set_state(node, reply->element[i]->str, reply->element[i + 1]);
		}
		node->known &= !loading;
	} else {
		for (size_t i = 0; i < reply->elements; i++)
			set_state(node, light_fields[i], reply->element[i]);
	}
	node->blank = says_nothing(reply);
	finish_state(rd, node);
}

static void got_lru(struct reading *rd, struct cluster_node *node, const redisReply *reply)
{
	size_t ignored = 0;

	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		const redisReply *name = reply->element[i];

		if (!is_text(name) ||
		    !cluster_add_model(&rd->cluster, node, name->str, (size_t)name->len,
				       score(reply->element[i + 1])))
			ignored++;
	}
	if (ignored > 0)
		log_warn("-models-ignored", LOG_STR("node", node->name), LOG_INT("count", ignored),
			 LOG_STR("reason", "bad names or scores"));
	node->complete = reads_whole(rd);
}

static int by_name(const void *key, const void *element)
{
	const struct cluster_model *const *model = element;

	return strcmp(key, (*model)->name);
}

static int name_order(const void *a, const void *b)
{
	const struct cluster_model *const *left = a, *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

/* The other keys name models in another order: an index by name finds them. */
static struct cluster_model **index_models(struct cluster_node *node)
{
	struct cluster_model **index = xcalloc(node->model_total, sizeof(struct cluster_model *));

	for (size_t i = 0; i < node->model_total; i++)
		index[i] = &node->models[i];
	if (node->model_total > 1)
		qsort(index, node->model_total, sizeof(struct cluster_model *), name_order);
	return index;
}

static struct cluster_model *find_model(struct cluster_model **index, size_t count,
					const char *name)
{
	struct cluster_model **found = NULL;

	if (count > 0)
		found = bsearch(name, index, count, sizeof(struct cluster_model *), by_name);
	return found != NULL ? *found : NULL;
}

static struct cluster_model *look_up(struct cluster_model **index, size_t count,
				     const redisReply *name)
{
	return is_text(name) ? find_model(index, count, name->str) : NULL;
}

/* "bytes generation source" */
static void take_size(struct cluster_model *model, const redisReply *value)
{
	const char *source = strrchr(value->str, ' ');

	model->bytes = number(value);
	if (source != NULL && source != strchr(value->str, ' '))
		model->source = use_source_parse(source + 1);
}

static void got_sizes(struct cluster_node *node, const redisReply *reply)
{
	struct cluster_model **index = index_models(node);

	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		struct cluster_model *model = look_up(index, node->model_total, reply->element[i]);

		if (model != NULL && is_text(reply->element[i + 1]))
			take_size(model, reply->element[i + 1]);
	}
	free(index);
}

static void got_holders(struct reading *rd, struct cluster_node *node, const redisReply *reply)
{
	struct cluster_model **index = index_models(node);

	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		struct cluster_model *model = look_up(index, node->model_total, reply->element[i]);
		const redisReply *who = reply->element[i + 1];

		/* What stands there of a hold that has ended says nothing. */
		if (model != NULL && model->held && is_text(who))
			model->held_by = cluster_string(&rd->cluster, who->str, (size_t)who->len);
	}
	free(index);
}

static void got_holds(struct cluster_node *node, const redisReply *reply)
{
	struct cluster_model **index = index_models(node);

	for (size_t i = 0; i < reply->elements; i++) {
		struct cluster_model *model = look_up(index, node->model_total, reply->element[i]);

		if (model != NULL)
			model->held = true;
	}
	free(index);
}

/*
 * A command that has passed its deadline is not pending any more, issue.lua replaces it; but the
 * agent may have begun before. What is no command says nothing.
 */
static void got_commands(struct reading *rd, size_t node, const redisReply *reply)
{
	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		const redisReply *name = reply->element[i], *text = reply->element[i + 1];
		struct command cmd;

		if (!is_text(name) || !is_text(text) || command_parse(text->str, &cmd, NULL) != 0)
			continue;
		rd->orders = xgrow(rd->orders, rd->order_count, &rd->order_capacity,
				   sizeof(*rd->orders));
		rd->orders[rd->order_count++] = (struct order){
			node, cluster_string(&rd->cluster, name->str, (size_t)name->len),
			cmd.deadline_ms > rd->want.now_ms};
	}
}

/* Once the models are there. */
static void mark_going(struct reading *rd)
{
	for (size_t i = 0; i < rd->order_count;) {
		size_t at = rd->orders[i].node;
		struct cluster_node *node = &rd->cluster.nodes[at];
		struct cluster_model **index = index_models(node);

		for (; i < rd->order_count && rd->orders[i].node == at; i++) {
			struct cluster_model *model =
				find_model(index, node->model_total, rd->orders[i].model);

			if (model == NULL)
				continue;
			model->going = true;
			model->pending = rd->orders[i].pending;
		}
		free(index);
	}
}

static void got_others(struct reading *rd, struct cluster_node *node, const redisReply *reply)
{
	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		const redisReply *name = reply->element[i], *status = reply->element[i + 1];

		if (!is_text(name) || !is_text(status) || !model_name_valid(name->str))
			continue;
		node->others = xgrow(node->others, node->other_count, &node->other_capacity,
				     sizeof(*node->others));
		node->others[node->other_count++] = (struct cluster_other){
			cluster_string(&rd->cluster, name->str, (size_t)name->len),
			cluster_string(&rd->cluster, status->str, (size_t)status->len),
		};
	}
}

/* ---- the window ---- */

static void finish(struct reading *rd)
{
	struct cluster *cluster = NULL;

	if (--rd->waiting > 0)
		return;
	if (rd->why == NULL) {
		mark_going(rd);
		for (size_t i = 0; i < rd->cluster.count; i++)
			cluster_finish_node(&rd->cluster.nodes[i]);
		cluster = &rd->cluster;
	} else {
		cluster_free(&rd->cluster);
	}
	rd->want.done(cluster, rd->why, rd->want.arg);
	redis_args_free(&rd->args);
	free(rd->slots);
	free(rd->orders);
	free(rd);
}

static void got(const redisReply *reply, const char *why, void *arg)
{
	struct slot *slot = arg;
	struct reading *rd = slot->reading;
	struct cluster_node *node = &rd->cluster.nodes[slot->node];

	if (reply == NULL) {
		rd->why = why;
	} else if (reply->type != REDIS_REPLY_ARRAY) {
		/* A key of the wrong type: this node is not understood, the others are. */
		log_warn("-node-unreadable", LOG_STR("node", node->name),
			 LOG_STR("reason",
				 reply->type == REDIS_REPLY_ERROR ? reply->str : "wrong type"));
		node->known = node->blank = false;
		node->heartbeat_ms = 0;
		node->live = false;
	} else if (rd->why == NULL) {
		switch (slot->part) {
		case PART_STATE: got_state(rd, node, reply); break;
		case PART_LRU: got_lru(rd, node, reply); break;
		case PART_SIZE: got_sizes(node, reply); break;
		case PART_HOLD: got_holds(node, reply); break;
		case PART_HOLDERS: got_holders(rd, node, reply); break;
		case PART_CMD: got_commands(rd, slot->node, reply); break;
		case PART_STATUS: got_others(rd, node, reply); break;
		case PARTS: break;
		}
	}
	finish(rd);
}

static void ask(struct reading *rd, size_t node, enum part part)
{
	struct slot *slot = &rd->slots[rd->slot_count++];

	*slot = (struct slot){rd, node, part};
	rd->waiting++;
	redis_link_command(rd->want.link, &rd->args, got, slot);
}

static void start(struct reading *rd, const char *command, size_t node, enum node_key which)
{
	char key[KEY_SIZE];

	redis_args_start(&rd->args, command);
	redis_args_add(&rd->args, key_node(key, rd->want.prefix, rd->want.nodes[node], which));
}

static void read_lru(struct reading *rd, size_t node)
{
	start(rd, "ZRANGEBYSCORE", node, KEY_LRU);
	redis_args_add(&rd->args, "-inf");
	if (rd->want.depth == SNAPSHOT_EXPIRED)
		redis_args_addf(&rd->args, "(%lld", (long long)rd->want.cutoffs_ms[node]);
	else
		redis_args_add(&rd->args, "+inf");
	redis_args_add(&rd->args, "WITHSCORES");
	ask(rd, node, PART_LRU);
}

/* The first or last member of the sorted set. */
static void read_end(struct reading *rd, size_t node, const char *rank)
{
	start(rd, "ZRANGE", node, KEY_LRU);
	redis_args_add(&rd->args, rank);
	redis_args_add(&rd->args, rank);
	redis_args_add(&rd->args, "WITHSCORES");
	ask(rd, node, PART_LRU);
}

static void read_hash(struct reading *rd, size_t node, enum node_key which, enum part part)
{
	start(rd, "HGETALL", node, which);
	ask(rd, node, part);
}

/* After the state and the commands: what ends in between is gone from here, not only from there. */
static void read_models(struct reading *rd, size_t node)
{
	read_lru(rd, node);
	if (!reads_whole(rd))
		return;
	read_hash(rd, node, KEY_SIZE_GEN, PART_SIZE);
	start(rd, "ZRANGEBYSCORE", node, KEY_HOLD);
	redis_args_add_int(&rd->args, rd->want.now_ms);
	redis_args_add(&rd->args, "+inf");
	ask(rd, node, PART_HOLD);
	if (rd->want.explain || rd->want.depth == SNAPSHOT_SHOW)
		read_hash(rd, node, KEY_HOLDERS, PART_HOLDERS);
	if (rd->want.depth == SNAPSHOT_SHOW)
		read_hash(rd, node, KEY_STATUS, PART_STATUS);
}

static void read_node(struct reading *rd, size_t node)
{
	if (reads_all_fields(rd)) {
		start(rd, "HGETALL", node, KEY_STATE);
	} else {
		start(rd, "HMGET", node, KEY_STATE);
		/* The inventory number only where somebody asks for it. */
		for (size_t i = 0;
		     i < ARRAY_SIZE(light_fields) - (rd->want.depth == SNAPSHOT_EXPIRED); i++)
			redis_args_add(&rd->args, light_fields[i]);
	}
	ask(rd, node, PART_STATE);
	if (reads_whole(rd))
		read_hash(rd, node, KEY_CMD, PART_CMD);
	if (rd->want.depth == SNAPSHOT_SUMMARY) {
		read_end(rd, node, "0");
		read_end(rd, node, "-1");
	} else if (rd->want.depth != SNAPSHOT_STATE) {
		read_models(rd, node);
	}
}

void snapshot_read(const struct snapshot *snapshot)
{
	struct reading *rd = xcalloc(1, sizeof(*rd));

	rd->want = *snapshot;
	rd->began = clock_mono();
	cluster_init(&rd->cluster, snapshot->count);
	rd->slots = xcalloc(snapshot->count * PARTS, sizeof(*rd->slots));
	rd->waiting = 1;
	for (size_t i = 0; i < snapshot->count; i++) {
		rd->cluster.nodes[i].name = cluster_string(&rd->cluster, snapshot->nodes[i],
							   strlen(snapshot->nodes[i]));
		read_node(rd, i);
	}
	finish(rd);
}
