/* larderctl doctor: asks the coordinator, and the leader that it tells of. */
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/field.h"

static const cJSON *get(const cJSON *answer, const char *key)
{
	return cJSON_GetObjectItemCaseSensitive(answer, key);
}

static bool ask(const struct client *client, const char *path, struct client_answer *answer,
		struct err *err)
{
	const struct client_request request = {.method = "GET", .path = path};

	return client_ask(client, &request, answer, err) == 0;
}

static void its_redis(struct findings *f, const cJSON *status, const struct doctor_view *view)
{
	struct finding found = {.check = "coordinator-redis", .state = FINDING_BAD};
	const cJSON *redis = get(status, "redis"), *problem;
	const char *leader = field_text(get(status, "leader"), "id");

	if (!field_true(redis, "connected")) {
		found.advice = "look for -redis-link in its log: it says why";
		findings_add(f, &found, "it is not connected to Redis");
		return;
	}
	if (view->redis_asked && strcmp(view->leader, leader) != 0) {
		found.advice = "give all the same redis.url and redis.prefix";
		findings_add(f, &found, "it knows \"%s\" as the leader, and Redis \"%s\"", leader,
			     view->leader);
		return;
	}
	/* What we have seen ourselves need not be said twice. */
	if (!view->redis_asked) {
		found.advice = "mend it in Redis; --config tells more";
		cJSON_ArrayForEach (problem, get(redis, "problems"))
			findings_add(f, &found, "%s",
				     cJSON_IsString(problem) ? problem->valuestring : "");
	}
	if (findings_bad(f, found.check))
		return;
	found.advice = NULL;
	found.state = FINDING_GOOD;
	findings_add(f, &found, "connected, version %s", field_text(redis, "version"));
}

static void leader(struct findings *f, const struct client *client, const cJSON *status)
{
	struct finding found = {.check = "leader-address", .state = FINDING_GOOD};
	const cJSON *leader = get(status, "leader");
	const char *address = field_text(leader, "address");
	struct client_answer answer = {0};
	struct client there = *client;
	char *url;
	struct err err;

	if (*field_text(leader, "id") == '\0') {
		found.check = "leader";
		found.state = FINDING_BAD;
		found.advice = "look for -redis-link and -elect in the coordinators' logs";
		if (!findings_bad(f, found.check))
			findings_add(f, &found, "the coordinator knows none");
		return;
	}
	if (field_true(leader, "here")) {
		findings_add(f, &found, "this coordinator, which calls itself %s", address);
		return;
	}
	url = client_url_at(client, address);
	there.url = url;
	if (url != NULL && ask(&there, "/v1/status", &answer, &err)) {
		findings_add(f, &found, "the leader answers at %s", address);
	} else {
		found.state = FINDING_BAD;
		found.advice = "set advertise in the leader's configuration to what others reach";
		findings_add(f, &found, "the leader does not answer at %s: %s", address,
			     url != NULL ? err.text : "this is no address");
	}
	client_answer_free(&answer);
	free(url);
}

static void eviction(struct findings *f, const cJSON *status)
{
	struct finding found = {.check = "eviction", .state = FINDING_WARNING};

	if (!field_true(status, "enabled")) {
		found.advice = "set enabled to true; until then models go by hand only";
		findings_add(f, &found, "it is disabled");
	} else if (field_true(status, "dry_run")) {
		found.advice = "set dry_run to false when the plans are as you want them";
		findings_add(f, &found, "it is planned and logged, never done: dry_run");
	} else if (field_true(status, "observing")) {
		findings_add(f, &found, "nothing is evicted now: %s",
			     field_text(status, "observing_why"));
	} else {
		found.state = FINDING_GOOD;
		findings_add(f, &found, "it is enabled");
	}
}

static void ask_of_nodes(struct findings *f, const struct client *client, const char *version)
{
	struct finding found = {.check = "nodes", .state = FINDING_BAD};
	struct client_answer answer = {0};
	struct err err;

	if (ask(client, "/v1/nodes", &answer, &err)) {
		doctor_nodes(f, get(answer.tree, "nodes"), version);
	} else {
		found.advice = "mend what else is bad here first";
		findings_add(f, &found, "%s", err.text);
	}
	client_answer_free(&answer);
}

void doctor_coordinator(struct findings *f, const struct client *client,
			const struct doctor_view *view)
{
	struct finding found = {.check = "coordinator", .state = FINDING_BAD};
	struct client_answer answer = {0};
	struct err err;

	if (ask(client, "/v1/status", &answer, &err)) {
		found.state = FINDING_GOOD;
		findings_add(f, &found, "version %s answers at %s",
			     field_text(answer.tree, "version"), client->url);
		its_redis(f, answer.tree, view);
		leader(f, client, answer.tree);
		eviction(f, answer.tree);
		ask_of_nodes(f, client, field_text(answer.tree, "version"));
	} else {
		found.advice = "start larder-coordinator, or name it with --server; from other "
			       "hosts it answers only when http.listen says so";
		findings_add(f, &found, "%s", err.text);
		found = (struct finding){.check = "nodes", .state = FINDING_UNKNOWN};
		findings_add(f, &found, "no coordinator tells of them");
	}
	client_answer_free(&answer);
}
