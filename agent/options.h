/* The agent's settings. */
#ifndef LARDER_AGENT_OPTIONS_H
#define LARDER_AGENT_OPTIONS_H

#include "common/settings.h"
#include "common/shared_options.h"

/* How opened files are seen; the order of the setting's words. */
enum watch_backend { WATCH_BY_INOTIFY, WATCH_BY_FANOTIFY, WATCH_OFF };

/* The watch of this node's pods. */
struct kubernetes_options {
	bool enabled;
	char *api_url; /* NULL: the pod's own API server */
	char *token_file;
	char *ca_file;
	int64_t claim_ttl_ms;
};

struct agent_options {
	char *node_name; /* NULL: the host's */
	char *state_dir;
	cJSON *roots;
	int64_t beat_interval_ms;
	int64_t scan_interval_ms;
	int64_t refault_window_ms; /* SETTING_UNSET: returns are not counted */
	cJSON *engines;		   /* engine_options.h */
	int64_t probe_interval_ms;
	int64_t claim_ttl_ms;
	bool strict_unmapped;
	struct kubernetes_options kubernetes;
	int watch; /* enum watch_backend */
	int64_t watch_max_directories;
	struct redis_options redis;
	struct http_options http;
	struct log_options log;
};

/* One element of "roots". */
struct agent_root_options {
	char *name;
	char *path;
	char *layout;
	char *glob;
	bool report_only;
	bool delete_without_leases;
	int64_t settle_time_ms;
	int64_t partial_timeout_ms;
	int64_t leftover_max_age_ms;
};

extern const struct settings_program agent_program;

/* Reads element `index` of the roots into `out` (zeroed before; free with the function below). */
int agent_root_options(const cJSON *roots, int index, struct agent_root_options *out,
		       struct err *err) MUST_USE;
void agent_root_options_free(struct agent_root_options *options);

#endif
