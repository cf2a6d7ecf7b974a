/* What the agent measures, for Prometheus: GET /metrics. */
#ifndef LARDER_AGENT_METRICS_H
#define LARDER_AGENT_METRICS_H

struct agent;
struct metrics;

/* Writes all families from what is known; no work is done for it. */
void agent_metrics(const struct agent *agent, struct metrics *metrics);

#endif
