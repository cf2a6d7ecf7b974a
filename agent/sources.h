/* All sources of what is in use (source.h). */
#ifndef LARDER_SOURCES_H
#define LARDER_SOURCES_H

#include <cjson/cJSON.h>

#include "common/attributes.h"
#include "common/clock.h"
#include "common/err.h"

struct agent;
struct metrics;
struct sources;

/* NULL with a sentence when a setting cannot be followed. */
struct sources *sources_start(struct agent *agent, struct err *err) MUST_USE;
void sources_free(struct sources *sources);

void sources_tick(struct sources *sources, struct mono now);
void sources_models_changed(struct sources *sources);

/* Before a command is judged: all that was seen up to now is told. */
void sources_settle(struct sources *sources);

/* Why a command that was heard then may not be judged yet, or NULL. */
const char *sources_wait(const struct sources *sources, struct mono heard);
/* Why nothing may be deleted automatically now, or NULL. */
const char *sources_object(const struct sources *sources);

/* Which sources see all that they should. */
void sources_metrics(const struct sources *sources, struct metrics *metrics);

/* One object per source that is in use. */
cJSON *sources_json(const struct sources *sources);

#endif
