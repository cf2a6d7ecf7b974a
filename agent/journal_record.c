/* Makes and reads the lines of the journal. */
#include "agent/journal_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/json_doc.h"
#include "common/xmem.h"

#define DIGEST_LEN 8
/* Numbers are kept as doubles; from here on they are not exact. */
#define NUMBER_END 9007199254740992.0

char *journal_record_line(cJSON *record, size_t *len)
{
	char *json = cJSON_PrintUnformatted(record);
	char digest[41];
	char *line;

	cJSON_Delete(record);
	if (json == NULL)
		abort();
	digest_hex40(digest, json, strlen(json));
	line = xasprintf("%.*s %s\n", DIGEST_LEN, digest, json);
	*len = strlen(line);
	cJSON_free(json);
	return line;
}

cJSON *journal_record(const char *kind)
{
	cJSON *r = cJSON_CreateObject();

	cJSON_AddStringToObject(r, "k", kind);
	return r;
}

cJSON *journal_record_header(const char *id, int64_t next_number, int64_t epoch)
{
	cJSON *r = journal_record("journal");

	cJSON_AddStringToObject(r, "id", id);
	json_doc_add_int64(r, "next", next_number);
	json_doc_add_int64(r, "epoch", epoch);
	return r;
}

cJSON *journal_record_use(const char *model, struct journal_time used, const char *source)
{
	cJSON *r = journal_record("use");

	cJSON_AddStringToObject(r, "model", model);
	json_doc_add_int64(r, "used", used.redis_ms);
	json_doc_add_int64(r, "used_wall", used.wall_ms);
	cJSON_AddStringToObject(r, "source", source);
	return r;
}

cJSON *journal_record_intent(const struct intent *intent)
{
	cJSON *r = journal_record("intent");

	cJSON_AddStringToObject(r, "txn", intent->txn);
	cJSON_AddStringToObject(r, "root", intent->root);
	cJSON_AddStringToObject(r, "model", intent->model);
	cJSON_AddStringToObject(r, "locator", intent->locator);
	cJSON_AddStringToObject(r, "command", intent->command);
	return r;
}

cJSON *journal_record_receipt(const struct receipt *receipt)
{
	cJSON *r = journal_record("receipt");

	json_doc_add_int64(r, "number", receipt->number);
	cJSON_AddStringToObject(r, "model", receipt->model);
	cJSON_AddStringToObject(r, "id", receipt->id);
	cJSON_AddStringToObject(r, "outcome", receipt->outcome);
	json_doc_add_int64(r, "bytes", receipt->bytes);
	cJSON_AddStringToObject(r, "why", receipt->why);
	cJSON_AddStringToObject(r, "reason", command_reason_name(receipt->reason));
	json_doc_add_int64(r, "epoch", receipt->epoch);
	json_doc_add_int64(r, "used", receipt->last_used_ms);
	json_doc_add_int64(r, "took", receipt->took_ms);
	return r;
}

cJSON *journal_record_evicted(const char *model, const struct journal_evicted *e)
{
	cJSON *r = journal_record("evicted");

	cJSON_AddStringToObject(r, "model", model);
	cJSON_AddStringToObject(r, "id", e->id);
	cJSON_AddStringToObject(r, "reason", command_reason_name(e->reason));
	json_doc_add_int64(r, "at", e->at_wall_ms);
	json_doc_add_int64(r, "unused", e->unused_ms);
	json_doc_add_int64(r, "used", e->last_used_ms);
	json_doc_add_int64(r, "bytes", e->bytes);
	return r;
}

int journal_record_read_evicted(const cJSON *r, struct journal_evicted *out)
{
	*out = (struct journal_evicted){
		.at_wall_ms = journal_record_number(r, "at"),
		.unused_ms = journal_record_number(r, "unused"),
		.last_used_ms = journal_record_number(r, "used"),
		.bytes = journal_record_number(r, "bytes"),
	};
	snprintf(out->id, sizeof(out->id), "%s", journal_record_text(r, "id"));
	return command_reason_parse(journal_record_text(r, "reason"), &out->reason);
}

const char *journal_record_text(const cJSON *r, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r, key));

	return text != NULL ? text : "";
}

int64_t journal_record_number(const cJSON *r, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(r, key);

	if (!cJSON_IsNumber(item) || !(item->valuedouble > -NUMBER_END) ||
	    !(item->valuedouble < NUMBER_END))
		return 0;
	return (int64_t)item->valuedouble;
}

struct journal_time journal_record_used(const cJSON *r)
{
	/* Without the second, it is of an earlier version. */
	return (struct journal_time){journal_record_number(r, "used"),
				     journal_record_number(r, "used_wall")};
}

const char *receipt_outcome(const char *text)
{
	static const char *const words[] = {"deleted", "gone", "refused", "failed", "refault"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], text) == 0)
			return words[i];
	}
	return NULL;
}

int journal_record_read_receipt(const cJSON *r, struct receipt *out)
{
	*out = (struct receipt){
		.number = journal_record_number(r, "number"),
		.outcome = receipt_outcome(journal_record_text(r, "outcome")),
		.bytes = journal_record_number(r, "bytes"),
		.epoch = journal_record_number(r, "epoch"),
		.last_used_ms = journal_record_number(r, "used"),
		.took_ms = journal_record_number(r, "took"),
	};
	if (out->outcome == NULL ||
	    command_reason_parse(journal_record_text(r, "reason"), &out->reason) != 0)
		return -1;
	snprintf(out->model, sizeof(out->model), "%s", journal_record_text(r, "model"));
	snprintf(out->id, sizeof(out->id), "%s", journal_record_text(r, "id"));
	snprintf(out->why, sizeof(out->why), "%s", journal_record_text(r, "why"));
	return 0;
}

void journal_record_read_intent(const cJSON *r, struct intent *out)
{
	*out = (struct intent){
		.root = (char *)journal_record_text(r, "root"),
		.model = (char *)journal_record_text(r, "model"),
		.locator = (char *)journal_record_text(r, "locator"),
	};
	snprintf(out->txn, sizeof(out->txn), "%s", journal_record_text(r, "txn"));
	snprintf(out->command, sizeof(out->command), "%s", journal_record_text(r, "command"));
}

cJSON *journal_record_parse(const char *line, size_t len)
{
	char digest[41];
	cJSON *r;

	if (len <= DIGEST_LEN + 1 || line[DIGEST_LEN] != ' ')
		return NULL;
	digest_hex40(digest, line + DIGEST_LEN + 1, len - DIGEST_LEN - 1);
	if (memcmp(digest, line, DIGEST_LEN) != 0)
		return NULL;
	r = cJSON_Parse(line + DIGEST_LEN + 1);
	if (cJSON_IsObject(r))
		return r;
	cJSON_Delete(r);
	return NULL;
}
