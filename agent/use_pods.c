/*
 * A source of use: the pods of this node. A pod that mentions a model holds it from the moment that
 * it is bound to the node until it has ended; one with annotations names an engine to be asked.
 */
#include "agent/use_pods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "agent/agent.h"
#include "agent/holds.h"
#include "agent/pod.h"
#include "agent/pod_watch.h"
#include "agent/use_probe.h"
#include "common/json_doc.h"
#include "common/log.h"
#include "common/xmem.h"

#define CLAIM_PREFIX "pod:"
/* At the start commands wait for the first list, but not for ever. */
#define FIRST_LIST_MS 60000
/* A claim is renewed when this part of its time is over. */
#define RENEW_PART 4

struct known_pod {
	char *uid;
	struct pod pod;
	bool listed; /* by the list that is being read */
	struct mono renew_due;
	UT_hash_handle hh;
};

struct use_pods {
	struct agent *agent;
	struct pod_watch *watch;
	char *url, *ca_file, *token_file;
	struct known_pod *pods;
	struct mono started, fresh_at;
	bool listed; /* once */
};

/* ---- one pod ---- */

static char *claim_id(const struct known_pod *known)
{
	return xasprintf(CLAIM_PREFIX "%.100s", known->uid);
}

static char *owner(const struct known_pod *known)
{
	return xasprintf("pod %.63s/%.253s", known->pod.name_space, known->pod.name);
}

static void claim(struct use_pods *u, struct known_pod *known, struct mono now)
{
	const struct pod *pod = &known->pod;
	int64_t ttl_ms = u->agent->options.kubernetes.claim_ttl_ms;
	char *id = claim_id(known), *who = owner(known);

	known->renew_due.ms = now.ms + ttl_ms / RENEW_PART;
	if (pod->ref_count > 0) {
		struct claim *claim = claim_new(id, USE_POD, who);

		for (size_t i = 0; i < pod->ref_count; i++) {
			struct model_ref ref;

			model_ref_make(&ref, pod->refs[i].kind, pod->refs[i].text,
				       pod->refs[i].revision);
			claim_add(claim, &ref);
		}
		claim->since = now;
		claim->until.ms = now.ms + ttl_ms;
		holds_set(u->agent, claim);
	} else {
		holds_drop(u->agent, id);
	}
	free(id);
	free(who);
}

/* The engine that the pod's annotations name, at the pod's own address and nowhere else. */
static void set_probe(struct use_pods *u, const struct known_pod *known)
{
	const struct pod *pod = &known->pod;
	const struct engine *engine = pod->engine != NULL ? engine_find(pod->engine) : NULL;
	struct probe_spec spec = {.engine = engine};
	bool v6 = strchr(pod->ip, ':') != NULL;
	char *who = owner(known);

	if (pod->engine != NULL && engine == NULL)
		log_warn("-pod", LOG_STR("pod", who), LOG_STR("engine", pod->engine),
			 LOG_STR("reason", POD_ENGINE_ANNOTATION " names no engine that is known"));
	if (pod->problem[0] != '\0')
		log_warn("-pod", LOG_STR("pod", who), LOG_STR("reason", pod->problem));
	if (engine == NULL || pod->ip[0] == '\0') {
		use_probe_set(u->agent, who, NULL, 0);
	} else {
		spec.url = xasprintf("http://%s%.64s%s:%d", v6 ? "[" : "", pod->ip, v6 ? "]" : "",
				     pod->port != 0 ? pod->port : engine->port);
		spec.who = xasprintf("%s %s", engine->name, who);
		for (size_t i = 0; i < pod->mount_count; i++)
			probe_spec_add_prefix(&spec, pod->mounts[i].container_path,
					      pod->mounts[i].host_path);
		use_probe_set(u->agent, who, &spec, 1);
	}
	free(who);
}

/* Its engine is then the other's: a pod that is made anew under its name has another uid. */
static bool has_namesake(const struct use_pods *u, const struct known_pod *known)
{
	for (const struct known_pod *other = u->pods; other != NULL; other = other->hh.next) {
		if (other != known && strcmp(other->pod.name, known->pod.name) == 0 &&
		    strcmp(other->pod.name_space, known->pod.name_space) == 0)
			return true;
	}
	return false;
}

static void forget(struct use_pods *u, struct known_pod *known)
{
	char *id = claim_id(known), *who = owner(known);

	holds_drop(u->agent, id);
	if (!has_namesake(u, known))
		use_probe_set(u->agent, who, NULL, 0);
	free(id);
	free(who);
	HASH_DEL(u->pods, known);
	pod_free(&known->pod);
	free(known->uid);
	free(known);
}

static struct known_pod *find(const struct use_pods *u, const char *uid)
{
	struct known_pod *known;

	HASH_FIND_STR(u->pods, uid, known);
	return known;
}

/* Is the address one, and not a text that would make another URL? */
static bool plain_address(const char *ip)
{
	return strspn(ip, "0123456789abcdefABCDEF.:") == strlen(ip);
}

static void on_pod(const cJSON *object, void *arg)
{
	struct use_pods *u = arg;
	struct known_pod *known;
	struct pod pod;

	if (!pod_read(&pod, object))
		return;
	known = find(u, pod.uid);
	if (pod.ended) {
		if (known != NULL)
			forget(u, known);
		pod_free(&pod);
		return;
	}
	if (!plain_address(pod.ip))
		pod.ip[0] = '\0'; /* nobody is asked there; what it mentions counts */
	if (known == NULL) {
		known = xcalloc(1, sizeof(*known));
		known->uid = xstrdup(pod.uid);
		HASH_ADD_KEYPTR(hh, u->pods, known->uid, strlen(known->uid), known);
	}
	pod_free(&known->pod);
	known->pod = pod;
	known->listed = true;
	claim(u, known, clock_mono());
	set_probe(u, known);
}

