/* Stops or kills a test build at a named point. */
#include "common/hook.h"

#ifdef LARDER_TEST_HOOKS

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void hook_point(const char *name)
{
	const char *victim = getenv("LARDER_HOOK_KILL");
	const char *dir = getenv("LARDER_HOOK_PAUSE");
	char gate[512], reached[520];
	int fd;

	if (victim != NULL && strcmp(victim, name) == 0)
		raise(SIGKILL);
	if (dir == NULL)
		return;
	snprintf(gate, sizeof(gate), "%s/%s", dir, name);
	if (access(gate, F_OK) != 0)
		return;
	snprintf(reached, sizeof(reached), "%s.reached", gate);
	fd = open(reached, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	while (access(gate, F_OK) == 0)
		nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

#else

typedef int hook_is_empty_without_test_hooks;

#endif
