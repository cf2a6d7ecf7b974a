/* Agents without disks. */
#include "tests/bench/agents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/journal.h"
#include "agent/message.h"
#include "common/redis_script.h"
#include "common/xmem.h"
#include "tests/bench/bench.h"

#define TOTAL_BYTES	INT64_C(30725970923520)
#define AVAILABLE_BYTES INT64_C(9251134079000)
#define PREFIX		"larder:"
#define INCARNATION	"0a1b2c3d"
#define WINDOW		64 /* nodes that are being registered at once */

/* ---- what agent/main.c offers to the other parts ---- */

enum agent_touch agent_use(struct agent *agent, struct model *model, struct mono at,
			   enum use_source source)
{
	(void)agent;
	use_note(&model->use, at, source);
	return TOUCH_NOTED;
}

int64_t agent_floor_bytes(const struct agent *agent, const struct root_view *view)
{
	(void)agent;
	(void)view;
	return 0;
}

int64_t agent_wanted_bytes(const struct agent *agent)
{
	(void)agent;
	return 0;
}

void agent_scan_now(struct agent *agent)
{
	(void)agent;
}

void agent_recall_use(struct agent *agent, struct model *model)
{
	(void)agent;
	(void)model;
}

/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
int64_t __real_journal_epoch(const struct journal *journal);
int64_t __wrap_journal_epoch(const struct journal *journal);
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

/* An agent that has none has seen no leader. */
int64_t __wrap_journal_epoch(const struct journal *journal)
{
	return journal != NULL ? __real_journal_epoch(journal) : 0;
}

/* ---- making one ---- */

static void add_model(struct agent *agent, const struct fleet *fleet, size_t node, size_t index)
{
	struct model *model = xcalloc(1, sizeof(*model));
	int64_t age_ms = fleet_age_ms(fleet, node, index);
	char name[FLEET_MODEL_SIZE];

	fleet_model(node, index, name);
	model->name = xstrdup(name);
	model->report.name = NULL;
	model->report.locator = xstrdup("folder/commit");
	model->report.status = MODEL_DOWNLOADED;
	model->report.files = 12;
	model->report.exclusive_bytes = fleet_bytes(node, index);
	model->report.logical_bytes = model->report.exclusive_bytes;
	model->report.generation = fleet_generation(node, index);
	model->report.modified_wall_ms = clock_wall_ms() - age_ms;
	use_note(&model->use, (struct mono){clock_mono().ms - age_ms}, USE_ATIME);
	HASH_ADD_KEYPTR(hh, agent->inventory.models, model->name, strlen(model->name), model);
}

struct agent *agents_new(const struct fleet *fleet, size_t node, const struct server *server)
{
	struct agent *agent = xcalloc(1, sizeof(*agent));

	fleet_node(node, agent->node);
	setting_defaults(agent_program.rows, &agent->options);
	free(agent->options.redis.url);
	agent->options.redis.url = xstrdup(server->url);
	agent->options.watch = WATCH_OFF; /* there is nothing to be watched */
	agent->root_count = 1;
	agent->roots = xcalloc(1, sizeof(*agent->roots));
	agent->views = xcalloc(1, sizeof(*agent->views));
	agent->workers = xcalloc(1, sizeof(struct worker *));
	agent->roots[0].config.name = xstrdup(MODEL_ROOT_DEFAULT);
	agent->roots[0].config.layout = &layout_huggingface;
	agent->views[0] = (struct root_view){
		.opened = true,
		.leases = true,
		.atimes = true,
		.deletes = true,
		.disk = "10302",
		.total_bytes = TOTAL_BYTES,
		.available_bytes = AVAILABLE_BYTES,
		.looked_at = true,
		.complete = true,
	};
	for (size_t i = 0; i < fleet->models; i++)
		add_model(agent, fleet, node, i);
	return agent;
}

static void free_agent(struct agent *agent)
{
	inventory_free(&agent->inventory);
	free(agent->roots[0].config.name);
	free(agent->roots);
	free(agent->views);
	free(agent->workers);
	setting_free(agent_program.rows, &agent->options);
	free(agent);
}

/* ---- registering (agent/tend.c, agent/beat.c) ---- */

struct entry {
	struct agent *agent;
	struct said *models, *beat;
};

static void say_name(const struct entry *entry, struct server *server, struct redis_args *args)
{
	char key[KEY_SIZE];

	redis_args_start(args, "SADD");
	redis_args_add(args, key_cluster(key, PREFIX, KEY_NODES));
	redis_args_add(args, entry->agent->node);
	server_append(server, args);
}

static void say_all(struct entry *entry, struct server *server, struct redis_args *args)
{
	void *next = entry->agent->inventory.models;
	size_t left = HASH_COUNT(entry->agent->inventory.models);

	say_name(entry, server, args);
	entry->models = said_new(NULL, entry->agent);
	message_register(args, entry->models, INCARNATION, true, &next, &left);
	if (left > 0)
		bench_fail("a node of the fleet has too many models");
	server_append(server, args);
	entry->beat = said_new(NULL, entry->agent);
	message_beat(args, entry->beat, INCARNATION);
	server_append(server, args);
}

/* The script has taken it: returns Redis' clock. */
static int64_t must_be_taken(struct server *server)
{
	redisReply *reply = server_answer(server);
	int64_t now_ms;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    strcmp(reply->element[0]->str, "OK") != 0)
		bench_fail("what an agent said was not taken");
	now_ms = strtoll(reply->element[1]->str, NULL, 10);
	freeReplyObject(reply);
	return now_ms;
}

static void hear_all(struct entry *entry, struct server *server, struct agent **keep)
{
	int64_t now_ms;

	freeReplyObject(server_answer(server));
	now_ms = must_be_taken(server);
	if (keep != NULL)
		said_acknowledged(entry->models, now_ms);
	said_free(entry->models);
	must_be_taken(server);
	said_free(entry->beat);
	if (keep != NULL)
		*keep = entry->agent;
	else
		free_agent(entry->agent);
}

void agents_register(const struct fleet *fleet, struct server *server, struct agent **keep)
{
	struct entry entries[WINDOW];
	struct redis_args args = {0};
	int64_t began = bench_now_ns();

	freeReplyObject(server_ask(server, "SCRIPT LOAD %s", script_register.text));
	freeReplyObject(server_ask(server, "SCRIPT LOAD %s", script_beat.text));
	for (size_t node = 0; node < fleet->nodes + WINDOW; node++) {
		struct entry *entry = &entries[node % WINDOW];

		if (node >= WINDOW && node - WINDOW < fleet->nodes)
			hear_all(entry, server, keep != NULL ? &keep[node - WINDOW] : NULL);
		if (node < fleet->nodes) {
			entry->agent = agents_new(fleet, node, server);
			say_all(entry, server, &args);
		}
	}
	redis_args_free(&args);
	bench_say("registered %zu nodes with %zu models each in %.1f s", fleet->nodes,
		  fleet->models, bench_ms_since(began) / 1000);
}

const char *agents_incarnation(void)
{
	return INCARNATION;
}
