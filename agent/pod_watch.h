/*
 * The pods of one node, from the Kubernetes API: lists them, then watches from there on, resumes
 * where a watch was cut off, and lists anew when the API has forgotten that point (410) and every
 * few minutes. The protocol is that of the API's concepts page "Efficient detection of changes".
 */
#ifndef LARDER_POD_WATCH_H
#define LARDER_POD_WATCH_H

#include <cjson/cJSON.h>
#include <event2/event.h>
#include <stdbool.h>

#include "common/attributes.h"
#include "common/clock.h"

struct pod_watch;

/* All is borrowed for the watch's life. */
struct pod_watch_options {
	const char *url; /* of the API server: https://host:port */
	const char *node;
	/* Read anew for each request: the kubelet replaces it. NULL: none is sent. */
	const char *token_file;
	const char *ca_file; /* NULL: the system's */
};

/* Called from the loop. Objects are borrowed for the call. */
struct pod_watch_hooks {
	/* A Pod as it is now. */
	void (*pod)(const cJSON *object, void *arg);
	void (*deleted)(const cJSON *object, void *arg);
	/* A whole list begins: pods that it does not bring until `listed` are gone. */
	void (*listing)(void *arg);
	void (*listed)(void *arg);
	/* Each answer, also a bookmark, says that what is known is true at this moment. */
	void (*fresh)(void *arg);
	void *arg;
};

struct pod_watch *pod_watch_new(struct event_base *base, const struct pod_watch_options *options,
				const struct pod_watch_hooks *hooks) MUST_USE;
void pod_watch_free(struct pod_watch *watch);

void pod_watch_tick(struct pod_watch *watch, struct mono now);

/* Why the pods are not known as they are, or NULL. */
const char *pod_watch_problem(const struct pod_watch *watch);

/* Does the API tell what pods there are, be it by lists alone? */
bool pod_watch_answers(const struct pod_watch *watch);

/*
 * Watches break, and no list was asked for after `since` yet: a pod that was there at that moment
 * may not be known. False when lists fail too, which may last for hours.
 */
bool pod_watch_behind(const struct pod_watch *watch, struct mono since);

#endif
