/*
 * Source of use: engines that are asked over HTTP what they serve. Each answer renews a claim
 * "probe:..." on the models; an engine that does not answer keeps its last claim until that ends.
 */
#ifndef LARDER_USE_PROBE_H
#define LARDER_USE_PROBE_H

#include <stddef.h>

#include "agent/probe_spec.h"
#include "agent/source.h"

struct agent;

/* Its state is agent->probe while it runs. */
extern const struct source source_probe;

/*
 * These are the engines that `owner` knows of now (a short text, such as "pod default/llama-0");
 * they replace those it named before. An engine that was there already goes on as it is. One that
 * is no longer there is known to have ended: its claims end at once, while the last uses stay.
 * Takes the contents of `specs` over. Does nothing before the source has started and after it has
 * stopped.
 */
void use_probe_set(struct agent *agent, const char *owner, struct probe_spec *specs, size_t count);

#endif
