/* The agent's settings table. */
#include "agent/options.h"

#include <stdio.h>
#include <string.h>

#include "agent/engine_options.h"
#include "agent/layout.h"
#include "common/json_doc.h"
#include "common/model_name.h"

#define ROOTS_MAX 64

static int check_node_name(const cJSON *value, struct err *err)
{
	if (!model_name_node_valid(value->valuestring))
		return err_set(err, "found \"%.60s\"; allowed is 1 to %d of A-Z a-z 0-9 . _ -",
			       value->valuestring, NODE_NAME_MAX);
	return 0;
}

static int check_absolute(const cJSON *value, struct err *err)
{
	if (value->valuestring[0] != '/')
		return err_set(err, "found \"%.60s\"; allowed is an absolute path",
			       value->valuestring);
	return 0;
}

static int check_root_name(const cJSON *value, struct err *err)
{
	if (!model_name_root_valid(value->valuestring))
		return err_set(err, "found \"%.40s\"; allowed is 1 to %d of a-z, 0-9 and '-'",
			       value->valuestring, MODEL_ROOT_MAX);
	return 0;
}

static int check_layout(const cJSON *value, struct err *err)
{
	if (layout_find(value->valuestring) == NULL)
		return err_set(err, "found \"%.40s\"; allowed is \"huggingface\" or \"directory\"",
			       value->valuestring);
	return 0;
}

/* A glob may not leave the root, and each of its parts names folders one level down. */
static int check_glob(const cJSON *value, struct err *err)
{
	const char *p = value->valuestring;
	size_t parts = 1;

	for (; *p != '\0'; p++)
		parts += *p == '/';
	if (value->valuestring[0] == '\0' || value->valuestring[0] == '/' || p[-1] == '/' ||
	    strstr(value->valuestring, "//") != NULL || strstr(value->valuestring, "..") != NULL ||
	    parts > 8 || strlen(value->valuestring) > 200)
		return err_set(err,
			       "found \"%.60s\"; allowed is a relative glob of 1 to 8 parts "
			       "such as \"*\" or \"*/*\"",
			       value->valuestring);
	return 0;
}

#define ROW(name)    .key = #name, .offset = offsetof(struct agent_root_options, name)
#define ROW_MS(name) .key = #name, .offset = offsetof(struct agent_root_options, name##_ms)
#define DAY_MS	     INT64_C(86400000)

static const struct setting root_settings[] = {
	{ROW(name), .type = SETTING_STRING, .def = MODEL_ROOT_DEFAULT, .check = check_root_name,
	 .help = "stands in the names of its models, unless it is \"default\""},
	{ROW(path), .type = SETTING_STRING, .flags = SETTING_REQUIRED | SETTING_NULLABLE,
	 .check = check_absolute, .help = "the directory"},
	{ROW(layout), .type = SETTING_STRING, .flags = SETTING_REQUIRED | SETTING_NULLABLE,
	 .check = check_layout, .help = "\"huggingface\" or \"directory\""},
	{ROW(glob), .type = SETTING_STRING, .flags = SETTING_NULLABLE, .check = check_glob,
	 .help = "directory: which folders are models; null is \"*\""},
	{ROW(report_only), .type = SETTING_BOOL, .def = "false", .help = "look, never delete"},
	{ROW(delete_without_leases), .type = SETTING_BOOL, .def = "false",
	 .help = "delete although the file system cannot tell what is open"},
	{ROW_MS(settle_time), .type = SETTING_DURATION, .def = "30s", .min = 0, .max = DAY_MS,
	 .help = "what changed within this time is still being downloaded"},
	{ROW_MS(partial_timeout), .type = SETTING_DURATION, .def = "10m", .min = 1000,
	 .max = 30 * DAY_MS, .help = "a partial file unchanged for this long is given up"},
	{ROW_MS(leftover_max_age), .type = SETTING_DURATION, .flags = SETTING_NULLABLE, .def = "7d",
	 .min = 0, .max = 3650 * DAY_MS, .help = "remove leftovers older than this; null: never"},
	SETTING_END,
};

int agent_root_options(const cJSON *roots, int index, struct agent_root_options *out,
		       struct err *err)
{
	const cJSON *item = cJSON_GetArrayItem(roots, index);
	char path[32];

