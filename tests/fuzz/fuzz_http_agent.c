/* HTTP requests to the agent (fuzz_http.c). */
#include "common/xmem.h"
#include "tests/fuzz/fuzz_http.h"

int larder_agent_main(int argc, char **argv);

static char *settings(const char *dir)
{
	return xasprintf("\"node_name\": \"n1\", \"state_dir\": \"%s/state\","
			 " \"scan_interval\": \"1h\", \"roots\": [{\"path\": \"%s/models\","
			 " \"layout\": \"directory\", \"settle_time\": \"0s\"}]",
			 dir, dir);
}

const struct fuzz_http_program fuzz_http_program = {larder_agent_main, settings};
