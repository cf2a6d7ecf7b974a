/*
 * Polls for receipts.
 *
 * Each question makes Redis read the whole audit trail, so while many commands are open one
 * question for the newest outcomes serves them all. Only the last few are asked for one by one, and
 * what a burst of outcomes may have pushed out of that list between two questions.
 */
#include "cli/receipts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "cli/field.h"
#include "common/clock.h"
#include "common/xmem.h"

#define FIRST_PAUSE_MS 300
#define LAST_PAUSE_MS  3000
#define LIST_LIMIT     "1000" /* as many as the API gives */
#define SINGLY_MAX     8      /* commands that are asked for one by one in a round */

struct wait {
	const struct client *client;
	cJSON **open; /* commands without a receipt */
	size_t count, capacity, issued;
	size_t next;	    /* where the asking one by one goes on */
	bool list_was_full; /* there may be more outcomes than it showed */
	bool on_terminal;
};

bool receipts_expected(const cJSON *command)
{
	return strcmp(field_text(command, "outcome"), "issued") == 0;
}

static void show_progress(const struct wait *w)
{
	fprintf(stderr,
		w->on_terminal ? "\r%zu of %zu commands have ended\033[K"
			       : "%zu of %zu commands have ended\n",
		w->issued - w->count, w->issued);
	fflush(stderr);
}

/* Gives open command `i` its receipt, if it is in the list: another one is then open command i. */
static bool close_command(struct wait *w, size_t i, const cJSON *receipts)
{
	cJSON *command = w->open[i];
	const cJSON *receipt;

	cJSON_ArrayForEach (receipt, receipts) {
		if (strcmp(field_text(receipt, "id"), field_text(command, "id")) != 0 ||
		    strcmp(field_text(receipt, "node"), field_text(command, "node")) != 0)
			continue;
		cJSON_AddItemToObject(command, RECEIPTS_KEY, cJSON_Duplicate(receipt, 1));
		w->open[i] = w->open[--w->count];
		return true;
	}
	return false;
}

static int ask(const struct wait *w, const struct client_param *params,
	       struct client_answer *answer, const cJSON **receipts, struct err *err)
{
	const struct client_request request = {
		.method = "GET", .path = "/v1/evictions", .params = params};
	int code = client_ask(w->client, &request, answer, err);

	*receipts = cJSON_GetObjectItemCaseSensitive(answer->tree, "evictions");
	if (code == EX_OK && !cJSON_IsArray(*receipts))
		code = client_not_understood("evictions is no list", err);
	return code;
}

/* The newest outcomes, for all commands at once. */
static int ask_list(struct wait *w, struct err *err)
{
	static const struct client_param params[] = {{"limit", LIST_LIMIT}, {0}};
	struct client_answer answer;
	const cJSON *receipts;
	int code = ask(w, params, &answer, &receipts, err);

	for (size_t i = 0; code == EX_OK && i < w->count;)
		i += !close_command(w, i, receipts);
	if (code == EX_OK)
		w->list_was_full = cJSON_GetArraySize(receipts) >= strtol(LIST_LIMIT, NULL, 10);
	client_answer_free(&answer);
	return code;
}

/* Some open commands one by one; the next round goes on behind them. */
static int ask_singly(struct wait *w, struct err *err)
{
	size_t most = w->count < SINGLY_MAX ? w->count : SINGLY_MAX;
	int code = EX_OK;

	for (size_t asked = 0; code == EX_OK && asked < most && w->count > 0; asked++) {
		size_t at = w->next % w->count;
		const struct client_param params[] = {{"id", field_text(w->open[at], "id")}, {0}};
		struct client_answer answer;
		const cJSON *receipts;

		code = ask(w, params, &answer, &receipts, err);
		if (code == EX_OK)
			w->next = at + !close_command(w, at, receipts);
		client_answer_free(&answer);
	}
	return code;
}

static int ask_round(struct wait *w, struct err *err)
{
	size_t before = w->count;

	if (w->count > SINGLY_MAX) {
		int code = ask_list(w, err);

		if (code != EX_OK || w->count < before || !w->list_was_full)
			return code;
	}
	return ask_singly(w, err);
}

static void pause_ms(int64_t ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

/* Rounds until nothing is open, the time is over, or the server will never answer. */
static int ask_until(struct wait *w, int64_t timeout_ms, struct err *err)
{
	struct mono began = clock_mono();
	int64_t next_ms = FIRST_PAUSE_MS;

	for (;;) {
		size_t before = w->count;
		int code = ask_round(w, err);
		int64_t left_ms = timeout_ms - mono_since(began, clock_mono());

		if (w->count < before) {
			show_progress(w);
			next_ms = FIRST_PAUSE_MS;
		}
		if (w->count == 0)
			return EX_OK;
		/* A server that cannot answer now may do so soon; the commands go on meanwhile. */
		if ((code != EX_OK && code != EX_UNAVAILABLE) || left_ms <= 0)
			return code;
		pause_ms(next_ms < left_ms ? next_ms : left_ms);
		next_ms = next_ms * 3 / 2 < LAST_PAUSE_MS ? next_ms * 3 / 2 : LAST_PAUSE_MS;
	}
}

int receipts_wait(const struct client *client, cJSON *commands, int64_t timeout_ms, struct err *err)
{
	struct wait w = {.client = client, .on_terminal = isatty(STDERR_FILENO)};
	cJSON *command;
	int code = EX_OK;

	cJSON_ArrayForEach (command, commands) {
		if (!receipts_expected(command))
			continue;
		w.open = xgrow(w.open, w.count, &w.capacity, sizeof(cJSON *));
		w.open[w.count++] = command;
	}
	w.issued = w.count;
	if (w.count > 0) {
		show_progress(&w);
		code = ask_until(&w, timeout_ms, err);
		if (w.on_terminal)
			fputc('\n', stderr);
	}
	free(w.open);
	return code;
}
