/*
 * Selection by SCAN MATCH COUNT 500 and HGETALL of everything.
 *
 * Kinder than the original: keys carry the short revision instead of one of 40 digits, HGETALLs go
 * in windows of 1000 with the next one always under way, times are parsed at their known places,
 * and of each record only what the decision needs is kept.
 */
#include "tests/bench/rival.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/xmem.h"
#include "tests/bench/bench.h"

#define PREFIX	    "mx:model:"
#define SCAN_COUNT  "500"
#define WINDOW	    1000
#define TIME_LENGTH 35 /* 2026-11-23T10:44:29.123456789+00:00 */

struct record {
	const char *key;
	int64_t created_ns, last_used_ns;
	bool downloaded;
};

struct selection {
	struct server *server;
	struct record *records;
	size_t count, capacity;
	uint32_t *table; /* hashes of keys -> record + 1, to leave out what SCAN gives twice */
	size_t table_size;
};

/* ---- writing ---- */

static void spell_time(char *buf, int64_t wall_ms, unsigned nanoseconds)
{
	time_t seconds = wall_ms / 1000;
	struct tm tm;
	size_t len;

	gmtime_r(&seconds, &tm);
	len = strftime(buf, 64, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + len, 64 - len, ".%09u+00:00", nanoseconds);
}

void rival_register(const struct fleet *fleet, struct server *server)
{
	int64_t now = clock_wall_ms(), began = bench_now_ns();
	char model[FLEET_MODEL_SIZE], created[64], used[64];
	struct redis_args args = {0};
	size_t waiting = 0;

	for (size_t i = 0; i < fleet->nodes * fleet->models; i++) {
		size_t node = i / fleet->models, at = i % fleet->models;

		fleet_model(node, at, model);
		spell_time(created, now - 30 * INT64_C(86400000), (unsigned)(i % 1000000000));
		spell_time(used, now - fleet_age_ms(fleet, node, at),
			   (unsigned)(i * 7919 % 1000000000));
		redis_args_start(&args, "HSET");
		redis_args_addf(&args, PREFIX "HuggingFace:%s", model + strlen("hf:"));
		redis_args_add(&args, "provider");
		redis_args_add(&args, "HuggingFace");
		redis_args_add(&args, "status");
		redis_args_add(&args, "DOWNLOADED");
		redis_args_add(&args, "created_at");
		redis_args_add(&args, created);
		redis_args_add(&args, "last_used_at");
		redis_args_add(&args, used);
		server_append(server, &args);
		for (waiting++; waiting >= WINDOW; waiting--)
			freeReplyObject(server_answer(server));
	}
	for (; waiting > 0; waiting--)
		freeReplyObject(server_answer(server));
	redis_args_free(&args);
	bench_say("wrote %zu hashes in %.1f s", fleet->nodes * fleet->models,
		  bench_ms_since(began) / 1000);
}

/* ---- SCAN ---- */

static uint64_t hash(const char *text, size_t len)
{
	uint64_t h = UINT64_C(0x9e3779b97f4a7c15) ^ len, word;

	for (; len >= 8; text += 8, len -= 8) {
		memcpy(&word, text, 8);
		h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
		h ^= h >> 32;
	}
	word = 0;
	memcpy(&word, text, len);
	h = (h ^ word) * UINT64_C(0xff51afd7ed558ccd);
	return h ^ h >> 29;
}

static void grow_table(struct selection *s)
{
	size_t size = s->table_size > 0 ? s->table_size * 4 : 65536;

	free(s->table);
	s->table = xcalloc(size, sizeof(*s->table));
	s->table_size = size;
	for (size_t i = 0; i < s->count; i++) {
		const char *key = s->records[i].key;
		size_t at = hash(key, strlen(key)) & (size - 1);

		while (s->table[at] != 0)
			at = (at + 1) & (size - 1);
		s->table[at] = (uint32_t)i + 1;
	}
}

static void add_key(struct selection *s, const char *key, size_t len)
{
	size_t at;

	if (s->count * 2 >= s->table_size)
		grow_table(s);
	at = hash(key, len) & (s->table_size - 1);
	for (; s->table[at] != 0; at = (at + 1) & (s->table_size - 1)) {
		if (strcmp(s->records[s->table[at] - 1].key, key) == 0)
			return;
	}
	s->records = xgrow(s->records, s->count, &s->capacity, sizeof(*s->records));
	s->records[s->count] = (struct record){.key = xstrndup(key, len)};
	s->table[at] = (uint32_t)++s->count;
}

