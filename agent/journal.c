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
#include "common/clock.h"
#include "common/file_io.h"
#include "common/json_doc.h"
#include "common/log.h"
#include "common/xmem.h"

#define FILE_MAX      (256 << 20)
#define RESERVE_BYTES (256 << 10)
#define COMPACT_BYTES (1 << 20)

struct use_entry {
	char *model;
	char source[16];
	int64_t used_redis_ms;
	bool dirty;
	UT_hash_handle hh;
};

struct journal {
	pthread_mutex_t lock;
	char *path;
	int fd, lock_fd;
	char id[17];
	int64_t epoch, next_number;
	struct use_entry *uses;
	struct intent *intents;
	size_t intent_count, intent_capacity;
	struct receipt *receipts;
	size_t receipt_count, receipt_capacity;
	size_t size, compact_size;
	size_t damaged;
};

/* ---- state ---- */

static void set_use(struct journal *j, const char *model, int64_t used, const char *source,
		    bool dirty)
{
	struct use_entry *use;

	HASH_FIND_STR(j->uses, model, use);
	if (use == NULL) {
		use = xcalloc(1, sizeof(*use));
		use->model = xstrdup(model);
		HASH_ADD_KEYPTR(hh, j->uses, use->model, strlen(use->model), use);
	}
	if (used <= use->used_redis_ms)
		return;
	use->used_redis_ms = used;
	use->dirty = dirty;
	snprintf(use->source, sizeof(use->source), "%s", source);
}

static void clear_intent(struct intent *intent)
{
	free(intent->root);
	free(intent->model);
	free(intent->locator);
	memset(intent, 0, sizeof(*intent));
}

static struct intent *find_intent(struct journal *j, const char *txn)
{
	for (size_t i = 0; i < j->intent_count; i++) {
		if (strcmp(j->intents[i].txn, txn) == 0)
			return &j->intents[i];
	}
	return NULL;
}

static void add_intent(struct journal *j, const struct intent *intent)
{
	struct intent *copy;

	j->intents = xgrow(j->intents, j->intent_count, &j->intent_capacity, sizeof(*j->intents));
	copy = &j->intents[j->intent_count++];
	*copy = *intent;
	copy->root = xstrdup(intent->root);
	copy->model = xstrdup(intent->model);
	copy->locator = xstrdup(intent->locator);
}

static void drop_intent(struct journal *j, const char *txn)
{
	struct intent *intent = find_intent(j, txn);

	if (intent == NULL)
		return;
	clear_intent(intent);
	*intent = j->intents[--j->intent_count];
}

static void add_receipt(struct journal *j, const struct receipt *receipt)
{
	j->receipts =
		xgrow(j->receipts, j->receipt_count, &j->receipt_capacity, sizeof(*j->receipts));
	j->receipts[j->receipt_count++] = *receipt;
}

static void drop_receipts(struct journal *j, int64_t up_to)
{
	size_t kept = 0;

	for (size_t i = 0; i < j->receipt_count; i++) {
		if (j->receipts[i].number > up_to)
			j->receipts[kept++] = j->receipts[i];
	}
	j->receipt_count = kept;
}

/* ---- reading ---- */

static void replay_receipt(struct journal *j, const cJSON *r)
{
	struct receipt receipt;

	if (journal_record_read_receipt(r, &receipt) != 0)
		return;
	add_receipt(j, &receipt);
	if (receipt.number >= j->next_number)
		j->next_number = receipt.number + 1;
}

static void replay_intent(struct journal *j, const cJSON *r)
{
	struct intent intent;

	journal_record_read_intent(r, &intent);
	/* Without a number of its own nothing could end it. */
	if (strlen(intent.txn) == TXN_LEN && find_intent(j, intent.txn) == NULL)
		add_intent(j, &intent);
}

static void replay(struct journal *j, const cJSON *r)
{
	const char *kind = journal_record_text(r, "k");

	if (strcmp(kind, "journal") == 0) {
		snprintf(j->id, sizeof(j->id), "%s", journal_record_text(r, "id"));
		if (journal_record_number(r, "next") > j->next_number)
			j->next_number = journal_record_number(r, "next");
		if (journal_record_number(r, "epoch") > j->epoch)
			j->epoch = journal_record_number(r, "epoch");
	} else if (strcmp(kind, "use") == 0) {
		set_use(j, journal_record_text(r, "model"), journal_record_number(r, "used"),
			journal_record_text(r, "source"), false);
	} else if (strcmp(kind, "forget") == 0) {
		journal_forget_use(j, journal_record_text(r, "model"));
	} else if (strcmp(kind, "epoch") == 0) {
		if (journal_record_number(r, "epoch") > j->epoch)
			j->epoch = journal_record_number(r, "epoch");
	} else if (strcmp(kind, "intent") == 0) {
		replay_intent(j, r);
	} else if (strcmp(kind, "end") == 0) {
		drop_intent(j, journal_record_text(r, "txn"));
	} else if (strcmp(kind, "receipt") == 0) {
		drop_intent(j, journal_record_text(r, "txn"));
		replay_receipt(j, r);
	} else if (strcmp(kind, "confirmed") == 0) {
		drop_receipts(j, journal_record_number(r, "number"));
	}
}

