/*
 * A made-up cluster: nodes with models of realistic names, some not used for long, written to
 * Redis by the agents' own scripts. The same cluster in every run.
 */
#ifndef LARDER_BENCH_FLEET_H
#define LARDER_BENCH_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/server.h"

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

/* The generation and size that are registered, as they stand in Redis. */
void fleet_size(size_t node, size_t model, char *buf, size_t size);

/* The incarnation that each node registers with. */
const char *fleet_incarnation(void);

/* Registers all nodes by register.lua, and lets each beat once by beat.lua. */
void fleet_register(const struct fleet *fleet, struct server *server);

#endif
