"""What is not a model's, around a model: nothing of it may change."""

import ctypes
import os
import pathlib
import shutil
import subprocess
import threading

from larder import trees
from larder.caches import age_everything
from larder.rights import prefix

AT_FDCWD = -100
RENAME_EXCHANGE = 2
NOBODY = 65534
libc = ctypes.CDLL(None, use_errno=True)


class Outside:
    """Precious files next to the root, of which a digest is taken."""

    def __init__(self, directory):
        self.path = pathlib.Path(directory) / "outside"
        (self.path / "sub/deep").mkdir(parents=True)
        for name in ("passwd", "sub/weights.bin", "sub/deep/config.json"):
            (self.path / name).write_bytes(f"precious {name}".encode() * 1000)
        (self.path / "link").symlink_to("passwd")
        age_everything(self.path, 86400 * 10)
        self.before = self.state()

    def state(self):
        """The tree with owners, modes, times and numbers of links."""
        stats = {
            str(p): (s.st_ino, s.st_mode, s.st_uid, s.st_nlink, s.st_size, s.st_mtime_ns)
            for p in sorted([self.path, *self.path.rglob("*")])
            if (s := os.lstat(p))
        }
        return trees.tree(self.path), stats

    def assert_untouched(self):
        assert self.state() == self.before


class Exchange:
    """Swaps two entries in a loop, as fast as that goes."""

    def __init__(self, one, other):
        self.names = os.fsencode(one), os.fsencode(other)
        self.count = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def swap(self):
        one, other = self.names
        done = libc.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) == 0
        self.count += done
        return done

    def _run(self):
        while not self.stop.is_set():
            self.swap()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(30)


def in_mount_namespace(agent, script):
    """
    Lets an agent start in a mount namespace of its own, in which a shell script has mounted what it
    wants to: nobody else sees these mounts, and they go with the agent.
    """
    inner = [*agent.process.argv]
    if os.geteuid() != 0:
        who = [f"--reuid={os.geteuid()}", f"--regid={os.getegid()}", "--init-groups"]
        inner = ["setpriv", *who, "--", *inner]
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script + '\nexec "$@"']
    agent.process.argv = [*prefix("-E"), *unshare, "sh", *inner]


def as_nobody(agent, redis, *paths):
    """
    Lets an agent run without any rights, and gives it these paths; where the tests run as an
    ordinary user, that is what it is already.
    """
    if os.geteuid() != 0:
        return
    agent.write_config(redis={"url": redis.tcp_url})  # the socket's directory is closed to others
    program = pathlib.Path(agent.directory) / "larder-agent"
    shutil.copy(agent.process.argv[0], program)  # the build may lie where nobody may look
    for path in (agent.directory, *paths):
        for entry in [pathlib.Path(path), *pathlib.Path(path).rglob("*")]:
            os.lchown(entry, NOBODY, NOBODY)
    for folder in (agent.directory, *agent.directory.parents):
        if folder.stat().st_uid == 0 and folder.stat().st_mode & 0o77 == 0:
            folder.chmod(0o711)
    user = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    agent.process.argv = ["setpriv", *user, "--", str(program), *agent.process.argv[1:]]


def remove_tree(path):
    """However deep it is, and whatever its modes are."""
    subprocess.run(["rm", "-rf", "--", str(path)], check=True, timeout=120)
