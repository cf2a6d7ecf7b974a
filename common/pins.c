/* Pins. (pure) */
#include "common/pins.h"

#include <stdlib.h>
#include <string.h>

#include "common/glob.h"
#include "common/json_doc.h"
#include "common/xmem.h"

static char *text_of(const cJSON *doc, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(doc, key));

	return xstrdup(text != NULL ? text : "");
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
	if (json_doc_int64(cJSON_GetObjectItemCaseSensitive(doc, "until_ms"), &pin->until_ms) !=
		    0 ||
	    pin->until_ms < 0) {
		pin->until_ms = 0;
		rc = err_set(err, "its value cannot be read; it holds for ever");
	}
	cJSON_Delete(doc);
	return rc;
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