static void replay_line(struct journal *j, const char *line, size_t len)
{
	cJSON *r = journal_record_parse(line, len);

	if (r == NULL) {
		j->damaged++;
		return;
	}
	replay(j, r);
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
	if (rc == 0)
		j->size += len;
	if (rc == 0 && durable)
		rc = fdatasync(j->fd);
	return rc;
}

struct text {
	char *data;
	size_t used, room;
};

static void add_line(struct text *text, cJSON *r)
{
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

	add_line(&text, journal_record_header(j->id, j->next_number, j->epoch));
	for (struct use_entry *use = j->uses; use != NULL; use = use->hh.next) {
		use->dirty = false;
		add_line(&text, journal_record_use(use->model, use->used_redis_ms, use->source));
	}
	for (size_t i = 0; i < j->intent_count; i++)
		add_line(&text, journal_record_intent(&j->intents[i]));
	for (size_t i = 0; i < j->receipt_count; i++)
		add_line(&text, journal_record_receipt(&j->receipts[i]));
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
	j->next_number = 1;
	clock_random_hex(j->id, 8);
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
	struct use_entry *use, *next;

	if (j == NULL)
		return;
	HASH_ITER (hh, j->uses, use, next) {
		HASH_DEL(j->uses, use);
		free(use->model);
		free(use);
	}
	for (size_t i = 0; i < j->intent_count; i++)
		clear_intent(&j->intents[i]);
	free(j->intents);
	free(j->receipts);
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
	return j->id;
}

int64_t journal_epoch(const struct journal *j)
{
	return j->epoch;
}

int journal_raise_epoch(struct journal *j, int64_t epoch)
{
	cJSON *r;
	int rc;

	if (epoch <= j->epoch)
		return 0;
	r = journal_record("epoch");
	json_doc_add_int64(r, "epoch", epoch);
	pthread_mutex_lock(&j->lock);
	rc = append(j, r, true);
	if (rc == 0)
		j->epoch = epoch;
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int64_t journal_use(const struct journal *j, const char *model, const char **source)
{
	struct use_entry *use;

	HASH_FIND_STR(j->uses, model, use);
	*source = use != NULL ? use->source : "";
	return use != NULL ? use->used_redis_ms : 0;
}

void journal_note_use(struct journal *j, const char *model, int64_t used, const char *source)
{
	set_use(j, model, used, source, true);
}

void journal_forget_use(struct journal *j, const char *model)
{
	struct use_entry *use;

	HASH_FIND_STR(j->uses, model, use);
	if (use == NULL)
		return;
	HASH_DEL(j->uses, use);
	free(use->model);
	free(use);
}

static int write_use(struct journal *j, struct use_entry *use)
{
	int rc = append(j, journal_record_use(use->model, use->used_redis_ms, use->source), false);

	use->dirty = rc != 0;
	return rc;
}

int journal_keep_use(struct journal *j, const char *model)
{
	struct use_entry *use;
	int rc = 0;

	pthread_mutex_lock(&j->lock);
	HASH_FIND_STR(j->uses, model, use);
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
	for (struct use_entry *use = j->uses; use != NULL && rc == 0; use = use->hh.next) {
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
		add_intent(j, intent);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

int journal_end(struct journal *j, const char *txn, struct receipt *receipt)
{
	cJSON *r;
	int rc;

	pthread_mutex_lock(&j->lock);
	if (receipt != NULL) {
		receipt->number = j->next_number;
		r = journal_record_receipt(receipt);
	} else {
		r = journal_record("end");
	}
	cJSON_AddStringToObject(r, "txn", txn);
	/* Without a receipt nothing is lost when the end is: the removal then ends once more. */
	rc = append(j, r, receipt != NULL);
	drop_intent(j, txn);
	if (receipt != NULL) {
		j->next_number++;
		add_receipt(j, receipt);
	}
	pthread_mutex_unlock(&j->lock);
	return rc;
}

const struct intent *journal_intents(const struct journal *j, size_t *count)
{
	*count = j->intent_count;
	return j->intents;
}

bool journal_has_intent(struct journal *j, const char *txn)
{
	bool found;

	pthread_mutex_lock(&j->lock);
	found = find_intent(j, txn) != NULL;
	pthread_mutex_unlock(&j->lock);
	return found;
}

size_t journal_receipts(struct journal *j, struct receipt *out, size_t max)
{
	size_t count;

	pthread_mutex_lock(&j->lock);
	count = j->receipt_count < max ? j->receipt_count : max;
	for (size_t i = 0; i < count; i++)
		out[i] = j->receipts[i];
	pthread_mutex_unlock(&j->lock);
	return count;
}

void journal_confirmed(struct journal *j, int64_t up_to)
{
	cJSON *r = journal_record("confirmed");

	json_doc_add_int64(r, "number", up_to);
	pthread_mutex_lock(&j->lock);
	drop_receipts(j, up_to);
	if (append(j, r, false) != 0)
		log_error("-journal", LOG_STR("reason", strerror(errno)));
	pthread_mutex_unlock(&j->lock);
}
