/* Where Redis is: addresses that are accepted and refused, and no password in either. */
#include "common/redis_url.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/kit.h"

static const struct {
	const char *text;
	struct redis_url url;
} accepted[] = {
	{"redis://localhost", {.host = "localhost", .port = 6379}},
	{"redis://localhost/", {.host = "localhost", .port = 6379}},
	{"redis://10.0.0.1:7000", {.host = "10.0.0.1", .port = 7000}},
	{"redis://h:1/15", {.host = "h", .port = 1, .db = 15}},
	{"redis://h:65535/65535", {.host = "h", .port = 65535, .db = 65535}},
	{"redis://h/0", {.host = "h", .port = 6379}},
	{"rediss://redis.example.com:6380/2",
	 {.host = "redis.example.com", .port = 6380, .db = 2, .tls = true}},
	{"redis://larder@h:7", {.host = "h", .user = "larder", .port = 7}},
	{"rediss://larder@h", {.host = "h", .user = "larder", .port = 6379, .tls = true}},
	{"redis://[::1]", {.host = "::1", .port = 6379}},
	{"redis://[fe80::1]:7000/3", {.host = "fe80::1", .port = 7000, .db = 3}},
	{"redis://u@[::1]:7000", {.host = "::1", .user = "u", .port = 7000}},
	{"unix:///run/redis.sock", {.path = "/run/redis.sock", .port = 6379}},
	{"unix:///run/redis.sock?db=4", {.path = "/run/redis.sock", .port = 6379, .db = 4}},
};

static const char *const rejected[] = {
	"",
	"localhost",
	"localhost:6379",
	"redis:",
	"redis:/",
	"redis://",
	"redis:///0",
	"redis://:6379",
	"REDIS://h",
	"http://h",
	"redis+tls://h",
	" redis://h",
	"redis://h:",
	"redis://h:0",
	"redis://h:65536",
	"redis://h:123456789",
	"redis://h:-1",
	"redis://h:7000x",
	"redis://h:7000:1",
	"redis://h: 1",
	"redis://h/x",
	"redis://h/-1",
	"redis://h/65536",
	"redis://h/1/2",
	"redis://h/0x1",
	"redis://h/1?x=1",
	"redis://@h",
	"redis://[::1",
	"redis://[]",
	"redis://[::1]7000",
	"redis://[::1]:",
	"unix://",
	"unix://run/redis.sock",
	"unix:///",
	"unix:///run/redis.sock?",
	"unix:///run/redis.sock?db=",
	"unix:///run/redis.sock?db=x",
	"unix:///run/redis.sock?database=1",
};

static void test_accepts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(accepted); i++) {
		const struct redis_url *want = &accepted[i].url;
		struct redis_url url;
		struct err err = {""};

		if (redis_url_parse(accepted[i].text, &url, &err) != 0)
			fail_msg("%s: %s", accepted[i].text, err.text);
		assert_string_equal(url.host, want->host);
		assert_string_equal(url.path, want->path);
		assert_string_equal(url.user, want->user);
		assert_int_equal(url.port, want->port);
		assert_int_equal(url.db, want->db);
		assert_int_equal(url.tls, want->tls);
	}
}

static void test_rejects(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rejected); i++) {
		struct redis_url url;
		struct err err = {""};

		if (redis_url_parse(rejected[i], &url, &err) == 0)
			fail_msg("\"%s\" was accepted", rejected[i]);
		assert_true(err.text[0] != '\0');
	}
}

static void test_too_long(void **state)
{
	char text[800];
	struct redis_url url;

	(void)state;
	snprintf(text, sizeof(text), "redis://%0255d", 0);
	assert_int_equal(redis_url_parse(text, &url, NULL), 0);
	assert_int_equal(strlen(url.host), 255);
	snprintf(text, sizeof(text), "redis://%0256d", 0);
	assert_int_equal(redis_url_parse(text, &url, NULL), -1);
	snprintf(text, sizeof(text), "redis://%0127d@h", 0);
	assert_int_equal(redis_url_parse(text, &url, NULL), 0);
	snprintf(text, sizeof(text), "redis://%0128d@h", 0);
	assert_int_equal(redis_url_parse(text, &url, NULL), -1);
	snprintf(text, sizeof(text), "unix:///%0106d", 0);
	assert_int_equal(redis_url_parse(text, &url, NULL), 0);
	snprintf(text, sizeof(text), "unix:///%0107d", 0);
	assert_int_equal(redis_url_parse(text, &url, NULL), -1);
}

/* A password is refused, and the sentence that says so does not repeat it. */
static void test_passwords(void **state)
{
	static const char *const texts[] = {
		"redis://user:s3cret@h",     "redis://:s3cret@h:6379/0",
		"rediss://user:s3cret@h",    "redis://user:s3cret@[::1]",
		"Redis://user:s3cret@h",     "redis:/user:s3cret@h",
		"redis+tls://user:s3cret@h", "user:s3cret@h",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct redis_url url;
		struct err err = {""};

		assert_int_equal(redis_url_parse(texts[i], &url, &err), -1);
		assert_true(err.text[0] != '\0');
		if (strstr(err.text, "s3cret") != NULL)
			fail_msg("%s", err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts),
		cmocka_unit_test(test_rejects),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_passwords),
	};

	return RUN_TESTS(tests);
}
