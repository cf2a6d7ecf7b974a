/* Parses where a server listens. (pure) */
#include "common/redis_place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A port of `len` digits; -1 when it is none. */
static int port_number(const char *text, size_t len)
{
	char digits[8];
	int value;

	if (len == 0 || len >= sizeof(digits) || strspn(text, "0123456789") < len)
		return -1;
	snprintf(digits, sizeof(digits), "%.*s", (int)len, text);
	value = atoi(digits); /* NOLINT(cert-err34-c): digits only, and few */
	return value >= 1 && value <= 65535 ? value : -1;
}

static int set_port(const char *text, size_t len, struct redis_place *out, struct err *err)
{
	out->port = port_number(text, len);
	if (out->port < 0)
		return err_set(err, "found port \"%.*s\"; allowed is 1 to 65535",
			       len < 40 ? (int)len : 40, text);
	return 0;
}

static int set_host(const char *text, size_t len, struct redis_place *out, struct err *err)
{
	if (len == 0 || len >= sizeof(out->host))
		return err_set(err, "the host is missing or too long");
	memcpy(out->host, text, len);
	out->host[len] = '\0';
	return 0;
}

int redis_place_parse(const char *text, size_t len, int port, struct redis_place *out,
		      struct err *err)
{
	const char *end = text + len, *host = text, *host_end, *colon = NULL;

	if (len > 0 && *text == '[') {
		host = text + 1;
		host_end = memchr(host, ']', (size_t)(end - host));
		if (host_end == NULL)
			return err_set(err, "']' is missing after an IPv6 address");
		if (host_end + 1 < end)
			colon = host_end + 1;
	} else {
		colon = memchr(text, ':', len);
		host_end = colon != NULL ? colon : end;
	}
	if (set_host(host, (size_t)(host_end - host), out, err) != 0)
		return -1;
	out->port = port;
	if (colon == NULL)
		return 0;
	if (*colon != ':')
		return set_port("", 0, out, err);
	return set_port(colon + 1, (size_t)(end - colon - 1), out, err);
}

int redis_place_set(const char *host, const char *port, struct redis_place *out, struct err *err)
{
	if (set_host(host, strlen(host), out, err) != 0)
		return -1;
	return set_port(port, strlen(port), out, err);
}

bool redis_place_same(const struct redis_place *a, const struct redis_place *b)
{
	return a->port == b->port && strcmp(a->host, b->host) == 0;
}

bool redis_place_switched(const char *payload, const char *master, struct redis_place *out)
{
	size_t len = strlen(master), host;

	if (strncmp(payload, master, len) != 0 || payload[len] != ' ')
		return false;
	payload += len + 1;
	for (int i = 0; i < 2; i++) { /* the old host and port */
		payload += strcspn(payload, " ");
		if (*payload++ != ' ')
			return false;
	}
	host = strcspn(payload, " ");
	if (payload[host] != ' ' || set_host(payload, host, out, NULL) != 0)
		return false;
	payload += host + 1;
	return set_port(payload, strlen(payload), out, NULL) == 0;
}
