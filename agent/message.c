/* Puts together what the agent says to Redis. */
#include "agent/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent.h"
#include "agent/beat.h"
#include "common/clock.h"
#include "common/redis_script.h"
#include "common/version.h"
#include "common/xmem.h"

#define REGISTER_CHUNK 500
#define TOUCHES_MAX    1000
/* A model in constant use is told of in every third beat. */
#define TELL_PAUSE_PERCENT 250
#define HOLDS_MAX	   500
#define RECEIPTS_MAX	   100
#define SLACK_MS	   1000 /* SAME_USE_MS of register.lua */

struct said *said_new(struct beat *beat, struct agent *agent)
{
	struct said *said = xcalloc(1, sizeof(*said));

	said->beat = beat;
	said->agent = agent;
	said->asked = clock_mono();
	said->redis_now_ms = beat != NULL ? beat_redis_now(beat) : 0;
	return said;
}

void said_free(struct said *said)
{
	for (size_t i = 0; i < said->use_count; i++)
		free(said->uses[i].model);
	free(said->uses);
	free(said);
}

void said_acknowledged(struct said *said, int64_t redis_now)
{
	struct agent *agent = said->agent;
	int64_t asked_wall = clock_wall_ms() - mono_since(said->asked, clock_mono());

	for (size_t i = 0; i < said->use_count; i++) {
		int64_t age = said->uses[i].age_ms;
		struct model *model;

		HASH_FIND_STR(agent->inventory.models, said->uses[i].model, model);
		if (model == NULL)
			continue;
		model->telling = false;
		use_acknowledged(&model->use, redis_now, age, said->slack_ms);
		journal_note_use(agent->journal, model->name,
				 (struct journal_time){redis_now - age, asked_wall - age},
				 use_source_name(model->use.source));
	}
}

void said_lost(struct said *said)
{
	struct model *model, *next;

	for (size_t i = 0; i < said->use_count; i++) {
		HASH_FIND_STR(said->agent->inventory.models, said->uses[i].model, model);
		if (model != NULL)
			use_lost(&model->use);
	}
	/* Holds went with some of them, perhaps. */
	HASH_ITER (hh, said->agent->inventory.models, model, next) {
		model->hold_told.ms = 0;
		model->hold_changed |= model->hold_until.ms != 0;
	}
}

static void add_keys(struct redis_args *args, const struct agent *agent, const enum node_key *keys,
		     size_t count)
{
	char key[KEY_SIZE];

	for (size_t i = 0; i < count; i++)
		redis_args_add(args,
			       key_node(key, agent->options.redis.prefix, agent->node, keys[i]));
}

static void add_channel(struct redis_args *args, const struct agent *agent, enum cluster_key which)
{
	char key[KEY_SIZE];

	redis_args_add(args, key_cluster(key, agent->options.redis.prefix, which));
}

/* ---- registration and differences ---- */

static const char *status_text(const struct model *model, char *buf, size_t size)
{
	if (model->report.status == MODEL_DOWNLOADED)
		return "";
	snprintf(buf, size, "%s%s%s", model->report.status == MODEL_ERROR ? "ERROR" : "DOWNLOADING",
		 model->report.why[0] != '\0' ? " " : "", model->report.why);
	return buf;
}

static void say_model(struct redis_args *args, struct said *said, struct model *model)
{
	char generation[INVENTORY_GENERATION_SIZE], status[128];
	int64_t age;
	struct said_use *use = &said->uses[said->use_count++];

	/* Redis keeps the score only of what was DOWNLOADED for it, and stays so. */
	if (!model->told || model->told_status != MODEL_DOWNLOADED ||
	    model->report.status != MODEL_DOWNLOADED)
		use_forgotten(&model->use);
	age = use_send(&model->use, said->asked);
	use->model = xstrdup(model->name);
	use->age_ms = age;
	redis_args_add(args, model->name);
	redis_args_add_int(args, age);
	redis_args_addf(args, "%" PRId64 " %s %s", model->report.exclusive_bytes,
			inventory_generation(model->report.generation, generation),
			use_source_name(model->use.source));
	redis_args_add(args, status_text(model, status, sizeof(status)));
	model->told = model->telling = true;
	model->told_status = model->report.status;
	model->told_source = model->use.source;
	model->told_bytes = model->report.exclusive_bytes;
	model->told_generation = model->report.generation;
}

