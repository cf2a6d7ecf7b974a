"""File systems and name spaces of a test's own, which need the rights of root."""

import pathlib

from larder.rights import as_root


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
