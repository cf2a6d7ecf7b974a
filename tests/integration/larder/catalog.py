"""Models that a test can make again and again, each whole at once and always the same."""

import hashlib
import os
import pathlib
import shutil

from larder.caches import A, Cache, folder_of, model_name


def content(name, path, size):
    return hashlib.shake_256(f"{name} {path}".encode()).digest(size)


class Model:
    """
    Made in `staging`, on the same file system as its root, and moved into its place by one rename:
    whoever finds its first file may rely on the others.
    """

    def __init__(self, root, staging, label, sizes):
        self.root, self.staging = pathlib.Path(root), pathlib.Path(staging)
        self.label = label
        self.sizes = sizes  # {path: bytes}

    @property
    def paths(self):
        """Where its users find its files, in the order of loading."""
        return [self.folder / path for path in self.sizes]

    def catalog(self):
        """As readers want it."""
        files = []
        for path, size in self.sizes.items():
            digest = hashlib.sha256(content(self.label, path, size)).hexdigest()
            files.append([str(self.folder / path), digest])
        return {"name": self.name, "files": files}

    @property
    def missing(self):
        """Its place is free, and nothing is to be put back there."""
        return not os.path.lexists(self.place) and not self.aside()

    def make(self):
        stage = self.staging / self.place.name
        shutil.rmtree(stage, ignore_errors=True)
        self.build(stage)
        stage.rename(self.place)


class Engine(Model):
    """Layout "directory"."""

    def __init__(self, root, staging, label, sizes, root_name):
        super().__init__(root, staging, label, sizes)
        self.name = f"dir+{root_name}:{label}@-"
        self.place = self.folder = self.root / label
        self.served_as = str(self.folder)

    def aside(self):
        return list(self.root.glob(f".larder-trash-*.{self.label}"))

    def build(self, stage):
        for path, size in self.sizes.items():
            (stage / path).parent.mkdir(parents=True, exist_ok=True)
            (stage / path).write_bytes(content(self.label, path, size))


class Repository(Model):
    """A repository of one revision in a Hugging Face cache."""

    def __init__(self, root, staging, label, sizes):
        super().__init__(root, staging, label, sizes)
        self.repo = f"storm/{label}"
        self.name = model_name(self.repo, A)
        self.place = self.root / folder_of(self.repo)
        self.folder = Cache(root).snapshot(self.repo, A)
        self.served_as = self.repo

    def aside(self):
        return []  # its place is taken until all of it has gone

    def build(self, stage):
        cache = Cache(self.staging)
        assert cache.repo(self.repo) == stage
        for path, size in self.sizes.items():
            cache.put(self.repo, A, path, content(self.label, path, size))
        cache.ref(self.repo, "main", A)
