/* Maps events of watched directories to models. (pure) */
#include "agent/watch_map.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/partial.h"
#include "common/xmem.h"

/*
 * So many events of files of a directory within WINDOW_MS send it to rest: few, once all
 * directories together have so many that they cost the agent something. Where several models have
 * files, a rest makes all of them look used, and comes later. Folders that are listed, by the
 * agent's own scans too, never do: a model with many would look used for ever.
 */
#define WINDOW_MS	  200
#define BURST		  100
#define BURST_BUSY	  6
#define BUSY_PER_S	  2000
#define BURST_SHARED	  1000
#define BURST_SHARED_BUSY 40
#define BUSY_SHARED_PER_S 20000
/* One that has just rested goes to rest again at the first event. */
#define WARM_MS 300

void watch_map_init(struct watch_map *map, int root_count)
{
	memset(map, 0, sizeof(*map));
	map->own_roots = xcalloc((size_t)root_count, sizeof(*map->own_roots));
	map->root_count = root_count;
}

/* ---- models ---- */

static struct watch_model *find_model(struct watch_map *map, const char *name)
{
	struct watch_model *model;

	HASH_FIND_STR(map->models, name, model);
	return model;
}

static struct watch_model *get_model(struct watch_map *map, const char *name)
{
	struct watch_model *model = find_model(map, name);

	if (model == NULL) {
		model = xcalloc(1, sizeof(*model));
		model->name = xstrdup(name);
		HASH_ADD_KEYPTR(hh, map->models, model->name, strlen(model->name), model);
	}
	return model;
}

static void settle_model(struct watch_map *map, struct watch_model *model)
{
	if (model->refs > 0 || model->news)
		return;
	HASH_DEL(map->models, model);
	free(model->name);
	free(model);
}

static void release_model(struct watch_map *map, struct watch_model *model)
{
	model->refs--;
	settle_model(map, model);
}

static void note(struct watch_map *map, struct watch_model *model, struct mono now)
{
	map->uses++;
	model->uses++;
	model->at = now;
	if (model->news)
		return;
	model->news = true;
	model->next_news = map->news;
	map->news = model;
}

char *watch_map_news(struct watch_map *map, struct mono *at)
{
	struct watch_model *model = map->news;
	char *name;

	if (model == NULL)
		return NULL;
	map->news = model->next_news;
	model->news = false;
	*at = model->at;
	name = xstrdup(model->name);
	settle_model(map, model);
	return name;
}

void watch_map_note(struct watch_map *map, const char *name, struct mono now)
{
	struct watch_model *model = find_model(map, name);

	if (model == NULL)
		return;
	note(map, model, now);
	for (size_t i = 0; i < model->along.count; i++)
		note(map, model->along.list[i], now);
}

/* ---- sets of models ---- */

static bool set_has(const struct watch_set *set, const struct watch_model *model)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->list[i] == model)
			return true;
	}
	return false;
}

static bool set_add(struct watch_set *set, struct watch_model *model)
{
	if (set_has(set, model))
		return false;
	set->list = xgrow(set->list, set->count, &set->capacity, sizeof(struct watch_model *));
	set->list[set->count++] = model;
	return true;
}

static void set_free(struct watch_set *set)
{
	free(set->list);
	memset(set, 0, sizeof(*set));
}

/* ---- directories ---- */

struct watch_dir *watch_map_find(struct watch_map *map, const struct watch_key *key)
{
	struct watch_dir *dir;

	HASH_FIND(hh, map->dirs, key->bytes, key->len, dir);
	return dir;
}

struct watch_dir *watch_map_add(struct watch_map *map, const struct watch_key *key, int root)
{
	struct watch_dir *dir = watch_map_find(map, key);

	if (dir != NULL)
		return NULL;
	dir = xcalloc(1, sizeof(*dir));
	dir->key = *key;
	dir->root = root;
	HASH_ADD_KEYPTR(hh, map->dirs, dir->key.bytes, dir->key.len, dir);
	return dir;
}

