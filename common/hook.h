/*
 * Named points at which a test build can be stopped or killed: LARDER_HOOK_KILL=NAME ends the
 * process there with SIGKILL; LARDER_HOOK_PAUSE=DIR waits there while DIR/NAME exists, after
 * creating DIR/NAME.reached. Without -DLARDER_TEST_HOOKS=ON it is nothing at all.
 */
#ifndef LARDER_HOOK_H
#define LARDER_HOOK_H

#ifdef LARDER_TEST_HOOKS
void hook_point(const char *name);
#else
static inline void hook_point(const char *name)
{
	(void)name;
}
#endif

#endif
