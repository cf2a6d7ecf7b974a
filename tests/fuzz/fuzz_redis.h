/*
 * A stand-in for Redis, for fuzz targets that run whole daemons: it knows as much as keeps them
 * going, holds nothing, and lets whoever asks lead.
 */
#ifndef LARDER_TESTS_FUZZ_REDIS_H
#define LARDER_TESTS_FUZZ_REDIS_H

/* Serves on a free port of the loopback in threads of its own, until the process ends. */
int fuzz_redis_start(void);

/* A socket that listens on a free port of the loopback, whose number goes into `port`. */
int fuzz_listen(int *port);

#endif