static void free_names(struct watch_dir *dir)
{
	struct watch_name *name, *next;

	HASH_ITER (hh, dir->names, name, next) {
		HASH_DEL(dir->names, name);
		set_free(&name->models);
		free(name->name);
		free(name);
	}
}

static void release_set(struct watch_map *map, struct watch_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		release_model(map, set->list[i]);
	set_free(set);
}

static void turn(struct watch_map *map, struct watch_dir *dir)
{
	if (dir->turns)
		return;
	dir->turns = true;
	DL_APPEND2(map->turning, dir, prev_turning, next_turning);
}

struct watch_dir *watch_map_turning(struct watch_map *map)
{
	struct watch_dir *dir = map->turning;

	if (dir != NULL) {
		dir->turns = false;
		DL_DELETE2(map->turning, dir, prev_turning, next_turning);
	}
	return dir;
}

void watch_map_drop(struct watch_map *map, struct watch_dir *dir)
{
	if (dir->resting)
		DL_DELETE(map->resting, dir);
	if (dir->turns)
		DL_DELETE2(map->turning, dir, prev_turning, next_turning);
	HASH_DEL(map->dirs, dir);
	free_names(dir);
	set_free(&dir->always);
	release_set(map, &dir->all);
	free(dir);
}

static void add_name(struct watch_dir *dir, const char *text, struct watch_model *model)
{
	struct watch_name *name;

	HASH_FIND_STR(dir->names, text, name);
	if (name == NULL) {
		name = xcalloc(1, sizeof(*name));
		name->name = xstrdup(text);
		HASH_ADD_KEYPTR(hh, dir->names, name->name, strlen(name->name), name);
	}
	set_add(&name->models, model);
}

void watch_map_fill(struct watch_map *map, struct watch_dir *dir, const struct watch_entry *entries,
		    size_t count, struct mono now)
{
	struct watch_set before = dir->all;

	memset(&dir->all, 0, sizeof(dir->all));
	free_names(dir);
	set_free(&dir->always);
	for (size_t i = 0; i < count; i++) {
		struct watch_model *model = get_model(map, entries[i].model);

		if (set_add(&dir->all, model)) {
			model->refs++;
			/* Nobody has looked at this part of it so far. */
			if (!set_has(&before, model))
				model->since = now;
		}
		if (entries[i].name == NULL)
			set_add(&dir->always, model);
		else
			add_name(dir, entries[i].name, model);
	}
	release_set(map, &before);
}

void watch_map_free(struct watch_map *map)
{
	struct watch_dir *dir, *next;
	struct watch_model *model, *next_model;

	HASH_ITER (hh, map->dirs, dir, next)
		watch_map_drop(map, dir);
	HASH_ITER (hh, map->models, model, next_model) {
		HASH_DEL(map->models, model);
		set_free(&model->along);
		free(model->name);
		free(model);
	}
	free(map->own_roots);
	memset(map, 0, sizeof(*map));
}

void watch_map_used(struct watch_map *map, struct watch_dir *dir, struct mono now)
{
	for (size_t i = 0; i < dir->all.count; i++)
		note(map, dir->all.list[i], now);
}

/* ---- rest ---- */

static bool busy(const struct watch_map *map, int64_t per_s, struct mono now)
{
	return map->recent * INT64_C(1000) >
	       per_s * (mono_since(map->recent_from, now) + WINDOW_MS);
}

/* While the agent handles files of a model, everything must be seen. */
static bool may_rest(const struct watch_map *map, const struct watch_dir *dir)
{
	if (dir->restless || dir->resting || map->own_roots[dir->root] != WATCH_OWN_NONE)
		return false;
	for (size_t i = 0; i < dir->all.count; i++) {
		if (dir->all.list[i]->own != WATCH_OWN_NONE)
			return false;
	}
	return true;
}

