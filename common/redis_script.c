/* Calls scripts by SHA, and loads them where they are not known. */
#include "common/redis_script.h"

#include <stdlib.h>
#include <string.h>

#include "common/xmem.h"

struct call {
	struct redis_link *link;
	const struct redis_script *script;
	struct redis_args args;
	redis_link_cb cb;
	void *arg;
};

static void load(struct redis_link *link, const struct redis_script *script)
{
	struct redis_args args = {0};

	redis_args_start(&args, "SCRIPT");
	redis_args_add(&args, "LOAD");
	redis_args_add(&args, script->text);
	redis_link_command(link, &args, NULL, NULL);
	redis_args_free(&args);
}

void redis_script_load(struct redis_link *link, const struct redis_script *const *scripts)
{
	for (; *scripts != NULL; scripts++)
		load(link, *scripts);
}

void redis_script_start(struct redis_args *args, const struct redis_script *script, int keys)
{
	redis_args_start(args, "EVALSHA");
	redis_args_add(args, script->sha);
	redis_args_add_int(args, keys);
}

static void on_reply(const redisReply *reply, const char *why, void *arg)
{
	struct call *call = arg;

	if (reply != NULL && reply->type == REDIS_REPLY_ERROR &&
	    strncmp(reply->str, "NOSCRIPT", 8) == 0) {
		/* Redis has forgotten it; one answers after the other, so the call finds it. */
		load(call->link, call->script);
		redis_link_command(call->link, &call->args, call->cb, call->arg);
	} else if (call->cb != NULL) {
		call->cb(reply, why, call->arg);
	}
	redis_args_free(&call->args);
	free(call);
}

void redis_script_call(struct redis_link *link, const struct redis_script *script,
		       const struct redis_args *args, redis_link_cb cb, void *arg)
{
	struct call *call = xcalloc(1, sizeof(*call));

	call->link = link;
	call->script = script;
	call->cb = cb;
	call->arg = arg;
	redis_args_copy(&call->args, args);
	redis_link_command(link, &call->args, on_reply, call);
}
