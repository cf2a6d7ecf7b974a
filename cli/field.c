/* Reads fields of the API's answers. */
#include "cli/field.h"

#include "common/json_doc.h"

const char *field_string(const cJSON *item)
{
	return cJSON_IsString(item) ? item->valuestring : "";
}

const char *field_text(const cJSON *object, const char *key)
{
	return field_string(cJSON_GetObjectItemCaseSensitive(object, key));
}

int64_t field_int(const cJSON *object, const char *key)
{
	int64_t value;

	return json_doc_int64(cJSON_GetObjectItemCaseSensitive(object, key), &value) == 0 ? value
											  : -1;
}

bool field_true(const cJSON *object, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, key));
}

int64_t field_sum(const cJSON *object, const char *key)
{
	const cJSON *item;
	int64_t sum = 0, value;

	cJSON_ArrayForEach (item, cJSON_GetObjectItemCaseSensitive(object, key)) {
		if (json_doc_int64(item, &value) == 0)
			sum += value;
	}
	return sum;
}