static bool too_many(const struct watch_map *map, const struct watch_dir *dir, struct mono now)
{
	unsigned most;

	if (dir->all.count > 1)
		most = busy(map, BUSY_SHARED_PER_S, now) ? BURST_SHARED_BUSY : BURST_SHARED;
	else if (dir->due.ms != 0 && mono_since(dir->due, now) < WARM_MS)
		most = 1;
	else
		most = busy(map, BUSY_PER_S, now) ? BURST_BUSY : BURST;
	return dir->files >= most;
}

static void count_file(struct watch_map *map, struct watch_dir *dir, struct mono now)
{
	if (mono_since(dir->window, now) > WINDOW_MS) {
		dir->window = now;
		dir->files = 0;
	}
	dir->files++;
	if (!too_many(map, dir, now) || !may_rest(map, dir))
		return;
	dir->resting = true;
	dir->due.ms = now.ms + WATCH_REST_MS;
	dir->files = 0;
	DL_APPEND(map->resting, dir);
	map->rests++;
	turn(map, dir);
}

void watch_map_wake(struct watch_map *map, struct mono now)
{
	while (map->resting != NULL && mono_since(map->resting->due, now) >= 0) {
		struct watch_dir *dir = map->resting;

		DL_DELETE(map->resting, dir);
		dir->resting = false;
		dir->due = now;
		dir->window = now;
		turn(map, dir);
		/* Whether it was used up to this moment nobody knows. */
		watch_map_used(map, dir, now);
	}
}

int64_t watch_map_wait_ms(const struct watch_map *map, struct mono now)
{
	int64_t left;

	if (map->resting == NULL)
		return -1;
	left = mono_since(now, map->resting->due);
	return left > 0 ? left : 0;
}

/* ---- events ---- */

/* Downloads and locks: whoever opens these does not use the model. */
static bool beside_the_model(const char *name)
{
	static const char *const ends[] = {".lock", ".lock.soft", ".refs"};
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t end = strlen(ends[i]);

		if (len > end && strcmp(name + len - end, ends[i]) == 0)
			return true;
	}
	return partial_name(name);
}

/* Takes out of `what` what may be the agent's own doing. */
static unsigned of_strangers(enum watch_own own, unsigned what)
{
	switch (own) {
	case WATCH_OWN_NONE: break;
	case WATCH_OWN_OPENS: what &= ~(unsigned)WATCH_OPENED; break;
	case WATCH_OWN_CLOSES: what &= ~(unsigned)WATCH_CLOSED; break;
	case WATCH_OWN_BOTH: what = 0; break;
	}
	return what;
}

/* A file was closed: by the agent, which handles files of `model`, or by a stranger. */
static void count_closing(struct watch_model *model, struct watch_set *const sets[2])
{
	model->closings++;
	for (int s = 0; s < 2; s++) {
		for (size_t i = 0; sets[s] != NULL && i < sets[s]->count; i++) {
			struct watch_model *other = sets[s]->list[i];

			if (other != model && set_add(&model->along, other))
				other->refs++;
		}
	}
}

/*
 * The agent may open a file more than once and close some of its descriptors early; whether a
 * closing is a stranger's is then for the removal to say, for all who share the file.
 */
static unsigned in_window(struct watch_set *const sets[2], unsigned what)
{
	for (int s = 0; s < 2; s++) {
		for (size_t i = 0; sets[s] != NULL && i < sets[s]->count; i++) {
			struct watch_model *model = sets[s]->list[i];

			if (model->own == WATCH_OWN_NONE)
				continue;
			if (model->own == WATCH_OWN_OPENS && (what & WATCH_CLOSED) != 0)
				count_closing(model, sets);
			what = model->own == WATCH_OWN_OPENS ? 0 : of_strangers(model->own, what);
		}
	}
	return what;
}

static void count_all(struct watch_map *map, struct mono now)
{
	map->events++;
	if (mono_since(map->recent_from, now) > 1000) {
		map->recent_from = now;
		map->recent = 0;
	}
	map->recent++;
}

