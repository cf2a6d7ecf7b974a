/* Which commands a program's user in Redis must be allowed, key by key. (pure) */
#ifndef LARDER_REDIS_RIGHTS_H
#define LARDER_REDIS_RIGHTS_H

#include "common/keys.h"

struct redis_right {
	const char *command, *rest; /* the key comes between them */
	enum { REDIS_RIGHT_NO_KEY, REDIS_RIGHT_OF_NODE, REDIS_RIGHT_OF_CLUSTER } where;
	int key; /* enum node_key or enum cluster_key */
};

#define REDIS_RIGHT_SIZE (KEY_SIZE + 64)

/* Both end with one that redis_right_text takes for the last. */
extern const struct redis_right redis_rights_agent[], redis_rights_coordinator[];

/*
 * The command of right `index` with its arguments, with blanks between them, into `buf`
 * (REDIS_RIGHT_SIZE): "HSET larder:{n1} f v". `node` is whose keys are meant. NULL behind the last.
 */
const char *redis_right_text(const struct redis_right *rights, size_t index, const char *prefix,
			     const char *node, char *buf);

#endif
