/*
 * Names that Larder gives to what it moves aside on the model disks (pure). Moving aside is always
 * a rename beside the original, so that it needs no space on a full disk, and the name alone tells
 * after a crash what is to be done, even when the journal is lost:
 *
 *   .larder-trash-<txn>.<name>   a whole model, not committed: its name is put back
 *   .larder-ref-<txn>.<ref>      a ref of it ('/' and '%' escaped): put back, or removed with it
 *   .larder-done-<txn>           committed, or nobody's: to be emptied
 */
#ifndef LARDER_ASIDE_H
#define LARDER_ASIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attributes.h"

#define ASIDE_PREFIX	".larder-"
#define ASIDE_TXN_LEN	16
#define ASIDE_NAME_SIZE 256

enum aside_kind { ASIDE_WHOLE, ASIDE_REF, ASIDE_DONE };

struct aside {
	enum aside_kind kind;
	char txn[ASIDE_TXN_LEN + 1];
	char rest[ASIDE_NAME_SIZE]; /* the original's name or ref, unescaped; "" for DONE */
};

/* Builds a name into `buf` (ASIDE_NAME_SIZE). -1 when it would be longer than a name may be. */
int aside_name(char *buf, enum aside_kind kind, const char *txn, const char *rest) MUST_USE;

/* Reads one; false for every other name. */
bool aside_parse(const char *name, struct aside *out);

#endif
