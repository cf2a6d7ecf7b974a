/* A Hugging Face cache with one repository, for tests that take a removal step by step. */
#ifndef LARDER_TESTS_HUB_H
#define LARDER_TESTS_HUB_H

#include "agent/layout.h"
#include "agent/root.h"
#include "tests/unit/kit.h"

#define REPO  "models--o--n"
#define A     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define TXN_A "0123456789abcdef"
#define TXN_B "fedcba9876543210"

struct hub {
	char *dir;
	struct root root;
};

/* Setup and teardown of a test, whose state is a struct hub: empty, and settled at once. */
int hub_open(void **state);
int hub_close(void **state);

/* One file of a revision: a link to the blob, which is made if it is not there. */
void hub_put(const struct hub *hub, const char *commit, const char *path, const char *blob);
/* Revision A with weights "ww", a configuration "cc" and the ref "main". */
void hub_model(const struct hub *hub);
/* A file, folder or link of the repository. */
bool hub_has(const struct hub *hub, const char *path);
void hub_remove(const struct hub *hub, const char *path);

/* A removal of a revision that has come to its MOVE, and past it. */
struct removal_task hub_moved(struct hub *hub, const char *commit, const char *txn);
/* The same removal after a restart. */
struct removal_task hub_restarted(struct hub *hub, const char *commit, const char *txn);
/* The whole removal, up to CLEAN. */
void hub_removed(struct hub *hub, const char *commit, const char *txn);

#endif