	snprintf(path, sizeof(path), "roots[%d].", index);
	setting_defaults(root_settings, out);
	if (setting_apply(root_settings, out, item, path, err) != 0)
		return -1;
	if (out->path == NULL || out->layout == NULL)
		return err_set(err, "%spath and layout must not be null", path);
	if (out->glob != NULL && strcmp(out->layout, layout_directory.name) != 0)
		return err_set(err, "%sglob: only layout \"directory\" has one", path);
	return 0;
}

void agent_root_options_free(struct agent_root_options *options)
{
	setting_free(root_settings, options);
}

/* True when one path is the other or lies below it. */
static bool nested(const char *a, const char *b)
{
	size_t len = strlen(a);

	while (len > 1 && a[len - 1] == '/')
		len--;
	return strncmp(a, b, len) == 0 && (b[len] == '\0' || b[len] == '/');
}

static int check_pair(const struct agent_root_options *a, const struct agent_root_options *b,
		      struct err *err)
{
	if (strcmp(a->name, b->name) == 0)
		return err_set(err, "two roots are named \"%s\"", a->name);
	if (nested(a->path, b->path) || nested(b->path, a->path))
		return err_set(err, "roots \"%s\" and \"%s\" overlap: %.100s and %.100s", a->name,
			       b->name, a->path, b->path);
	return 0;
}

static int check_roots(const cJSON *value, struct err *err)
{
	struct agent_root_options list[ROOTS_MAX] = {0};
	int count = cJSON_GetArraySize(value), rc = 0;

	if (!cJSON_IsArray(value) || count < 1 || count > ROOTS_MAX)
		return err_set(err, "found %s; allowed is a list of 1 to %d roots",
			       cJSON_IsArray(value) ? "an empty or too long list"
						    : json_doc_type(value),
			       ROOTS_MAX);
	for (int i = 0; i < count && rc == 0; i++) {
		rc = agent_root_options(value, i, &list[i], err);
		for (int j = 0; j < i && rc == 0; j++)
			rc = check_pair(&list[j], &list[i], err);
	}
	for (int i = 0; i < count; i++)
		agent_root_options_free(&list[i]);
	return rc;
}

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount/"

static int check_api_url(const cJSON *value, struct err *err)
{
	const char *url = value->valuestring;
	size_t len = strlen(url);

	if ((strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0) ||
	    url[len - 1] == '/' || strpbrk(url, " ?#@") != NULL)
		return err_set(err, "found \"%.60s\"; allowed is https://HOST:PORT", url);
	return 0;
}

#undef ROW
#undef ROW_MS
#define ROW(name)    .key = #name, .offset = offsetof(struct kubernetes_options, name)
#define ROW_MS(name) .key = #name, .offset = offsetof(struct kubernetes_options, name##_ms)

static const struct setting kubernetes_settings[] = {
	{ROW(enabled), .type = SETTING_BOOL, .def = "false",
	 .help = "watch this node's pods: what they mention is kept, and their annotations name "
		 "engines to ask; node_name must be the Kubernetes node's"},
	{ROW(api_url), .type = SETTING_STRING, .flags = SETTING_NULLABLE, .check = check_api_url,
	 .allowed = "https://HOST:PORT",
	 .help = "the API server; null: that of the pod which this is"},
	{ROW(token_file), .type = SETTING_STRING, .flags = SETTING_NULLABLE,
	 .check = check_absolute, .allowed = "an absolute path", .def = SERVICE_ACCOUNT "token",
	 .help = "the bearer token, read anew for each request; null: none is sent"},
	{ROW(ca_file), .type = SETTING_STRING, .flags = SETTING_NULLABLE, .check = check_absolute,
	 .allowed = "an absolute path", .def = SERVICE_ACCOUNT "ca.crt",
	 .help = "who may have signed the API server's certificate; null: the system's CAs"},
	{ROW_MS(claim_ttl), .type = SETTING_DURATION, .def = "1h", .min = 200, .max = 30 * DAY_MS,
	 .help = "for how long pods keep their models when the API server does not answer"},
	SETTING_END,
};

