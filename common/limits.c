/* The configured eviction policy. (pure) */
#include "common/limits.h"

#include <stdio.h>
#include <string.h>

#include "common/glob.h"
#include "common/json_doc.h"

#define MIN_AGE_DEFAULT_MS (10 * INT64_C(60000))
/* 100 years: beyond it a threshold can only be a mistake. */
#define THRESHOLD_MAX_MS (36500 * INT64_C(86400000))
/* One exbibyte: beyond it a size can only be a mistake. */
#define BYTES_MAX (INT64_C(1) << 60)

static const char *const types[] = {"lru", NULL};

#define ROW(name)    .key = #name, .offset = offsetof(struct limits, name)
#define ROW_MS(name) .key = #name, .offset = offsetof(struct limits, name##_ms)

const struct setting limits_settings[] = {
	{ROW(type), .type = SETTING_CHOICE, .flags = SETTING_RELOAD, .def = "lru", .choices = types,
	 .help = "which models go first: the least recently used"},
	{ROW_MS(unused_threshold), .type = SETTING_DURATION, .flags = SETTING_RELOAD, .def = "7d",
	 .min = 0, .max = THRESHOLD_MAX_MS,
	 .help = "evict models that were not used for longer than this"},
	{ROW(max_models), .type = SETTING_INT, .flags = SETTING_RELOAD | SETTING_NULLABLE, .min = 1,
	 .max = UINT32_MAX, .help = "evict the oldest models of a node beyond this many"},
	{ROW(min_free_space_bytes), .type = SETTING_INT, .flags = SETTING_RELOAD | SETTING_NULLABLE,
	 .min = 0, .max = BYTES_MAX,
	 .help = "evict the oldest models until this many bytes are available on each disk"},
	{ROW(start_evicting_at_percent), .type = SETTING_INT,
	 .flags = SETTING_RELOAD | SETTING_NULLABLE, .min = 1, .max = 99,
	 .help = "start evicting when this much of a disk is used"},
	{ROW(stop_evicting_at_percent), .type = SETTING_INT,
	 .flags = SETTING_RELOAD | SETTING_NULLABLE, .min = 1, .max = 99,
	 .help = "once started, stop when no more than this much is used"},
	{ROW_MS(min_age), .type = SETTING_DURATION, .flags = SETTING_RELOAD | SETTING_NULLABLE,
	 .min = 0, .max = THRESHOLD_MAX_MS,
	 .help = "spare models used or downloaded within this time; null: 10m, or "
		 "unused_threshold where that is shorter"},
	{ROW(min_copies), .type = SETTING_INT, .flags = SETTING_RELOAD, .def = "0", .min = 0,
	 .max = 1000000,
	 .help = "spare a model where fewer live nodes than this would still hold it"},
	{ROW(max_evictions_per_node), .type = SETTING_INT,
	 .flags = SETTING_RELOAD | SETTING_NULLABLE, .min = 1, .max = UINT32_MAX,
	 .help = "evict at most this many models of one node in one cycle"},
	{ROW(max_bytes_per_node), .type = SETTING_INT, .flags = SETTING_RELOAD | SETTING_NULLABLE,
	 .min = 1, .max = BYTES_MAX,
	 .help = "evict at most this many bytes of one node in one cycle"},
	SETTING_END,
};

int limits_check(const struct limits *limits, struct err *err)
{
	bool start = limits->start_evicting_at_percent != SETTING_UNSET;
	bool stop = limits->stop_evicting_at_percent != SETTING_UNSET;

	if (start != stop)
		return err_set(err,
			       "policy.%s_evicting_at_percent is set without policy.%s_"
			       "evicting_at_percent",
			       start ? "start" : "stop", start ? "stop" : "start");
	if (start && limits->stop_evicting_at_percent >= limits->start_evicting_at_percent)
		return err_set(err,
			       "policy.stop_evicting_at_percent is %d; allowed is less than "
			       "policy.start_evicting_at_percent, which is %d",
			       (int)limits->stop_evicting_at_percent,
			       (int)limits->start_evicting_at_percent);
	return 0;
}

