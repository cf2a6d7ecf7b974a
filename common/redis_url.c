/* Parses the address of Redis. (pure) */
#include "common/redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALLOWED "redis://[USER@]HOST[:PORT][/DB], rediss://... or unix:///PATH[?db=N]"

static int number(const char *text, size_t len, int min, int max, int *out)
{
	char digits[8];
	int value;

	if (len == 0 || len >= sizeof(digits) || strspn(text, "0123456789") < len)
		return -1;
	snprintf(digits, sizeof(digits), "%.*s", (int)len, text);
	value = atoi(digits); /* NOLINT(cert-err34-c): digits only, and few */
	if (value < min || value > max)
		return -1;
	*out = value;
	return 0;
}

static int parse_unix(const char *path, struct redis_url *out, struct err *err)
{
	const char *query = strchr(path, '?');
	size_t len = query != NULL ? (size_t)(query - path) : strlen(path);

	if (path[0] != '/' || len < 2 || len >= sizeof(out->path))
		return err_set(err, "a unix socket needs an absolute path below 108 bytes");
	if (query != NULL && (strncmp(query, "?db=", 4) != 0 ||
			      number(query + 4, strlen(query + 4), 0, 65535, &out->db) != 0))
		return err_set(err, "found \"%.20s\"; allowed is ?db=N", query);
	snprintf(out->path, sizeof(out->path), "%.*s", (int)len, path);
	return 0;
}

/* Splits "HOST[:PORT]", where HOST may be an IPv6 address in brackets. */
static int parse_host(const char *text, size_t len, struct redis_url *out, struct err *err)
{
	const char *end = text + len, *host = text, *host_end, *port = NULL;

	if (len > 0 && *text == '[') {
		host = text + 1;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (host_end == NULL)
			return err_set(err, "']' is missing after an IPv6 address");
		if (host_end + 1 < end)
			port = host_end + 1;
	} else {
		port = memchr(text, ':', len);
		host_end = port != NULL ? port : end;
	}
	if (host_end == host || (size_t)(host_end - host) >= sizeof(out->host))
		return err_set(err, "the host is missing or too long");
	if (port != NULL &&
	    (*port != ':' || number(port + 1, (size_t)(end - port - 1), 1, 65535, &out->port) != 0))
		return err_set(err, "found port \"%.*s\"; allowed is 1 to 65535",
			       (int)(end - port - 1), port + 1);
	snprintf(out->host, sizeof(out->host), "%.*s", (int)(host_end - host), host);
	return 0;
}

/* Looks like a password, wherever in the address: no message may repeat it. */
static bool has_password(const char *text)
{
	const char *at = strrchr(text, '@'), *start = strstr(text, "://");

	if (at == NULL)
		return false;
	start = start != NULL && start < at ? start + 3 : text;
	return memchr(start, ':', (size_t)(at - start)) != NULL;
}

int redis_url_parse(const char *text, struct redis_url *out, struct err *err)
{
	const char *p, *at, *slash;

	memset(out, 0, sizeof(*out));
	out->port = 6379;
	if (strncmp(text, "unix://", 7) == 0)
		return parse_unix(text + 7, out, err);
	if (has_password(text))
		return err_set(err, "a password stands in the address; it belongs into "
				    "redis.password_file or LARDER_REDIS_PASSWORD");
	out->tls = strncmp(text, "rediss://", 9) == 0;
	if (!out->tls && strncmp(text, "redis://", 8) != 0)
		return err_set(err, "found \"%.60s\"; allowed is " ALLOWED, text);
	p = text + (out->tls ? 9 : 8);
	slash = strchr(p, '/');
	if (slash != NULL && slash[1] != '\0' &&
	    number(slash + 1, strlen(slash + 1), 0, 65535, &out->db) != 0)
		return err_set(err, "found database \"%.20s\"; allowed is 0 to 65535", slash + 1);
	at = strchr(p, '@');
	if (at != NULL && (slash == NULL || at < slash)) {
		if (at == p || (size_t)(at - p) >= sizeof(out->user))
			return err_set(err, "the user name is empty or too long");
		snprintf(out->user, sizeof(out->user), "%.*s", (int)(at - p), p);
		p = at + 1;
	}
	return parse_host(p, slash != NULL ? (size_t)(slash - p) : strlen(p), out, err);
}
