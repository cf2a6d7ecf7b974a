/* larderctl status: who leads, may it act, what did the last cycles come to? */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/args.h"
#include "cli/cmd.h"
#include "cli/field.h"
#include "cli/human.h"
#include "cli/table.h"

static void add_leader(struct table *t, const cJSON *answer)
{
	const cJSON *leader = cJSON_GetObjectItemCaseSensitive(answer, "leader");
	const char *id = field_text(leader, "id"), *address = field_text(leader, "address");
	const char *own = field_text(answer, "id");
	int64_t epoch = field_int(leader, "epoch");

	table_text(t, "leader");
	if (field_true(leader, "here"))
		table_format(t, "this coordinator, %s at %s", id, address);
	else if (*id == '\0')
		table_text(t, "nobody");
	else
		table_format(t, "%s at %s; this one, %s, stands by", id, address, own);
	table_text(t, "epoch");
	/* One that has never led knows none. */
	table_number(t, epoch > 0 ? epoch : -1);
}

static void add_redis(struct table *t, const cJSON *answer)
{
	const cJSON *redis = cJSON_GetObjectItemCaseSensitive(answer, "redis");
	const cJSON *problems = cJSON_GetObjectItemCaseSensitive(redis, "problems"), *problem;

	table_text(t, "Redis");
	if (!field_true(redis, "connected"))
		table_text(t, "not connected");
	else
		table_format(t, "connected, %s, version %s", field_text(redis, "role"),
			     field_text(redis, "version"));
	cJSON_ArrayForEach (problem, problems) {
		table_text(t, "");
		table_text(t, cJSON_IsString(problem) ? problem->valuestring : "");
	}
}

static void add_acting(struct table *t, const cJSON *answer)
{
	int64_t due_ms = field_int(answer, "next_cycle_ms");
	bool leads = field_true(cJSON_GetObjectItemCaseSensitive(answer, "leader"), "here");
	char buf[HUMAN_SIZE];

	table_text(t, "eviction");
	table_text(t, !field_true(answer, "enabled")  ? "disabled: by hand only"
		      : field_true(answer, "dry_run") ? "dry run: planned and logged, never issued"
						      : "enabled");
	table_text(t, "observing");
	if (field_true(answer, "observing"))
		table_format(t, "yes, nothing is issued: %s", field_text(answer, "observing_why"));
	else
		table_text(t, "no");
	table_text(t, "next cycle");
	if (!leads || !field_true(answer, "enabled"))
		table_text(t, leads ? "none" : "the leader's");
	else if (due_ms <= 0)
		table_text(t, "due");
	else
		table_format(t, "in %s", human_duration(due_ms, buf));
	table_text(t, "open commands");
	table_number(t, field_int(answer, "open_commands"));
	table_text(t, "version");
	table_text(t, field_text(answer, "version"));
}

static void add_cycle(struct table *t, const cJSON *cycle)
{
	const char *stopped = field_text(cycle, "stopped");

	table_number(t, field_int(cycle, "id"));
	table_time(t, field_int(cycle, "began_ms"));
	table_text(t, field_text(cycle, "trigger"));
	table_duration(t, field_int(cycle, "read_ms"));
	table_format(t, "%lld/%lld", (long long)field_int(cycle, "live_nodes"),
		     (long long)field_int(cycle, "nodes"));
	table_number(t, field_sum(cycle, "planned"));
	table_number(t, field_int(cycle, "issued"));
	table_number(t, field_int(cycle, "evicted_count"));
	table_bytes(t, field_int(cycle, "bytes_freed"));
	table_number(t, field_int(cycle, "refused"));
	table_number(t, field_int(cycle, "failed") + field_int(cycle, "expired"));
	table_number(t, field_int(cycle, "targets_not_reached"));
	table_text(t, *stopped != '\0'		     ? stopped
		      : field_true(cycle, "dry_run") ? "dry run"
		      : field_true(cycle, "ended")   ? ""
						     : "commands are open");
}

static int show(const cJSON *answer)
{
	static const struct table_column facts[] = {{0}, {0}};
	static const struct table_column columns[] = {
		TABLE_RIGHT("CYCLE"),	TABLE_LEFT("BEGAN"),	TABLE_LEFT("TRIGGER"),
		TABLE_RIGHT("TOOK"),	TABLE_RIGHT("LIVE"),	TABLE_RIGHT("PLANNED"),
		TABLE_RIGHT("ISSUED"),	TABLE_RIGHT("EVICTED"), TABLE_RIGHT("FREED"),
		TABLE_RIGHT("REFUSED"), TABLE_RIGHT("FAILED"),	TABLE_RIGHT("MISSED TARGETS"),
		TABLE_OPTIONAL("NOTE"),
	};
	const cJSON *cycles = cmd_list(answer, "cycles"), *cycle;
	struct table *t;

	if (cycles == NULL)
		return EX_SOFTWARE;
	t = table_new(facts, ARRAY_SIZE(facts));
	add_leader(t, answer);
	add_redis(t, answer);
	add_acting(t, answer);
	table_print(t, stdout);
	table_free(t);
	t = table_new(columns, ARRAY_SIZE(columns));
	cJSON_ArrayForEach (cycle, cycles)
		add_cycle(t, cycle);
	if (table_rows(t) > 0) {
		printf("\n");
		table_print(t, stdout);
	}
	table_free(t);
	return EX_OK;
}

static int run(const struct cli *cli, const void *options, const cJSON *operands)
{
	(void)options;
	(void)operands;
	return cmd_show(cli, &(struct client_request){.method = "GET", .path = "/v1/status"}, show);
}

const struct cmd cmd_status = {
	.name = "status",
	.operands = "",
	.summary = "who leads, may it act, and what the last cycles came to",
	.options = args_none,
	.notes = "A coordinator observes, and issues nothing, for a while after it has started, "
		 "after\n"
		 "Redis came back and whenever its view of the cluster is suspect.\n",
	.outcomes = "  0   printed\n",
	.run = run,
};
