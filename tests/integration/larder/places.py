"""Where caches are made: a file system of the kind that real caches are on."""

import fcntl
import os
import pathlib
import shutil
import tempfile

from larder.openers import map_quietly

SIZE = 4096
CHECKOUT = pathlib.Path(__file__).resolve().parents[3]


def _lease(fd):
    """Is a write lease granted?"""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def leases_work(directory):
    """
    A write lease must be granted on a file that nobody has, and refused while one is mapped, with
    no descriptor open; overlayfs, for one, does not see that.
    """
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        file.write(b"x" * SIZE)
        file.flush()
        granted = _lease(file.fileno())
        with map_quietly(file.name):
            refused = not _lease(file.fileno())
    return granted and refused


def candidates():
    return [pathlib.Path(p) for p in (tempfile.gettempdir(), "/var/tmp", "/dev/shm", CHECKOUT)]


def find(free_bytes=0, wanted=None):
    """The first directory with working leases and so much room, or None."""
    for place in [pathlib.Path(wanted)] if wanted else candidates():
        try:
            if shutil.disk_usage(place).free >= free_bytes and leases_work(place):
                return place
        except OSError:
            continue
    return None


def working_directory():
    """For the tests; LARDER_TEST_DIR names another one."""
    place = find(wanted=os.environ.get("LARDER_TEST_DIR"))
    if place is None:
        raise RuntimeError("no directory with working file leases; set LARDER_TEST_DIR")
    return place
