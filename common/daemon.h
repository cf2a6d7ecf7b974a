/* What every Larder daemon has: a loop, signals, a tick, a clean stop. */
#ifndef LARDER_DAEMON_H
#define LARDER_DAEMON_H

#include <event2/dns.h>
#include <event2/event.h>
#include <stdint.h>

#include "common/attributes.h"

struct daemon;

struct daemon_hooks {
	void (*tick)(void *arg);   /* every tick_ms: compare wanted with actual, and act */
	void (*reload)(void *arg); /* SIGHUP */
	void (*stop)(void *arg);   /* SIGTERM or SIGINT; call daemon_stopped when drained */
	void *arg;
};

struct daemon *daemon_new(int64_t tick_ms, const struct daemon_hooks *hooks) MUST_USE;
struct event_base *daemon_base(struct daemon *d);
struct evdns_base *daemon_dns(struct daemon *d);

/* Runs until daemon_stopped, or until a second signal, or until `grace_ms` after the first one. */
void daemon_run(struct daemon *d, int64_t grace_ms);
void daemon_stopped(struct daemon *d);
void daemon_free(struct daemon *d);

#endif
