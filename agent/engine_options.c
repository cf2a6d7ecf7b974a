/* The setting "engines". */
#include "agent/engine_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_doc.h"
#include "common/setting.h"
#include "common/url_part.h"
#include "common/xmem.h"

#define ENGINES_MAX 1000
#define LIST_MAX    256
#define TEXT_MAX    1024
#define URL_MAX	    120

struct engine_options {
	char *engine;
	char *url;
	char *token_file;
	char *ca_file;
	cJSON *models;
	cJSON *aliases;
	cJSON *path_prefixes;
};

static int check_engine(const cJSON *value, struct err *err)
{
	char known[128] = "";
	size_t len = 0;

	if (engine_find(value->valuestring) != NULL)
		return 0;
	for (size_t i = 0; engines_known[i] != NULL; i++)
		len += (size_t)snprintf(known + len, sizeof(known) - len, "%s%s", i > 0 ? ", " : "",
					engines_known[i]->name);
	return err_set(err, "found \"%.40s\"; allowed are %s", value->valuestring, known);
}

/* A server and nothing more: what is asked of it is the engine's own. */
static bool is_server(CURLU *url, const char *text)
{
	return curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
	       (url_has(url, CURLUPART_SCHEME, "http") ||
		url_has(url, CURLUPART_SCHEME, "https")) &&
	       url_has(url, CURLUPART_PATH, "/") && url_lacks(url, CURLUPART_USER) &&
	       url_lacks(url, CURLUPART_PASSWORD) && url_lacks(url, CURLUPART_QUERY) &&
	       url_lacks(url, CURLUPART_FRAGMENT) && strpbrk(text, "?#@\\ ") == NULL;
}

static int check_url(const cJSON *value, struct err *err)
{
	CURLU *url = curl_url();
	bool good;

	if (url == NULL)
		abort();
	good = strlen(value->valuestring) <= URL_MAX && is_server(url, value->valuestring);
	curl_url_cleanup(url);
	return good ? 0
		    : err_set(err, "found \"%.150s\"; allowed is http://HOST[:PORT] or https",
			      value->valuestring);
}

static int check_file(const cJSON *value, struct err *err)
{
	if (value->valuestring[0] != '/')
		return err_set(err, "found \"%.60s\"; allowed is an absolute path",
			       value->valuestring);
	return 0;
}

static int check_ref(const cJSON *value, const char *where, struct err *err)
{
	char shown[64];
	struct model_ref ref;

	if (!cJSON_IsString(value) || !probe_spec_ref(&ref, value->valuestring))
		return err_set(err,
			       "%s%sfound %s; allowed is a model's name, a repository, "
			       "repository@commit, or an absolute path",
			       where, *where != '\0' ? ": " : "",
			       json_doc_show(value, shown, sizeof(shown)));
	model_ref_free(&ref);
	return 0;
}

static int check_models(const cJSON *value, struct err *err)
{
	const cJSON *item;

	if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) > LIST_MAX)
		return err_set(err, "allowed is a list of up to %d references", LIST_MAX);
	cJSON_ArrayForEach (item, value) {
		if (check_ref(item, "", err) != 0)
			return -1;
	}
	return 0;
}

static int check_aliases(const cJSON *value, struct err *err)
{
	const cJSON *item;

	if (!cJSON_IsObject(value) || cJSON_GetArraySize(value) > LIST_MAX)
		return err_set(err, "allowed is {\"SERVED NAME\": \"REFERENCE\"}, up to %d",
			       LIST_MAX);
	cJSON_ArrayForEach (item, value) {
		if (check_ref(item, item->string, err) != 0)
			return -1;
	}
	return 0;
}

static int check_prefixes(const cJSON *value, struct err *err)
{
	const cJSON *item;

	if (!cJSON_IsObject(value) || cJSON_GetArraySize(value) > LIST_MAX)
		return err_set(err, "allowed is {\"/PATH THERE\": \"/PATH HERE\"}, up to %d",
			       LIST_MAX);
	cJSON_ArrayForEach (item, value) {
		if (item->string[0] != '/' || !cJSON_IsString(item) ||
		    item->valuestring[0] != '/' || strlen(item->valuestring) > TEXT_MAX)
			return err_set(err, "%.60s: allowed are two absolute paths", item->string);
	}
	return 0;
}

