/* The answer to INFO. */
#include "common/redis_info.h"

#include <string.h>

#include "tests/unit/kit.h"

static void test_server(void **state)
{
	static const char info[] = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n"
				   "run_id:0123456789012345678901234567890123456789\r\n"
				   "# Replication\r\nrole:master\r\n"
				   "# Memory\r\nmaxmemory:1024\r\nmaxmemory_policy:noeviction\r\n"
				   "# Persistence\r\nloading:0\r\nasync_loading:1\r\n";
	struct redis_link_server server;
	bool loading = true;

	(void)state;
	redis_info_parse(info, &server, &loading);
	assert_string_equal(server.version, "7.0.15");
	assert_string_equal(server.mode, "standalone");
	assert_string_equal(server.run_id, "0123456789012345678901234567890123456789");
	assert_string_equal(server.role, "master");
	assert_string_equal(server.maxmemory, "1024");
	assert_string_equal(server.maxmemory_policy, "noeviction");
	assert_false(loading);
	redis_info_parse("\r\nloading:1\r\n", &server, &loading);
	assert_true(loading);
}

static void test_missing(void **state)
{
	static const char *const texts[] = {
		"", "\n", ":", "role", "\nrole", "\nrole\n:master", "x_role:master", "\nnot_role:a",
	};
	struct redis_link_server server;
	bool loading;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		memset(&server, 'x', sizeof(server));
		loading = true;
		redis_info_parse(texts[i], &server, &loading);
		assert_string_equal(server.version, "");
		assert_string_equal(server.role, "");
		assert_string_equal(server.maxmemory_policy, "");
		assert_false(loading);
	}
}

/* A value that is too long is cut off and does not run over. */
static void test_too_long(void **state)
{
	char info[400] = "#\nrole:";
	struct redis_link_server server;
	bool loading;

	(void)state;
	memset(info + 7, 'r', sizeof(info) - 8);
	redis_info_parse(info, &server, &loading);
	assert_int_equal(strlen(server.role), sizeof(server.role) - 1);
	assert_string_equal(server.mode, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_server),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_too_long),
	};

	return RUN_TESTS(tests);
}
