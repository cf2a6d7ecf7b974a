/* Parses the address of Redis. (pure) */
#include "common/redis_url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/attributes.h"

#define ALLOWED                                                                  \
	"redis://[USER@]HOST[:PORT][/DB], rediss://..., unix:///PATH[?db=N] or " \
	"redis+sentinel://[USER@]HOST[:PORT],.../MASTER[/DB], rediss+sentinel://..."
#define PORT	      6379
#define SENTINEL_PORT 26379

static const struct scheme {
	const char *prefix;
	bool tls, sentinel;
} schemes[] = {
	{"redis://", false, false},
	{"rediss://", true, false},
	{"redis+sentinel://", false, true},
	{"rediss+sentinel://", true, true},
};

static int database(const char *text, struct redis_url *out)
{
	size_t len = strlen(text);

	if (len == 0 || len > 5 || strspn(text, "0123456789") < len)
		return -1;
	out->db = atoi(text); /* NOLINT(cert-err34-c): digits only, and few */
	return out->db <= 65535 ? 0 : -1;
}

static int parse_unix(const char *path, struct redis_url *out, struct err *err)
{
	const char *query = strchr(path, '?');
	size_t len = query != NULL ? (size_t)(query - path) : strlen(path);

	if (path[0] != '/' || len < 2 || len >= sizeof(out->path))
		return err_set(err, "a unix socket needs an absolute path below 108 bytes");
	if (query != NULL && (strncmp(query, "?db=", 4) != 0 || database(query + 4, out) != 0))
		return err_set(err, "found \"%.20s\"; allowed is ?db=N", query);
	snprintf(out->path, sizeof(out->path), "%.*s", (int)len, path);
	return 0;
}

static int parse_sentinels(const char *text, size_t len, struct redis_url *out, struct err *err)
{
	const char *end = text + len;

	for (;;) {
		const char *comma = memchr(text, ',', (size_t)(end - text));
		size_t one = (size_t)((comma != NULL ? comma : end) - text);

		if (out->sentinel_count == REDIS_SENTINELS_MAX)
			return err_set(err, "found more than %d Sentinels", REDIS_SENTINELS_MAX);
		if (redis_place_parse(text, one, SENTINEL_PORT,
				      &out->sentinels[out->sentinel_count], err) != 0)
			return -1;
		out->sentinel_count++;
		if (comma == NULL)
			return 0;
		text = comma + 1;
	}
}

/* Takes "MASTER[/DB]" and leaves what begins with the second slash, or NULL. */
static int parse_master(const char *text, struct redis_url *out, const char **rest, struct err *err)
{
	/* Sentinel takes no other characters (its isValidMasterName: letters, digits, . - _). */
	size_t len = text == NULL ? 0
				  : strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvw"
						 "xyz0123456789.-_");

	if (len == 0 || len > REDIS_MASTER_MAX || (text[len] != '\0' && text[len] != '/'))
		return err_set(
			err,
			"found master \"%.70s\"; allowed is what the Sentinels call it, 1 to "
			"%d of A-Z a-z 0-9 . - _, after the last of them and a slash",
			text != NULL ? text : "", REDIS_MASTER_MAX);
	snprintf(out->master, sizeof(out->master), "%.*s", (int)len, text);
	*rest = text[len] == '/' ? text + len : NULL;
	return 0;
}

static int parse_user(const char **text, const char *end, struct redis_url *out, struct err *err)
{
	const char *at = memchr(*text, '@', (size_t)(end - *text));

	if (at == NULL)
		return 0;
	if (at == *text || (size_t)(at - *text) >= sizeof(out->user))
		return err_set(err, "the user name is empty or too long");
	snprintf(out->user, sizeof(out->user), "%.*s", (int)(at - *text), *text);
	*text = at + 1;
	return 0;
}

/* What stands behind "://". */
static int parse_rest(const char *text, bool sentinel, struct redis_url *out, struct err *err)
{
	const char *slash = strchr(text, '/');
	const char *end = slash != NULL ? slash : text + strlen(text);

	if (parse_user(&text, end, out, err) != 0)
		return -1;
	if (sentinel) {
		if (parse_sentinels(text, (size_t)(end - text), out, err) != 0 ||
		    parse_master(slash != NULL ? slash + 1 : NULL, out, &slash, err) != 0)
			return -1;
	} else if (redis_place_parse(text, (size_t)(end - text), PORT, &out->place, err) != 0) {
		return -1;
	}
	if (slash != NULL && slash[1] != '\0' && database(slash + 1, out) != 0)
		return err_set(err, "found database \"%.20s\"; allowed is 0 to 65535", slash + 1);
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
	memset(out, 0, sizeof(*out));
	if (strncmp(text, "unix://", 7) == 0)
		return parse_unix(text + 7, out, err);
	if (has_password(text))
		return err_set(err, "a password stands in the address; it belongs into "
				    "redis.password_file or LARDER_REDIS_PASSWORD");
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t len = strlen(schemes[i].prefix);

		if (strncmp(text, schemes[i].prefix, len) != 0)
			continue;
		out->tls = schemes[i].tls;
		return parse_rest(text + len, schemes[i].sentinel, out, err);
	}
	return err_set(err, "found \"%.60s\"; allowed is " ALLOWED, text);
}
