/* An append-only file with what must survive. */
#include "agent/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "agent/journal_record.h"
#include "agent/journal_state.h"
#include "common/clock.h"
#include "common/file_io.h"
#include "common/json_doc.h"
#include "common/log.h"
#include "common/xmem.h"

#define FILE_MAX      (256 << 20)
#define RESERVE_BYTES (256 << 10)
#define COMPACT_BYTES (1 << 20)

struct journal {
	pthread_mutex_t lock;
	char *path;
	int fd, lock_fd;
	struct journal_state state;
	size_t size, compact_size;
	size_t damaged;
};

/* ---- reading ---- */

static void replay_line(struct journal *j, const char *line, size_t len)
{
	cJSON *r = journal_record_parse(line, len);

	if (r == NULL) {
		j->damaged++;
		return;
	}
	journal_state_replay(&j->state, r);
	cJSON_Delete(r);
}

static int read_all(struct journal *j, struct err *err)
{
	size_t len;
	char *text = file_read(j->path, FILE_MAX, &len, err);

	if (text == NULL)
		return -1;
	for (char *line = text; line < text + len;) {
		char *end = memchr(line, '\n', (size_t)(text + len - line));

		if (end == NULL) {
			j->damaged++; /* cut off in the middle of a write */
			break;
		}
		*end = '\0';
		replay_line(j, line, (size_t)(end - line));
		line = end + 1;
	}
	free(text);
	return 0;
}

/* ---- writing ---- */

static void reserve(const struct journal *j)
{
	/* So that a removal can be recorded on a full disk. Not every file system can. */
	if (fallocate(j->fd, FALLOC_FL_KEEP_SIZE, (off_t)j->size, RESERVE_BYTES) != 0)
		errno = 0;
}

static int append(struct journal *j, cJSON *r, bool durable)
{
	size_t len;
	char *line = journal_record_line(r, &len);
	int rc = file_write_all(j->fd, line, len);

	free(line);
	if (rc == 0) {
		j->size += len;
	} else {
		int saved = errno;

		/* The beginning of a line would damage the next one too. */
		if (ftruncate(j->fd, (off_t)j->size) != 0)
			log_error("-journal", LOG_STR("reason", strerror(errno)));
		reserve(j);
		errno = saved;
	}
	if (rc == 0 && durable)
		rc = fdatasync(j->fd);
	return rc;
}

struct text {
	char *data;
	size_t used, room;
};

static void add_line(cJSON *r, void *arg)
{
	struct text *text = arg;
	size_t len;
	char *line = journal_record_line(r, &len);

	while (text->room - text->used < len + 1) {
		text->room = text->room > 0 ? text->room * 2 : 65536;
		text->data = xrealloc(text->data, text->room);
	}
	memcpy(text->data + text->used, line, len); /* NOLINT: there is room, hence a buffer */
	text->used += len;
	free(line);
}

/* Writes the state as a new file and goes on with that. */
static int compact(struct journal *j, struct err *err)
{
	struct text text = {0};
	int fd, rc;

	journal_state_records(&j->state, add_line, &text);
	rc = file_write_atomic(j->path, text.data, text.used, err);
	free(text.data);
	if (rc != 0)
		return -1;
	fd = open(j->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, "cannot open %s: %s", j->path, strerror(errno));
	if (j->fd >= 0)
		close(j->fd);
	j->fd = fd;
	j->size = j->compact_size = text.used;
	reserve(j);
	return 0;
}

