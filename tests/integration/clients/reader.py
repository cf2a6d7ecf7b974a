#!/usr/bin/env python3
"""A reader of the storm, a process of its own, that knows nothing of Larder but the promise.

    reader.py CONFIG

CONFIG is a JSON file: the models ({"name", "files": [[path, SHA-256], ...]}), the role, its times
in seconds, and how many threads do it. Each reads one model after the other until the input ends;
then what they saw is printed as JSON: counts, and what broke the promise.

    keep   opens all files, holds them for a while, reads them, and finds them where they were
    map    the same with mappings, the descriptors closed
    seq    opens, reads and closes one file before it opens the next, with gaps in between
"""

import collections
import hashlib
import json
import os
import random
import sys
import threading
import time

from larder.openers import Mapping

# Times of files are those of the kernel's last tick.
TICK_S = 0.02
PAUSE_S = 0.05


class Broken(Exception):
    """The promise was broken."""


class Absent(Exception):
    """The model is not there; nothing of it was seen."""


def identity(status):
    return status.st_dev, status.st_ino


class Reader:
    def __init__(self, config, number):
        self.config = config
        self.random = random.Random(f"{config['seed']} {number}")
        self.stopped = threading.Event()
        self.counts = collections.Counter()
        self.broken = []

    # ---- helpers ----

    def wait(self, between):
        self.stopped.wait(self.random.uniform(*between))

    def open(self, path, first):
        """The first file of a model may be missing; a later one only as long as nobody minds it."""
        try:
            return open(path, "rb", buffering=0)
        except FileNotFoundError:
            if first:
                raise Absent from None
        if self.comes_back(path):
            self.counts["transient"] += 1
            return open(path, "rb", buffering=0)
        return None

    def comes_back(self, path):
        """An agent that was killed in the middle of a removal puts the model back at its start."""
        end = time.monotonic() + self.config["restart_s"]
        while time.monotonic() < end:
            if os.path.exists(path):
                return True
            time.sleep(PAUSE_S)
        return False

    def check(self, path, data, expected):
        if hashlib.sha256(data).hexdigest() != expected:
            raise Broken(f"{path}: {len(data)} bytes that are not those of the file")

    # ---- roles ----

    def keep(self, files):
        held = []
        try:
            for path, _ in files:
                file = self.open(path, not held)
                if file is None:
                    raise Broken(f"{path} is gone while {len(held)} files before it are open")
                held.append(file)
            self.wait(self.config["hold"])
            for file, (path, expected) in zip(held, files, strict=True):
                self.check_place(path, identity(os.fstat(file.fileno())))
                self.check(path, file.read(), expected)
        finally:
            for file in held:
                file.close()

    def map(self, files):
        held = []
        try:
            for path, _ in files:
                file = self.open(path, not held)
                if file is None:
                    raise Broken(f"{path} is gone while {len(held)} files before it are mapped")
                with file:
                    held.append((Mapping(file), identity(os.fstat(file.fileno()))))
            self.wait(self.config["hold"])
            for (mapped, place), (path, expected) in zip(held, files, strict=True):
                self.check_place(path, place)
                self.check(path, mapped.read(), expected)
        finally:
            for mapped, _ in held:
                mapped.close()

    def check_place(self, path, place):
        if os.path.exists(path) or self.comes_back(path):
            if identity(os.stat(path)) == place:
                return
            raise Broken(f"{path} was replaced while it was in use")
        raise Broken(f"{path} was taken away while it was in use")

    def seq(self, files):
        known = 0.0
        for number, (path, expected) in enumerate(files):
            asked = time.time()
            file = self.open(path, number == 0)
            if file is None:
                return self.lost(f"{path} is gone after {number} files", known)
            with file:
                self.check(path, file.read(), expected)
            if number == 0:
                first = identity(os.lstat(path))
            elif not self.still(files[0][0], first):
                return self.lost(f"{files[0][0]} is gone after {number} files", known)
            known = max(known, self.recorded(path, asked))
            if number + 1 < len(files):
                self.wait(self.config["gap"])
        return None

    def still(self, path, first):
        try:
            return identity(os.lstat(path)) == first
        except FileNotFoundError:
            return self.comes_back(path) and identity(os.lstat(path)) == first

    def recorded(self, path, asked):
        """
        When the disk says that this file was used last: at least that is known to whoever looks.
        Where opens are seen as they happen, it is known when it was opened.
        """
        if self.config["sees_opens"]:
            return asked
        used = os.lstat(path).st_atime
        self.counts["seen" if used >= asked - TICK_S else "unseen"] += 1
        return used

    def lost(self, what, known):
        """It may go when its last known use is as long ago as models are kept for."""
        quiet = time.time() - known
        if quiet >= self.config["quiet_s"]:
            self.counts["overrun"] += 1
            return
        raise Broken(f"{what}, {quiet:.3f} s after the last use that the disk tells of")

    # ---- the loop ----

    def run(self):
        role = getattr(self, self.config["role"])
        while not self.stopped.is_set():
            model = self.random.choice(self.config["models"])
            try:
                role(model["files"])
                self.counts["whole"] += 1
            except Absent:
                self.counts["absent"] += 1
                self.stopped.wait(PAUSE_S)
            except Broken as broken:
                self.broken.append(f"{time.time():.3f} {model['name']}: {broken}")
            self.wait(self.config["pause"])


def main():
    with open(sys.argv[1]) as file:
        config = json.load(file)
    readers = [Reader(config, number) for number in range(config["threads"])]
    threads = [threading.Thread(target=reader.run) for reader in readers]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    for reader in readers:
        reader.stopped.set()
    for thread in threads:
        thread.join()
    counts = sum((reader.counts for reader in readers), collections.Counter())
    print(json.dumps({"counts": counts, "broken": [b for r in readers for b in r.broken]}))


if __name__ == "__main__":
    main()
