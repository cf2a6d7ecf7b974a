/*
 * A made-up cluster: nodes with models of realistic names, some not used for long. The same cluster
 * in every run.
 */
#ifndef LARDER_BENCH_FLEET_H
#define LARDER_BENCH_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLEET_THRESHOLD_MS INT64_C(604800000) /* 7 days, the default of unused_threshold */
#define FLEET_NODE_SIZE	   32
#define FLEET_MODEL_SIZE   72

struct fleet {
	size_t nodes, models; /* models on each node */
	unsigned expired_permille;
};

/* "gpu-node-00042" */
void fleet_node(size_t node, char *buf);

/* "hf:meta-llama/Llama-3.1-70B-Instruct@0123456789ab": 44 to 67 bytes, different on each node. */
void fleet_model(size_t node, size_t model, char *buf);

/* How long ago it was used: beyond the threshold for so many in a thousand, spread by chance. */
int64_t fleet_age_ms(const struct fleet *fleet, size_t node, size_t model);

/* Models unused for longer than the threshold. */
size_t fleet_expired(const struct fleet *fleet);

/* What deleting it would free, and the generation of its files. */
int64_t fleet_bytes(size_t node, size_t model);
uint64_t fleet_generation(size_t node, size_t model);

#endif
