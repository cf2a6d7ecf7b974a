/*
 * The eviction policy as it is configured: the rules of ModelExpress' cache service, and Larder's
 * own beside them. The leader publishes it to larder:policy, so that the agents know their floors.
 */
#ifndef LARDER_LIMITS_H
#define LARDER_LIMITS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/setting.h"

struct limits {
	int type; /* 0: lru */
	int64_t unused_threshold_ms;
	int64_t max_models;	      /* SETTING_UNSET: no limit */
	int64_t min_free_space_bytes; /* SETTING_UNSET: no floor */
	int64_t min_age_ms;	      /* SETTING_UNSET: see limits_min_age_ms */
	int64_t min_copies;
	int64_t start_evicting_at_percent; /* of the disk used; SETTING_UNSET: off */
	int64_t stop_evicting_at_percent;
	int64_t max_evictions_per_node; /* per cycle; SETTING_UNSET: no cap */
	int64_t max_bytes_per_node;
};

/* The rows of "policy", for a struct limits. */
extern const struct setting limits_settings[];

/* What single rows cannot see, such as a stop mark above the start mark. */
int limits_check(const struct limits *limits, struct err *err) MUST_USE;

/*
 * Checks a list of overrides: [{"nodes": GLOB, "policy": {some keys of policy}}, ...]. Each is
 * also tried on top of `base` (may be NULL while that is not known yet).
 */
int limits_check_overrides(const cJSON *overrides, const struct limits *base,
			   struct err *err) MUST_USE;

/* The limits of one node: `base`, then every matching override in its order. */
void limits_for_node(const struct limits *base, const cJSON *overrides, const char *node,
		     struct limits *out);

/*
 * Models used or downloaded less than this long ago are spared by every automatic rule. Unset, it
 * is 10 minutes, or unused_threshold where that is shorter.
 */
int64_t limits_min_age_ms(const struct limits *limits);

/*
 * Bytes that should be available on a disk of `total_bytes` on which `available_bytes` are: the
 * floor, or what the stop mark asks for once the start mark is crossed. 0 when nothing is wanted.
 */
int64_t limits_wanted_available(const struct limits *limits, int64_t total_bytes,
				int64_t available_bytes);

/* {"policy": ..., "overrides": ...} as it stands in larder:policy, and back. */
cJSON *limits_publish(const struct limits *base, const cJSON *overrides) MUST_USE;
int limits_receive(const char *text, struct limits *base, cJSON **overrides,
		   struct err *err) MUST_USE;

#endif
