"""
Caches as somebody could make them to have something else deleted, or to break the agent. Whatever
is done in them, nothing outside of the model changes, and the agent goes on.
"""

import ctypes
import os
import socket
import stat
import time

import pytest

from larder import trees
from larder.caches import A, Cache, age_everything, folder_of
from larder.hostile import (
    Exchange,
    Outside,
    as_nobody,
    as_root,
    in_mount_namespace,
    remove_tree,
)
from larder.removals import CASES, REPO
from larder.wait import wait_until

LAYOUTS = ("huggingface", "directory")


class Place:
    """
    One model, `self.name`, of one layout; `self.folder` is the folder of its files. Beside it stands
    another one, which is evicted at the end to show that all goes on.
    """

    def __init__(self, cluster, directory, root, layout):
        self.cluster, self.root, self.layout = cluster, root, layout
        self.outside = Outside(directory)
        self.agent = None
        if layout == "directory":
            for name in ("engine", "other"):
                (root / name / "sub").mkdir(parents=True)
                (root / name / "config.json").write_text("{}")
                (root / name / "sub/weights.bin").write_bytes(os.urandom(65536))
            self.name, self.other = "dir:engine@-", "dir:other@-"
            self.folder, self.other_folder = root / "engine", root / "other"
        else:
            cache = Cache(root)
            self.name, self.other = cache.model(REPO), cache.model("acme/other")
            self.folder, self.other_folder = (
                cache.snapshot(repo, A) for repo in (REPO, "acme/other")
            )
        self.sub = self.folder / "sub"
        self.sub.mkdir(exist_ok=True)

    def file(self, path, data):
        """A file of the model's own."""
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def start(self, prepare=None, **env):
        age_everything(self.root, 86400 * 10)
        self.agent = self.cluster.agent({"path": str(self.root), "layout": self.layout}, start=False)
        if prepare is not None:
            prepare(self.agent)
        self.agent.start(**env).wait_ready()
        self.cluster.coordinator().wait_sees("n1")
        return self

    def evict(self, force=True):
        return self.cluster.evict(self.name, force=force)

    def assert_status(self, status, *words):
        row = self.agent.wait_model(self.name, status)
        assert row["why"].startswith(words or ("",)), row

    def assert_refused(self, *words):
        receipt = self.evict()
        assert receipt["outcome"] in ("refused", "failed"), receipt
        assert receipt["why"].startswith(words), receipt
        assert receipt["bytes"] == 0
        assert self.folder.is_dir()
        assert trees.left_by_larder(self.root) == []

    def assert_deleted(self, bytes_freed=None):
        receipt = self.evict()
        assert receipt["outcome"] == "deleted" and receipt["why"] == "", receipt
        assert bytes_freed in (None, receipt["bytes"]), receipt
        assert not os.path.lexists(self.folder)
        wait_until(lambda: trees.left_by_larder(self.root) == [], what="the trash is emptied")
        assert trees.left_by_larder(self.root) == []

    def assert_works(self):
        self.outside.assert_untouched()
        assert self.agent.process.running
        assert self.agent.http.get("/readyz").status == 200
        receipt = self.cluster.evict(self.other, force=True)
        assert receipt["outcome"] == "deleted", receipt
        assert not os.path.lexists(self.other_folder)
        self.outside.assert_untouched()


@pytest.fixture(params=LAYOUTS)
def place(cluster, directory, root, request):
    return Place(cluster, directory, root, request.param)


@pytest.fixture
def hub(cluster, directory, root):
    return Place(cluster, directory, root, "huggingface")


# ---- links ----


def test_links_to_everywhere(place):
    """A link goes with its folder, what it leads to does not; a Hugging Face model is none then."""
    links = {
        "absolute": place.outside.path / "passwd",
        "out": os.path.relpath(place.outside.path / "sub/weights.bin", place.sub),
        "folder": place.outside.path / "sub",
        "dangling": "no/such/file",
        "itself": "itself",
        "up": "..",
        "loop": "../sub/loop",
        "root": "/",
        "proc": "/proc/self/fd",
        "long": "x/" * 2000 + "x",
        "name\n\x1b[31m": "target\n\x1b[31m",
    }
    for name, target in links.items():
        (place.sub / name).symlink_to(target)
    place.start()
    if place.layout == "huggingface":
        place.assert_status("ERROR", "a link leads out")
        receipt = place.cluster.evict(place.name)
    else:
        place.assert_status("DOWNLOADED")
    place.assert_deleted()
    place.assert_works()


@pytest.mark.parametrize(
    "target",
    ["absolute", "../../../../outside/passwd", "../../blobs/../../../outside/passwd", "missing"],
)
def test_snapshot_link_that_leads_elsewhere(hub, target):
    link = hub.folder / "model.safetensors"
    link.unlink()
    if target == "absolute":
        target = str(hub.outside.path / "passwd")
    elif target == "missing":
        target = "../../blobs/" + "0" * 64
    link.symlink_to(target)
    hub.start()
    hub.assert_status("ERROR")
    hub.assert_deleted()
    hub.assert_works()


