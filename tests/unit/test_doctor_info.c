/* What larderctl doctor makes of Redis' answer to INFO. */
#include "cli/doctor.h"

#include <string.h>

#include "tests/unit/kit.h"

#define GOOD                                                                               \
	"# Persistence\r\naof_enabled:1\r\naof_last_write_status:ok\r\n"                   \
	"rdb_last_bgsave_status:ok\r\n# Memory\r\nused_memory:1048576\r\n"                 \
	"maxmemory:1073741824\r\n# Clients\r\nconnected_clients:5\r\nmaxclients:30000\r\n" \
	"# Replication\r\nconnected_slaves:1\r\n"

/* Of the first finding that is not good: its check; "" when all are. */
static const char *judged(const char *info, enum finding_state *state)
{
	static char check[40];
	struct findings f = {0};

	check[0] = '\0';
	*state = FINDING_GOOD;
	doctor_info(&f, info, true);
	assert_int_equal(f.count, 4);
	for (size_t i = 0; i < f.count && check[0] == '\0'; i++) {
		assert_true(f.list[i].text[0] != '\0');
		if (f.list[i].state == FINDING_GOOD)
			continue;
		*state = f.list[i].state;
		snprintf(check, sizeof(check), "%s", f.list[i].check);
		assert_non_null(f.list[i].advice);
	}
	findings_free(&f);
	return check;
}

static void test_judgement(void **state)
{
	static const struct {
		const char *from, *to, *check;
		enum finding_state state;
	} rows[] = {
		{"", "", "", FINDING_GOOD},
		{"aof_enabled:1", "aof_enabled:0", "redis-persistence", FINDING_WARNING},
		{"write_status:ok", "write_status:err", "redis-persistence", FINDING_BAD},
		{"bgsave_status:ok", "bgsave_status:err", "redis-persistence", FINDING_BAD},
		{"maxmemory:1073741824", "maxmemory:0", "redis-memory", FINDING_WARNING},
		{"used_memory:1048576", "used_memory:1000000000", "redis-memory", FINDING_BAD},
		{"used_memory:1048576", "used_memory:900000000", "", FINDING_GOOD},
		{"clients:5", "clients:29000", "redis-clients", FINDING_BAD},
		{"slaves:1", "slaves:0", "redis-replicas", FINDING_WARNING},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char info[600];
		const char *at = strstr(GOOD, rows[i].from);
		enum finding_state found;

		assert_non_null(at);
		snprintf(info, sizeof(info), "%.*s%s%s", (int)(at - GOOD), GOOD, rows[i].to,
			 at + strlen(rows[i].from));
		assert_string_equal(judged(info, &found), rows[i].check);
		assert_int_equal(found, rows[i].state);
	}
}

/* Without Sentinels nobody asks for replicas; an empty answer is nobody's fault. */
static void test_replicas(void **state)
{
	struct findings f = {0};

	(void)state;
	doctor_info(&f, GOOD, false);
	assert_int_equal(f.count, 3);
	assert_true(findings_healthy(&f));
	doctor_info(&f, "", false);
	assert_true(findings_healthy(&f));
	findings_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judgement),
		cmocka_unit_test(test_replicas),
	};

	return RUN_TESTS(tests);
}