void watch_map_event(struct watch_map *map, const struct watch_key *key, unsigned what,
		     const char *text, struct mono now)
{
	struct watch_dir *dir = watch_map_find(map, key);
	struct watch_name *name = NULL;
	struct watch_set *sets[2];

	count_all(map, now);
	if (dir == NULL) {
		map->strays++;
		return;
	}
	if ((what & WATCH_FOLDER) != 0 || *text == '\0' || beside_the_model(text))
		return;
	if (dir->names != NULL)
		HASH_FIND_STR(dir->names, text, name);
	sets[0] = &dir->always;
	sets[1] = name != NULL ? &name->models : NULL;
	what = in_window(sets, of_strangers(map->own_roots[dir->root], what));
	if (what == 0)
		return;
	for (int s = 0; s < 2; s++) {
		for (size_t i = 0; sets[s] != NULL && i < sets[s]->count; i++)
			note(map, sets[s]->list[i], now);
	}
	/* A file that belongs to nothing is no reason to let models look used. */
	if (sets[0]->count > 0 || sets[1] != NULL)
		count_file(map, dir, now);
}

void watch_map_overflow(struct watch_map *map, bool (*blind)(int root, void *arg), void *arg,
			struct mono now)
{
	struct watch_dir *dir, *next;

	map->overflows++;
	HASH_ITER (hh, map->dirs, dir, next) {
		if (blind(dir->root, arg))
			watch_map_used(map, dir, now);
	}
}

/* ---- the agent's own ---- */

void watch_map_mark(struct watch_map *map, const char *name, struct watch_mark *mark)
{
	const struct watch_model *model = find_model(map, name);

	mark->known = model != NULL;
	mark->uses = model != NULL ? model->uses : 0;
	mark->overflows = map->overflows;
}

bool watch_map_used_since(struct watch_map *map, const char *name, const struct watch_mark *mark)
{
	const struct watch_model *model = find_model(map, name);

	/* Forgotten meanwhile, with what was seen of it. */
	if (model == NULL)
		return mark->known;
	for (const struct watch_dir *dir = map->resting; dir != NULL; dir = dir->next) {
		if (set_has(&dir->all, model))
			return true;
	}
	return mark->known && (model->uses != mark->uses || map->overflows != mark->overflows);
}

int64_t watch_map_watched_ms(struct watch_map *map, const char *name, struct mono now)
{
	const struct watch_model *model = find_model(map, name);

	if (model == NULL || model->refs == 0 || model->gaps > 0)
		return -1;
	return mono_since(model->since, now);
}

void watch_map_gap(struct watch_map *map, const char *name, bool begins, struct mono now)
{
	struct watch_model *model = get_model(map, name);

	if (begins) {
		model->refs++;
		model->gaps++;
		return;
	}
	model->gaps--;
	model->since = now;
	release_model(map, model);
}

void watch_map_own(struct watch_map *map, const char *name, enum watch_own own)
{
	struct watch_model *model = find_model(map, name);

	/* What has opened nothing closes nothing. */
	if (model == NULL || (model->own == WATCH_OWN_NONE && own == WATCH_OWN_CLOSES))
		return;
	if (model->own == WATCH_OWN_NONE && own != WATCH_OWN_NONE) {
		model->refs++;
		model->closings = 0;
	}
	if (model->own != WATCH_OWN_NONE && own == WATCH_OWN_NONE) {
		model->own = own;
		release_set(map, &model->along);
		release_model(map, model);
		return;
	}
	model->own = own;
}

void watch_map_own_root(struct watch_map *map, int root, enum watch_own own)
{
	map->own_roots[root] = own;
}

uint64_t watch_map_closings(struct watch_map *map, const char *name)
{
	const struct watch_model *model = find_model(map, name);

	return model != NULL ? model->closings : 0;
}
