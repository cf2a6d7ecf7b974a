/*
 * Larder's Lua scripts: embedded at build time from common/lua, called by their SHA-1, loaded anew
 * when Redis does not know them. Keys and arguments stand on top of each script.
 */
#ifndef LARDER_REDIS_SCRIPT_H
#define LARDER_REDIS_SCRIPT_H

#include "common/redis_link.h"

struct redis_script {
	const char *name;
	const char *text;
	const char *sha; /* SHA-1 of the text */
};

extern const struct redis_script script_beat;
extern const struct redis_script script_register;
extern const struct redis_script script_issue;
extern const struct redis_script script_confirm;
extern const struct redis_script script_elect;
extern const struct redis_script script_resign;
extern const struct redis_script script_pin;
extern const struct redis_script script_mend;
extern const struct redis_script script_rights;

/*
 * Loads scripts ahead, when a link has come up: a call that must be repeated would overtake
 * nothing, but be overtaken. `scripts` ends with NULL.
 */
void redis_script_load(struct redis_link *link, const struct redis_script *const *scripts);

/* Starts a call in `args`; the caller adds `keys` keys and then the arguments. */
void redis_script_start(struct redis_args *args, const struct redis_script *script, int keys);

/* Calls it: exactly one callback, as redis_link_command. `args` stays the caller's. */
void redis_script_call(struct redis_link *link, const struct redis_script *script,
		       const struct redis_args *args, redis_link_cb cb, void *arg);

#endif
