"""The demonstration's cluster: Redis, a coordinator and agents, each a process of its own."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
STOP_TIMEOUT_S = 20
REDIS_TRIES = 5
# What of docs/redis.conf is of no use to a Redis that lives for a minute.
NOT_FOR_DEMO = ("append", "maxclients")


class Failed(Exception):
    """Something is not as it should be."""

    status = 1


class BadArgument(Failed):
    status = 64


class Interrupted(BaseException):
    """A signal asks for the end."""


class Interrupts:
    """Signals end the demonstration, but never between the start of a process and its being noted."""

    def __init__(self):
        self.shielded = False
        self.number = None

    def install(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number, _frame):
        self.number = number
        if not self.shielded:
            raise Interrupted

    @contextlib.contextmanager
    def shield(self):
        self.shielded = True
        try:
            yield
        finally:
            self.shielded = False
        if self.number is not None:
            raise Interrupted

    def ignore(self):
        """From here on the end is near, and must not be cut short."""
        self.shielded = True


interrupts = Interrupts()


def say(text=""):
    print(text, flush=True)


def heading(text):
    say(f"\n== {text}")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_until(condition, timeout_s, what):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.05)
    raise Failed(f"timed out: {what}")


class Cluster:
    """Everything lies below two temporary directories: `dir`, and `caches` on a disk that suits."""

    def __init__(self, build, caches_on=None):
        self.build = pathlib.Path(build).resolve()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="larder-demo-"))
        self.caches = self.dir
        if caches_on is not None:
            self.caches = pathlib.Path(tempfile.mkdtemp(prefix="larder-demo-", dir=caches_on))
        self.processes = {}
        self.daemons = []
        self.redis_port = None
        self.api = None
        self.agents = {}

    # ---- processes ----

    def env(self, **more):
        """Without what the caller's own Larder is told by variables."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LARDER_")}
        return {**clean, **more}

    def start(self, name, command):
        with interrupts.shield(), open(self.dir / f"{name}.log", "ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                       cwd=self.dir, env=self.env(), start_new_session=True)
            self.processes[name] = process
        (self.dir / f"{name}.pid").write_text(f"{process.pid}\n")
        return process

    def log(self, name):
        return (self.dir / f"{name}.log").read_text(errors="replace")

    def wait_log(self, name, pattern, timeout_s=30):
        """Waits until the process has logged this, or has ended."""
        def seen():
            ended = self.processes[name].poll() is not None
            found = re.search(pattern, self.log(name))
            if found is None and ended:
                raise Failed(f"{name} has ended")
            return found

        return wait_until(seen, timeout_s, f"{name} logs {pattern}")

    def start_daemon(self, name, program, config):
        """Starts a daemon on a free port, and returns its address."""
        self.daemons.append(name)
        self.start(name, [self.build / program, "--config", config])
        port = self.wait_log(name, r"event=\+start .*http_port=(\d+)").group(1)
        return f"http://127.0.0.1:{port}"

    def signal(self, name, number):
        self.processes[name].send_signal(number)

    # ---- Redis ----

    def redis_command(self, port):
        lines = (TOP / "docs/redis.conf").read_text().splitlines()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                   "--dir", str(self.dir)]
        for line in lines:
            if line and not line.startswith(("#", *NOT_FOR_DEMO)):
                key, value = line.split(None, 1)
                command += [f"--{key}", value]
        return command

    def start_redis(self):
        for _ in range(REDIS_TRIES):
            port = free_port()
            self.start("redis", self.redis_command(port))
            try:
                self.wait_log("redis", r"eady to accept connections")
            except Failed:
                continue  # somebody has taken the port meanwhile
            self.redis_port = port
            return
        raise Failed("redis-server does not start")

    def redis(self, *arguments):
        done = subprocess.run(["redis-cli", "-p", str(self.redis_port), *arguments],
                              capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def show_redis(self, *arguments):
        """Runs redis-cli as the reader would, and shows what it prints."""
        quoted = [f"'{a}'" if set(a) & set("{}*$ ") else a for a in arguments]
        say(f"$ redis-cli {' '.join(quoted)}")
        say(self.redis("--no-raw", *arguments))

    # ---- agents and the coordinator ----

    def config(self, name, content):
        path = self.dir / f"{name}.json"
        path.write_text(json.dumps(content, indent=1))
        return path

    def start_agent(self, node, roots, timeout_s=60, **more):
        """Starts an agent, and waits until it has told Redis what it found in its first scan."""
        path = self.config(node, {
            "node_name": node, "state_dir": str(self.dir / f"state-{node}"), "roots": roots,
            "beat_interval": "500ms", "scan_interval": "1s",
            "redis": {"url": f"redis://127.0.0.1:{self.redis_port}"},
            "http": {"listen": "127.0.0.1:0"}, **more})
        self.agents[node] = self.start_daemon(node, "larder-agent", path)
        self.wait_log(node, r"event=\+registered", timeout_s)

    def coordinator_config(self, content):
        token = self.dir / "token"
        if not token.exists():
            token.touch(mode=0o600)
            token.write_text(os.urandom(16).hex() + "\n")
        return self.config("coordinator", {
            **content, "hold_off": "1s", "redis": {"url": f"redis://127.0.0.1:{self.redis_port}"},
            "http": {"listen": "127.0.0.1:0", "token_file": str(token)}})

    def start_coordinator(self, content):
        path = self.coordinator_config(content)
        self.api = self.start_daemon("coordinator", "larder-coordinator", path)
        wait_until(lambda: self.get("/v1/status")["leader"]["here"], 30, "the coordinator leads")

    def reload_coordinator(self, content):
        """SIGHUP, and until agents can read the new policy."""
        self.coordinator_config(content)
        before = self.log("coordinator").count("event=+reload")
        self.signal("coordinator", signal.SIGHUP)
        wait_until(lambda: self.log("coordinator").count("event=+reload") > before, 20,
                   "the coordinator takes its configuration over")

    def get(self, path):
        with urllib.request.urlopen(self.api + path, timeout=30) as reply:
            return json.load(reply)

    def larderctl(self, *arguments):
        """Runs larderctl as the reader would, and shows what it prints."""
        quoted = [f"'{a}'" if set(a) & set("*? ") else a for a in arguments]
        say(f"$ larderctl {' '.join(quoted)}")
        env = self.env(LARDER_SERVER=self.api, LARDER_TOKEN_FILE=str(self.dir / "token"))
        done = subprocess.run([self.build / "larderctl", *arguments], text=True, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        say(done.stdout.rstrip())
        return done.returncode

    def show(self, *arguments):
        """The same, for what must succeed."""
        if self.larderctl(*arguments) != 0:
            raise Failed(f"larderctl {arguments[0]} failed")

    def kill(self, name):
        """Ends a process as a crash does."""
        self.processes[name].kill()
        self.processes[name].wait()

    # ---- the end ----

    def _end(self, name, number):
        """Ends one process; a sentence when it did not end well by itself."""
        process = self.processes[name]
        if process.poll() is None:
            process.send_signal(number)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if name in self.daemons and process.returncode != 0:
            return f"{name} ended with status {process.returncode}"
        return None

    def stop(self):
        """Ends everything and removes every file. Returns what did not end as it should."""
        first = [name for name in reversed(self.daemons) if name in self.processes]
        rest = [name for name in self.processes if name not in first]
        complaints = [self._end(name, signal.SIGTERM) for name in first]
        complaints += [self._end(name, signal.SIGKILL) for name in rest]
        for path in {self.dir, self.caches}:
            shutil.rmtree(path, ignore_errors=True)
        return [complaint for complaint in complaints if complaint]

    def show_logs(self):
        for log in sorted(self.dir.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-15:]
            say(f"--- {log.name}")
            say("\n".join(lines))

    # ---- when it goes on running ----

    def write_tools(self):
        """Files for whoever looks around: `env` to be sourced, and `stop`."""
        tools = self.dir / "bin"
        tools.mkdir()
        (tools / "larderctl").symlink_to(self.build / "larderctl")
        redis_cli = tools / "redis-cli"
        redis_cli.write_text(f"#!/bin/sh\nexec '{shutil.which('redis-cli')}' "
                             f"-p {self.redis_port} \"$@\"\n")
        (self.dir / "env").write_text(
            f"export LARDER_DEMO='{self.dir}' LARDER_SERVER={self.api}\n"
            f"export LARDER_TOKEN_FILE='{self.dir}/token' PATH='{tools}':\"$PATH\"\n")
        # A number may have gone to another process meanwhile: ours work in our directory.
        (self.dir / "stop").write_text(f"""#!/bin/sh
running() {{
	for pid in $(cat '{self.dir}'/*.pid); do
		[ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" != '{self.dir}' ] || echo "$pid"
	done
}}
kill -CONT $(running) 2>/dev/null
kill $(running) 2>/dev/null
for second in 1 2 3 4 5 6 7 8 9 10; do
	[ -n "$(running)" ] || break
	sleep 1
done
kill -KILL $(running) 2>/dev/null
rm -rf '{self.dir}' '{self.caches}'
""")
        for program in (redis_cli, self.dir / "stop"):
            program.chmod(0o755)
