/* Settings that both daemons have: Redis, HTTP, the log. */
#ifndef LARDER_SHARED_OPTIONS_H
#define LARDER_SHARED_OPTIONS_H

#include "common/redis_link.h"
#include "common/setting.h"

/* What Larder says to the Sentinels; TLS is as for Redis itself. */
struct sentinel_options {
	char *user;
	char *password; /* environment only */
	char *password_file;
};

struct redis_options {
	char *url;
	char *user;
	char *password; /* environment only */
	char *password_file;
	char *ca_file, *cert_file, *key_file, *server_name;
	char *prefix;
	struct sentinel_options sentinel;
	int64_t connect_timeout_ms, command_timeout_ms;
};

struct http_options {
	char *listen;
	char *token; /* environment only */
	char *token_file;
};

struct log_options {
	int level;
	int format;
};

extern const struct setting redis_settings[];
extern const struct setting http_settings_coordinator[];
extern const struct setting http_settings_agent[];
extern const struct setting log_settings[];

/*
 * Makes a target of the options, which must outlive it. `*password` gets the secret from file or
 * environment (to be freed after the last link), or NULL.
 */
int redis_options_target(const struct redis_options *options, const char *client_name,
			 struct redis_link_target *target, char **password,
			 struct err *err) MUST_USE;

/* What single rows cannot see. */
int redis_options_check(const struct redis_options *options, struct err *err) MUST_USE;

/* The bearer token from file or environment (to be freed), or NULL when none is set. */
int http_options_token(const struct http_options *options, char **token, struct err *err) MUST_USE;

#endif
