/* Commands that speak to an agent. */
#include "cli/agent_option.h"

#include "cli/args.h"

const struct setting agent_options[] = {
	AGENT_OPTION(struct agent_options),
	SETTING_END,
};

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

int agent_post(const struct cli *cli, const char *url, const char *path, const char *operand,
	       int (*show)(const cJSON *answer))
{
	cJSON *body = agent_what(operand);
	int code = agent_show(
		cli, url, &(struct client_request){.method = "POST", .path = path, .body = body},
		show);

	cJSON_Delete(body);
	return code;
}
