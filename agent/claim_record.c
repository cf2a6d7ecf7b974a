/* Claims in the journal. (pure) */
#include "agent/claim_record.h"

#include <stdlib.h>
#include <string.h>

#include "common/json_doc.h"

static const char *const kinds[] = {
	[MODEL_REF_NAME] = "model",
	[MODEL_REF_REPO] = "repo",
	[MODEL_REF_FOLDER] = "folder",
	[MODEL_REF_PATH] = "path",
};

void claim_record_write(cJSON *record, const struct claim *claim, const struct claim_clocks *clocks)
{
	int64_t left = mono_since(clocks->now, claim->until);
	cJSON *refs;

	cJSON_AddStringToObject(record, "id", claim->id);
	cJSON_AddStringToObject(record, "source", use_source_name(claim->source));
	cJSON_AddStringToObject(record, "who", claim->who);
	json_doc_add_int64(record, "left", left);
	json_doc_add_int64(record, "since_wall",
			   clocks->wall_ms - mono_since(claim->since, clocks->now));
	json_doc_add_int64(record, "until_wall", clocks->wall_ms + left);
	json_doc_add_int64(record, "until", clocks->redis_ms != 0 ? clocks->redis_ms + left : 0);
	cJSON_AddBoolToObject(record, "overflow", claim->overflow);
	refs = cJSON_AddArrayToObject(record, "refs");
	for (size_t i = 0; i < claim->ref_count; i++) {
		const struct model_ref *ref = &claim->refs[i];
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, kinds[ref->kind], ref->text);
		if (ref->revision != NULL)
			cJSON_AddStringToObject(item, "revision", ref->revision);
		cJSON_AddItemToArray(refs, item);
	}
}

static const char *text_of(const cJSON *object, const char *key)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static int64_t number_of(const cJSON *object, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);

	if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) || !(item->valuedouble < 9e15))
		return 0;
	return (int64_t)item->valuedouble;
}

static void read_refs(struct claim *claim, const cJSON *refs)
{
	const cJSON *item;

	cJSON_ArrayForEach (item, refs) {
		for (size_t kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
			const char *text = text_of(item, kinds[kind]);
			struct model_ref ref;

			if (text == NULL)
				continue;
			model_ref_make(&ref, (enum model_ref_kind)kind, text,
				       text_of(item, "revision"));
			claim_add(claim, &ref);
			break;
		}
	}
}

static int64_t left_of(const cJSON *record, const struct claim_clocks *clocks)
{
	int64_t made_for = number_of(record, "left");
	int64_t by_wall = number_of(record, "until_wall") - clocks->wall_ms;
	int64_t by_redis = number_of(record, "until") - clocks->redis_ms;
	int64_t left = by_wall;

	if (clocks->redis_ms != 0 && by_redis > left)
		left = by_redis;
	return left < made_for ? left : made_for;
}

struct claim *claim_record_read(const cJSON *record, const struct claim_clocks *clocks)
{
	const char *id = text_of(record, "id"), *who = text_of(record, "who");
	const char *source = text_of(record, "source");
	int64_t left = left_of(record, clocks);
	int64_t age = clocks->wall_ms - number_of(record, "since_wall");
	struct claim *claim;

	if (id == NULL || *id == '\0' || who == NULL || source == NULL || left <= 0)
		return NULL;
	claim = claim_new(id, use_source_parse(source), who);
	claim->until.ms = clocks->now.ms + left;
	claim->since.ms = clocks->now.ms - (age > 0 ? age : 0);
	claim->overflow = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(record, "overflow"));
	read_refs(claim, cJSON_GetObjectItemCaseSensitive(record, "refs"));
	return claim;
}
