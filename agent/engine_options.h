/* The setting "engines": which engines on this node are asked what they serve. */
#ifndef LARDER_ENGINE_OPTIONS_H
#define LARDER_ENGINE_OPTIONS_H

#include <cjson/cJSON.h>

#include "agent/probe_spec.h"
#include "common/attributes.h"
#include "common/err.h"

/* The whole list, as a check of its row. */
int engine_options_check(const cJSON *engines, struct err *err) MUST_USE;

/* Element `index` as a spec, to be freed by probe_spec_free. */
int engine_options_spec(const cJSON *engines, int index, struct probe_spec *out,
			struct err *err) MUST_USE;

#endif
