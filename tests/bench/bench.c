/* The frame of a benchmark: supervision, cleaning up, figures. */
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#define PIDS_MAX 64

static const char *bench_name = "";
static bool small;
static char folder[200];
static FILE *words;	  /* where the benchmark speaks, once standard error is led away */
static _Atomic int *pids; /* shared: what must not outlive the benchmark; 0: free */

/* ---- words and figures ---- */

PRINTF_LIKE(2, 0) static void say(const char *level, const char *fmt, va_list ap)
{
	FILE *out = words != NULL ? words : stderr;

	fprintf(out, "bench %s: %s", bench_name, level);
	vfprintf(out, fmt, ap);
	fputc('\n', out);
	fflush(out);
}

void bench_quiet_log(void)
{
	int copy = fcntl(2, F_DUPFD_CLOEXEC, 3), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	words = copy >= 0 ? fdopen(copy, "w") : NULL;
	if (words == NULL || null < 0 || dup2(null, 2) < 0)
		bench_fail("standard error cannot be led away");
	close(null);
}

void bench_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("", fmt, ap);
	va_end(ap);
}

void bench_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("FAILED: ", fmt, ap);
	va_end(ap);
	fflush(NULL);
	_exit(1); /* the supervisor cleans up */
}

void bench_check(const char *what, int64_t got, int64_t wanted)
{
	if (got != wanted)
		bench_fail("%s: %lld, but it must be %lld", what, (long long)got,
			   (long long)wanted);
}

void bench_figure(const char *metric, const char *unit, double larder)
{
	printf("{\"bench\":\"%s\",\"metric\":\"%s\",\"unit\":\"%s\",\"larder\":%.6g}\n", bench_name,
	       metric, unit, larder);
	fflush(stdout);
}

void bench_compare(const char *metric, const char *unit, double larder, double other)
{
	printf("{\"bench\":\"%s\",\"metric\":\"%s\",\"unit\":\"%s\",\"larder\":%.6g,"
	       "\"other\":%.6g,\"ratio\":%.4g}\n",
	       bench_name, metric, unit, larder, other, larder > 0 ? other / larder : 0);
	fflush(stdout);
}

/* ---- time and numbers ---- */

int64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

double bench_ms_since(int64_t began_ns)
{
	return (double)(bench_now_ns() - began_ns) / 1e6;
}

void bench_sleep_ms(int64_t ms)
{
	struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

static int by_value(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

double bench_percentile(double *values, size_t count, double fraction)
{
	size_t at = (size_t)(fraction * (double)count);

	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), by_value);
	return values[at < count ? at : count - 1];
}

double bench_median(double *values, size_t count)
{
	double upper = bench_percentile(values, count, 0.5);

	return count > 0 && count % 2 == 0 ? (values[count / 2 - 1] + upper) / 2 : upper;
}

uint64_t bench_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* ---- processes ---- */

void *bench_share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		bench_fail("no shared memory: %s", strerror(errno));
	return memory;
}

pid_t bench_fork(void)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		bench_fail("cannot fork: %s", strerror(errno));
	if (pid == 0) {
		/* Not those of a loop that the benchmark runs. */
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		return 0;
	}
	for (int i = 0; i < PIDS_MAX; i++) {
		int free_slot = 0;

		if (atomic_compare_exchange_strong(&pids[i], &free_slot, pid))
			return pid;
	}
	bench_fail("too many processes");
}

static void forget_pid(pid_t pid)
{
	for (int i = 0; i < PIDS_MAX; i++) {
		int slot = pid;

		atomic_compare_exchange_strong(&pids[i], &slot, 0);
	}
}

