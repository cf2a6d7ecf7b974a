/*
 * What comes out of Redis as text: delete commands, lines of roots, pins, the published policy. The
 * first byte says which; a command is also made from the bytes and read back.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/command.h"
#include "common/glob.h"
#include "common/limits.h"
#include "common/pins.h"
#include "coordinator/cluster.h"
#include "tests/fuzz/fuzz.h"

static bool same_command(const struct command *a, const struct command *b)
{
	return strcmp(a->id, b->id) == 0 && strcmp(a->generation, b->generation) == 0 &&
	       a->last_used_ms == b->last_used_ms && a->deadline_ms == b->deadline_ms &&
	       a->epoch == b->epoch && a->reason == b->reason && a->force == b->force;
}

/* What is accepted has exactly one spelling. */
static void read_command(const char *text)
{
	struct command cmd;
	struct err err = {""};
	char again[COMMAND_TEXT_MAX];

	if (command_parse(text, &cmd, &err) != 0) {
		REQUIRE(err.text[0] != '\0');
		return;
	}
	REQUIRE(cmd.last_used_ms >= 0 && cmd.deadline_ms >= 0 && cmd.epoch >= 0);
	REQUIRE(cmd.epoch <= COMMAND_EPOCH_MAX);
	REQUIRE(!cmd.force || cmd.reason == REASON_MANUAL);
	command_format(&cmd, again);
	REQUIRE(strcmp(again, text) == 0);
}

static void choose_token(struct fuzz_choices *c, const char *from, char *buf, size_t max)
{
	size_t len = 1 + fuzz_choose(c, max);

	for (size_t i = 0; i < len; i++)
		buf[i] = from[fuzz_choose(c, strlen(from))];
	buf[len] = '\0';
}

/* What is written is read back as it was. */
static void write_command(const uint8_t *data, size_t size)
{
	struct fuzz_choices c = {data, size};
	struct command cmd = {0}, back;
	char text[COMMAND_TEXT_MAX];

	choose_token(&c, "abz019-.", cmd.id, COMMAND_ID_MAX);
	choose_token(&c, "0189adef", cmd.generation, COMMAND_GENERATION);
	cmd.last_used_ms = (int64_t)fuzz_choose(&c, INT64_MAX);
	cmd.deadline_ms = (int64_t)fuzz_choose(&c, INT64_MAX);
	cmd.epoch = (int64_t)fuzz_choose(&c, COMMAND_EPOCH_MAX);
	cmd.reason = (enum evict_reason)fuzz_choose(&c, REASON_COUNT);
	cmd.force = cmd.reason == REASON_MANUAL && fuzz_choose(&c, 2) == 1;
	command_format(&cmd, text);
	REQUIRE(command_parse(text, &back, NULL) == 0);
	REQUIRE(same_command(&cmd, &back));
}

/* A root deletes only where its line says so, and its numbers are none below zero. */
static void read_root(char *text)
{
	struct cluster cluster;
	const struct cluster_root *root;
	const char *name = fuzz_line(&text);
	const char *line = text != NULL ? text : "";

	cluster_init(&cluster, 1);
	if (cluster_add_root(&cluster.nodes[0], name, line)) {
		REQUIRE(model_name_root_valid(name));
		REQUIRE(cluster.nodes[0].root_count == 1);
		root = &cluster.nodes[0].roots[0];
		REQUIRE(strcmp(root->name, name) == 0);
		REQUIRE(!root->deletes || strstr(line, "mode=delete") != NULL);
		REQUIRE(!root->available || strstr(line, "mode=") != NULL);
		REQUIRE(root->total_bytes >= 0 && root->available_bytes >= 0 &&
			root->leftover_bytes >= 0);
	} else {
		REQUIRE(cluster.nodes[0].root_count == 0);
	}
	cluster_free(&cluster);
}

/* Whatever stands behind a glob, it pins; for ever when it cannot be read. */
static void read_pin(char *text)
{
	static const char model[] = "hf:meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a1";
	struct pins pins = {0};
	struct err err = {""};
	const char *glob = fuzz_line(&text);
	int rc = pins_add(&pins, glob, text != NULL ? text : "", &err);

	REQUIRE(rc == 0 || err.text[0] != '\0');
	if (pins.count == 0) {
		REQUIRE(rc != 0 && !glob_valid(glob));
	} else {
		bool matches = glob_match(glob, model);
		const struct pin *pin = pins_match(&pins, model, INT64_MAX);

		REQUIRE(strcmp(pins.list[0].glob, glob) == 0);
		REQUIRE((pins_match(&pins, model, 0) != NULL) == matches);
		REQUIRE((pin != NULL) == (matches && pins.list[0].until_ms == 0));
		if (rc != 0)
			REQUIRE(pins.list[0].until_ms == 0);
		pins_settle(&pins, INT64_C(1795429264051), INT64_C(1795429263000));
		/* It only ever holds for longer. */
		if (pin != NULL)
			REQUIRE(pins.list[0].until_ms == 0);
	}
	pins_free(&pins);
}

/* An accepted policy is within its bounds, and published again it says the same. */
static void read_policy(const char *text)
{
	struct limits limits = {0}, again = {0};
	cJSON *overrides = NULL, *overrides_again = NULL, *doc;
	struct err err = {""};
	char *published;

	if (limits_receive(text, &limits, &overrides, &err) != 0) {
		REQUIRE(err.text[0] != '\0');
		REQUIRE(overrides == NULL && limits.unused_threshold_ms == 0);
		return;
	}
	REQUIRE(limits_check(&limits, NULL) == 0);
	REQUIRE(limits.unused_threshold_ms >= 0 && limits.min_copies >= 0);
	REQUIRE(limits.max_models == SETTING_UNSET || limits.max_models >= 1);
	REQUIRE(limits_min_age_ms(&limits) >= 0);
	doc = limits_publish(&limits, overrides);
	published = cJSON_PrintUnformatted(doc);
	REQUIRE(limits_receive(published, &again, &overrides_again, &err) == 0);
	REQUIRE(!setting_differs(limits_settings, &limits, &again, 0, err.text, 128));
	REQUIRE((overrides == NULL) == (overrides_again == NULL));
	REQUIRE(overrides == NULL || cJSON_Compare(overrides, overrides_again, 1));
	cJSON_free(published);
	cJSON_Delete(doc);
	cJSON_Delete(overrides);
	cJSON_Delete(overrides_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);

	switch (*text) {
	case 'N': read_root(text + 1); break;
	case 'P': read_pin(text + 1); break;
	case 'L': read_policy(text + 1); break;
	case 'W': write_command(data + 1, size - 1); break;
	default: read_command(text); break;
	}
	free(text);
	return 0;
}
