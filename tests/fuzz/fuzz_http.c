/*
 * The HTTP port of a daemon, which runs here as it is, with a stand-in for Redis. An input is
 *
 *   r, then bytes that are sent as they are
 *   T or -, then "METHOD TARGET" on a line and a body: a well-formed request, with the token or
 *   without
 *
 * Every answer is well-formed, a JSON one is JSON, and nothing that changes something succeeds
 * without the token.
 */
#include "tests/fuzz/fuzz_http.h"

#include <event2/event.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_io.h"
#include "common/json_doc.h"
#include "common/xmem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_redis.h"

#define TOKEN	      "the-token-of-the-fuzzer"
#define REPLY_MAX     (1 << 20)
#define SWEEP_US      500000 /* of common/http_server.c */
#define QUICK_US      2000
#define CONNECT_TRIES 10000

/*
 * The linker leads calls of event_add here (--wrap): connections that were given up are let go at
 * once, not twice a second. The names are the linker's.
 */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
int __real_event_add(struct event *ev, const struct timeval *tv);
int __wrap_event_add(struct event *ev, const struct timeval *tv);

int __wrap_event_add(struct event *ev, const struct timeval *tv)
{
	if (tv != NULL && tv->tv_sec == 0 && tv->tv_usec == SWEEP_US)
		tv = &(struct timeval){.tv_usec = QUICK_US};
	return __real_event_add(ev, tv);
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static char dir[256], config[300];
static int port;

/* ---- the daemon ---- */

static void *run_program(void *arg)
{
	char name[] = "larder", flag[] = "--config";
	char *argv[] = {name, flag, config, NULL};

	(void)arg;
	fuzz_http_program.run(3, argv);
	REQUIRE(!"it runs until the process ends");
	return NULL;
}

static int connect_to_daemon(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons((uint16_t)port),
				   .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0);
	if (connect(fd, (struct sockaddr *)(void *)&addr, sizeof(addr)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* It may be starting; a signal of libFuzzer's may come between; ports may be used up for a moment.
 */
static int keep_connecting(void)
{
	int fd;

	for (int tries = 0; (fd = connect_to_daemon()) < 0; tries++) {
		REQUIRE(tries < CONNECT_TRIES);
		usleep(1000);
	}
	return fd;
}

static void write_file(const char *name, const char *text)
{
	char path[300];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "we");
	REQUIRE(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void start(int redis)
{
	char text[2000], *more = fuzz_http_program.settings(dir);
	pthread_t thread;
	int fd = fuzz_listen(&port);

	close(fd);
	snprintf(text, sizeof(text),
		 "{\"redis\": {\"url\": \"redis://127.0.0.1:%d\"}, \"log\": {\"level\": \"error\"},"
		 " \"http\": {\"listen\": \"127.0.0.1:%d\", \"token_file\": \"%s/token\"}, %s}",
		 redis, port, dir, more);
	free(more);
	write_file("config.json", text);
	snprintf(config, sizeof(config), "%s/config.json", dir);
	REQUIRE(pthread_create(&thread, NULL, run_program, NULL) == 0);
	pthread_detach(thread);
	close(keep_connecting());
}

static void make_folder(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	REQUIRE(mkdir(path, 0700) == 0);
}

static void clean(void)
{
	fuzz_remove(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *base = getenv("TMPDIR");

	(void)argc;
	(void)argv;
	signal(SIGPIPE, SIG_IGN);
	snprintf(dir, sizeof(dir), "%s/larder-fuzz-XXXXXX", base != NULL ? base : "/tmp");
	REQUIRE(mkdtemp(dir) != NULL);
	atexit(clean);
	make_folder("state");
	make_folder("models");
	make_folder("models/engine");
	write_file("models/engine/weights.bin", "weights");
	write_file("token", TOKEN "\n");
	start(fuzz_redis_start());
	return 0;
}

/* ---- one request ---- */

struct reply {
	int status; /* 0: none came */
	bool json;
	const char *body;
	size_t len;
};

/* Sends it and reads until the other side has ended. A reset, or its length, may cut it off. */
static size_t exchange(const char *data, size_t len, char *reply, bool *reset)
{
	struct linger hard = {.l_onoff = 1};
	int fd = keep_connecting();
	size_t used = 0;
	ssize_t got = 0;

	*reset = file_write_all(fd, data, len) != 0;
	shutdown(fd, SHUT_WR);
	while (used < REPLY_MAX && (got = read(fd, reply + used, REPLY_MAX - used)) > 0)
		used += (size_t)got;
	*reset |= got < 0 || used == REPLY_MAX;
	reply[used] = '\0';
	/* Leaves no TIME_WAIT behind, of which there would soon be too many. */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd);
	return used;
}

/* Takes the answer apart. There is at most one. */
static struct reply read_reply(const char *text, size_t len)
{
	struct reply reply = {0};
	const char *end = strstr(text, "\r\n\r\n"), *length;
	size_t promised;

	if (len == 0)
		return reply;
	REQUIRE(strlen(text) == len && strncmp(text, "HTTP/", 5) == 0 && end != NULL);
	/* What evhttp answers by itself has the version of the request, whatever that is. */
	REQUIRE(strspn(text + 5, "-0123456789.") == strcspn(text + 5, " "));
	reply.status = (int)strtol(strchr(text, ' '), NULL, 10);
	REQUIRE(reply.status >= 200 && reply.status < 600 && reply.status != 500);
	reply.body = end + 4;
	reply.len = len - (size_t)(reply.body - text);
	promised = reply.len;
	length = strstr(text, "\r\nContent-Length: ");
	if (length != NULL && length < end)
		promised = strtoul(length + 18, NULL, 10);
	/* evhttp takes our end of the sending for the end of the connection: what is long is cut.
	 */
	REQUIRE(reply.len <= promised);
	reply.json = reply.len == promised &&
		     memmem(text, (size_t)(end - text), "application/json", 16) != NULL;
	return reply;
}

static void check_body(const struct reply *reply)
{
	struct err err = {""};
	cJSON *doc;

	if (!reply->json || reply->len == 0)
		return;
	doc = json_doc_parse(reply->body, reply->len, &err);
	if (doc == NULL)
		fprintf(stderr, "%s: %s\n", err.text, reply->body);
	REQUIRE(cJSON_IsObject(doc));
	if (reply->status >= 400)
		REQUIRE(cJSON_IsString(cJSON_GetObjectItemCaseSensitive(doc, "error")));
	cJSON_Delete(doc);
}

static bool reads(const char *request)
{
	return strncmp(request, "GET ", 4) == 0 || strncmp(request, "HEAD ", 5) == 0;
}

static struct reply ask(const char *data, size_t len)
{
	static char text[REPLY_MAX + 1];
	struct reply reply = {0};
	bool reset;
	size_t got = exchange(data, len, text, &reset);

	if (reset)
		return reply;
	reply = read_reply(text, got);
	check_body(&reply);
	return reply;
}

static void ask_raw(const char *data, size_t len)
{
	struct reply reply = ask(data, len);

	if (reply.status >= 200 && reply.status < 300 && !reads(data))
		REQUIRE(memmem(data, len, TOKEN, strlen(TOKEN)) != NULL);
}

/* Is this "METHOD TARGET" one that HTTP allows, so that the daemon must answer it? */
static bool well_formed(const char *line)
{
	const char *space = strchr(line, ' ');

	if (space == NULL || space[1] != '/' || space[2] == '/' || strlen(line) > 4000)
		return false;
	for (const char *p = line; *p != '\0'; p++) {
		bool method = p < space;

		if (p != space && (*p <= ' ' || *p >= 0x7f || (method && (*p < 'A' || *p > 'Z'))))
			return false;
	}
	return space > line && space - line < 10;
}

static void ask_whole(bool token, char *text, size_t size)
{
	char *end = memchr(text, '\n', size);
	size_t body_len = end != NULL ? size - (size_t)(end + 1 - text) : 0;
	const char *body = end != NULL ? end + 1 : "";
	struct reply reply;
	char *head, *request;
	size_t head_len;

	if (end != NULL)
		*end = '\0';
	if (!well_formed(text))
		return;
	head = xasprintf("%s HTTP/1.1\r\nHost: localhost\r\n%s"
			 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
			 text, token ? "Authorization: Bearer " TOKEN "\r\n" : "", body_len);
	head_len = strlen(head);
	request = xmalloc(head_len + body_len + 1);
	memcpy(request, head, head_len);
	memcpy(request + head_len, body, body_len);
	reply = ask(request, head_len + body_len);
	if (!token && !reads(text))
		REQUIRE(reply.status == 0 || reply.status >= 400);
	free(head);
	free(request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 2)
		return 0;
	text = xmalloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] == 'r')
		ask_raw(text, size - 1);
	else if (data[0] == 'T' || data[0] == '-')
		ask_whole(data[0] == 'T', text, size - 1);
	free(text);
	return 0;
}
