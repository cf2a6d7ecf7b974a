/* The skeleton of both daemons: loop, signals, tick, stop. */
#include "common/daemon.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/xmem.h"

struct daemon {
	struct event_base *base;
	struct evdns_base *dns;
	struct daemon_hooks hooks;
	struct event *tick, *grace, *on_term, *on_int, *on_hup;
	int64_t grace_ms;
	bool stopping;
};

static struct timeval to_timeval(int64_t ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

static void handle_tick(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	d->hooks.tick(d->hooks.arg);
}

static void handle_grace(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	log_warn("-stop", LOG_STR("reason", "not drained in time"));
	daemon_stopped(d);
}

/* Runs in the loop, not in a signal handler. */
static void handle_stop(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;
	struct timeval tv = to_timeval(d->grace_ms);

	(void)what;
	if (d->stopping) {
		daemon_stopped(d);
		return;
	}
	d->stopping = true;
	log_info("+stop", LOG_INT("signal", sig));
	evtimer_add(d->grace, &tv);
	d->hooks.stop(d->hooks.arg);
}

static void handle_hup(evutil_socket_t sig, short what, void *arg)
{
	struct daemon *d = arg;

	(void)sig;
	(void)what;
	d->hooks.reload(d->hooks.arg);
}

static void libevent_log(int severity, const char *text)
{
	if (severity >= EVENT_LOG_WARN)
		log_warn("libevent", LOG_STR("text", text));
}

struct daemon *daemon_new(int64_t tick_ms, const struct daemon_hooks *hooks)
{
	struct daemon *d = xcalloc(1, sizeof(*d));
	struct timeval tv = to_timeval(tick_ms);

	event_set_log_callback(libevent_log);
	/* hiredis and libevent write without MSG_NOSIGNAL. */
	signal(SIGPIPE, SIG_IGN);
	d->base = event_base_new();
	if (d->base == NULL)
		abort();
	d->hooks = *hooks;
	d->dns = evdns_base_new(d->base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
						 EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (d->dns == NULL) { /* no resolver is configured: host files still work */
		d->dns = evdns_base_new(d->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		evdns_base_load_hosts(d->dns, "/etc/hosts");
	}
	d->tick = event_new(d->base, -1, EV_PERSIST, handle_tick, d);
	d->grace = evtimer_new(d->base, handle_grace, d);
	d->on_term = evsignal_new(d->base, SIGTERM, handle_stop, d);
	d->on_int = evsignal_new(d->base, SIGINT, handle_stop, d);
	d->on_hup = evsignal_new(d->base, SIGHUP, handle_hup, d);
	evsignal_add(d->on_term, NULL);
	evsignal_add(d->on_int, NULL);
	evsignal_add(d->on_hup, NULL);
	event_add(d->tick, &tv);
	return d;
}

struct event_base *daemon_base(struct daemon *d)
{
	return d->base;
}

struct evdns_base *daemon_dns(struct daemon *d)
{
	return d->dns;
}

void daemon_run(struct daemon *d, int64_t grace_ms)
{
	d->grace_ms = grace_ms;
	event_base_dispatch(d->base);
}

void daemon_stopped(struct daemon *d)
{
	event_base_loopbreak(d->base);
}

void daemon_free(struct daemon *d)
{
	event_free(d->tick);
	event_free(d->grace);
	event_free(d->on_term);
	event_free(d->on_int);
	event_free(d->on_hup);
	evdns_base_free(d->dns, 0);
	event_base_free(d->base);
	free(d);
}
