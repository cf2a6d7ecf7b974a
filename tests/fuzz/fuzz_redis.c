/* Answers what Larder's daemons ask Redis, a connection a thread. */
#include "tests/fuzz/fuzz_redis.h"

#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/file_io.h"
#include "common/redis_script.h"
#include "common/xmem.h"
#include "tests/fuzz/fuzz.h"

#define INFO "redis_version:7.0.0\r\nrun_id:1\r\nrole:master\r\nmaxmemory_policy:noeviction\r\n"

int fuzz_listen(int *port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	REQUIRE(fd >= 0 && bind(fd, (struct sockaddr *)(void *)&addr, len) == 0);
	REQUIRE(listen(fd, 64) == 0 &&
		getsockname(fd, (struct sockaddr *)(void *)&addr, &len) == 0);
	*port = ntohs(addr.sin_port);
	return fd;
}

static void say(int fd, const char *text)
{
	if (file_write_all(fd, text, strlen(text)) != 0)
		return; /* whoever asked has gone */
}

/* A bulk string, after what comes before it. */
static void say_after(int fd, const char *before, const char *text)
{
	char reply[400];

	snprintf(reply, sizeof(reply), "%s$%zu\r\n%s\r\n", before, strlen(text), text);
	say(fd, reply);
}

static void say_script(int fd, const char *sha)
{
	struct timespec now;
	char ms[24];

	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(ms, sizeof(ms), "%lld", (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
	if (strcmp(sha, script_elect.sha) == 0)
		say_after(fd, "*3\r\n$6\r\nLEADER\r\n$1\r\n1\r\n", ms);
	else if (strcmp(sha, script_rights.sha) == 0)
		say(fd, "*0\r\n");
	else if (strcmp(sha, script_pin.sha) == 0)
		say_after(fd, "*1\r\n", "0");
	else
		say_after(fd, "*2\r\n$2\r\nOK\r\n", ms);
}

static void subscribe(int fd, const redisReply *command)
{
	char text[600];

	for (size_t i = 1; i < command->elements; i++) {
		snprintf(text, sizeof(text), "*3\r\n$9\r\nsubscribe\r\n$%zu\r\n%s\r\n:%zu\r\n",
			 command->element[i]->len, command->element[i]->str, i);
		say(fd, text);
	}
}

static void answer(int fd, const redisReply *command)
{
	const char *word = command->element[0]->str;
	static const char *const lists[] = {"HGETALL", "HMGET",		"XRANGE",
					    "ZRANGE",  "ZRANGEBYSCORE", "XREVRANGE"};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		if (strcmp(word, lists[i]) == 0) {
			say(fd, "*0\r\n");
			return;
		}
	}
	if (strcmp(word, "INFO") == 0)
		say_after(fd, "", INFO);
	else if (strcmp(word, "TIME") == 0)
		say(fd, "*2\r\n$10\r\n1795000000\r\n$1\r\n0\r\n");
	else if (strcmp(word, "EVALSHA") == 0)
		say_script(fd, command->element[1]->str);
	else if (strcmp(word, "SSCAN") == 0)
		say(fd, "*2\r\n$1\r\n0\r\n*0\r\n");
	else if (strcmp(word, "GET") == 0)
		say(fd, "$-1\r\n");
	else if (strcmp(word, "SUBSCRIBE") == 0)
		subscribe(fd, command);
	else if (strcmp(word, "PING") == 0) /* only subscribers ask */
		say(fd, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
	else
		say(fd, "+OK\r\n");
}

static void *serve(void *arg)
{
	int *owned = arg, fd = *owned;
	redisReader *reader = redisReaderCreate();
	int on = 1;
	char buf[65536];
	ssize_t got;

	free(owned);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	while ((got = read(fd, buf, sizeof(buf))) > 0) {
		void *command = NULL;

		redisReaderFeed(reader, buf, (size_t)got);
		while (redisReaderGetReply(reader, &command) == REDIS_OK && command != NULL) {
			answer(fd, command);
			freeReplyObject(command);
		}
	}
	redisReaderFree(reader);
	close(fd);
	return NULL;
}

static void *accept_all(void *arg)
{
	const int *listener = arg;

	for (;;) {
		int *fd = xcalloc(1, sizeof(*fd));
		pthread_t thread;

		*fd = accept4(*listener, NULL, NULL, SOCK_CLOEXEC);
		REQUIRE(*fd >= 0);
		REQUIRE(pthread_create(&thread, NULL, serve, fd) == 0);
		pthread_detach(thread);
	}
	return NULL;
}

int fuzz_redis_start(void)
{
	pthread_t thread;
	static int listener; /* for as long as the thread runs */
	int port;
	sigset_t all, before;

	listener = fuzz_listen(&port);
	/* Signals are libFuzzer's; its threads inherit that they are not for them. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	REQUIRE(pthread_create(&thread, NULL, accept_all, &listener) == 0);
	pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return port;
}
