/* Pins. (pure) */
#include "common/pins.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/glob.h"
#include "common/json_doc.h"
#include "common/xmem.h"

#define TIME_END (INT64_C(1) << 53)

static char *text_of(const cJSON *doc, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(doc, key));

	return xstrdup(text != NULL ? text : "");
}

/* 0 when it is missing, or none. */
static int64_t time_of(const cJSON *doc, const char *key)
{
	int64_t value;

	if (json_doc_int64(cJSON_GetObjectItemCaseSensitive(doc, key), &value) != 0 || value < 0 ||
	    value >= TIME_END)
		return 0;
	return value;
}

int pins_add(struct pins *pins, const char *glob, const char *value, struct err *err)
{
	struct pin *pin;
	cJSON *doc;
	int rc = 0;

	if (!glob_valid(glob))
		return err_set(err, "not a glob over model names");
	doc = json_doc_parse(value, strlen(value), err);
	pins->list = xgrow(pins->list, pins->count, &pins->capacity, sizeof(*pins->list));
	pin = &pins->list[pins->count++];
	pin->glob = xstrdup(glob);
	pin->by = text_of(doc, "by");
	pin->why = text_of(doc, "why");
	pin->ttl_ms = time_of(doc, "ttl_ms");
	pin->made_wall_ms = time_of(doc, "made_wall_ms");
	if (json_doc_int64(cJSON_GetObjectItemCaseSensitive(doc, "until_ms"), &pin->until_ms) !=
		    0 ||
	    pin->until_ms < 0) {
		pin->until_ms = 0;
		rc = err_set(err, "its value cannot be read; it holds for ever");
	}
	cJSON_Delete(doc);
	return rc;
}

char *pins_members(const struct pin *pin)
{
	cJSON *doc = cJSON_CreateObject();
	char *text, *members;

	cJSON_AddStringToObject(doc, "by", pin->by);
	cJSON_AddStringToObject(doc, "why", pin->why);
	if (pin->ttl_ms > 0) {
		json_doc_add_int64(doc, "ttl_ms", pin->ttl_ms);
		json_doc_add_int64(doc, "made_wall_ms", pin->made_wall_ms);
	}
	text = cJSON_PrintUnformatted(doc);
	cJSON_Delete(doc);
	if (text == NULL)
		abort();
	/* Without their braces. */
	members = xstrndup(text + 1, strlen(text) - 2);
	cJSON_free(text);
	return members;
}

static void settle(struct pin *pin, int64_t redis_ms, int64_t wall_ms)
{
	int64_t by_redis = pin->until_ms - redis_ms;
	int64_t by_wall = pin->made_wall_ms + pin->ttl_ms - wall_ms;

	if (pin->until_ms == 0 || pin->ttl_ms == 0 || pin->made_wall_ms == 0)
		return;
	/* It was made in the future: two machines disagree, and there is only Redis to ask. */
	if (pin->made_wall_ms > wall_ms + CLOCK_JUMP_MS)
		return;
	if (by_wall > 0 && by_wall > by_redis + CLOCK_JUMP_MS)
		pin->until_ms = redis_ms + by_wall;
}

void pins_settle(struct pins *pins, int64_t redis_ms, int64_t wall_ms)
{
	for (size_t i = 0; i < pins->count; i++)
		settle(&pins->list[i], redis_ms, wall_ms);
}

const struct pin *pins_match(const struct pins *pins, const char *model, int64_t now_ms)
{
	for (size_t i = 0; i < pins->count; i++) {
		const struct pin *pin = &pins->list[i];

		if ((pin->until_ms == 0 || pin->until_ms > now_ms) && glob_match(pin->glob, model))
			return pin;
	}
	return NULL;
}

void pins_free(struct pins *pins)
{
	for (size_t i = 0; i < pins->count; i++) {
		free(pins->list[i].glob);
		free(pins->list[i].by);
		free(pins->list[i].why);
	}
	free(pins->list);
	*pins = (struct pins){0};
}
