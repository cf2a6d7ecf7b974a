"""Opens of a model's files of which no access time tells."""

import ctypes
import mmap
import os
import subprocess
import sys

LOOK = """
import os, sys
for path in sys.argv[1:]:
    os.close(os.open(path, os.O_RDONLY | os.O_NOATIME))
"""
LOOK_OFTEN = """
import os, sys
for i in range(int(sys.argv[1])):
    os.close(os.open(sys.argv[2 + i % (len(sys.argv) - 2)], os.O_RDONLY | os.O_NOATIME))
"""


def open_quietly(path):
    """For the file itself: a link on the way would tell of it."""
    return open(os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_NOFOLLOW), "rb")


class Mapping:
    """
    An open file mapped for reading. The file may be closed: none but the mapping is left then, as of
    an engine that has loaded. Python's mmap.mmap() would keep a descriptor of its own.
    """

    def __init__(self, file):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.mmap.restype = ctypes.c_void_p
        self.libc.mmap.argtypes = [
            *(ctypes.c_void_p, ctypes.c_size_t),
            *(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long),
        ]
        self.libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
        self.size = os.fstat(file.fileno()).st_size
        self.at = self.libc.mmap(
            None, self.size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0
        )
        if self.at == ctypes.c_void_p(-1).value:
            raise OSError(ctypes.get_errno(), "mmap")

    def read(self):
        return ctypes.string_at(self.at, self.size)

    def close(self):
        self.libc.munmap(self.at, self.size)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def map_quietly(path):
    with open_quietly(path) as file:
        return Mapping(file)


def look(*paths):
    """A process opens the files one after another and closes each; no access time tells of it."""
    subprocess.run([sys.executable, "-c", LOOK, *map(str, paths)], check=True)


def look_often(times, *paths):
    """The same, in turn, so many times."""
    subprocess.run([sys.executable, "-c", LOOK_OFTEN, str(times), *map(str, paths)], check=True)
