/*
 * What the coordinator knows of the nodes at one moment: plain data (pure). Strings live as long as
 * the cluster they belong to.
 */
#ifndef LARDER_CLUSTER_H
#define LARDER_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/model_name.h"
#include "common/use_source.h"

#define CLUSTER_UNKNOWN INT64_C(-1)

struct cluster_root {
	char name[MODEL_ROOT_MAX + 1];
	char disk[24]; /* roots with the same one share its space */
	char layout[16];
	char note[160];
	int64_t total_bytes, available_bytes, leftover_bytes;
	bool deletes; /* false: only reported, or not there now */
	bool available;
};

struct cluster_model {
	const char *name;
	int64_t last_used_ms;	/* Redis' clock */
	int64_t bytes;		/* that deleting it now would free; CLUSTER_UNKNOWN: not read */
	enum use_source source; /* of the last use; USE_NONE: not read */
	const char *held_by;	/* "source: who"; NULL: not read, or not held */
	int root;		/* index among the node's roots; -1: unknown */
	bool held;
	bool pending;  /* a delete command is under way */
	bool deferred; /* it failed lately and waits (ledger.h) */
};

/* A model that is not DOWNLOADED. */
struct cluster_other {
	const char *name;
	const char *status; /* "DOWNLOADING ..." or "ERROR ..." */
};

struct cluster_node {
	const char *name;
	char incarnation[17];
	bool known;    /* has registered, and is not registering now */
	bool live;     /* its heartbeat is recent */
	bool complete; /* all of its models are here, not only the oldest ones */
	int64_t heartbeat_ms;
	int64_t wanted_bytes;
	int64_t model_count; /* DOWNLOADED, as the node reports it */
	int64_t attention;   /* not 0: holds, a disk that fills or a root that only reports */
	int64_t inventory;   /* changes with every model that comes or goes */
	struct cluster_root *roots;
	size_t root_count;
	struct cluster_model *models; /* least recently used first, then by name */
	size_t model_total, model_capacity;
	/* SNAPSHOT_SHOW only */
	struct cluster_other *others;
	size_t other_count, other_capacity;
	/* SNAPSHOT_SUMMARY and SNAPSHOT_SHOW: what the node reports of itself */
	char version[24];
	int64_t since_ms, downloading, error, bytes;
	int64_t deleted, gone, refused, failed,
		freed_bytes;	/* commands since it registered first */
	int64_t clock_ahead_ms; /* its clock, compared with Redis' */
	int64_t refaults;	/* of these, models that came back soon */
};

struct cluster {
	struct cluster_node *nodes;
	size_t count;
	void *strings; /* owned */
};

/* Makes room for `count` nodes. */
void cluster_init(struct cluster *cluster, size_t count);
void cluster_free(struct cluster *cluster);

/* A copy that lives as long as the cluster. */
const char *cluster_string(struct cluster *cluster, const char *text, size_t len);

/*
 * Adds a model of the sorted set. A name that is not valid is left out (false): nothing that is not
 * understood becomes a victim.
 */
bool cluster_add_model(struct cluster *cluster, struct cluster_node *node, const char *name,
		       size_t len, int64_t last_used_ms);

/* Finds a model by name, or NULL. */
struct cluster_model *cluster_find_model(struct cluster_node *node, const char *name);

/*
 * Adds a root from its field "root:NAME" and text "key=value ..."; false when it cannot be read.
 */
bool cluster_add_root(struct cluster *cluster, struct cluster_node *node, const char *name,
		      const char *text);

/* After the last model and root: sorts both and gives each model its root. */
void cluster_finish_node(struct cluster_node *node);

#endif
