"""Small disks of a test's own: what happens when one fills can be tried out without filling a real one."""

import os
import pathlib
import subprocess

from larder.rights import as_root

MIB = 1 << 20


class Disk:
    """
    A file system of a few MiB: "tmpfs", whose numbers are exact, or "ext4" in a file. Caches go into
    folders of it; `ballast` fills it with what is nobody's model. `path` is an empty folder, `options`
    are those of the mount: with "noatime" nothing on it tells of a use after it has ended.
    """

    def __init__(self, path, kind="tmpfs", mib=16, options="rw"):
        self.path = pathlib.Path(path)
        if kind == "tmpfs":
            as_root("mount", "-t", "tmpfs", "-o", f"{options},size={mib}m,mode=0777", "tmpfs", self.path)
            return
        image = self.path.with_suffix(".img")
        with open(image, "wb") as file:
            file.truncate(mib * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
        as_root("mount", "-o", f"loop,{options}", image, self.path)
        as_root("chmod", "0777", self.path)

    def available(self):
        """Bytes that somebody without special rights could still write."""
        st = os.statvfs(self.path)
        return st.f_bavail * st.f_frsize

    def total(self):
        st = os.statvfs(self.path)
        return st.f_blocks * st.f_frsize

    def ballast(self, size, name="ballast"):
        folder = self.path / "nobodys"
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"b" * size)

    def root(self, name="hub"):
        path = self.path / name
        path.mkdir()
        return path

    def immutable(self, path, yes):
        as_root("chattr", "+i" if yes else "-i", path)

    def close(self):
        if os.path.ismount(self.path):
            as_root("umount", self.path)
