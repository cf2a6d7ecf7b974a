"""The daemons as programs that check and print their settings and end by themselves."""

import json
import os
import subprocess

from larder.daemons import binary
from larder.process import BAD, SANITIZERS

TIMEOUT = 30
GOOD, USAGE, CANNOT_START, BAD_CONFIG = 0, 64, 69, 78


class Program:
    """`name` with its configuration file in `directory`; answers (exit status, output, error)."""

    def __init__(self, name, directory):
        self.name = name
        self.path = directory / f"{name}.json"

    def write(self, config):
        """A text or bytes as they are, all else as JSON."""
        if isinstance(config, bytes):
            self.path.write_bytes(config)
        else:
            self.path.write_text(config if isinstance(config, str) else json.dumps(config))
        return self

    def run(self, *argv, env=None, with_file=True):
        file = ["--config", self.path] if with_file and self.path.exists() else []
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LARDER_")}
        done = subprocess.run(
            [str(a) for a in (binary(self.name), *file, *argv)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=clean | SANITIZERS | (env or {}),
            text=True,
            timeout=TIMEOUT,
        )
        assert not BAD.search(done.stderr), done.stderr
        return done.returncode, done.stdout, done.stderr

    def settings(self, *argv, env=None):
        """What is in force."""
        code, out, err = self.run("--print-config", *argv, env=env)
        assert (code, err) == (GOOD, ""), (code, err)
        return json.loads(out)

    def refused(self, *argv, env=None, code=BAD_CONFIG):
        """The sentence with which it refuses to start; `--check` says the same."""
        checked = self.run("--check", *argv, env=env)
        started = self.run(*argv, env=env)
        assert checked == started and started[0] == code, (started, checked)
        assert started[1] == "", "nothing on standard output"
        assert started[2].startswith(f"{self.name}: ") and started[2].count("\n") == 1, started
        return started[2]
