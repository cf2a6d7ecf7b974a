/*
 * The agent's journal. Whatever stands in the file, it opens; what was read stays the same when it
 * is opened again, and the journal goes on to work. With a first line "lines" the rest are JSON
 * records that get the right digest, so that their content is reached.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/journal.h"
#include "agent/journal_record.h"
#include "common/digest.h"
#include "common/file_io.h"
#include "common/log.h"
#include "common/xmem.h"
#include "tests/fuzz/fuzz.h"

#define RECEIPTS_MAX 256

static char dir[256], path[300];

/* Nothing here is to outlive a power cut. The names are the linker's. */
/* NOLINTBEGIN(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fsync(int fd)
{
	(void)fd;
	return 0;
}

int __wrap_fdatasync(int fd)
{
	(void)fd;
	return 0;
}
/* NOLINTEND(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static void clean(void)
{
	char lock[300];

	snprintf(lock, sizeof(lock), "%s/lock", dir);
	unlink(lock);
	unlink(path);
	rmdir(dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *base = getenv("TMPDIR");

	(void)argc;
	(void)argv;
	snprintf(dir, sizeof(dir), "%s/larder-fuzz-XXXXXX", base != NULL ? base : "/tmp");
	REQUIRE(mkdtemp(dir) != NULL);
	snprintf(path, sizeof(path), "%s/journal", dir);
	atexit(clean);
	log_setup("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_LOGFMT);
	return 0;
}

static void write_journal(const char *data, size_t len)
{
	FILE *file = fopen(path, "we");

	REQUIRE(file != NULL && fwrite(data, 1, len, file) == len && fclose(file) == 0);
}

/* The records of the input as lines with their digests. */
static void write_lines(char *records)
{
	FILE *file = fopen(path, "we");

	REQUIRE(file != NULL);
	while (records != NULL) {
		char *record = fuzz_line(&records);
		char hex[41];

		digest_hex40(hex, record, strlen(record));
		fprintf(file, "%.8s %s\n", hex, record);
	}
	REQUIRE(fclose(file) == 0);
}

struct state {
	char id[32];
	int64_t epoch;
	char *intents; /* each on a line */
	struct receipt receipts[RECEIPTS_MAX];
	size_t receipt_count;
};

static struct state *look(struct journal *journal)
{
	struct state *state = xcalloc(1, sizeof(*state));
	const struct intent *intents;
	size_t count;

	snprintf(state->id, sizeof(state->id), "%s", journal_id(journal));
	state->epoch = journal_epoch(journal);
	intents = journal_intents(journal, &count);
	state->intents = xstrdup("");
	for (size_t i = 0; i < count; i++) {
		char *more = xasprintf("%s%s|%s|%s|%s|%s\n", state->intents, intents[i].txn,
				       intents[i].root, intents[i].model, intents[i].locator,
				       intents[i].command);

		free(state->intents);
		state->intents = more;
		REQUIRE(journal_has_intent(journal, intents[i].txn));
	}
	state->receipt_count = journal_receipts(journal, state->receipts, RECEIPTS_MAX);
	return state;
}

static void forget(struct state *state)
{
	free(state->intents);
	free(state);
}

static bool same_receipt(const struct receipt *a, const struct receipt *b)
{
	return a->number == b->number && strcmp(a->model, b->model) == 0 &&
	       strcmp(a->id, b->id) == 0 && strcmp(a->outcome, b->outcome) == 0 &&
	       a->bytes == b->bytes && strcmp(a->why, b->why) == 0 && a->reason == b->reason &&
	       a->epoch == b->epoch && a->last_used_ms == b->last_used_ms &&
	       a->took_ms == b->took_ms;
}

static void require_same(const struct state *a, const struct state *b)
{
	REQUIRE(strcmp(a->id, b->id) == 0);
	REQUIRE(a->epoch == b->epoch);
	REQUIRE(strcmp(a->intents, b->intents) == 0);
	REQUIRE(a->receipt_count == b->receipt_count);
	for (size_t i = 0; i < a->receipt_count; i++)
		REQUIRE(same_receipt(&a->receipts[i], &b->receipts[i]));
}

static struct journal *open_journal(void)
{
	struct err err = {""};
	struct journal *journal = journal_open(dir, &err);

	if (journal == NULL)
		fprintf(stderr, "%s\n", err.text);
	REQUIRE(journal != NULL);
	return journal;
}

/* Goes on with a journal as the agent does; every receipt gets a number of its own. */
static void use_journal(struct journal *journal, const struct state *before)
{
	char root[] = "default", model[] = "hf:a/b@0123456789ab", locator[] = "models--a--b/0123";
	struct intent intent = {
		.txn = "00112233aabbccdd", .root = root, .model = model, .locator = locator};
	struct receipt receipt = {.outcome = "deleted", .bytes = 5, .reason = REASON_MANUAL};
	const struct journal_time now = {INT64_C(1795429264000), INT64_C(1795429265000)};
	const struct journal_time used = {now.redis_ms - 1000, now.wall_ms - 1000};
	const char *source;
	int64_t unused_ms;

	REQUIRE(journal_begin(journal, &intent) == 0);
	REQUIRE(journal_has_intent(journal, intent.txn));
	REQUIRE(journal_end(journal, intent.txn, &receipt) == 0);
	for (size_t i = 0; i < before->receipt_count; i++)
		REQUIRE(before->receipts[i].number < receipt.number);
	REQUIRE(receipt.number >= 1);
	REQUIRE(journal_raise_epoch(journal, INT64_C(1795429264051)) == 0);
	REQUIRE(journal_epoch(journal) >= INT64_C(1795429264051));
	/* Whatever stood there before: used a second ago on both clocks, or later. */
	journal_note_use(journal, intent.model, used, "api");
	unused_ms = journal_unused_ms(journal, intent.model, now, &source);
	REQUIRE(unused_ms >= 0 && unused_ms <= 1000);
	REQUIRE(journal_flush(journal) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal *journal;
	struct state *first, *second, *third;

	if (size > 6 && memcmp(data, "lines\n", 6) == 0) {
		char *text = fuzz_text(data + 6, size - 6);

		write_lines(text);
		free(text);
	} else {
		write_journal((const char *)data, size);
	}
	journal = open_journal();
	first = look(journal);
	journal_close(journal);
	journal = open_journal();
	second = look(journal);
	require_same(first, second);
	if (first->receipt_count < RECEIPTS_MAX - 1) {
		use_journal(journal, second);
		forget(second);
		second = look(journal);
		journal_close(journal);
		journal = open_journal();
		third = look(journal);
		require_same(second, third);
		forget(third);
	}
	journal_close(journal);
	forget(first);
	forget(second);
	return 0;
}
