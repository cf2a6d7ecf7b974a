"""One process of a test: its log, its end, and what its log must not hold."""

import os
import pathlib
import re
import signal
import subprocess

from larder.wait import wait_until

STOP_TIMEOUT = 30
BAD = re.compile(
    r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|ThreadSanitizer|runtime error:"
    r"|Assertion .* failed|\bAborted\b|stack smashing|double free|free\(\): invalid"
    r"|^==\d+== (Invalid|Conditional|Use of|Syscall param|Source and dest|Mismatched|[\d,]+ bytes in)"
    r"|event=libevent text=.*(fatal|assert)",
    re.MULTILINE,
)
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}
VALGRIND = ["valgrind", "--quiet", "--leak-check=full", "--error-exitcode=97"]


class Process:
    """A program with its log in DIRECTORY/NAME.log; a restart appends to the same log."""

    def __init__(self, name, argv, directory, env=None):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.directory = pathlib.Path(directory)
        self.env = {str(k): str(v) for k, v in (env or {}).items()}
        self.log_path = self.directory / f"{name}.log"
        self.popen = None
        self.log_start = 0
        self.expected_dead = False

    # ---- life ----

    def start(self):
        assert not self.running, f"{self.name} runs already"
        env = {k: v for k, v in os.environ.items() if not k.startswith("LARDER_")}
        env |= SANITIZERS | self.env
        self.log_start = self.log_path.stat().st_size if self.log_path.exists() else 0
        self.expected_dead = False
        ours = pathlib.Path(self.argv[0]).name.startswith("larder")
        prefix = VALGRIND if ours and os.environ.get("LARDER_VALGRIND") else []
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                [*prefix, *self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                cwd=self.directory,
                start_new_session=True,
            )
        return self

    @property
    def running(self):
        return self.popen is not None and self.popen.poll() is None

    @property
    def pid(self):
        return self.popen.pid

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, timeout=STOP_TIMEOUT):
        """Waits for its end and returns the exit status."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.name} did not end within {timeout} s") from None

    def kill9(self):
        self.expected_dead = True
        self.popen.kill()
        self.popen.wait()

    def killed_itself(self, timeout=60):
        """Waits until a kill point of a hook has ended it."""
        self.expected_dead = True
        status = self.wait(timeout)
        assert status == -signal.SIGKILL, f"{self.name} ended with {status}, not at the hook"

    def stop(self):
        """SIGTERM; it must end with 0."""
        if self.popen is None:
            return
        if self.popen.poll() is None:
            self.popen.terminate()
        status = self.wait()
        if not self.expected_dead:
            assert status == 0, f"{self.name} ended with status {status}"
        self.popen = None

    # ---- log ----

    def log(self, whole=False):
        if not self.log_path.exists():
            return ""
        with open(self.log_path, "rb") as file:
            file.seek(0 if whole else self.log_start)
            return file.read().decode(errors="replace")

    def log_contains(self, pattern, times=1, whole=False):
        return len(re.findall(pattern, self.log(whole))) >= times

    def wait_log(self, pattern, timeout=30, whole=False):
        def seen():
            found = re.search(pattern, self.log(whole))
            if found is None and not self.running:
                raise AssertionError(f"{self.name} ended before it logged {pattern!r}")
            return found

        return wait_until(seen, timeout, f"{self.name} logs {pattern!r}")

    def check_log(self):
        found = BAD.search(self.log(whole=True))
        assert found is None, f"{self.name}'s log holds {found.group(0)!r}"