static void add_fields(struct redis_args *args, const struct said *said, bool version);

/* Starts a call of register.lua; the caller adds models and then those that are gone. */
static void start_register(struct redis_args *args, struct said *said, const char *incarnation,
			   bool first, bool last)
{
	static const enum node_key keys[] = {KEY_STATE, KEY_LRU,	KEY_SIZE_GEN, KEY_STATUS,
					     KEY_HOLD,	KEY_LRU_BEFORE, KEY_HOLDERS};

	redis_script_start(args, &script_register, ARRAY_SIZE(keys));
	add_keys(args, said->agent, keys, ARRAY_SIZE(keys));
	snprintf(said->incarnation, sizeof(said->incarnation), "%s", incarnation);
	redis_args_add(args, incarnation);
	redis_args_add(args, first ? "1" : "0");
	redis_args_add(args, last ? "1" : "0");
	redis_args_add_int(args, said->redis_now_ms);
	redis_args_add_int(args, journal_epoch(said->agent->journal));
	/* Nobody may see the models without the roots that they are in. */
	if (first)
		add_fields(args, said, true);
	else
		redis_args_add(args, "0");
}

void message_register(struct redis_args *args, struct said *said, const char *incarnation,
		      bool first, void **next, size_t *left)
{
	size_t chunk = *left < REGISTER_CHUNK ? *left : REGISTER_CHUNK;
	struct model *model = *next;

	*left -= chunk;
	said->last = *left == 0;
	said->slack_ms = SLACK_MS;
	said->uses = xcalloc(chunk, sizeof(*said->uses));
	start_register(args, said, incarnation, first, said->last);
	redis_args_add_int(args, (int64_t)chunk);
	for (; chunk > 0 && model != NULL; model = model->hh.next) {
		if (model->gone)
			continue;
		say_model(args, said, model);
		chunk--;
	}
	redis_args_add(args, "0");
	*next = model;
}

static void say_gone(struct redis_args *args, struct agent *agent, size_t count)
{
	struct model *model, *next;

	redis_args_add_int(args, (int64_t)count);
	HASH_ITER (hh, agent->inventory.models, model, next) {
		if (count == 0)
			break;
		if (!model->gone || !inventory_differs(model))
			continue;
		redis_args_add(args, model->name);
		count--;
		inventory_drop(&agent->inventory, model);
	}
}

/* Counts what is to be told, at most a chunk of each. */
static void count_differences(const struct inventory *inv, size_t *changed, size_t *gone)
{
	*changed = *gone = 0;
	for (const struct model *model = inv->models; model != NULL; model = model->hh.next) {
		size_t *count = model->gone ? gone : changed;

		if (inventory_differs(model) && *count < REGISTER_CHUNK)
			++*count;
	}
}

bool message_differences(struct redis_args *args, struct said *said, const char *incarnation)
{
	struct inventory *inv = &said->agent->inventory;
	size_t changed, gone;

	count_differences(inv, &changed, &gone);
	if (changed + gone == 0)
		return false;
	said->slack_ms = SLACK_MS;
	said->uses = xcalloc(changed, sizeof(*said->uses));
	start_register(args, said, incarnation, false, true);
	redis_args_add_int(args, (int64_t)changed);
	for (struct model *model = inv->models; model != NULL && changed > 0;
	     model = model->hh.next) {
		if (model->gone || !inventory_differs(model))
			continue;
		say_model(args, said, model);
		changed--;
	}
	say_gone(args, said->agent, gone);
	return true;
}

/* ---- receipts ---- */