/* One override applied on `limits`; `nodes` gets its glob. */
static int apply_override(const cJSON *item, const char **nodes, struct limits *limits,
			  const char *path, struct err *err)
{
	const cJSON *glob = cJSON_GetObjectItemCaseSensitive(item, "nodes");
	const cJSON *policy = cJSON_GetObjectItemCaseSensitive(item, "policy");
	char below[64];

	if (!cJSON_IsObject(item) || cJSON_GetArraySize(item) != 2 || !cJSON_IsString(glob) ||
	    !cJSON_IsObject(policy))
		return err_set(err, "%s: allowed is {\"nodes\": GLOB, \"policy\": {...}}", path);
	if (!glob_valid(glob->valuestring))
		return err_set(err, "%s.nodes: \"%.60s\" is not a glob over node names", path,
			       glob->valuestring);
	*nodes = glob->valuestring;
	snprintf(below, sizeof(below), "%s.policy.", path);
	return setting_apply(limits_settings, limits, policy, below, err);
}

int limits_check_overrides(const cJSON *overrides, const struct limits *base, struct err *err)
{
	const cJSON *item;
	const char *nodes = "";
	char path[32];
	int i = 0;

	if (!cJSON_IsArray(overrides))
		return err_set(err, "found %s; allowed is a list", json_doc_type(overrides));
	cJSON_ArrayForEach (item, overrides) {
		struct limits limits = {0};

		if (base != NULL)
			limits = *base;
		else
			setting_defaults(limits_settings, &limits);
		snprintf(path, sizeof(path), "overrides[%d]", i++);
		if (apply_override(item, &nodes, &limits, path, err) != 0)
			return -1;
		if (base != NULL && limits_check(&limits, err) != 0)
			return err_prefix(err, "%s", path);
	}
	return 0;
}

void limits_for_node(const struct limits *base, const cJSON *overrides, const char *node,
		     struct limits *out)
{
	const cJSON *item;

	*out = *base;
	cJSON_ArrayForEach (item, overrides) {
		const cJSON *glob = cJSON_GetObjectItemCaseSensitive(item, "nodes");
		struct limits changed = *out;
		const char *nodes;

		/* Asked for each node, and most match few of them: that comes first. */
		if (cJSON_IsString(glob) && glob_match(glob->valuestring, node) &&
		    apply_override(item, &nodes, &changed, "", NULL) == 0)
			*out = changed;
	}
}

int64_t limits_min_age_ms(const struct limits *limits)
{
	if (limits->min_age_ms != SETTING_UNSET)
		return limits->min_age_ms;
	if (limits->unused_threshold_ms < MIN_AGE_DEFAULT_MS)
		return limits->unused_threshold_ms;
	return MIN_AGE_DEFAULT_MS;
}

/* The least number of bytes that is `percent` of the disk; exact, and without overflow. */
static int64_t percent_of(int64_t total_bytes, int64_t percent)
{
	return total_bytes / 100 * percent + (total_bytes % 100 * percent + 99) / 100;
}

int64_t limits_wanted_available(const struct limits *limits, int64_t total_bytes,
				int64_t available_bytes)
{
	int64_t wanted = 0;

	if (total_bytes <= 0)
		return 0;
	if (limits->min_free_space_bytes != SETTING_UNSET)
		wanted = limits->min_free_space_bytes;
	if (limits->start_evicting_at_percent != SETTING_UNSET) {
		int64_t start = percent_of(total_bytes, limits->start_evicting_at_percent);

		if (total_bytes - available_bytes >= start) {
			int64_t mark =
				percent_of(total_bytes, 100 - limits->stop_evicting_at_percent);

			if (mark > wanted)
				wanted = mark;
		}
	}
	return wanted;
}

cJSON *limits_publish(const struct limits *base, const cJSON *overrides)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddItemToObject(object, "policy", setting_to_json(limits_settings, base));
	if (overrides != NULL)
		cJSON_AddItemToObject(object, "overrides", json_doc_copy(overrides));
	return object;
}

int limits_receive(const char *text, struct limits *base, cJSON **overrides, struct err *err)
{
	struct limits limits = {0};
	const cJSON *list;
	cJSON *doc = json_doc_parse(text, strlen(text), err);
	int rc = -1;

	if (doc == NULL)
		return -1;
	setting_defaults(limits_settings, &limits);
	list = cJSON_GetObjectItemCaseSensitive(doc, "overrides");
	if (setting_apply(limits_settings, &limits, cJSON_GetObjectItemCaseSensitive(doc, "policy"),
			  "policy.", err) != 0 ||
	    limits_check(&limits, err) != 0 ||
	    (list != NULL && limits_check_overrides(list, &limits, err) != 0))
		goto out;
	*base = limits;
	cJSON_Delete(*overrides);
	*overrides = list != NULL ? cJSON_Duplicate(list, 1) : NULL;
	rc = 0;
out:
	cJSON_Delete(doc);
	return rc;
}
