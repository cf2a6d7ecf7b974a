/* Agents without disks. */
#include "tests/bench/agents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/beat.h"
#include "common/xmem.h"

#define TOTAL_BYTES	INT64_C(30725970923520)
#define AVAILABLE_BYTES INT64_C(9251134079000)

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

/* ---- making one ---- */

static void add_model(struct agent *agent, const struct fleet *fleet, size_t node, size_t index,
		      bool told)
{
	struct model *model = xcalloc(1, sizeof(*model));
	int64_t age_ms = fleet_age_ms(fleet, node, index);
	char name[FLEET_MODEL_SIZE], size[64], *generation;

	fleet_model(node, index, name);
	fleet_size(node, index, size, sizeof(size));
	model->name = xstrdup(name);
	model->report.name = NULL;
	model->report.locator = xstrdup("folder/commit");
	model->report.status = MODEL_DOWNLOADED;
	model->report.files = 12;
	model->report.exclusive_bytes = strtoll(size, &generation, 10);
	model->report.logical_bytes = model->report.exclusive_bytes;
	model->report.generation = strtoull(generation, NULL, 16);
	model->report.modified_wall_ms = clock_wall_ms() - age_ms;
	use_note(&model->use, (struct mono){clock_mono().ms - age_ms}, USE_ATIME);
	if (told) {
		model->told = true;
		model->told_bytes = model->report.exclusive_bytes;
		model->told_generation = model->report.generation;
		model->use.dirty = false;
	}
	HASH_ADD_KEYPTR(hh, agent->inventory.models, model->name, strlen(model->name), model);
}

struct agent *agents_new(const struct fleet *fleet, size_t node, const struct server *server,
			 bool told)
{
	struct agent *agent = xcalloc(1, sizeof(*agent));

	fleet_node(node, agent->node);
	agent->options.beat_interval_ms = 5000;
	agent->options.redis.url = xstrdup(server->url);
	agent->options.redis.prefix = xstrdup("larder:");
	agent->options.redis.connect_timeout_ms = agent->options.redis.command_timeout_ms = 5000;
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
		add_model(agent, fleet, node, i, told);
	return agent;
}