static void add_receipt(struct redis_args *args, struct agent *agent, const struct receipt *r)
{
	struct model *model;

	redis_args_add_int(args, r->number);
	redis_args_add(args, r->model);
	redis_args_add(args, r->id);
	redis_args_add(args, r->outcome);
	redis_args_add_int(args, r->bytes);
	redis_args_add(args, r->why);
	redis_args_add(args, command_reason_name(r->reason));
	redis_args_add_int(args, r->epoch);
	redis_args_add_int(args, r->last_used_ms);
	redis_args_add_int(args, r->took_ms);
	if (strcmp(r->outcome, "deleted") != 0 && strcmp(r->outcome, "gone") != 0)
		return;
	/* The receipt takes it out of Redis' sorted set. */
	HASH_FIND_STR(agent->inventory.models, r->model, model);
	if (model == NULL)
		return;
	model->told = false;
	if (model->gone && model->removal == NULL)
		inventory_drop(&agent->inventory, model);
}

bool message_confirm(struct redis_args *args, struct said *said, const char *incarnation)
{
	static const enum node_key keys[] = {KEY_STATE,	   KEY_LRU,  KEY_SIZE_GEN, KEY_CMD,
					     KEY_RECEIPTS, KEY_HOLD, KEY_STATUS,   KEY_HOLDERS};
	struct agent *agent = said->agent;
	struct receipt *list = xcalloc(RECEIPTS_MAX, sizeof(*list));
	size_t count = journal_receipts(agent->journal, list, RECEIPTS_MAX);

	if (count > 0) {
		redis_script_start(args, &script_confirm, ARRAY_SIZE(keys));
		add_keys(args, agent, keys, ARRAY_SIZE(keys));
		redis_args_add(args, incarnation);
		redis_args_add(args, journal_id(agent->journal));
		redis_args_add(args, agent->node);
		add_channel(args, agent, KEY_DONE);
		for (size_t i = 0; i < count; i++)
			add_receipt(args, agent, &list[i]);
		said->receipt_number = list[count - 1].number;
	}
	free(list);
	return count > 0;
}

/* ---- the beat ---- */

static void add_root_field(struct redis_args *args, const struct agent *agent, int index)
{
	const struct root *root = &agent->roots[index];
	const struct root_view *view = &agent->views[index];

	redis_args_addf(args, "root:%s", root->config.name);
	redis_args_addf(args,
			"layout=%s disk=%s total_bytes=%" PRId64 " available_bytes=%" PRId64
			" floor_bytes=%" PRId64 " leftover_bytes=%" PRId64 " mode=%s note=%s",
			root->config.layout->name, view->disk[0] != '\0' ? view->disk : "-",
			view->total_bytes, view->available_bytes, agent_floor_bytes(agent, view),
			view->leftover_bytes,
			!view->opened	? "unavailable"
			: view->deletes ? "delete"
					: "report",
			view->note);
}

struct counts {
	int64_t downloaded, downloading, error, bytes, holds;
	int64_t attention; /* what a coordinator cannot see from the sorted set alone */
};

static void count_models(const struct agent *agent, struct mono now, struct counts *counts)
{
	memset(counts, 0, sizeof(*counts));
	for (const struct model *m = agent->inventory.models; m != NULL; m = m->hh.next) {
		if (m->gone)
			continue;
		counts->downloaded += m->report.status == MODEL_DOWNLOADED;
		counts->downloading += m->report.status == MODEL_DOWNLOADING;
		counts->error += m->report.status == MODEL_ERROR;
		counts->bytes += m->report.logical_bytes;
		counts->holds += mono_since(now, m->hold_until) > 0;
	}
	counts->attention = counts->holds + (agent_wanted_bytes(agent) > 0);
	for (int i = 0; i < agent->root_count; i++)
		counts->attention += !agent->views[i].deletes;
}

