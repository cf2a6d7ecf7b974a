"""larderctl as somebody calls it, and its tables."""

import json
import os
import re
import subprocess

from larder.daemons import TOKEN, binary
from larder.process import BAD, SANITIZERS

TIMEOUT = 60


class Result:
    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout
        self.err = done.stderr

    def __repr__(self):
        return f"<exit {self.code}\n{self.out}--\n{self.err}>"

    @property
    def json(self):
        """The one document on standard output."""
        assert self.out.count("\n") == 1, self
        return json.loads(self.out)

    @property
    def rows(self):
        return table(self.out)


def table(text):
    """The rows of an aligned table, each {column: cell}."""
    lines = text.splitlines()
    titles = cells(lines[0])
    rows = [dict(zip(titles, cells(line), strict=False)) for line in lines[1:]]
    assert all(row.get(titles[-2]) for row in rows), text
    return rows


def cells(line):
    """Columns have two blanks or more between them, and cells none at all or one."""
    return re.split(r" {2,}", line.strip())


class Ctl:
    def __init__(self, directory, coordinator=None, agent=None):
        self.directory = directory
        self.coordinator = coordinator
        self.agent = agent

    def popen(self, *argv, token=TOKEN, env=None, **options):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("LARDER_")}
        clean |= SANITIZERS | {"LARDER_TOKEN": token or ""}
        if self.coordinator is not None:
            clean["LARDER_SERVER"] = f"http://127.0.0.1:{self.coordinator.port}"
        return subprocess.Popen(
            [str(a) for a in (binary("larderctl"), *argv)],
            stdin=subprocess.DEVNULL,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            env=clean | (env or {}),
            cwd=self.directory,
            text=True,
            **options,
        )

    def result(self, popen):
        with popen:
            try:
                out, err = popen.communicate(timeout=TIMEOUT)
            except subprocess.TimeoutExpired:
                popen.kill()
                raise
        assert not BAD.search(err), err
        return Result(subprocess.CompletedProcess(popen.args, popen.returncode, out, err))

    def __call__(self, *argv, **options):
        return self.result(self.popen(*argv, **options))

    def good(self, *argv, **options):
        """For a command that must succeed without a word on standard error."""
        result = self(*argv, **options)
        assert result.code == 0 and result.err == "", result
        return result

    def touch(self, *argv, **options):
        return self("touch", "--agent", f"http://127.0.0.1:{self.agent.port}", *argv, **options)
