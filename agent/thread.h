/* Starting a thread of the agent: it gets no signals, which belong to the loop. */
#ifndef LARDER_THREAD_H
#define LARDER_THREAD_H

#include <pthread.h>

void thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

#endif
