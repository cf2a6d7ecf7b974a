/* What a Redis server says of itself in its answer to INFO. */
#ifndef LARDER_REDIS_INFO_H
#define LARDER_REDIS_INFO_H

#include <stdbool.h>
#include <stddef.h>

struct redis_link_server {
	char version[32];
	char run_id[48];
	char role[16];
	char mode[16];
	char maxmemory[24]; /* bytes; "0": no limit */
	char maxmemory_policy[32];
};

/* Writes the value of a field into `out`; "" when it is not there. Returns `out`. */
const char *redis_info_field(const char *info, const char *name, char *out, size_t size);

/* Fields that are missing become empty. `*loading`: it does not answer anything else yet. */
void redis_info_parse(const char *info, struct redis_link_server *server, bool *loading);

#endif