static void scan(struct selection *s)
{
	char cursor[24] = "0";

	do {
		redisReply *reply = server_ask(s->server, "SCAN %s MATCH " PREFIX "* COUNT %s",
					       cursor, SCAN_COUNT);
		const redisReply *keys = reply->element[1];

		for (size_t i = 0; i < keys->elements; i++)
			add_key(s, keys->element[i]->str, (size_t)keys->element[i]->len);
		snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);
		freeReplyObject(reply);
	} while (strcmp(cursor, "0") != 0);
}

/* ---- HGETALL ---- */

static int64_t digits(const char *text, int count)
{
	int64_t value = 0;

	for (int i = 0; i < count; i++) {
		if (text[i] < '0' || text[i] > '9')
			bench_fail("not a time: %s", text);
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

/* Days since 1970 of a date (Howard Hinnant's days_from_civil). */
static int64_t days(int64_t year, int64_t month, int64_t day)
{
	int64_t y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static int64_t parse_time(const redisReply *reply)
{
	const char *t = reply->str;
	int64_t seconds;

	if (reply->len != TIME_LENGTH)
		bench_fail("not a time: %s", t);
	seconds = days(digits(t, 4), digits(t + 5, 2), digits(t + 8, 2)) * 86400 +
		  digits(t + 11, 2) * 3600 + digits(t + 14, 2) * 60 + digits(t + 17, 2);
	return seconds * 1000000000 + digits(t + 20, 9);
}

static void take_record(struct record *record, const redisReply *reply)
{
	for (size_t i = 0; i + 1 < reply->elements; i += 2) {
		const char *field = reply->element[i]->str;
		const redisReply *value = reply->element[i + 1];

		if (strcmp(field, "last_used_at") == 0)
			record->last_used_ns = parse_time(value);
		else if (strcmp(field, "created_at") == 0)
			record->created_ns = parse_time(value);
		else if (strcmp(field, "status") == 0)
			record->downloaded = strcmp(value->str, "DOWNLOADED") == 0;
	}
}

static size_t ask_window(struct selection *s, size_t from)
{
	char command[256];
	size_t end = from + WINDOW < s->count ? from + WINDOW : s->count;

	for (size_t i = from; i < end; i++) {
		const char *key = s->records[i].key;
		int len = snprintf(command, sizeof(command),
				   "*2\r\n$7\r\nHGETALL\r\n$%zu\r\n%s\r\n", strlen(key), key);

		redisAppendFormattedCommand(s->server->redis, command, (size_t)len);
	}
	return end;
}

static void flush_window(struct selection *s)
{
	int done = 0;

	while (!done) {
		if (redisBufferWrite(s->server->redis, &done) != REDIS_OK)
			bench_fail("Redis: %s", s->server->redis->errstr);
	}
}

static void read_records(struct selection *s)
{
	size_t asked = ask_window(s, 0);

	for (size_t i = 0; i < s->count; i++) {
		redisReply *reply;

		/* The next window is on its way before this one is read. */
		if (i % WINDOW == 0) {
			asked = ask_window(s, asked);
			flush_window(s);
		}
		reply = server_answer(s->server);
		take_record(&s->records[i], reply);
		freeReplyObject(reply);
	}
}

/* ---- deciding ---- */

static int oldest_first(const void *a, const void *b)
{
	const struct record *left = a, *right = b;

	return (left->last_used_ns > right->last_used_ns) -
	       (left->last_used_ns < right->last_used_ns);
}

size_t rival_select(struct server *server)
{
	int64_t cutoff_ns = (clock_wall_ms() - FLEET_THRESHOLD_MS) * 1000000;
	struct selection s = {.server = server};
	size_t victims = 0;

	scan(&s);
	read_records(&s);
	if (s.count == 0)
		bench_fail("no record was found");
	qsort(s.records, s.count, sizeof(*s.records), oldest_first);
	for (size_t i = 0; i < s.count && s.records[i].last_used_ns < cutoff_ns; i++)
		victims += s.records[i].downloaded;
	for (size_t i = 0; i < s.count; i++)
		free((char *)s.records[i].key);
	free(s.records);
	free(s.table);
	return victims;
}
