/* HTTP requests to the coordinator (fuzz_http.c). */
#include "common/xmem.h"
#include "tests/fuzz/fuzz_http.h"

int larder_coordinator_main(int argc, char **argv);

static char *settings(const char *dir)
{
	(void)dir;
	return xstrdup("\"enabled\": true, \"check_interval\": \"1h\", \"hold_off\": \"0s\","
		       " \"policy\": {\"type\": \"lru\", \"unused_threshold\": \"7d\"}");
}

const struct fuzz_http_program fuzz_http_program = {larder_coordinator_main, settings};
