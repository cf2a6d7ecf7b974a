/* One deletion, step by step. */
#include "agent/removal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/busy.h"
#include "agent/root.h"
#include "agent/watch.h"
#include "common/hook.h"
#include "common/log.h"
#include "common/xmem.h"

/*
 * Between the rename and the second look: an open that began before the rename has broken the lease
 * by then (measured, docs/deletion.md).
 */
#define GRACE_NS 1000000

struct removal_request *removal_request_new(struct root *root, const char *model,
					    const char *locator)
{
	struct removal_request *req = xcalloc(1, sizeof(*req));

	clock_random_hex(req->txn, TXN_LEN / 2);
	req->root = root;
	req->model = xstrdup(model);
	req->locator = xstrdup(locator);
	return req;
}

void removal_request_free(struct removal_request *req)
{
	if (req == NULL)
		return;
	free(req->model);
	free(req->locator);
	free(req);
}

bool removal_veto(struct removal_request *req, const char *why)
{
	int open = REMOVAL_OPEN;

	if (atomic_compare_exchange_strong(&req->phase, &open, REMOVAL_VETOED))
		log_info("+removal-vetoed", LOG_STR("model", req->model), LOG_STR("why", why));
	return atomic_load(&req->phase) == REMOVAL_VETOED;
}

static enum removal_outcome fail(struct removal_task *task, const char *what)
{
	snprintf(task->why, sizeof(task->why), "%s: %s", what, strerror(errno));
	return REMOVAL_FAILED;
}

static enum removal_outcome record_intent(struct removal_request *req, struct journal *journal)
{
	struct intent intent = {
		.root = req->root->config.name,
		.model = req->model,
		.locator = req->locator,
	};

	memcpy(intent.txn, req->txn, sizeof(intent.txn));
	memcpy(intent.command, req->command, sizeof(intent.command));
	return journal_begin(journal, &intent) == 0 ? REMOVAL_GOES_ON : fail(&req->task, "journal");
}

/* Brings the model back, for the reason that is in `task->why`. */
static enum removal_outcome bring_back(struct removal_request *req, enum removal_outcome outcome)
{
	hook_point("removal-undo");
	switch (req->root->config.layout->undo(&req->task)) {
	case UNDO_DONE: return outcome;
	case UNDO_REPLACED: return REMOVAL_GOES_ON;
	case UNDO_FAILED: break;
	}
	req->stuck = true;
	return fail(&req->task, "cannot be put back");
}

/* Has anybody opened a file of it since the decision, though he may have closed it again? */
static enum removal_outcome look_for_opens(struct removal_request *req)
{
	size_t closed = busy_closed(req->task.busy) + req->task.tested;

	if (!watch_own_seen(req->root, req->model, &req->mark, closed))
		return REMOVAL_GOES_ON;
	return removal_end(&req->task, REMOVAL_REFUSED, "used: opened a moment ago");
}

/* From the rename to the commit: a moment. Anything unexpected brings the model back. */
static enum removal_outcome move_and_look(struct removal_request *req)
{
	const struct layout *layout = req->root->config.layout;
	enum removal_outcome outcome = layout->move(&req->task);
	int open = REMOVAL_OPEN;

	if (outcome != REMOVAL_GOES_ON)
		return outcome;
	hook_point("removal-moved");
	nanosleep(&(struct timespec){.tv_nsec = GRACE_NS}, NULL);
	outcome = layout->look_again(&req->task);
	if (outcome == REMOVAL_GOES_ON)
		outcome = look_for_opens(req);
	if (outcome == REMOVAL_GOES_ON &&
	    !atomic_compare_exchange_strong(&req->phase, &open, REMOVAL_COMMITTED)) {
		snprintf(req->task.why, sizeof(req->task.why), "used: while it was under way");
		outcome = REMOVAL_REFUSED;
	}
	return outcome == REMOVAL_GOES_ON ? outcome : bring_back(req, outcome);
}

/*
 * Whoever waits to open something may go on; the files are not where they were. Those that it
 * shared are those of others alone from here on: who has opened one meanwhile has used theirs.
 */
