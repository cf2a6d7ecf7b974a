/* The parts of larderctl doctor: each looks at one side of a deployment and adds what it finds. */
#ifndef LARDER_CLI_DOCTOR_H
#define LARDER_CLI_DOCTOR_H

#include "cli/cmd.h"
#include "cli/findings.h"
#include "common/shared_options.h"

/* What one part has seen and another compares with. */
struct doctor_view {
	bool redis_asked; /* Redis itself answered us */
	char leader[300]; /* who leads, as Redis says; "" when nobody does */
};

/* Asks Redis itself, as a coordinator with these settings does. */
void doctor_redis(struct findings *findings, const struct redis_options *options,
		  struct doctor_view *view);

/* Judges what Redis says of itself in its answer to INFO. `sentinels`: it has some. */
void doctor_info(struct findings *findings, const char *info, bool sentinels);

/* Asks the coordinator, and it of the nodes. */
void doctor_coordinator(struct findings *findings, const struct client *client,
			const struct doctor_view *view);

/* Judges the answer to GET /v1/nodes; `version` is the coordinator's. */
void doctor_nodes(struct findings *findings, const cJSON *nodes, const char *version);

#endif
