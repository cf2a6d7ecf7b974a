"""File systems and name spaces of a test's own, which need the rights of root."""

import os
import pathlib
import subprocess


def as_root(*argv):
    """Runs a command that needs the rights of root; asks sudo for them where we are not root."""
    argv = [str(a) for a in argv]
    if os.geteuid() != 0:
        argv = ["sudo", *argv]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv}: {done.stderr or done.stdout}"
    return done.stdout


class Blind:
    """A file system without access times: nothing on it tells of a use after it has ended."""

    def __init__(self, path, mib=64):
        self.path = pathlib.Path(path)
        self.path.mkdir()
        options = f"noatime,size={mib}m,mode=0777"
        as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", self.path)

    def close(self):
        as_root("umount", self.path)


def in_another_mount_namespace(root, script):
    """Runs a shell script to which $1 is `root`, mounted elsewhere in a name space of its own."""
    inner = 'mount --bind "$1" /mnt && ' + script
    return as_root("unshare", "--mount", "sh", "-ec", inner, "sh", root)
