"""One model of each layout that is to go, its neighbours, and what must be left of both."""

import os
import pathlib

from larder import trees
from larder.caches import A, B, Cache, age_everything, comparable, expected_after, folder_of
from larder.wait import wait_until

REPO, FORK = "acme/llama", "fork/llama"
SIZE = 1 << 18
DAY = 86400
SHARED, OWN = "cd" + "1" * 62, "ef" + "2" * 62


class Case:
    """
    A root with a model that is to go. `links` is where clients find its files, `files` what they lead
    to, `digests` what is in them, `private` what has bytes of its own and must go with it.
    """

    layout = "huggingface"

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.links, self.private = [], []
        self.name = self.build()
        self.bytes = trees.allocated_bytes(*self.private)
        self.files = [link.resolve() for link in self.links]
        self.digests = [trees.digest(file) for file in self.files]
        self.before = trees.tree(root)
        self.after = self.expected()
        age_everything(self.root, 10 * DAY)

    def build(self):
        """Makes the files, and returns the model's name."""
        raise NotImplementedError

    def expected(self):
        return expected_after(self.before, folder_of(REPO), A)

    @property
    def config(self):
        return {"path": str(self.root), "layout": self.layout}

    # These two follow no link and read nothing: either would count as a use.

    def whole(self):
        return all(os.path.lexists(p) for p in self.links + self.private)

    def gone(self):
        return not any(os.path.lexists(p) for p in self.links)

    # These read, and belong at the end.

    def assert_untouched(self):
        assert trees.left_by_larder(self.root) == []
        assert comparable(trees.tree(self.root)) == comparable(self.before)

    def assert_removed(self):
        wait_until(lambda: trees.left_by_larder(self.root) == [], what="the trash is emptied")
        assert comparable(trees.tree(self.root)) == comparable(self.after)
        assert trees.dangling(self.root) == []


class Classic(Case):
    """Two revisions that share a file, several refs to the one that goes, another repository."""

    def build(self):
        cache = Cache(self.root)
        name = cache.model(REPO, A, SIZE, refs=("main", "refs/pr/1"))
        cache.model(REPO, B, SIZE, refs=("v2",))
        cache.model(FORK, A, SIZE)
        cache.tree_listing(REPO, A)
        cache.absent(REPO, A, "adapter_config.json")
        snapshot = cache.snapshot(REPO, A)
        self.links = [snapshot / "config.json", snapshot / "model.safetensors"]
        self.private = [self.links[1].resolve()]
        return name


class LastRevision(Case):
    """The only revision: its repository goes with it."""

    def build(self):
        cache = Cache(self.root)
        name = cache.model(REPO, A, SIZE)
        cache.model(FORK, A, SIZE)
        snapshot = cache.snapshot(REPO, A)
        self.links = [snapshot / "config.json", snapshot / "model.safetensors"]
        self.private = [link.resolve() for link in self.links]
        return name


class SharedStore(Case):
    """Its weights in the store belong to another repository too; a second file is its own."""

    def build(self):
        cache = Cache(self.root)
        cache.put(REPO, A, "own.safetensors", os.urandom(SIZE))
        name = cache.model(REPO, A, SIZE, seed="same")
        cache.model(FORK, A, SIZE, seed="same")
        self.payload = cache.share(SHARED, "model.safetensors", REPO, FORK)
        own = cache.share(OWN, "own.safetensors", REPO)
        snapshot = cache.snapshot(REPO, A)
        names = ("config.json", "model.safetensors", "own.safetensors")
        self.links = [snapshot / name for name in names]
        self.private = [(snapshot / "config.json").resolve(), own]
        return name

    def manifest(self):
        return pathlib.Path(f"{self.payload}.refs").read_text()

    def assert_untouched(self):
        super().assert_untouched()
        assert self.payload.stat().st_size == SIZE
        assert self.whole()
        assert folder_of(REPO) in self.manifest()

    def assert_removed(self):
        super().assert_removed()
        assert self.payload.stat().st_size == SIZE
        assert folder_of(REPO) not in self.manifest()
        assert folder_of(FORK) in self.manifest()
        assert not any(p.exists() for p in self.private)


class Plain(Case):
    """Layout "directory": a folder with folders and a link in it, and its neighbour."""

    layout = "directory"

    def build(self):
        for model in ("engine", "other"):
            folder = self.root / model
            (folder / "rank0/parts").mkdir(parents=True)
            (folder / "config.json").write_text("{}")
            (folder / "rank0/weights.bin").write_bytes(os.urandom(SIZE))
            (folder / "rank0/parts/extra.bin").write_bytes(b"e" * 5000)
            (folder / "link").symlink_to("../other/config.json")
        files = ("config.json", "rank0/weights.bin", "rank0/parts/extra.bin")
        self.links = self.private = [self.root / "engine" / file for file in files]
        return "dir:engine@-"

    def expected(self):
        return {
            path: what
            for path, what in self.before.items()
            if path != "engine" and not path.startswith("engine/")
        }


# More files than leases are held at once (LEASES_MAX).
MANY = 5000


class ManyFiles(LastRevision):
    """A revision of many files, two of which are the same blob."""

    def build(self):
        cache = Cache(self.root)
        for number in range(MANY):
            cache.put(REPO, A, f"shards/{number:04}.bin", b"shard %d" % number)
        cache.put(REPO, A, "shards/twin.bin", b"shard 0")
        name = super().build()
        shards = sorted((cache.snapshot(REPO, A) / "shards").iterdir())
        self.links += shards
        self.private += sorted({shard.resolve() for shard in shards})
        return name


class ManyPlain(Plain):
    """A folder of many files, two of which are links to one."""

    def build(self):
        name = super().build()
        folder = self.root / "engine" / "shards"
        folder.mkdir()
        for number in range(MANY):
            (folder / f"{number:04}.bin").write_bytes(b"shard %d" % number)
        (folder / "twin.bin").hardlink_to(folder / "0000.bin")
        self.links += sorted(folder.iterdir())
        return name


CASES = {"classic": Classic, "last": LastRevision, "shared": SharedStore, "directory": Plain}
MANY_CASES = {"huggingface": ManyFiles, "directory": ManyPlain}
