/* The agent's models. (pure) */
#include "agent/inventory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"

/* Times on disks before this, 2015-01-01, are no times: some tool or a dead clock made them. */
#define EARLIEST_WALL_MS INT64_C(1420070400000)

struct model *inventory_find(const struct inventory *inv, const char *name)
{
	struct model *model;

	HASH_FIND_STR(inv->models, name, model);
	return model != NULL && !model->gone ? model : NULL;
}

static void clear_report(struct model_report *report)
{
	free(report->name);
	free(report->locator);
	memset(report, 0, sizeof(*report));
}

/* A time from the disk as an instant of our own clock; the future counts as now. */
static bool from_wall(int64_t at_wall_ms, struct mono now, int64_t wall_ms, struct mono *out)
{
	if (at_wall_ms < EARLIEST_WALL_MS)
		return false;
	out->ms = at_wall_ms < wall_ms ? now.ms - (wall_ms - at_wall_ms) : now.ms;
	return true;
}

static void learn_use(struct model *model, struct mono now, int64_t wall_ms)
{
	const struct model_report *report = &model->report;
	bool anything = false;
	struct mono at;

	/* A time in the future counts as now, once: else each scan would be a use. */
	if (report->modified_wall_ms != model->modified_wall_ms) {
		model->modified_wall_ms = report->modified_wall_ms;
		if (from_wall(report->modified_wall_ms, now, wall_ms, &at)) {
			use_note(&model->use, at, USE_DOWNLOAD);
			anything = true;
		}
	}
	if (report->used_wall_ms > model->used_wall_ms) {
		model->used_wall_ms = report->used_wall_ms;
		if (from_wall(report->used_wall_ms, now, wall_ms, &at)) {
			use_note(&model->use, at, USE_ATIME);
			anything = true;
		}
	}
	/* Unknown is not old: a model without any usable time counts from when it was found. */
	if (!anything && !model->use.known)
		use_note(&model->use, now, USE_DOWNLOAD);
}

static struct model *add(struct inventory *inv, const char *name, int root)
{
	struct model *model = xcalloc(1, sizeof(*model));

	model->name = xstrdup(name);
	model->root = root;
	HASH_ADD_KEYPTR(hh, inv->models, model->name, strlen(model->name), model);
	return model;
}

static void take_report(struct inventory *inv, const struct inventory_scan *scan,
			struct model_report *report)
{
	struct model *model;
	bool new;

	HASH_FIND_STR(inv->models, report->name, model);
	new = model == NULL || model->gone;
	if (model == NULL)
		model = add(inv, report->name, scan->root);
	clear_report(&model->report);
	model->report = *report;
	memset(report, 0, sizeof(*report));
	model->round = inv->round;
	model->gone = false;
	learn_use(model, scan->now, scan->wall_ms);
	if (new && scan->before != NULL)
		use_note(&model->use, *scan->before, USE_DOWNLOAD);
	if (new && scan->appeared != NULL)
		scan->appeared(model, scan->arg);
}

void inventory_merge(struct inventory *inv, const struct inventory_scan *scan)
{
	struct model *model, *next;

	inv->round++;
	for (size_t i = 0; i < scan->report->count; i++)
		take_report(inv, scan, &scan->report->models[i]);
	HASH_ITER (hh, inv->models, model, next) {
		if (model->root != scan->root || model->round == inv->round ||
		    !scan->report->complete)
			continue;
		model->gone = true;
		if (!model->told && !model->telling && model->removal == NULL)
			inventory_drop(inv, model);
	}
}

void inventory_drop(struct inventory *inv, struct model *model)
{
	HASH_DEL(inv->models, model);
	clear_report(&model->report);
	free(model->hold_who);
	free(model->name);
	free(model);
}

void inventory_hold(struct model *model, struct mono until, enum use_source source, const char *who)
{
	bool held = until.ms != 0;

	if (held != (model->hold_until.ms != 0) || model->hold_source != source ||
	    (held && strcmp(model->hold_who, who) != 0))
		model->hold_changed = true;
	/* Shorter than Redis believes: somebody has released it. */
	if (until.ms < model->hold_told.ms)
		model->hold_changed = true;
	model->hold_until = until;
	model->hold_source = source;
	free(model->hold_who);
	model->hold_who = held ? xstrdup(who) : NULL;
}

bool inventory_hold_differs(const struct model *model, struct mono now)
{
	if (model->hold_changed)
		return true;
	return mono_since(now, model->hold_until) > 0 &&
	       mono_since(now, model->hold_told) < mono_since(now, model->hold_until) / 2;
}

bool inventory_differs(const struct model *model)
{
	/* While its files are being removed it stands in Redis; the receipt takes it out. */
	if (model->gone)
		return model->told && model->removal == NULL;
	return !model->told || model->told_status != model->report.status ||
	       (model->report.status == MODEL_DOWNLOADED &&
		(model->told_bytes != model->report.exclusive_bytes ||
		 model->told_source != model->use.source ||
		 model->told_generation != model->report.generation));
}

void inventory_untold(struct inventory *inv)
{
	struct model *model, *next;

	HASH_ITER (hh, inv->models, model, next) {
		model->told = false;
		model->telling = false;
		model->hold_told.ms = 0;
		model->hold_changed = true; /* a release too may have been lost */
		if (model->gone && model->removal == NULL)
			inventory_drop(inv, model);
	}
}

size_t inventory_told_downloaded(const struct inventory *inv)
{
	size_t count = 0;

	for (const struct model *model = inv->models; model != NULL; model = model->hh.next)
		count += model->told && model->told_status == MODEL_DOWNLOADED;
	return count;
}

const char *inventory_generation(uint64_t generation, char *buf)
{
	snprintf(buf, INVENTORY_GENERATION_SIZE, "%" PRIx64, generation);
	return buf;
}

void inventory_free(struct inventory *inv)
{
	struct model *model, *next;

	HASH_ITER (hh, inv->models, model, next)
		inventory_drop(inv, model);
}
