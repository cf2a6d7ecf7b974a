/* The coordinator's settings table. */
#include "coordinator/options.h"

#include <stdlib.h>
#include <string.h>

#include "common/command.h"
#include "common/json_doc.h"

#define ROW(name)    .key = #name, .offset = offsetof(struct coordinator_options, name)
#define ROW_MS(name) .key = #name, .offset = offsetof(struct coordinator_options, name##_ms)
#define DAY_MS	     INT64_C(86400000)

static int check_overrides(const cJSON *value, struct err *err)
{
	return limits_check_overrides(value, NULL, err);
}

static int check_advertise(const cJSON *value, struct err *err)
{
	const char *text = value->valuestring, *colon = strrchr(text, ':');
	size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
	long port = digits > 0 && digits < 6 ? strtol(colon + 1, NULL, 10) : 0;

	if (port < 1 || port > 65535 || colon[1 + digits] != '\0' || colon == text ||
	    strpbrk(text, " \t/@") != NULL)
		return err_set(err, "found \"%.60s\"; allowed is HOST:PORT", text);
	return 0;
}

static const struct setting settings[] = {
	{ROW(enabled), .type = SETTING_BOOL, .flags = SETTING_RELOAD, .def = "true",
	 .help = "evict automatically; false leaves eviction by hand"},
	{ROW(policy), .type = SETTING_GROUP, .group = limits_settings},
	{ROW_MS(check_interval), .type = SETTING_DURATION, .flags = SETTING_RELOAD, .def = "1h",
	 .min = 1000, .max = 365 * DAY_MS, .help = "how often all nodes are looked at"},
	{ROW(overrides), .type = SETTING_JSON, .flags = SETTING_RELOAD | SETTING_NULLABLE,
	 .check = check_overrides, .allowed = "a list of {\"nodes\": GLOB, \"policy\": {...}}",
	 .help = "other policy keys for the nodes that a glob matches, in order"},
	{ROW(dry_run), .type = SETTING_BOOL, .flags = SETTING_RELOAD, .def = "false",
	 .help = "plan and log, never issue an automatic command"},
	{ROW_MS(hold_off), .type = SETTING_DURATION, .flags = SETTING_RELOAD, .def = "30s",
	 .min = 0, .max = DAY_MS,
	 .help = "observe only for this long after start, a new leadership, Redis coming back, a "
		 "jump of its clock, or a stall"},
	{ROW(max_evictions_per_cycle), .type = SETTING_INT,
	 .flags = SETTING_RELOAD | SETTING_NULLABLE, .min = 1, .max = INT64_C(1) << 40,
	 .help = "evict at most this many models in one cycle"},
	{ROW(max_bytes_per_cycle), .type = SETTING_INT, .flags = SETTING_RELOAD | SETTING_NULLABLE,
	 .min = 1, .max = INT64_C(1) << 62, .help = "evict at most this many bytes in one cycle"},
	{ROW_MS(node_timeout), .type = SETTING_DURATION, .flags = SETTING_RELOAD, .def = "20s",
	 .min = 500, .max = DAY_MS,
	 .help = "a node whose heartbeat is older is not live: it gets no commands"},
	{ROW_MS(command_ttl), .type = SETTING_DURATION, .flags = SETTING_RELOAD, .def = "10m",
	 .min = 1000, .max = COMMAND_TTL_MAX_MS,
	 .help = "a command that is not executed by then is void"},
	{ROW_MS(lease), .type = SETTING_DURATION, .def = "3s", .min = 1000, .max = 60000,
	 .help = "how long a leadership lasts when it is not renewed"},
	{ROW(advertise), .type = SETTING_STRING, .flags = SETTING_NULLABLE,
	 .check = check_advertise, .allowed = "HOST:PORT",
	 .help = "where other replicas and clients find this one's API; null: http.listen"},
	{ROW(redis), .type = SETTING_GROUP, .group = redis_settings},
	{ROW(http), .type = SETTING_GROUP, .group = http_settings_coordinator},
	{ROW(log), .type = SETTING_GROUP, .group = log_settings},
	SETTING_END,
};

/*
 * A file with eviction rules says all of them, as ModelExpress asks for; what it leaves out there
 * is an error here too. A file without any of them has the defaults.
 */
static int check_file(const cJSON *file, struct err *err)
{
	static const char *const keys[] = {"enabled", "policy", "check_interval"};
	static const char *const policy_keys[] = {"type", "unused_threshold"};
	const cJSON *policy = cJSON_GetObjectItemCaseSensitive(file, "policy");
	int present = 0;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		present += cJSON_GetObjectItemCaseSensitive(file, keys[i]) != NULL;
	if (present == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (cJSON_GetObjectItemCaseSensitive(file, keys[i]) == NULL)
			return err_set(err,
				       "%s is missing; enabled, policy and check_interval go "
				       "together",
				       keys[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(policy_keys) && cJSON_IsObject(policy); i++) {
		if (cJSON_GetObjectItemCaseSensitive(policy, policy_keys[i]) == NULL)
			return err_set(err, "policy.%s is missing", policy_keys[i]);
	}
	return 0;
}

static int check(const void *base, struct err *err)
{
	const struct coordinator_options *options = base;

	if (limits_check(&options->policy, err) != 0)
		return -1;
	if (options->overrides != NULL &&
	    limits_check_overrides(options->overrides, &options->policy, err) != 0)
		return -1;
	return redis_options_check(&options->redis, err);
}

const struct settings_program coordinator_program = {
	.name = "larder-coordinator",
	.summary = "evicts the least recently used models from the caches of a GPU cluster's nodes",
	.file = "/etc/larder/coordinator.json",
	.file_env = "LARDER_COORDINATOR_CONFIG",
	.rows = settings,
	.size = sizeof(struct coordinator_options),
	.check_file = check_file,
	.check = check,
};