@pytest.mark.parametrize(
    "target", ["absolute", "../../../outside/passwd", "../../blobs/aa/../../../outside/passwd", "loop"]
)
def test_blob_that_is_a_link_elsewhere(hub, target):
    """Only links into the shared store are followed, by their names; this one is not."""
    blob = hub.folder / "model.safetensors"
    blob = (blob.parent / os.readlink(blob)).resolve()
    blob.unlink()
    if target == "absolute":
        target = str(hub.outside.path / "passwd")
    blob.symlink_to(blob.name if target == "loop" else target)
    hub.start()
    hub.assert_status("ERROR", "a blob is neither")
    hub.assert_deleted()
    hub.assert_works()


@pytest.mark.parametrize("what", ["payload", "prefix", "store", "manifest", "marker"])
def test_shared_store_with_links(hub, what):
    """The store's own parts lead elsewhere."""
    cache = Cache(hub.root)
    xet = "ab" + "c" * 62
    payload = cache.share(xet, "model.safetensors", REPO)
    target = {
        "payload": payload,
        "prefix": payload.parent,
        "store": payload.parent.parent,
        "manifest": payload.parent / f"{xet}.refs",
        "marker": payload.parent.parent / ".huggingface-shared-blobs",
    }[what]
    moved = hub.outside.path / "moved"
    target.rename(moved)
    target.symlink_to(moved)
    age_everything(hub.outside.path, 86400 * 10)
    hub.outside.before = hub.outside.state()
    hub.start()
    hub.assert_deleted()
    hub.assert_works()


@pytest.mark.parametrize("name", ["", "snapshots", "blobs", "refs", ".no_exist", "trees"])
def test_folder_of_a_repository_is_a_link(hub, name):
    repo = hub.root / folder_of(REPO)
    folder = repo / name if name else repo
    if not folder.exists():
        folder.mkdir()
        (folder / A).mkdir()
        (folder / f"{A}.json").write_text("{}")
    moved = hub.outside.path / "moved"
    folder.rename(moved)
    folder.symlink_to(moved)
    age_everything(hub.outside.path, 86400 * 10)
    hub.outside.before = hub.outside.state()
    hub.start()
    if name in ("", "snapshots", "blobs"):
        hub.agent.wait_log(r"event=-repo folder=models--acme--llama .*is a link")
        assert hub.name not in hub.agent.models()
    elif name == "refs":
        # Whether a ref names this revision cannot be seen.
        hub.assert_refused("cannot be moved")
    else:
        hub.assert_deleted()
    hub.assert_works()


def test_top_folder_of_a_model_is_a_link(cluster, directory, root):
    place = Place(cluster, directory, root, "directory")
    (root / "linked").symlink_to(place.outside.path)
    (root / "loop").symlink_to("loop")
    place.start()
    place.agent.wait_model(place.name)
    assert set(place.agent.models()) == {place.name, place.other}
    place.assert_deleted()
    place.assert_works()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_from_the_future(cluster, directory, root, layout):
    """Some tool has set their time years ahead: that does not make them a download for years."""
    place = Place(cluster, directory, root, layout)
    place.start()
    place.agent.wait_model(place.name)
    at = time.time()
    for path in place.folder.rglob("*.*"):
        os.utime(path, (at - 11 * 365 * 86400, at + 10 * 365 * 86400))
    place.assert_deleted()
    place.assert_works()


def test_leftovers_in_a_root_where_nothing_is_deleted(cluster, root):
    """Looked at with each scan, and kept in memory once (the sanitizer tells)."""
    (root / "engine").mkdir()
    (root / "engine" / "weights.bin").write_bytes(b"x")
    (root / (".larder-trash-" + "a" * 16 + ".gone")).mkdir()
    config = {"path": str(root), "layout": "directory", "report_only": True}
    agent = cluster.agent(config).wait_ready()
    for _ in range(3):
        agent.scan()
    agent.wait_model("dir:engine@-")
    agent.stop()


# ---- swapped meanwhile ----


def busy_evicting(place, rounds):
    """Evicts again and again, whatever comes of it; returns the outcomes."""
    outcomes = []
    for _ in range(rounds):
        place.agent.scan()
        row = place.cluster.order(place.name, force=True) if place.name in place.cluster.lru() else None
        if row is None or row["outcome"] != "issued":
            outcomes.append(row and row["outcome"])
            continue
        outcomes.append(place.cluster.receipt(row["id"])["outcome"])
        if not os.path.lexists(place.folder):
            break
    return outcomes
