/* Collects and prints what a check-up has found. */
#include "cli/findings.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/table.h"
#include "common/xmem.h"

static const char *const states[] = {"good", "not checked", "warning", "bad"};

static char *copy(const char *text)
{
	return text != NULL ? xstrdup(text) : NULL;
}

void findings_add(struct findings *f, const struct finding *finding, const char *fmt, ...)
{
	struct finding *added;
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	f->list = xrealloc(f->list, (f->count + 1) * sizeof(*f->list));
	added = &f->list[f->count++];
	*added = *finding;
	added->about = copy(finding->about);
	added->advice = copy(finding->advice);
	added->text = text;
}

bool findings_healthy(const struct findings *f)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->list[i].state == FINDING_BAD)
			return false;
	}
	return true;
}

bool findings_bad(const struct findings *f, const char *check)
{
	for (size_t i = 0; i < f->count; i++) {
		if (f->list[i].state == FINDING_BAD && strcmp(f->list[i].check, check) == 0)
			return true;
	}
	return false;
}

void findings_print_table(const struct findings *f)
{
	static const struct table_column columns[] = {
		TABLE_LEFT("CHECK"), TABLE_LEFT("STATE"),	  TABLE_OPTIONAL("OF"),
		TABLE_LEFT("FOUND"), TABLE_OPTIONAL("TO CHANGE"),
	};
	struct table *t = table_new(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < f->count; i++) {
		const struct finding *found = &f->list[i];

		table_text(t, found->check);
		table_text(t, states[found->state]);
		table_text(t, found->about != NULL ? found->about : "");
		table_text(t, found->text);
		table_text(t, found->advice != NULL ? found->advice : "");
	}
	table_print(t, stdout);
	table_free(t);
}

void findings_print_json(const struct findings *f)
{
	cJSON *json = cJSON_CreateObject(), *list;
	char *text;

	cJSON_AddBoolToObject(json, "healthy", findings_healthy(f));
	list = cJSON_AddArrayToObject(json, "findings");
	for (size_t i = 0; i < f->count; i++) {
		const struct finding *found = &f->list[i];
		cJSON *row = cJSON_CreateObject();

		cJSON_AddStringToObject(row, "check", found->check);
		cJSON_AddStringToObject(row, "state", states[found->state]);
		cJSON_AddStringToObject(row, "of", found->about != NULL ? found->about : "");
		cJSON_AddStringToObject(row, "found", found->text);
		cJSON_AddStringToObject(row, "to_change",
					found->advice != NULL ? found->advice : "");
		cJSON_AddItemToArray(list, row);
	}
	text = cJSON_PrintUnformatted(json);
	printf("%s\n", text);
	cJSON_free(text);
	cJSON_Delete(json);
}

void findings_free(struct findings *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free((char *)f->list[i].about);
		free((char *)f->list[i].advice);
		free((char *)f->list[i].text);
	}
	free(f->list);
	*f = (struct findings){0};
}
