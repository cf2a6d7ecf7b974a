/* Settings that both daemons have. */
#include "common/shared_options.h"

#include <string.h>

#include "common/file_io.h"
#include "common/http_server.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/xmem.h"

static int check_url(const cJSON *value, struct err *err)
{
	struct redis_url ignored;

	return redis_url_parse(value->valuestring, &ignored, err);
}

static int check_prefix(const cJSON *value, struct err *err)
{
	return key_prefix_valid(value->valuestring, err);
}

static int check_listen(const cJSON *value, struct err *err)
{
	return http_server_check_listen(value->valuestring, err);
}

static const char *const levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const formats[] = {"logfmt", "json", NULL};

#define REDIS(name)    .key = #name, .offset = offsetof(struct redis_options, name)
#define REDIS_MS(name) .key = #name, .offset = offsetof(struct redis_options, name##_ms)
#define FILE_ROW       .type = SETTING_STRING, .flags = SETTING_NULLABLE

#define SENTINEL(name) .key = #name, .offset = offsetof(struct sentinel_options, name)

static const struct setting sentinel_settings[] = {
	{SENTINEL(user), FILE_ROW, .help = "the ACL user of the Sentinels; null: the default one"},
	{SENTINEL(password), .type = SETTING_STRING, .flags = SETTING_NULLABLE | SETTING_SECRET,
	 .help = "their password, if it is not in redis.sentinel.password_file"},
	{SENTINEL(password_file), FILE_ROW, .help = "a file whose first line is their password"},
	SETTING_END,
};

const struct setting redis_settings[] = {
	{REDIS(url), .type = SETTING_STRING, .def = "redis://127.0.0.1:6379", .check = check_url,
	 .allowed = "redis://[USER@]HOST[:PORT][/DB], unix:///PATH or "
		    "redis+sentinel://[USER@]HOST[:PORT],.../MASTER[/DB]; TLS: rediss://..., "
		    "rediss+sentinel://...",
	 .help = "where Redis is, or the Sentinels that tell"},
	{REDIS(user), FILE_ROW, .help = "the ACL user; the url may name it too"},
	{REDIS(password), .type = SETTING_STRING, .flags = SETTING_NULLABLE | SETTING_SECRET,
	 .help = "the password, if it is not in redis.password_file"},
	{REDIS(password_file), FILE_ROW, .help = "a file whose first line is the password"},
	{REDIS(ca_file), FILE_ROW,
	 .help = "CAs that may have signed Redis' certificate; null: the "
		 "system's"},
	{REDIS(cert_file), FILE_ROW, .help = "our own certificate, if Redis asks for one"},
	{REDIS(key_file), FILE_ROW, .help = "the key of redis.cert_file"},
	{REDIS(server_name), FILE_ROW,
	 .help = "the name that must stand in Redis' certificate; null: the host of the url"},
	{REDIS(prefix), .type = SETTING_STRING, .def = "larder:", .check = check_prefix,
	 .allowed = "1 to 32 of A-Z a-z 0-9 . _ - :", .help = "begins every key and channel"},
	{REDIS(sentinel), .type = SETTING_GROUP, .group = sentinel_settings},
	{REDIS_MS(connect_timeout), .type = SETTING_DURATION, .def = "5s", .min = 100, .max = 60000,
	 .help = "until Redis has answered after connecting"},
	{REDIS_MS(command_timeout), .type = SETTING_DURATION, .def = "5s", .min = 100, .max = 60000,
	 .help = "a command that takes longer drops the connection"},
	SETTING_END,
};

#define HTTP(name) .key = #name, .offset = offsetof(struct http_options, name)
#define HTTP_ROWS(port)                                                                           \
	{HTTP(listen),		.type = SETTING_STRING,	   .def = "127.0.0.1:" port,              \
	 .check = check_listen, .allowed = "ADDRESS:PORT", .help = "where the HTTP API listens"}, \
		{HTTP(token), .type = SETTING_STRING, .flags = SETTING_NULLABLE | SETTING_SECRET, \
		 .help = "the bearer token, if it is not in http.token_file"},                    \
		{HTTP(token_file), .type = SETTING_STRING,                                        \
		 .flags = SETTING_NULLABLE | SETTING_RELOAD,                                      \
		 .help = "a file whose first line is the bearer token for what changes "          \
			 "something"},                                                            \
		SETTING_END,

const struct setting http_settings_coordinator[] = {HTTP_ROWS("9480")};
const struct setting http_settings_agent[] = {HTTP_ROWS("9481")};

const struct setting log_settings[] = {
	{.key = "level",
	 .type = SETTING_CHOICE,
	 .offset = offsetof(struct log_options, level),
	 .flags = SETTING_RELOAD,
	 .def = "info",
	 .choices = levels,
	 .help = "how much is logged"},
	{.key = "format",
	 .type = SETTING_CHOICE,
	 .offset = offsetof(struct log_options, format),
	 .flags = SETTING_RELOAD,
	 .def = "logfmt",
	 .choices = formats,
	 .help = "how a line looks"},
	SETTING_END,
};

static int check_sentinel(const struct redis_options *o, struct err *err)
{
	const struct sentinel_options *s = &o->sentinel;
	struct redis_url url;

	if (s->password != NULL && s->password_file != NULL)
		return err_set(err, "LARDER_REDIS_SENTINEL_PASSWORD and "
				    "redis.sentinel.password_file are both set");
	if (s->user != NULL && s->password == NULL && s->password_file == NULL)
		return err_set(err, "redis.sentinel.user is set, and no password for it");
	if (redis_url_parse(o->url, &url, err) != 0)
		return -1;
	if (url.sentinel_count == 0 && (s->password != NULL || s->password_file != NULL))
		return err_set(err, "a password for Sentinels is set, and redis.url is no "
				    "redis+sentinel:// nor rediss+sentinel://");
	return 0;
}

int redis_options_check(const struct redis_options *o, struct err *err)
{
	if ((o->cert_file == NULL) != (o->key_file == NULL))
		return err_set(err, "redis.cert_file and redis.key_file go together");
	if (o->password != NULL && o->password_file != NULL)
		return err_set(err, "LARDER_REDIS_PASSWORD and redis.password_file are both set");
	return check_sentinel(o, err);
}

int redis_options_target(const struct redis_options *o, const char *client_name,
			 struct redis_link_target *target, char **password, struct err *err)
{
	*password = NULL;
	memset(target, 0, sizeof(*target));
	if (redis_url_parse(o->url, &target->url, err) != 0)
		return -1;
	if (o->password_file != NULL) {
		*password = file_read_secret(o->password_file, err);
		if (*password == NULL)
			return -1;
	} else if (o->password != NULL) {
		*password = xstrdup(o->password);
	}
	target->user = o->user;
	target->password = *password;
	target->ca_file = o->ca_file;
	target->cert_file = o->cert_file;
	target->key_file = o->key_file;
	target->server_name = o->server_name;
	target->client_name = client_name;
	target->connect_timeout_ms = o->connect_timeout_ms;
	target->command_timeout_ms = o->command_timeout_ms;
	return 0;
}

int http_options_token(const struct http_options *o, char **token, struct err *err)
{
	*token = NULL;
	if (o->token_file != NULL) {
		*token = file_read_secret(o->token_file, err);
		return *token != NULL ? 0 : -1;
	}
	if (o->token != NULL)
		*token = xstrdup(o->token);
	return 0;
}
