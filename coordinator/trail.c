/* Writes the audit trail. */
#include "coordinator/trail.h"

#include <string.h>

#include "common/log.h"
#include "coordinator/coordinator.h"

void trail_start(struct coordinator *c, struct redis_args *args, const char *event)
{
	char key[KEY_SIZE];

	redis_args_start(args, "XADD");
	redis_args_add(args, coordinator_key(c, key, KEY_LOG));
	redis_args_add(args, "MAXLEN");
	redis_args_add(args, "~");
	redis_args_add_int(args, TRAIL_KEPT);
	redis_args_add(args, "*");
	redis_args_add(args, "event");
	redis_args_add(args, event);
}

static void got_written(const redisReply *reply, const char *why, void *arg)
{
	(void)arg;
	if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
		log_warn("-trail", LOG_STR("reason", reply != NULL ? reply->str : why));
}

void trail_send(struct coordinator *c, struct redis_args *args)
{
	redis_link_command(c->link, args, got_written, NULL);
	redis_args_free(args);
}

const char *trail_field(const redisReply *fields, const char *name)
{
	for (size_t i = 0; i + 1 < fields->elements; i += 2) {
		if (fields->element[i]->type == REDIS_REPLY_STRING &&
		    strcmp(fields->element[i]->str, name) == 0 &&
		    fields->element[i + 1]->type == REDIS_REPLY_STRING)
			return fields->element[i + 1]->str;
	}
	return "";
}