static int lock_dir(struct journal *j, const char *dir, struct err *err)
{
	char *path = xasprintf("%s/lock", dir);
	int rc = 0;

	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		rc = err_set(err, "cannot make %s: %s", dir, strerror(errno));
	else if ((j->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
		rc = err_set(err, "cannot open %s: %s", path, strerror(errno));
	else if (flock(j->lock_fd, LOCK_EX | LOCK_NB) != 0)
		rc = err_set(err, "%s: another agent uses this state directory", dir);
	free(path);
	return rc;
}

struct journal *journal_open(const char *dir, struct err *err)
{
	struct journal *j = xcalloc(1, sizeof(*j));

	pthread_mutex_init(&j->lock, NULL);
	j->fd = j->lock_fd = -1;
	j->state.next_number = 1;
	clock_random_hex(j->state.id, 8);
	j->path = xasprintf("%s/journal", dir);
	if (lock_dir(j, dir, err) != 0 || (access(j->path, F_OK) == 0 && read_all(j, err) != 0) ||
	    compact(j, err) != 0) {
		journal_close(j);
		return NULL;
	}
	if (j->damaged > 0)
		log_warn("-journal", LOG_STR("file", j->path),
			 LOG_INT("damaged_lines", j->damaged));
	return j;
}

void journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	journal_state_free(&j->state);
	if (j->fd >= 0)
		close(j->fd);
	if (j->lock_fd >= 0)
		close(j->lock_fd);
	pthread_mutex_destroy(&j->lock);
	free(j->path);
	free(j);
}

const char *journal_id(const struct journal *j)
{
	return j->state.id;
}

int64_t journal_epoch(const struct journal *j)
{
	return j->state.epoch;
}

int journal_raise_epoch(struct journal *j, int64_t epoch)
{
	cJSON *r;
	int rc;

	if (epoch <= j->state.epoch)
		return 0;
	r = journal_record("epoch");
	json_doc_add_int64(r, "epoch", epoch);
	pthread_mutex_lock(&j->lock);
	rc = append(j, r, true);
	if (rc == 0)
		j->state.epoch = epoch;
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int64_t journal_unused_ms(const struct journal *j, const char *model, struct journal_time now,
			  const char **source)
{
	const struct use_entry *use = journal_state_use(&j->state, model);

	*source = use != NULL ? use->source : "";
	return use != NULL ? journal_state_unused_ms(use, now) : -1;
}

void journal_note_use(struct journal *j, const char *model, struct journal_time used,
		      const char *source)
{
	journal_state_set_use(&j->state, model, used, source, true);
}

void journal_forget_use(struct journal *j, const char *model)
{
	journal_state_forget_use(&j->state, model);
}

int journal_claim(struct journal *j, const char *id, cJSON *record, bool durable)
{
	int rc;

	pthread_mutex_lock(&j->lock);
	rc = append(j, cJSON_Duplicate(record, true), durable);
	journal_state_set_claim(&j->state, id, record);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int journal_unclaim(struct journal *j, const char *id)
{
	cJSON *record = journal_record("unclaim");
	int rc;

	cJSON_AddStringToObject(record, "id", id);
	pthread_mutex_lock(&j->lock);
	rc = append(j, record, false);
	journal_state_drop_claim(&j->state, id);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

void journal_claims(struct journal *j, bool (*keep)(const cJSON *record, void *arg), void *arg)
{
	struct claim_entry *claim, *next;

	HASH_ITER (hh, j->state.claims, claim, next) {
		if (!keep(claim->record, arg) && journal_unclaim(j, claim->id) != 0)
			log_error("-journal", LOG_STR("reason", strerror(errno)));
	}
}

void journal_note_evicted(struct journal *j, const char *model,
			  const struct journal_evicted *eviction)
{
	pthread_mutex_lock(&j->lock);
	if (append(j, journal_record_evicted(model, eviction), false) != 0)
		log_error("-journal", LOG_STR("reason", strerror(errno)));
	journal_state_set_evicted(&j->state, model, eviction);
	pthread_mutex_unlock(&j->lock);
}

bool journal_evicted(struct journal *j, const char *model, struct journal_evicted *out)
{
	const struct journal_evicted *eviction = journal_state_evicted(&j->state, model);

	if (eviction != NULL)
		*out = *eviction;
	return eviction != NULL;
}

int journal_back(struct journal *j, const char *model, struct receipt *receipt)
{
	cJSON *r = journal_record("back");
	int rc = 0;

	cJSON_AddStringToObject(r, "model", model);
	pthread_mutex_lock(&j->lock);
	if (receipt != NULL) {
		receipt->number = j->state.next_number;
		rc = append(j, journal_record_receipt(receipt), false);
		j->state.next_number++;
		journal_state_add_receipt(&j->state, receipt);
	}
	rc |= append(j, r, false);
	journal_state_drop_evicted(&j->state, model);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

static int write_use(struct journal *j, struct use_entry *use)
{
	int rc = append(j, journal_record_use(use->model, use->used, use->source), false);

	use->dirty = rc != 0;
	return rc;
}

int journal_keep_use(struct journal *j, const char *model)
{
	struct use_entry *use;
	int rc = 0;

	pthread_mutex_lock(&j->lock);
	use = journal_state_use(&j->state, model);
	if (use != NULL && use->dirty)
		rc = write_use(j, use);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int journal_flush(struct journal *j)
{
	int rc = 0;

	pthread_mutex_lock(&j->lock);
	if (j->size > COMPACT_BYTES && j->size > 4 * j->compact_size) {
		struct err err;

		rc = compact(j, &err);
		if (rc != 0)
			log_error("-journal", LOG_STR("reason", err.text));
	}
	for (struct use_entry *use = j->state.uses; use != NULL && rc == 0; use = use->hh.next) {
		if (use->dirty)
			rc = write_use(j, use);
	}
	if (rc == 0)
		reserve(j);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int journal_begin(struct journal *j, const struct intent *intent)
{
	int rc;

	pthread_mutex_lock(&j->lock);
	rc = append(j, journal_record_intent(intent), true);
	if (rc == 0)
		journal_state_add_intent(&j->state, intent);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int journal_end(struct journal *j, const char *txn, struct receipt *receipt)
{
	cJSON *r;
	int rc;

	pthread_mutex_lock(&j->lock);
	if (receipt != NULL) {
		receipt->number = j->state.next_number;
		r = journal_record_receipt(receipt);
	} else {
		r = journal_record("end");
	}
	cJSON_AddStringToObject(r, "txn", txn);
	/* Without a receipt nothing is lost when the end is: the removal then ends once more. */
	rc = append(j, r, receipt != NULL);
	journal_state_drop_intent(&j->state, txn);
	if (receipt != NULL) {
		j->state.next_number++;
		journal_state_add_receipt(&j->state, receipt);
	}
	pthread_mutex_unlock(&j->lock);
	return rc;
}

const struct intent *journal_intents(const struct journal *j, size_t *count)
{
	*count = j->state.intent_count;
	return j->state.intents;
}

bool journal_has_intent(struct journal *j, const char *txn)
{
	bool found;

	pthread_mutex_lock(&j->lock);
	found = journal_state_intent(&j->state, txn) != NULL;
	pthread_mutex_unlock(&j->lock);
	return found;
}

size_t journal_receipts(struct journal *j, struct receipt *out, size_t max)
{
	size_t count;

	pthread_mutex_lock(&j->lock);
	count = j->state.receipt_count < max ? j->state.receipt_count : max;
	for (size_t i = 0; i < count; i++)
		out[i] = j->state.receipts[i];
	pthread_mutex_unlock(&j->lock);
	return count;
}

void journal_confirmed(struct journal *j, int64_t up_to)
{
	cJSON *r = journal_record("confirmed");

	json_doc_add_int64(r, "number", up_to);
	pthread_mutex_lock(&j->lock);
	journal_state_drop_receipts(&j->state, up_to);
	if (append(j, r, false) != 0)
		log_error("-journal", LOG_STR("reason", strerror(errno)));
	pthread_mutex_unlock(&j->lock);
}
