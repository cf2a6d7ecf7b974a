/* The layouts by name, and the reports that their scans fill. */
#include "agent/layout.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"

const struct layout *layout_find(const char *name)
{
	static const struct layout *const layouts[] = {&layout_huggingface, &layout_directory};

	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		if (strcmp(layouts[i]->name, name) == 0)
			return layouts[i];
	}
	return NULL;
}

struct model_report *scan_report_add(struct scan_report *report)
{
	report->models =
		xgrow(report->models, report->count, &report->capacity, sizeof(*report->models));
	return &report->models[report->count++];
}

void scan_report_free(struct scan_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		free(report->models[i].name);
		free(report->models[i].locator);
	}
	free(report->models);
	memset(report, 0, sizeof(*report));
}

bool removal_used_since(const struct removal_task *task)
{
	return task->generation != 0 && task->seen_used_wall_ms > task->used_wall_ms;
}

enum removal_outcome removal_end(struct removal_task *task, enum removal_outcome outcome,
				 const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(task->why, sizeof(task->why), fmt, ap);
	va_end(ap);
	return outcome;
}