#define ROW(name) .key = #name, .offset = offsetof(struct engine_options, name)

static const struct setting rows[] = {
	{ROW(engine), .type = SETTING_STRING, .flags = SETTING_REQUIRED | SETTING_NULLABLE,
	 .check = check_engine, .help = "which program it is"},
	{ROW(url), .type = SETTING_STRING, .flags = SETTING_NULLABLE, .check = check_url,
	 .help = "http://HOST:PORT; null: this host, and the port that the program has by itself"},
	{ROW(token_file), .type = SETTING_STRING, .flags = SETTING_NULLABLE, .check = check_file,
	 .help = "a file whose first line is sent to it as bearer token"},
	{ROW(ca_file), .type = SETTING_STRING, .flags = SETTING_NULLABLE, .check = check_file,
	 .help = "CAs that may have signed its certificate; null: the system's"},
	{ROW(models), .type = SETTING_JSON, .flags = SETTING_NULLABLE, .check = check_models,
	 .help = "models that it serves, whatever it says itself"},
	{ROW(aliases), .type = SETTING_JSON, .flags = SETTING_NULLABLE, .check = check_aliases,
	 .help = "served names, and the models that they mean"},
	{ROW(path_prefixes), .type = SETTING_JSON, .flags = SETTING_NULLABLE,
	 .check = check_prefixes, .help = "paths where it runs, and what they are on this host"},
	SETTING_END,
};

static void fill(struct probe_spec *out, const struct engine_options *options)
{
	const cJSON *item;

	out->engine = engine_find(options->engine);
	out->url = options->url != NULL ? xstrdup(options->url)
					: xasprintf("http://127.0.0.1:%d", out->engine->port);
	while (out->url[strlen(out->url) - 1] == '/')
		out->url[strlen(out->url) - 1] = '\0';
	if (options->token_file != NULL)
		out->token_file = xstrdup(options->token_file);
	if (options->ca_file != NULL)
		out->ca_file = xstrdup(options->ca_file);
	cJSON_ArrayForEach (item, options->models)
		probe_spec_add_model(out, item->valuestring);
	cJSON_ArrayForEach (item, options->aliases)
		probe_spec_add_alias(out, item->string, item->valuestring);
	cJSON_ArrayForEach (item, options->path_prefixes)
		probe_spec_add_prefix(out, item->string, item->valuestring);
}

int engine_options_spec(const cJSON *engines, int index, struct probe_spec *out, struct err *err)
{
	const cJSON *item = cJSON_GetArrayItem(engines, index);
	struct engine_options options = {0};
	char path[32];
	int rc;

	*out = (struct probe_spec){0};
	snprintf(path, sizeof(path), "engines[%d].", index);
	setting_defaults(rows, &options);
	rc = setting_apply(rows, &options, item, path, err);
	if (rc == 0 && options.engine == NULL)
		rc = err_set(err, "%sengine must not be null", path);
	if (rc == 0)
		fill(out, &options);
	setting_free(rows, &options);
	return rc;
}

int engine_options_check(const cJSON *engines, struct err *err)
{
	int count = cJSON_GetArraySize(engines), rc = 0;
	struct probe_spec *specs;

	if (!cJSON_IsArray(engines) || count > ENGINES_MAX)
		return err_set(err, "found %s; allowed is a list of up to %d engines",
			       cJSON_IsArray(engines) ? "a longer list" : json_doc_type(engines),
			       ENGINES_MAX);
	specs = xcalloc((size_t)count + 1, sizeof(*specs));
	for (int i = 0; i < count && rc == 0; i++) {
		rc = engine_options_spec(engines, i, &specs[i], err);
		for (int j = 0; j < i && rc == 0; j++) {
			if (strcmp(specs[i].url, specs[j].url) == 0)
				rc = err_set(err, "engines[%d] and engines[%d] have one url: %s", j,
					     i, specs[i].url);
		}
	}
	for (int i = 0; i < count; i++)
		probe_spec_free(&specs[i]);
	free(specs);
	return rc;
}
