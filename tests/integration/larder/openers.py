"""Other processes that open a model's files."""

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


def look(*paths):
    """A process opens the files one after another and closes each; no access time tells of it."""
    subprocess.run([sys.executable, "-c", LOOK, *map(str, paths)], check=True)


def look_often(times, *paths):
    """The same, in turn, so many times."""
    subprocess.run([sys.executable, "-c", LOOK_OFTEN, str(times), *map(str, paths)], check=True)
