/* Parses the answer to INFO. (pure) */
#include "common/redis_info.h"

#include <stdio.h>
#include <string.h>

const char *redis_info_field(const char *info, const char *name, char *out, size_t size)
{
	char wanted[40];
	const char *at;

	out[0] = '\0';
	snprintf(wanted, sizeof(wanted), "\n%s:", name);
	at = strstr(info, wanted);
	if (at == NULL)
		return out;
	at += strlen(wanted);
	snprintf(out, size, "%.*s", (int)strcspn(at, "\r\n"), at);
	return out;
}

void redis_info_parse(const char *info, struct redis_link_server *server, bool *loading)
{
	char value[8];

	redis_info_field(info, "redis_version", server->version, sizeof(server->version));
	redis_info_field(info, "run_id", server->run_id, sizeof(server->run_id));
	redis_info_field(info, "role", server->role, sizeof(server->role));
	redis_info_field(info, "redis_mode", server->mode, sizeof(server->mode));
	redis_info_field(info, "maxmemory", server->maxmemory, sizeof(server->maxmemory));
	redis_info_field(info, "maxmemory_policy", server->maxmemory_policy,
			 sizeof(server->maxmemory_policy));
	redis_info_field(info, "loading", value, sizeof(value));
	*loading = strcmp(value, "1") == 0;
}
