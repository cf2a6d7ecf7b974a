/* Commands that speak to an agent. */
#include "cli/agent_option.h"

int agent_show(const struct cli *cli, const char *url, const struct client_request *request,
	       int (*show)(const cJSON *answer))
{
	struct cli agent = *cli;

	agent.client.url = url;
	return cmd_show(&agent, request, show);
}

cJSON *agent_what(const char *operand)
{
	cJSON *body = cJSON_CreateObject();

	cJSON_AddStringToObject(body, *operand == '/' ? "path" : "model", operand);
	return body;
}
