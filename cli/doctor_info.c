/* larderctl doctor: is Redis set up as docs/redis.conf has it, as far as INFO tells? */
#include <stdlib.h>
#include <string.h>

#include "cli/doctor.h"
#include "cli/human.h"
#include "common/redis_info.h"

#define FULL_PERCENT 90

struct value {
	char text[32];
};

static struct value get(const char *info, const char *name)
{
	struct value value;

	redis_info_field(info, name, value.text, sizeof(value.text));
	return value;
}

static bool says(const char *info, const char *name, const char *text)
{
	return strcmp(get(info, name).text, text) == 0;
}

static int64_t number(const char *info, const char *name)
{
	return strtoll(get(info, name).text, NULL, 10);
}

static void persistence(struct findings *f, const char *info)
{
	struct finding found = {.check = "redis-persistence", .state = FINDING_BAD};

	if (says(info, "aof_last_write_status", "err") ||
	    says(info, "rdb_last_bgsave_status", "err")) {
		found.advice = "look at Redis' log, and at the room and rights of its directory; "
			       "until then it may refuse every write";
		findings_add(f, &found, "Redis could not write its data to disk");
	} else if (!says(info, "aof_enabled", "1")) {
		found.state = FINDING_WARNING;
		found.advice = "set appendonly yes, as docs/redis.conf has it";
		findings_add(f, &found,
			     "appendonly is no: pins and the audit trail are lost with Redis");
	} else {
		found.state = FINDING_GOOD;
		findings_add(f, &found, "what is written is kept (appendonly)");
	}
}

static void memory(struct findings *f, const char *info)
{
	struct finding found = {.check = "redis-memory", .state = FINDING_GOOD};
	int64_t used = number(info, "used_memory"), max = number(info, "maxmemory");
	char have[HUMAN_SIZE], limit[HUMAN_SIZE];

	human_bytes(used, have);
	human_bytes(max, limit);
	if (max <= 0) {
		found.state = FINDING_WARNING;
		found.advice = "set maxmemory to what the machine can spare";
		findings_add(f, &found, "maxmemory is not set, %s are used", have);
		return;
	}
	if (used >= max / 100 * FULL_PERCENT) {
		found.state = FINDING_BAD;
		found.advice = "raise maxmemory: when it is reached, Redis refuses all writes";
	}
	findings_add(f, &found, "%s of %s are used", have, limit);
}

static void clients(struct findings *f, const char *info)
{
	struct finding found = {.check = "redis-clients", .state = FINDING_GOOD};
	int64_t now = number(info, "connected_clients"), max = number(info, "maxclients");

	if (max > 0 && now >= max / 100 * FULL_PERCENT) {
		found.state = FINDING_BAD;
		found.advice = "raise maxclients: two connections for each agent and coordinator, "
			       "and your own";
	}
	findings_add(f, &found, "%lld of %lld clients", (long long)now, (long long)max);
}

static void replicas(struct findings *f, const char *info)
{
	struct finding found = {.check = "redis-replicas", .state = FINDING_GOOD};
	int64_t count = number(info, "connected_slaves");

	if (count == 0) {
		found.state = FINDING_WARNING;
		found.advice = "start a replica of this master";
		findings_add(f, &found, "no replica: the Sentinels have nothing to fail over to");
	} else {
		findings_add(f, &found, "%lld connected", (long long)count);
	}
}

void doctor_info(struct findings *f, const char *info, bool sentinels)
{
	persistence(f, info);
	memory(f, info);
	clients(f, info);
	if (sentinels)
		replicas(f, info);
}
