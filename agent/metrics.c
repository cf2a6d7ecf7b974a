/* The agent's metrics. */
#include "agent/metrics.h"

#include "agent/agent.h"
#include "agent/beat.h"
#include "agent/orders.h"
#include "agent/sources.h"
#include "common/metrics.h"
#include "common/version.h"

/* What is counted over the models of one root. */
struct counts {
	int64_t downloaded, downloading, error, bytes;
	int64_t oldest_ms; /* since its last use; -1: there is none */
};

static struct counts count(const struct agent *agent, int root, struct mono now)
{
	struct counts c = {.oldest_ms = -1};

	for (const struct model *m = agent->inventory.models; m != NULL; m = m->hh.next) {
		int64_t age = mono_since(m->use.last, now);

		if (m->gone || m->root != root)
			continue;
		c.downloaded += m->report.status == MODEL_DOWNLOADED;
		c.downloading += m->report.status == MODEL_DOWNLOADING;
		c.error += m->report.status == MODEL_ERROR;
		c.bytes += m->report.logical_bytes;
		if (m->report.status == MODEL_DOWNLOADED && age > c.oldest_ms)
			c.oldest_ms = age;
	}
	return c;
}

static void models(const struct agent *agent, struct metrics *m)
{
	struct mono now = clock_mono();

	metrics_family(m, "larder_models", METRICS_GAUGE, "Models on this node's disks.");
	for (int i = 0; i < agent->root_count; i++) {
		const char *root = agent->roots[i].config.name;
		struct counts c = count(agent, i, now);
		const struct {
			const char *status;
			int64_t value;
		} rows[] = {{"DOWNLOADED", c.downloaded},
			    {"DOWNLOADING", c.downloading},
			    {"ERROR", c.error}};

		for (size_t j = 0; j < ARRAY_SIZE(rows); j++)
			metrics_int(m, rows[j].value,
				    (const struct metrics_label[]){
					    {"root", root}, {"status", rows[j].status}, {0}});
	}
	metrics_family(m, "larder_model_bytes", METRICS_GAUGE, "Sizes of the models' files.");
	for (int i = 0; i < agent->root_count; i++)
		metrics_int(m, count(agent, i, now).bytes,
			    METRICS_LABEL("root", agent->roots[i].config.name));
	metrics_family(m, "larder_oldest_model_age_seconds", METRICS_GAUGE,
		       "Since the last use of the least recently used model.");
	for (int i = 0; i < agent->root_count; i++) {
		struct counts c = count(agent, i, now);

		if (c.oldest_ms >= 0)
			metrics_seconds(m, c.oldest_ms,
					METRICS_LABEL("root", agent->roots[i].config.name));
	}
}

static void roots(const struct agent *agent, struct metrics *m)
{
	static const struct {
		const char *name, *help;
	} rows[] = {
		{"larder_root_size_bytes", "Size of the root's disk."},
		{"larder_root_available_bytes", "What an unprivileged writer can still use of it."},
		{"larder_root_floor_bytes", "What should be available by the policy in force."},
		{"larder_root_leftover_bytes", "Files that belong to no model."},
		{"larder_root_deletes",
		 "1: models may be deleted; 0: only reported, or not there."},
	};

	for (size_t row = 0; row < ARRAY_SIZE(rows); row++) {
		metrics_family(m, rows[row].name, METRICS_GAUGE, rows[row].help);
		for (int i = 0; i < agent->root_count; i++) {
			const struct root_view *view = &agent->views[i];
			const int64_t values[] = {view->total_bytes, view->available_bytes,
						  agent_floor_bytes(agent, view),
						  view->leftover_bytes, view->deletes};

			metrics_int(m, values[row],
				    METRICS_LABEL("root", agent->roots[i].config.name));
		}
	}
}

static void uses(const struct agent *agent, struct metrics *m)
{
	struct mono now = clock_mono();
	int64_t held[USE_SOURCES] = {0};

	for (const struct model *model = agent->inventory.models; model != NULL;
	     model = model->hh.next) {
		if (!model->gone && mono_since(now, model->hold_until) > 0)
			held[model->hold_source]++;
	}
	metrics_family(m, "larder_held_models", METRICS_GAUGE,
		       "Models in use, by the strongest source that says so.");
	for (int i = USE_WATCH; i < USE_SOURCES; i++)
		metrics_int(m, held[i],
			    METRICS_LABEL("source", use_source_name((enum use_source)i)));
	metrics_family(m, "larder_uses_total", METRICS_COUNTER,
		       "Times that a source of this moment moved a model's last use forward.");
	for (int i = USE_WATCH; i < USE_SOURCES; i++)
		metrics_int(m, agent->uses[i],
			    METRICS_LABEL("source", use_source_name((enum use_source)i)));
	sources_metrics(agent->sources, m);
	metrics_family(m, "larder_refaults_total", METRICS_COUNTER,
		       "Models that came back soon after their eviction.");
	metrics_int(m, agent->refaults, NULL);
}

void agent_metrics(const struct agent *agent, struct metrics *m)
{
	metrics_family(m, "larder_build_info", METRICS_GAUGE, "The program and its version.");
	metrics_int(m, 1,
		    (const struct metrics_label[]){
			    {"component", "agent"}, {"version", LARDER_VERSION}, {0}});
	metrics_family(m, "larder_registered", METRICS_GAUGE, "1: Redis knows this node.");
	metrics_int(m, beat_registered(agent->beat), NULL);
	metrics_family(m, "larder_removals", METRICS_GAUGE, "Models that are being deleted.");
	metrics_int(m, (int64_t)orders_running(agent->orders), NULL);
	models(agent, m);
	roots(agent, m);
	uses(agent, m);
}
