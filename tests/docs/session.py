"""
Runs what a page shows of a terminal, and compares what came with what the page says.

A `console` block has commands after "$ " (further lines of one after "> ") and below each what it
prints. Numbers, times, sizes and identifiers differ from run to run, and so does the order in which
Redis gives what has none: lines are compared without them, and as a bag. A line "..." stands for
any lines. A block `console second` is a second terminal: its command goes on while the page does.
"""

import collections
import os
import pty
import re
import signal
import subprocess
import threading

from larder.wait import wait_until

TIMEOUT_S = 60
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
# What differs from run to run, the longer forms first.
CANONICAL = [
    (re.compile(r'"[A-Za-z0-9.-]+-\d+-[0-9a-f]{8}"'), '"INSTANCE"'),
    (re.compile(r'(\\"by\\":)\\"[^"]*"'), r"\1USER"),
    (re.compile(r"\bdisk=\S+"), "disk=D"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\b\d+(\.\d+)? ?(B|KiB|MiB|GiB|TiB)(?![A-Za-z])"), "SIZE"),
    (re.compile(r"\br?[0-9a-f]{8,}\b"), "HEX"),
    (re.compile(r"\b(\d+(\.\d+)?(ms|s|m|h|d) ?)+(?![\w.])"), "SPAN "),
    (re.compile(r"\d+(\.\d+)?"), "N"),
    (re.compile(r"\bHEX\b"), "N"),
    (re.compile(r"\s+"), " "),
]


def canonical(line):
    for pattern, instead in CANONICAL:
        line = pattern.sub(instead, line)
    return line.strip()


def bag(text):
    lines = (canonical(line) for line in text.splitlines())
    return collections.Counter(line for line in lines if line)


def differs(shown, came):
    """A sentence when the page shows something else than what came, or None."""
    want, have = bag(shown), bag(came)
    more_may_come = want.pop("...", 0) > 0
    missing = want - have
    surplus = have - want
    if not missing and (more_may_come or not surplus):
        return None
    return f"missing: {sorted(missing)}; not shown: {[] if more_may_come else sorted(surplus)}"


def steps(block):
    """(command, what it prints) of a console block."""
    found = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append([line[2:], []])
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1][0] += "\n" + line[2:]
        else:
            assert found, f"{block!r} does not begin with a command"
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]


class Terminal:
    """A shell whose output goes to a terminal, as the reader's does."""

    def __init__(self, directory, env):
        self.directory = directory
        self.master, slave = pty.openpty()
        self.shell = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            stdout=slave,
            stderr=slave,
            cwd=directory,
            env={**env, "TERM": "dumb"},
            text=True,
            start_new_session=True,
        )
        os.close(slave)
        self.output = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the shell has ended
                return
            self.output += ANSI.sub("", data.decode(errors="replace"))

    def start(self, command):
        self.shell.stdin.write(f"{{\n{command}\n}} </dev/null\n")
        self.shell.stdin.flush()

    def run(self, command):
        """Runs a command to its end; returns its exit status and what it printed."""
        mark = f"done-{os.urandom(6).hex()}"
        begin = len(self.output)
        self.start(command)
        self.shell.stdin.write(f"printf '\\n%s %s\\n' {mark} $?\n")
        self.shell.stdin.flush()
        pattern = re.compile(rf"\n?{mark} (\d+)\n")
        found = wait_until(
            lambda: pattern.search(self.output, begin), TIMEOUT_S, f"the end of: {command}"
        )
        return int(found.group(1)), self.output[begin : found.start()]

    def close(self):
        try:
            os.killpg(self.shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.shell.stdin.close()
        self.shell.wait()
        self.reader.join()
        os.close(self.master)


class Session:
    """A page's console blocks, run in one terminal, and in a second one where the page says so."""

    def __init__(self, directory, env, settled):
        """`settled` tells that a silent command of a second terminal waits."""
        self.directory = directory
        self.env = env
        self.settled = settled
        self.terminal = Terminal(directory, env)
        self.second = []

    def play(self, block):
        """Runs a block; returns sentences about what was not as shown."""
        if block.more == ["second"]:
            return self._play_second(block)
        wrong = []
        for command, shown in steps(block):
            status, came = self.terminal.run(command)
            why = differs(shown, came)
            if why is not None:
                wrong.append(f"{block!r}: $ {command}\n{why}\nit printed ({status}):\n{came}")
        return wrong

    def _play_second(self, block):
        ((command, shown),) = steps(block)
        terminal = Terminal(self.directory, self.env)
        self.second.append((block, terminal, shown))
        terminal.start(command)
        begun = lambda: terminal.output or self.settled()  # noqa: E731
        wait_until(begun, TIMEOUT_S, f"{command} has begun")
        return []

    def finish(self):
        """What second terminals should have shown by now."""
        wrong = []
        for block, terminal, shown in self.second:
            try:
                wait_until(lambda t=terminal, s=shown: differs(s, t.output) is None, 20)
            except AssertionError:
                wrong.append(f"{block!r}: {differs(shown, terminal.output)}\n{terminal.output}")
        return wrong

    def close(self):
        for terminal in [self.terminal, *(t for _, t, _ in self.second)]:
            terminal.close()
