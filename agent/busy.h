/*
 * Is anybody in there? Write leases (F_SETLEASE) on the files of one model, held together: the
 * kernel grants one only while no process in any container has the file open or mapped, and tells
 * when somebody opens it later. Openers wait while a lease is held, so it is held for moments.
 */
#ifndef LARDER_BUSY_H
#define LARDER_BUSY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attributes.h"

struct busy;

enum busy_answer {
	BUSY_FREE,    /* nobody has it; the lease is held from now on */
	BUSY_IN_USE,  /* somebody has it open or mapped */
	BUSY_UNKNOWN, /* cannot be told (errno) */
};

/* How many leases can be held at once; files beyond are only tested. */
struct busy *busy_new(size_t leases_max) MUST_USE;

/* Takes ownership of `fd`. A second link to a file that is already leased is free. */
enum busy_answer busy_take(struct busy *busy, int fd) MUST_USE;

/* Keeps a descriptor with a lock until busy_free. */
void busy_keep(struct busy *busy, int fd);

/* True while no lease was broken: nobody has tried to open any of the files. */
bool busy_intact(const struct busy *busy);

/* True when files beyond leases_max were only tested: they must be tested again. */
bool busy_partial(const struct busy *busy);

/* Gives the leases up, so that whoever waits goes on; the locks stay. */
void busy_release_leases(struct busy *busy);

/* Gives all leases and locks up. */
void busy_free(struct busy *busy);

/* One test without holding: takes ownership of `fd`. */
enum busy_answer busy_test(int fd) MUST_USE;

#endif
