"""Acts that need the rights of root: tests themselves may be anybody's."""

import os
import subprocess


def prefix(*options):
    """What a command begins with to get the rights."""
    return [] if os.geteuid() == 0 else ["sudo", "-n", *options]


def with_capability(capability, argv):
    """A command with one right of root, whoever the tests are."""
    who = [f"--reuid={os.geteuid()}", f"--regid={os.getegid()}", "--keep-groups"]
    right = [f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}"]
    return [*prefix("-E"), "setpriv", *who, *right, "--", *map(str, argv)]


def as_root(*argv):
    """Runs a command with the rights of root; what it printed."""
    argv = [*prefix(), *map(str, argv)]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"{argv}: {done.stderr or done.stdout}"
    return done.stdout
