/* larderctl doctor: is this deployment as it should be, and what must change if not? */
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/doctor.h"
#include "coordinator/options.h"

struct options {
	char *config;
};

static const struct setting options[] = {
	{.key = "config",
	 .offset = offsetof(struct options, config),
	 .type = SETTING_STRING,
	 .allowed = "FILE",
	 .help = "the coordinator's: ask Redis itself as it does"},
	SETTING_END,
};

static void check_redis(struct findings *f, char *config, struct doctor_view *view)
{
	char name[] = "larderctl", flag[] = "--config";
	char *argv[] = {name, flag, config, NULL};
	struct finding found = {.check = "configuration", .state = FINDING_GOOD};
	struct coordinator_options settings = {0};
	struct err err;

	/* As the coordinator reads it: variables win over the file. */
	if (settings_reload(&coordinator_program, config != NULL ? 3 : 1, argv, &settings, &err) !=
	    0) {
		found.state = FINDING_BAD;
		found.advice = "larderctl check says the same; mend it, or read it as another user";
		findings_add(f, &found, "%s", err.text);
	} else {
		findings_add(f, &found, "%s",
			     config != NULL ? config : "the default one, and variables");
		doctor_redis(f, &settings.redis, view);
	}
	setting_free(coordinator_program.rows, &settings);
}

/* Is there a word from anybody where Redis is? Else only the coordinator knows. */
static bool knows_redis(const struct options *o)
{
	return o->config != NULL || getenv("LARDER_REDIS_URL") != NULL ||
	       getenv(coordinator_program.file_env) != NULL ||
	       access(coordinator_program.file, F_OK) == 0;
}

static int run(const struct cli *cli, const void *base, const cJSON *operands)
{
	const struct options *o = base;
	struct findings f = {0};
	struct doctor_view view = {0};
	bool healthy;

	(void)operands;
	if (knows_redis(o))
		check_redis(&f, o->config, &view);
	else
		findings_add(&f,
			     &(struct finding){.check = "configuration",
					       .state = FINDING_UNKNOWN,
					       .advice = "name the coordinator's with --config"},
			     "Redis itself is not asked, only the coordinator");
	doctor_coordinator(&f, &cli->client, &view);
	if (cli->json)
		findings_print_json(&f);
	else
		findings_print_table(&f);
	healthy = findings_healthy(&f);
	findings_free(&f);
	return healthy ? EX_OK : EXIT_FAILURE;
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "check a deployment from end to end, and say what to change",
	.diagnoses = true,
	.options = options,
	.size = sizeof(struct options),
	.notes = "Asks Redis itself, as the coordinator of this configuration does (by default\n"
		 "/etc/larder/coordinator.json, if it is there, and variables): connection, "
		 "version,\n"
		 "mode, role, maxmemory-policy, rights of the user, persistence, memory, clients, "
		 "scripts,\n"
		 "clock, who leads. Asks the coordinator at --server: does it see the same Redis "
		 "and\n"
		 "leader, does it evict, and of each node: is it alive, its clock and version, are "
		 "its\n"
		 "roots there and deleted from, is a disk under its floor. It changes nothing, but "
		 "that\n"
		 "Redis knows the scripts afterwards. STATE is good, warning, bad or not checked. "
		 "-o json\n"
		 "prints {\"healthy\", \"findings\": [{\"check\", \"state\", \"of\", \"found\", "
		 "\"to_change\"}]}.\n\n"
		 "Example:\n"
		 "  larderctl doctor --config /etc/larder/coordinator.json\n",
	.outcomes = "  0   nothing is bad; there may be warnings\n"
		    "  1   something is bad\n",
	.run = run,
};
