"""What is on a disk, read without leaving traces where that is possible."""

import hashlib
import os
import pathlib
import stat

CHUNK = 1 << 20


def digest(path):
    """SHA-256 of a file, without moving its access time."""
    fd = os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_NOFOLLOW)
    sha = hashlib.sha256()
    with open(fd, "rb", buffering=0) as file:
        while data := file.read(CHUNK):
            sha.update(data)
    return sha.hexdigest()


def describe(path):
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return "link", os.readlink(path)
    if stat.S_ISDIR(mode):
        return ("folder",)
    if stat.S_ISREG(mode):
        return "file", os.lstat(path).st_size, digest(path)
    return "other", stat.S_IFMT(mode)


def tree(root, skip=(".locks",)):
    """{relative path: what it is}, for every entry below `root` but the top folders in `skip`."""
    root = pathlib.Path(root)
    found = {}
    for folder, folders, files in os.walk(root):
        folder = pathlib.Path(folder)
        if folder == root:
            folders[:] = [f for f in folders if f not in skip]
        for name in folders + files:
            path = folder / name
            found[str(path.relative_to(root))] = describe(path)
    return found


def allocated_bytes(*files):
    """What these files take on the disk."""
    return sum(os.lstat(file).st_blocks * 512 for file in files)


def dangling(root):
    """Links below `root` that lead nowhere."""
    return [
        str(pathlib.Path(folder) / name)
        for folder, folders, files in os.walk(root)
        for name in folders + files
        if os.path.islink(os.path.join(folder, name))
        and not os.path.exists(os.path.join(folder, name))
    ]


def entries(folder):
    """Everything below a folder. No link is followed: that would count as a use of its model."""
    try:
        found = list(os.scandir(folder))
    except FileNotFoundError:  # gone meanwhile
        return
    for entry in found:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from entries(entry.path)


def left_by_larder(root):
    """Whatever has a name that only Larder gives."""
    return [entry.path for entry in entries(root) if entry.name.startswith(".larder-")]


def newest_use(folder):
    """The newest access time of a model's links and files, in ms."""
    newest = 0
    for path in pathlib.Path(folder).rglob("*"):
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            continue
        newest = max(newest, status.st_atime_ns)
        if stat.S_ISLNK(status.st_mode) and path.exists():
            newest = max(newest, os.stat(path).st_atime_ns)
    return newest / 1e6
