/* Commands that speak to the agent of this host, not to a coordinator. */
#ifndef LARDER_CLI_AGENT_OPTION_H
#define LARDER_CLI_AGENT_OPTION_H

#include "cli/cmd.h"

/* The row of the option in a command's table; the struct has `char *agent`. */
#define AGENT_OPTION(base)                                                               \
	{                                                                                \
		.key = "agent", .offset = offsetof(base, agent), .type = SETTING_STRING, \
		.allowed = "URL", .def = "http://127.0.0.1:9481", .help = "the agent"    \
	}

/* The options of a command that has no other. */
struct agent_options {
	char *agent;
};

extern const struct setting agent_options[];

/* As cmd_show, with the agent at `url`. */
int agent_show(const struct cli *cli, const char *url, const struct client_request *request,
	       int (*show)(const cJSON *answer));

/*
 * {"path": ...} or {"model": ...}: what begins with / is a path. The caller adds to it and frees
 * it.
 */
cJSON *agent_what(const char *operand) MUST_USE;

/* Posts just that to `path`, as agent_show. */
int agent_post(const struct cli *cli, const char *url, const char *path, const char *operand,
	       int (*show)(const cJSON *answer));

/* The help's paragraph on both. */
#define AGENT_WHAT_NOTES                                                                          \
	"What begins with / is a path of this host: a model's folder, or something in it. In a\n" \
	"Hugging Face cache that is models--NAME/snapshots/COMMIT.\n"

#endif