/* What the node's hash tells; its version only when it is told as a whole. */
static void add_fields(struct redis_args *args, const struct said *said, bool version)
{
	const struct agent *agent = said->agent;
	struct counts counts;

	count_models(agent, said->asked, &counts);
	redis_args_add_int(args, 7 + version + agent->root_count);
	if (version) {
		redis_args_add(args, "version");
		redis_args_add(args, LARDER_VERSION);
	}
	redis_args_add(args, "n");
	redis_args_add_int(args, counts.downloaded);
	redis_args_add(args, "downloading");
	redis_args_add_int(args, counts.downloading);
	redis_args_add(args, "error");
	redis_args_add_int(args, counts.error);
	redis_args_add(args, "bytes");
	redis_args_add_int(args, counts.bytes);
	redis_args_add(args, "holds");
	redis_args_add_int(args, counts.holds);
	redis_args_add(args, "clock");
	redis_args_add_int(args, said->redis_now_ms > 0 ? clock_wall_ms() - said->redis_now_ms : 0);
	redis_args_add(args, "attention");
	redis_args_add_int(args, counts.attention);
	for (int i = 0; i < agent->root_count; i++)
		add_root_field(args, agent, i);
}

static bool says_use(const struct said *said, const struct model *m)
{
	int64_t pause_ms = said->agent->options.beat_interval_ms * TELL_PAUSE_PERCENT / 100;

	return m->told && !m->gone && m->told_status == MODEL_DOWNLOADED &&
	       use_due(&m->use, said->asked, pause_ms);
}

static void add_uses(struct redis_args *args, struct said *said)
{
	struct inventory *inv = &said->agent->inventory;
	size_t count = 0;

	for (const struct model *m = inv->models; m != NULL && count < TOUCHES_MAX; m = m->hh.next)
		count += says_use(said, m);
	said->uses = xcalloc(count, sizeof(*said->uses));
	redis_args_add_int(args, (int64_t)count);
	for (struct model *m = inv->models; m != NULL && said->use_count < count; m = m->hh.next) {
		struct said_use *use = &said->uses[said->use_count];

		if (!says_use(said, m))
			continue;
		use->model = xstrdup(m->name);
		use->age_ms = use_send(&m->use, said->asked);
		said->use_count++;
		redis_args_add_int(args, use->age_ms);
		redis_args_add(args, m->name);
	}
}

static bool says_hold(const struct model *m, struct mono now)
{
	return m->told && !m->gone && inventory_hold_differs(m, now);
}

static void add_holds(struct redis_args *args, struct said *said)
{
	struct inventory *inv = &said->agent->inventory;
	size_t count = 0;

	for (const struct model *m = inv->models; m != NULL && count < HOLDS_MAX; m = m->hh.next)
		count += says_hold(m, said->asked);
	redis_args_add_int(args, (int64_t)count);
	for (struct model *m = inv->models; m != NULL && count > 0; m = m->hh.next) {
		int64_t left = mono_since(said->asked, m->hold_until);

		if (!says_hold(m, said->asked))
			continue;
		redis_args_add_int(args, left > 0 ? left : 0);
		redis_args_add(args, m->name);
		if (left > 0)
			redis_args_addf(args, "%s: %s", use_source_name(m->hold_source),
					m->hold_who);
		else
			redis_args_add(args, "");
		m->hold_changed = false;
		m->hold_told.ms = left > 0 ? m->hold_until.ms : 0;
		count--;
	}
}

void message_beat(struct redis_args *args, struct said *said, const char *incarnation)
{
	static const enum node_key keys[] = {KEY_STATE, KEY_LRU,  KEY_SIZE_GEN,
					     KEY_CMD,	KEY_HOLD, KEY_HOLDERS};
	struct agent *agent = said->agent;

	redis_script_start(args, &script_beat, ARRAY_SIZE(keys));
	add_keys(args, agent, keys, ARRAY_SIZE(keys));
	redis_args_add(args, incarnation);
	redis_args_add(args, agent->node);
	add_channel(args, agent, KEY_PRESSURE);
	redis_args_add_int(args, (int64_t)inventory_told_downloaded(&agent->inventory));
	redis_args_add_int(args, agent_wanted_bytes(agent));
	redis_args_add_int(args, said->redis_now_ms);
	add_fields(args, said, false);
	add_uses(args, said);
	add_holds(args, said);
}
