/* The coordinator's settings. */
#ifndef LARDER_COORDINATOR_OPTIONS_H
#define LARDER_COORDINATOR_OPTIONS_H

#include "common/limits.h"
#include "common/settings.h"
#include "common/shared_options.h"

struct coordinator_options {
	bool enabled;
	struct limits policy;
	int64_t check_interval_ms;
	cJSON *overrides;
	bool dry_run;
	int64_t hold_off_ms;
	int64_t max_evictions_per_cycle; /* SETTING_UNSET: no cap */
	int64_t max_bytes_per_cycle;
	int64_t node_timeout_ms;
	int64_t command_ttl_ms;
	int64_t lease_ms;
	char *advertise; /* NULL: where http.listen says */
	struct redis_options redis;
	struct http_options http;
	struct log_options log;
};

extern const struct settings_program coordinator_program;

#endif
