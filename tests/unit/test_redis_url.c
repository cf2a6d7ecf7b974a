/* Where Redis is: addresses that are accepted and refused, and no password in either. */
#include "common/redis_url.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/kit.h"

static const struct {
	const char *text;
	struct redis_url url;
} accepted[] = {
	{"redis://localhost", {.place = {"localhost", 6379}}},
	{"redis://localhost/", {.place = {"localhost", 6379}}},
	{"redis://10.0.0.1:7000", {.place = {"10.0.0.1", 7000}}},
	{"redis://h:1/15", {.place = {"h", 1}, .db = 15}},
	{"redis://h:65535/65535", {.place = {"h", 65535}, .db = 65535}},
	{"redis://h/0", {.place = {"h", 6379}}},
	{"rediss://redis.example.com:6380/2",
	 {.place = {"redis.example.com", 6380}, .db = 2, .tls = true}},
	{"redis://larder@h:7", {.place = {"h", 7}, .user = "larder"}},
	{"rediss://larder@h", {.place = {"h", 6379}, .user = "larder", .tls = true}},
	{"redis://[::1]", {.place = {"::1", 6379}}},
	{"redis://[fe80::1]:7000/3", {.place = {"fe80::1", 7000}, .db = 3}},
	{"redis://u@[::1]:7000", {.place = {"::1", 7000}, .user = "u"}},
	{"unix:///run/redis.sock", {.path = "/run/redis.sock"}},
	{"unix:///run/redis.sock?db=4", {.path = "/run/redis.sock", .db = 4}},
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
	"redis+sentinel://h",
	"redis+sentinel://h/",
	"redis+sentinel://h//0",
	"redis+sentinel://h/m/x",
	"redis+sentinel://h/m/1/2",
	"redis+sentinel://h/m m",
	"redis+sentinel://h/m,n",
	"redis+sentinel:///m",
	"redis+sentinel://h,/m",
	"redis+sentinel://,h/m",
	"redis+sentinel://h:0/m",
	"redis+sentinel://@h/m",
	"redis+sentinel://h/0123456789012345678901234567890123456789012345678901234567890123",
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
		assert_string_equal(url.place.host, want->place.host);
		assert_string_equal(url.path, want->path);
		assert_string_equal(url.user, want->user);
		assert_int_equal(url.place.port, want->place.port);
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

static void test_sentinels(void **state)
{
	struct redis_url url;
	struct err err = {""};

	(void)state;
	assert_int_equal(
		redis_url_parse("rediss+sentinel://u@a,b:7,[::1]:8/gpu.main-1/3", &url, &err), 0);
	assert_true(url.tls);
	assert_string_equal(url.user, "u");
	assert_string_equal(url.master, "gpu.main-1");
	assert_int_equal(url.db, 3);
	assert_string_equal(url.place.host, "");
	assert_int_equal(url.sentinel_count, 3);
	assert_true(redis_place_same(&url.sentinels[0], &(struct redis_place){"a", 26379}));
	assert_true(redis_place_same(&url.sentinels[1], &(struct redis_place){"b", 7}));
	assert_true(redis_place_same(&url.sentinels[2], &(struct redis_place){"::1", 8}));
	assert_int_equal(redis_url_parse("redis+sentinel://s/m/", &url, &err), 0);
	assert_false(url.tls);
	assert_int_equal(url.sentinel_count, 1);
}

static void test_too_many_sentinels(void **state)
{
	char text[200], list[2 * REDIS_SENTINELS_MAX + 1];
	struct redis_url url;
	struct err err = {""};

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(list); i++)
		list[i] = i % 2 == 0 ? 's' : ',';
	list[sizeof(list) - 2] = '\0';
	snprintf(text, sizeof(text), "redis+sentinel://%s/m", list);
	assert_int_equal(redis_url_parse(text, &url, &err), 0);
	assert_int_equal(url.sentinel_count, REDIS_SENTINELS_MAX);
	snprintf(text, sizeof(text), "redis+sentinel://%s,s/m", list);
	assert_int_equal(redis_url_parse(text, &url, &err), -1);
	assert_non_null(strstr(err.text, "16 Sentinels"));
}

static void test_too_long(void **state)
{
	char text[800];
	struct redis_url url;

	(void)state;
	snprintf(text, sizeof(text), "redis://%0255d", 0);
	assert_int_equal(redis_url_parse(text, &url, NULL), 0);
	assert_int_equal(strlen(url.place.host), 255);
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
		cmocka_unit_test(test_accepts),	  cmocka_unit_test(test_rejects),
		cmocka_unit_test(test_sentinels), cmocka_unit_test(test_too_many_sentinels),
		cmocka_unit_test(test_too_long),  cmocka_unit_test(test_passwords),
	};

	return RUN_TESTS(tests);
}