static void run(const char *const *argv, const char *const *env, const char *log)
{
	int fd = log != NULL ? open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : 2;

	if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(127);
	for (; env != NULL && *env != NULL; env++)
		putenv((char *)*env);
	execvp(argv[0], (char *const *)argv);
	fprintf(stderr, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

pid_t bench_spawn(const char *const *argv, const char *const *env, const char *log)
{
	pid_t pid = bench_fork();

	if (pid == 0)
		run(argv, env, log);
	return pid;
}

void bench_join(pid_t pid, const char *what)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			bench_fail("%s: cannot be waited for: %s", what, strerror(errno));
	}
	forget_pid(pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		bench_fail("%s: ended with status %#x", what, (unsigned)status);
}

void bench_end(pid_t pid)
{
	kill(pid, SIGTERM);
	for (int i = 0; i < 500; i++) {
		if (waitpid(pid, NULL, WNOHANG) != 0) {
			forget_pid(pid);
			return;
		}
		bench_sleep_ms(10);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	forget_pid(pid);
}

int64_t bench_status_kib(pid_t pid, const char *field)
{
	char path[64], line[256];
	int64_t kib = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		bench_fail("process %d is gone", (int)pid);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, field, strlen(field)) == 0)
			kib = strtoll(line + strlen(field), NULL, 10);
	}
	fclose(file);
	return kib;
}

void bench_raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		bench_say("the limit of open files stays as it is: %s", strerror(errno));
}

/* ---- the supervisor ---- */

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) != 0 && errno != ENOENT ? -1 : 0;
}

static void end_all(pid_t worker)
{
	kill(worker, SIGKILL);
	for (int i = 0; i < PIDS_MAX; i++) {
		int pid = atomic_load(&pids[i]);

		if (pid != 0)
			kill(pid, SIGKILL);
	}
	/* Orphans come to this process (PR_SET_CHILD_SUBREAPER): none is left when it goes on. */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	if (nftw(folder, remove_entry, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) != 0)
		fprintf(stderr, "bench %s: %s is left: %s\n", bench_name, folder, strerror(errno));
}

static void supervise(pid_t worker, const sigset_t *signals) NORETURN;
static void supervise(pid_t worker, const sigset_t *signals)
{
	int status = 0, sig = 0;

	for (;;) {
		sigwait(signals, &sig);
		if (sig != SIGCHLD)
			break;
		if (waitpid(worker, &status, WNOHANG) == worker)
			break;
	}
	end_all(worker);
	if (sig != SIGCHLD) {
		bench_say("interrupted");
		_exit(128 + sig);
	}
	if (!WIFEXITED(status))
		bench_say("FAILED: ended by signal %d", WTERMSIG(status));
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static void make_folder(const char *name)
{
	const char *base = getenv("LARDER_BENCH_DIR");

	if (base == NULL || *base == '\0')
		base = getenv("TMPDIR");
	if (base == NULL || *base == '\0')
		base = "/tmp";
	/* A Unix socket's path in it must stay below 108 bytes. */
	if (snprintf(folder, sizeof(folder), "%s/larder-bench-%s-XXXXXX", base, name) > 80 ||
	    mkdtemp(folder) == NULL) {
		fprintf(stderr, "bench %s: cannot make %s\n", name, folder);
		exit(1);
	}
}

static void read_arguments(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--small") != 0) {
			fprintf(stderr, "bench %s: unknown argument %s; there is only --small\n",
				bench_name, argv[i]);
			exit(EX_USAGE);
		}
		small = true;
	}
}

bool bench_small(void)
{
	return small;
}

void bench_begin(int argc, char **argv, const char *name, const char *what)
{
	sigset_t signals, before;
	pid_t worker;

	bench_name = name;
	read_arguments(argc, argv);
	bench_say("%s%s", what, small ? " (with --small only a trace of that)" : "");
	make_folder(name);
	pids = bench_share(PIDS_MAX * sizeof(*pids));
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &before);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	worker = fork();
	if (worker < 0) {
		rmdir(folder);
		exit(1);
	}
	if (worker > 0)
		supervise(worker, &signals);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

const char *bench_dir(void)
{
	return folder;
}
