/*
 * What a Kubernetes pod says of the models that it uses (pure): a Pod object of the API (core/v1)
 * goes in, references to models and perhaps an engine to ask come out. A pod that mentions a model
 * keeps it while it starts, crashes or restarts, when no engine answers yet.
 */
#ifndef LARDER_POD_H
#define LARDER_POD_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/model_ref.h"

/* Annotations: which engine to ask on which port, and models that nothing else mentions. */
#define POD_ENGINE_ANNOTATION "larder/engine"
#define POD_PORT_ANNOTATION   "larder/port"
#define POD_MODELS_ANNOTATION "larder/models"

/* A directory of the host as the pod's containers see it. */
struct pod_mount {
	char *container_path, *host_path;
};

struct pod {
	char *uid, *name_space, *name;
	char *ip;     /* "" while it has none */
	bool ended;   /* it will not start again */
	char *engine; /* as annotated; NULL: none is to be asked */
	int port;     /* 0: the engine's usual one */
	struct model_ref *refs;
	size_t ref_count, ref_capacity;
	struct pod_mount *mounts;
	size_t mount_count, mount_capacity;
	char problem[160]; /* an annotation that is not understood, or "" */
};

/* Reads a Pod. False when it is none (no uid or name): it then says nothing. */
bool pod_read(struct pod *pod, const cJSON *object);

/*
 * The path on the host of a path in the pod's containers, through the longest mount; NULL when none
 * is above it. To be freed.
 */
char *pod_host_path(const struct pod *pod, const char *container_path);

void pod_free(struct pod *pod);

#endif