static void release(struct removal_request *req)
{
	busy_release_leases(req->task.busy);
	watch_own_seen(req->root, req->model, NULL, busy_closed(req->task.busy) + req->task.tested);
	watch_own_end(req->root, req->model);
}

static enum removal_outcome steps(struct removal_request *req, struct journal *journal)
{
	const struct layout *layout = req->root->config.layout;
	enum removal_outcome outcome;

	hook_point("removal-check");
	outcome = layout->check(&req->task);
	if (outcome != REMOVAL_GOES_ON)
		return outcome;
	hook_point("removal-intent");
	outcome = record_intent(req, journal);
	if (outcome != REMOVAL_GOES_ON)
		return outcome;
	hook_point("removal-claim");
	if (!watch_own_begin(req->root, req->model, &req->mark))
		return removal_end(&req->task, REMOVAL_REFUSED, "used: opened a moment ago");
	hook_point("removal-take");
	outcome = layout->take(&req->task);
	if (outcome == REMOVAL_GOES_ON)
		outcome = look_for_opens(req);
	if (outcome == REMOVAL_GOES_ON)
		outcome = move_and_look(req);
	if (outcome != REMOVAL_GOES_ON)
		return outcome;
	release(req);
	hook_point("removal-commit");
	if (layout->commit(&req->task) != 0) {
		outcome = bring_back(req, fail(&req->task, "cannot be committed"));
		if (outcome != REMOVAL_GOES_ON)
			return outcome;
		/* There is a new one in its place: what is superfluous has to be committed later.
		 */
		req->stuck = true;
		return REMOVAL_FAILED;
	}
	hook_point("removal-clean");
	layout->clean(&req->task, req->trash, sizeof(req->trash));
	hook_point("removal-cleaned");
	return REMOVAL_GOES_ON;
}

static enum removal_outcome recover(struct removal_request *req)
{
	enum removal_outcome outcome =
		req->root->config.layout->recover(&req->task, req->trash, sizeof(req->trash));

	req->stuck = outcome == REMOVAL_FAILED;
	log_info("+removal-recovered", LOG_STR("model", req->model), LOG_STR("txn", req->txn),
		 LOG_STR("how", outcome == REMOVAL_REFUSED   ? "undone"
				: outcome == REMOVAL_DELETED ? "finished"
							     : "failed"));
	if (outcome == REMOVAL_DELETED)
		return REMOVAL_GOES_ON;
	snprintf(req->task.why, sizeof(req->task.why), "restart: %s",
		 outcome == REMOVAL_REFUSED ? "undone" : strerror(errno));
	return outcome;
}

/* Gives everything up; what that closes is no use of the model. */
static void end(struct removal_request *req)
{
	watch_own_closes(req->root, req->model);
	req->root->config.layout->end(&req->task);
	watch_own_end(req->root, req->model);
}

bool removal_run(struct removal_request *req, struct journal *journal)
{
	struct removal_task *task = &req->task;

	*task = (struct removal_task){
		.root = req->root,
		.txn = req->txn,
		.locator = req->locator,
		.generation = req->generation,
		.used_wall_ms = req->used_wall_ms,
	};
	req->outcome = req->recover ? recover(req) : steps(req, journal);
	req->seen_used_wall_ms = task->seen_used_wall_ms;
	if (req->outcome == REMOVAL_GOES_ON)
		return true;
	snprintf(req->why, sizeof(req->why), "%s", task->why);
	end(req);
	return false;
}

void removal_finish(struct removal_request *req)
{
	const struct layout *layout = req->root->config.layout;
	const struct reaper_result *reaped = &req->reaped;

	hook_point("removal-finish");
	if (!req->tidy) {
		layout->finish(&req->task);
		end(req);
	}
	req->outcome = REMOVAL_DELETED;
	if (reaped->left > 0)
		snprintf(req->why, sizeof(req->why), "%" PRId64 " entries could not be removed: %s",
			 reaped->left, strerror(reaped->error));
	else if (reaped->deferred_bytes > 0)
		snprintf(req->why, sizeof(req->why), "%" PRId64 " bytes are still open somewhere",
			 reaped->deferred_bytes);
}