#undef ROW
#undef ROW_MS
#define ROW(name)    .key = #name, .offset = offsetof(struct agent_options, name)
#define ROW_MS(name) .key = #name, .offset = offsetof(struct agent_options, name##_ms)

/* In the order of enum watch_backend. */
static const char *const watch_backends[] = {"inotify", "fanotify", "off", NULL};

static const struct setting settings[] = {
	{ROW(node_name), .type = SETTING_STRING, .flags = SETTING_NULLABLE,
	 .check = check_node_name, .allowed = "1 to 128 of A-Z a-z 0-9 . _ -",
	 .help = "the node's name; null: the host name"},
	{ROW(state_dir), .type = SETTING_STRING, .def = "/var/lib/larder", .check = check_absolute,
	 .allowed = "an absolute path", .help = "where the journal is kept"},
	{ROW(roots), .type = SETTING_JSON, .flags = SETTING_NULLABLE, .check = check_roots,
	 .allowed = "a list of {\"name\", \"path\", \"layout\", ...}",
	 .help = "the cache directories; each with name, path, layout, glob, report_only, "
		 "delete_without_leases, settle_time, partial_timeout and leftover_max_age"},
	{ROW_MS(beat_interval), .type = SETTING_DURATION, .def = "5s", .min = 100, .max = 60000,
	 .help = "how often Redis hears from this node"},
	{ROW_MS(scan_interval), .type = SETTING_DURATION, .def = "1m", .min = 200, .max = DAY_MS,
	 .help = "how often the cache directories are looked at"},
	{ROW_MS(refault_window), .type = SETTING_DURATION, .flags = SETTING_NULLABLE, .def = "7d",
	 .min = 0, .max = 3650 * DAY_MS,
	 .help = "a model that is back this soon after its eviction is counted; null: none is"},
	{ROW(engines), .type = SETTING_JSON, .flags = SETTING_NULLABLE,
	 .check = engine_options_check, .allowed = "a list of {\"engine\", \"url\", ...}",
	 .help = "inference engines that are asked what they serve; each with engine, url, "
		 "token_file, ca_file, models, aliases and path_prefixes"},
	{ROW_MS(probe_interval), .type = SETTING_DURATION, .flags = SETTING_RELOAD, .def = "15s",
	 .min = 100, .max = 3600000, .help = "how often each engine is asked"},
	{ROW_MS(claim_ttl), .type = SETTING_DURATION, .flags = SETTING_RELOAD, .def = "10m",
	 .min = 200, .max = DAY_MS,
	 .help = "for how long what an engine said holds when it does not answer any more"},
	{ROW(strict_unmapped), .type = SETTING_BOOL, .flags = SETTING_RELOAD, .def = "false",
	 .help = "delete nothing automatically while an engine serves what is not found here"},
	{ROW(kubernetes), .type = SETTING_GROUP, .group = kubernetes_settings},
	{ROW(watch), .type = SETTING_CHOICE, .def = "inotify", .choices = watch_backends,
	 .help = "how opened files are seen as they happen; fanotify needs CAP_SYS_ADMIN"},
	{ROW(watch_max_directories), .type = SETTING_INT, .def = "8192", .min = 1, .max = 1000000,
	 .help = "so many directories are watched at most"},
	{ROW(redis), .type = SETTING_GROUP, .group = redis_settings},
	{ROW(http), .type = SETTING_GROUP, .group = http_settings_agent},
	{ROW(log), .type = SETTING_GROUP, .group = log_settings},
	SETTING_END,
};

static int check(const void *base, struct err *err)
{
	const struct agent_options *options = base;

	if (options->roots == NULL)
		return err_set(err, "roots: no cache directory is configured");
	if (options->claim_ttl_ms < 2 * options->probe_interval_ms)
		return err_set(err, "claim_ttl must be at least twice probe_interval");
	return redis_options_check(&options->redis, err);
}

const struct settings_program agent_program = {
	.name = "larder-agent",
	.summary =
		"finds the models on this node's disks, tells Redis when each was last used, and "
		"deletes\nwhat the coordinator asks for and nobody uses",
	.file = "/etc/larder/agent.json",
	.file_env = "LARDER_AGENT_CONFIG",
	.rows = settings,
	.size = sizeof(struct agent_options),
	.check = check,
};