static void on_deleted(const cJSON *object, void *arg)
{
	struct use_pods *u = arg;
	struct known_pod *known;
	struct pod pod;

	if (!pod_read(&pod, object))
		return;
	known = find(u, pod.uid);
	if (known != NULL)
		forget(u, known);
	pod_free(&pod);
}

static void on_listing(void *arg)
{
	struct use_pods *u = arg;

	for (struct known_pod *known = u->pods; known != NULL; known = known->hh.next)
		known->listed = false;
}

/* Claims from before a restart are those of pods that are there now, or end. */
static bool is_known(const struct claim *claim, void *arg)
{
	return find(arg, claim->id + strlen(CLAIM_PREFIX)) != NULL;
}

static void on_listed(void *arg)
{
	struct use_pods *u = arg;
	struct known_pod *known, *next;

	HASH_ITER (hh, u->pods, known, next) {
		if (!known->listed)
			forget(u, known);
	}
	u->listed = true;
	holds_drop_others(u->agent, CLAIM_PREFIX, is_known, u);
}

static void on_fresh(void *arg)
{
	struct use_pods *u = arg;

	u->fresh_at = clock_mono();
}

/* ---- the source ---- */

/* While the API answers, claims are renewed; after that they last for claim_ttl. */
static void tick(void *state, struct mono now)
{
	struct use_pods *u = state;
	struct known_pod *known, *next;

	pod_watch_tick(u->watch, now);
	if (!pod_watch_answers(u->watch))
		return;
	HASH_ITER (hh, u->pods, known, next) {
		if (mono_since(known->renew_due, now) >= 0)
			claim(u, known, now);
	}
}

static const char *waits(void *state, struct mono heard)
{
	const struct use_pods *u = state;

	if (!u->listed && mono_since(u->started, clock_mono()) <= FIRST_LIST_MS)
		return "the pods of this node were not listed yet";
	if (pod_watch_behind(u->watch, heard))
		return "watches of pods break, and they were not listed since the command";
	return NULL;
}

static const char *problem(void *state)
{
	const struct use_pods *u = state;

	return pod_watch_problem(u->watch);
}

static void describe(void *state, cJSON *out)
{
	const struct use_pods *u = state;
	cJSON *list = cJSON_AddArrayToObject(out, "pods");

	cJSON_AddStringToObject(out, "url", u->url);
	json_doc_add_int64(out, "fresh_age_ms",
			   u->fresh_at.ms != 0 ? mono_since(u->fresh_at, clock_mono()) : -1);
	for (const struct known_pod *known = u->pods; known != NULL; known = known->hh.next) {
		cJSON *item;

		if (known->pod.ref_count == 0 && known->pod.engine == NULL)
			continue;
		item = cJSON_CreateObject();
		cJSON_AddStringToObject(item, "namespace", known->pod.name_space);
		cJSON_AddStringToObject(item, "name", known->pod.name);
		json_doc_add_int64(item, "mentions", (int64_t)known->pod.ref_count);
		cJSON_AddStringToObject(item, "engine",
					known->pod.engine != NULL ? known->pod.engine : "");
		cJSON_AddStringToObject(item, "problem", known->pod.problem);
		cJSON_AddItemToArray(list, item);
	}
}

static char *copy(const char *text)
{
	return text != NULL ? xstrdup(text) : NULL;
}

/* Inside a pod the API server's address is in these variables. */
static char *default_url(void)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");

	if (host == NULL || port == NULL)
		return NULL;
	return strchr(host, ':') != NULL ? xasprintf("https://[%s]:%s", host, port)
					 : xasprintf("https://%s:%s", host, port);
}

static int start(struct agent *agent, void **state, struct err *err)
{
	const struct kubernetes_options *o = &agent->options.kubernetes;
	struct pod_watch_hooks hooks = {.pod = on_pod,
					.deleted = on_deleted,
					.listing = on_listing,
					.listed = on_listed,
					.fresh = on_fresh};
	struct use_pods *u;
	char *url;

	if (!o->enabled)
		return 0;
	url = o->api_url != NULL ? xstrdup(o->api_url) : default_url();
	if (url == NULL)
		return err_set(err,
			       "kubernetes.api_url is not set, and this is no pod: "
			       "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are missing");
	u = xcalloc(1, sizeof(*u));
	u->agent = agent;
	u->url = url;
	u->token_file = copy(o->token_file);
	u->ca_file = copy(o->ca_file);
	u->started = clock_mono();
	hooks.arg = u;
	u->watch = pod_watch_new(daemon_base(agent->daemon),
				 &(struct pod_watch_options){.url = u->url,
							     .node = agent->node,
							     .token_file = u->token_file,
							     .ca_file = u->ca_file},
				 &hooks);
	*state = u;
	return 0;
}

static void stop(void *state)
{
	struct use_pods *u = state;
	struct known_pod *known, *next;

	pod_watch_free(u->watch);
	/* The claims stay: the next start takes them over. */
	HASH_ITER (hh, u->pods, known, next) {
		HASH_DEL(u->pods, known);
		pod_free(&known->pod);
		free(known->uid);
		free(known);
	}
	free(u->url);
	free(u->ca_file);
	free(u->token_file);
	free(u);
}

const struct source source_pods = {
	.name = "pods",
	.start = start,
	.stop = stop,
	.tick = tick,
	.waits = waits,
	.problem = problem,
	.describe = describe,
};
