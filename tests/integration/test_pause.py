"""A removal that is stopped at a point while something happens to its model."""

import contextlib
import fcntl
import os
import threading

import pytest

from larder.caches import A, B, Cache, age_everything, model_name, orphans
from larder.openers import map_quietly, open_quietly
from larder.paused import COMMITTED, EARLY, LATE, Paused, waits_for_a_lease
from larder.removals import CASES, REPO, SIZE
from larder.trees import digest, left_by_larder, tree
from larder.wait import wait_until

C = "c" * 40


@pytest.fixture
def paused(cluster, root):
    return lambda kind, point, **settings: Paused(cluster, root, kind, point, **settings)


# ---- somebody uses it ----


@pytest.mark.parametrize("point", EARLY)
@pytest.mark.parametrize("kind", CASES)
def test_opened_before_the_leases_are_taken(paused, kind, point):
    """No watch sees it, and no access time tells: the lease alone does."""
    removal = paused(kind, point, watch="off")
    with open_quietly(removal.case.files[-1]):
        removal.assert_refused("busy")
    removal.case.assert_untouched()


@pytest.mark.parametrize("point", EARLY)
@pytest.mark.parametrize("kind", CASES)
def test_mapped_before_the_leases_are_taken(paused, kind, point):
    removal = paused(kind, point, watch="off")
    mapped = map_quietly(removal.case.files[-1])
    with mapped:
        removal.assert_refused("busy")
    removal.case.assert_untouched()


@pytest.mark.parametrize("kind", ["classic", "shared", "directory"])
def test_opened_by_its_folder_after_the_rename(paused, kind):
    """A process that stands in the folder still reaches the files: it is undone for him."""
    removal = paused(kind, "removal-claim")
    file = removal.case.private[-1]
    folder = os.open(file.parent, os.O_RDONLY)
    moved = removal.agent.pause("removal-moved").shut()
    removal.gate.open()
    moved.reached()
    opened = []

    def run():
        opened.append(os.open(file.name, os.O_RDONLY, dir_fd=folder))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    wait_until(lambda: waits_for_a_lease(file, folder), what="the open waits for the lease")
    moved.open()
    removal.assert_refused("busy")
    thread.join(60)
    assert os.read(opened[0], 1)
    os.close(opened[0])
    os.close(folder)
    removal.case.assert_untouched()


def test_opened_after_the_commit_its_bytes_are_not_counted(paused):
    """Too late to stop it: the reader keeps what he has, and nobody claims that it is free."""
    removal = paused("directory", "removal-claim")
    folder = os.open(removal.case.private[0].parent, os.O_RDONLY)
    committed = removal.agent.pause("removal-clean").shut()
    removal.gate.open()
    committed.reached()
    weights = os.open("rank0/weights.bin", os.O_RDONLY, dir_fd=folder)
    committed.open()
    receipt = removal.go_on()
    assert receipt["outcome"] == "deleted", receipt
    assert "still open" in receipt["why"]
    assert receipt["bytes"] == removal.case.bytes - os.fstat(weights).st_blocks * 512
    assert len(os.read(weights, SIZE)) == SIZE
    os.close(weights)
    os.close(folder)
    removal.case.assert_removed()


class BigFile:
    """A directory with one big file on a disk where freeing blocks is slow; its removal waits at "reap"."""

    SIZE = 1 << 30
    NAME = "dir:engine@-"

    def __init__(self, cluster, disk):
        self.cluster, root = cluster, disk.root()
        (root / "engine").mkdir()
        with open(root / "engine/weights.bin", "wb") as file:
            file.write(b"w" * SIZE)
            file.truncate(self.SIZE)
        age_everything(root, 864000)
        self.folder = os.open(root / "engine", os.O_RDONLY)
        self.agent = cluster.agent({"path": str(root), "layout": "directory"}, start=False)
        self.reap, self.shrink = self.agent.pause("reap").shut(), self.agent.pause("shrink").shut()
        self.agent.start(**self.reap.env).wait_ready()
        cluster.coordinator().wait_sees(self.agent.name)
        cluster.wait_lru(self.NAME)
        self.command = cluster.order(self.NAME)["id"]
        self.reap.reached()

    def open(self):
        """Somebody stands in its folder; None: it has no name any more."""
        try:
            return os.open("weights.bin", os.O_RDONLY, dir_fd=self.folder)
        except FileNotFoundError:
            return None

    def size(self):
        file = self.open()
        if file is None:
            return None
        with open(file, "rb") as opened:
            return os.fstat(opened.fileno()).st_size

    def close(self):
        os.close(self.folder)


@pytest.fixture
def big(make_disk, cluster):
    with contextlib.closing(BigFile(cluster, make_disk("ext4", 64, "discard"))) as big:
        yield big


@pytest.mark.mounts
def test_big_file_is_there_in_full_or_not_at_all(big):
    """It is shortened step by step, and nobody sees that."""
    sizes = {big.size()}
    big.reap.open()
    wait_until(lambda: sizes.add(big.size()) or big.shrink.mark.exists(), what="it is shortened")
    assert big.size() is None
    assert sizes - {None} == {big.SIZE}
    big.shrink.open()
    receipt = big.cluster.receipt(big.command)
    assert (receipt["outcome"], receipt["why"]) == ("deleted", ""), receipt


@pytest.mark.mounts
def test_big_file_that_somebody_has_open_is_not_shortened(big):
    with open(big.open(), "rb") as weights:
        big.reap.open()
        big.shrink.open()
        receipt = big.cluster.receipt(big.command)
        assert receipt["outcome"] == "deleted" and "still open" in receipt["why"], receipt
        assert os.fstat(weights.fileno()).st_size == big.SIZE
        assert not big.shrink.mark.exists()


@pytest.mark.parametrize("point", EARLY + ("removal-moved",))
@pytest.mark.parametrize("kind", CASES)
def test_touched(paused, kind, point):
    removal = paused(kind, point)
    assert removal.agent.touch(removal.case.name).status == 200
    removal.assert_refused("used")
    removal.case.assert_untouched()


@pytest.mark.parametrize("point", ["removal-commit", "removal-clean", "removal-cleaned", "reap"])
def test_touched_too_late(paused, point):
    """Who asks after the commit is told that the model is going, so that he does not rely on it."""
    removal = paused("classic", point)
    assert removal.agent.touch(removal.case.name).status == 409
    assert removal.go_on()["outcome"] == "deleted"
    removal.case.assert_removed()


@pytest.mark.parametrize("point", EARLY + ("removal-moved",))
def test_pinned(paused, point):
    removal = paused("classic", point)
    pin = {"glob": "hf:acme/*", "by": "tests", "why": "needed"}
    assert removal.cluster.coordinators[0].http.post("/v1/pins", pin).status == 200
    removal.agent.wait_log("event=.removal-vetoed")
    removal.assert_refused("used", "pinned")
    removal.case.assert_untouched()


@pytest.mark.parametrize("point", EARLY)
def test_lock_of_a_client(paused, point):
    removal = paused("classic", point)
    folder = removal.case.root / ".locks/models--acme--llama"
    folder.mkdir(parents=True)
    with open(folder / f"{removal.case.private[0].name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        removal.assert_refused("busy", "downloading", "a download")
    removal.case.assert_untouched()


# ---- a client downloads ----


@pytest.mark.parametrize("point", EARLY + LATE[:2])
@pytest.mark.parametrize("kind", ["classic", "last", "shared"])
def test_another_revision_appears_with_the_same_blobs(paused, kind, point):
    """As clients without locks do it. Whatever becomes of the old one, the new one stays whole."""
    removal = paused(kind, point)
    cache = Cache(removal.case.root)
    snapshot = cache.snapshot(REPO, C)
    snapshot.mkdir(parents=True)
    for private in removal.case.links:
        blob = removal.case.before[str(private.relative_to(removal.case.root))][1]
        (snapshot / private.name).symlink_to(blob)
    cache.ref(REPO, "new", C)
    receipt = removal.go_on()
    words = ("deleted",) if point in COMMITTED else ("deleted", "refused")
    assert receipt["outcome"] in words, receipt
    removal.assert_tidy()
    for link in removal.case.links:
        assert (snapshot / link.name).exists()
    assert (cache.repo(REPO) / "refs/new").read_text() == C
    removal.agent.wait_model(model_name(REPO, C))
    assert orphans(removal.case.root) == []


def test_another_repository_takes_the_shared_payload(paused):
    """By the library's protocol: first the manifest, then the link."""
    removal = paused("shared", "removal-commit")
    cache = Cache(removal.case.root)
    payload = removal.case.private[-1]
    with open(f"{payload}.refs", "a") as manifest:
        manifest.write("models--new--llama/blobs/own\n")
    blobs = cache.repo("new/llama") / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "own").symlink_to(f"../../blobs/{payload.parent.name}/{payload.name}")
    cache.snapshot("new/llama", B).mkdir(parents=True)
    (cache.snapshot("new/llama", B) / "own.safetensors").symlink_to("../../blobs/own")
    receipt = removal.go_on()
    assert receipt["outcome"] == "deleted", receipt
    assert payload.stat().st_size == SIZE
    assert receipt["bytes"] == removal.case.bytes - payload.stat().st_blocks * 512
    removal.assert_tidy()


@pytest.mark.parametrize("point", EARLY)
@pytest.mark.parametrize("kind", ["classic", "last", "shared"])
def test_client_asks_for_it_by_name(paused, kind, point):
    """
    Clients write the ref before they look at the files, also when nothing has changed; then they
    rely on it.
    """
    removal = paused(kind, point)
    (Cache(removal.case.root).repo(REPO) / "refs/main").write_text(A)
    removal.assert_refused("used")
    removal.case.assert_untouched()


@pytest.mark.parametrize("point", LATE)
@pytest.mark.parametrize("kind", ["classic", "last"])
def test_client_makes_it_anew_after_the_rename(paused, kind, point):
    """Whatever names the revision had are right again once it is back."""
    removal = paused(kind, point)
    cache = Cache(removal.case.root)
    refs = {r: t for r, t in removal.case.before.items() if "/refs/" in r and t[0] == "file"}
    cache.put(REPO, A, "config.json", b'{"model_type": "llama"}')
    assert removal.go_on()["outcome"] == "deleted"
    removal.assert_tidy()
    after = tree(removal.case.root)
    assert {r: after.get(r) for r in refs} == refs
    assert cache.snapshot(REPO, A).joinpath("config.json").read_bytes()
    assert orphans(removal.case.root) == []


@pytest.mark.parametrize("point", EARLY)
def test_file_is_added_to_the_revision(paused, point):
    """A client fetches one more file of it: it is in use, whatever its access times say."""
    removal = paused("classic", point)
    Cache(removal.case.root).put(REPO, A, "tokenizer.json", b'{"tokens": 1}')
    removal.assert_refused("replaced", "downloading", "used")
    assert (removal.case.links[0].parent / "tokenizer.json").read_text() == '{"tokens": 1}'


@pytest.mark.parametrize("point", EARLY)
@pytest.mark.parametrize("folder", ["", "rank0/parts"])
def test_file_is_added_to_a_directory(paused, point, folder):
    removal = paused("directory", point)
    added = removal.case.root / "engine" / folder / "added.bin"
    added.write_bytes(b"added")
    removal.assert_refused("replaced", "downloading", "used")
    assert added.read_bytes() == b"added"


# ---- something else stands in its place ----


def replace(folder):
    """Another folder with the same names takes the place of one; returns where the old one is."""
    aside = folder.parent.parent / "elsewhere"
    folder.rename(aside)
    folder.mkdir()
    for path in sorted(aside.rglob("*")):
        target = folder / path.relative_to(aside)
        if path.is_symlink():
            target.symlink_to(os.readlink(path))
        elif path.is_dir():
            target.mkdir()
        else:
            target.write_bytes(b"a new one")
    return aside


@pytest.mark.parametrize("point", EARLY)
@pytest.mark.parametrize("kind", ["classic", "directory"])
def test_swapped(paused, kind, point):
    """What was decided on is not there any more: its successor is not for deleting."""
    removal = paused(kind, point)
    folder = removal.case.links[0].parent
    replace(folder)
    receipt = removal.go_on()
    assert receipt["outcome"] == "refused", receipt
    assert receipt["why"].startswith(("replaced", "used", "downloading")), receipt
    assert removal.case.whole()
    assert left_by_larder(removal.case.root) == []


@pytest.mark.parametrize("point", EARLY)
@pytest.mark.parametrize("kind", ["classic", "directory"])
def test_link_out_of_the_root_in_its_place(paused, directory, kind, point):
    """Nothing is followed: what the link leads to stays as it is."""
    removal = paused(kind, point)
    outside = directory / "outside"
    outside.mkdir()
    for name in ("config.json", "model.safetensors"):
        (outside / name).write_bytes(b"precious")
    folder = removal.case.links[0].parent
    folder.rename(directory / "was-here")
    folder.symlink_to(outside)
    receipt = removal.go_on()
    assert receipt["outcome"] in ("gone", "refused", "failed"), receipt
    assert sorted(p.name for p in outside.iterdir()) == ["config.json", "model.safetensors"]
    assert all(p.read_bytes() == b"precious" for p in outside.iterdir())
    assert os.path.islink(folder)


@pytest.mark.parametrize("point", LATE)
@pytest.mark.parametrize("kind", ["classic", "directory"])
def test_its_place_is_taken_after_the_rename(paused, kind, point):
    """A client makes the model anew at once: both go their way."""
    removal = paused(kind, point)
    folder = removal.case.links[0].parent
    folder.mkdir()
    (folder / "config.json").write_bytes(b"the new one")
    assert removal.go_on()["outcome"] == "deleted"
    removal.assert_tidy()
    assert (folder / "config.json").read_bytes() == b"the new one"
    assert [p.name for p in folder.iterdir()] == ["config.json"]


@pytest.mark.parametrize("kind", ["classic", "last", "shared"])
def test_client_makes_it_anew_when_it_should_be_put_back(paused, kind):
    """He who was told that it stays finds it whole, and the client goes on with its work."""
    removal = paused(kind, "removal-moved")
    case = removal.case
    snapshot = case.links[0].parent
    snapshot.mkdir()
    config = case.before[str(case.links[0].relative_to(case.root))][1]
    (snapshot / "config.json").symlink_to(config)
    (snapshot / "parts").mkdir()
    (snapshot / "parts/new.json").write_text("{}")
    assert removal.agent.touch(case.name).status == 200
    receipt = removal.go_on()
    assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "used"), receipt
    assert left_by_larder(case.root) == []
    assert [digest(link.resolve()) for link in case.links] == case.digests
    assert (snapshot / "parts/new.json").read_text() == "{}"
    assert (snapshot.parent.parent / "refs/main").read_text() == A
    assert orphans(case.root) == []


@pytest.mark.parametrize("kind", ["classic", "directory"])
def test_its_place_is_taken_when_it_should_be_put_back(paused, kind):
    removal = paused(kind, "removal-moved")
    folder = removal.case.links[0].parent
    folder.mkdir()
    (folder / "config.json").write_bytes(b"the new one")
    removal.agent.touch(removal.case.name)
    receipt = removal.go_on()
    # A commit is always the same, and is put together again. A directory is what stands there.
    assert receipt["outcome"] == ("deleted" if kind == "directory" else "refused"), receipt
    removal.assert_tidy()
    assert (folder / "config.json").read_bytes() == b"the new one"


@pytest.mark.parametrize("point", EARLY)
def test_whole_root_is_replaced(paused, directory, point):
    """Another disk is mounted there, say: a removal that began before touches nothing of it."""
    removal = paused("directory", point)
    root = removal.case.root
    root.rename(directory / "was-the-root")
    root.mkdir()
    (root / "engine").mkdir()
    (root / "engine/weights.bin").write_bytes(b"another disk")
    receipt = removal.go_on()
    assert receipt["outcome"] in ("deleted", "refused", "failed"), receipt
    assert (root / "engine/weights.bin").read_bytes() == b"another disk"
    assert left_by_larder(root) == []


# ---- the registry ----


@pytest.mark.parametrize("point", ["removal-moved", "removal-cleaned", "reap", "removal-finish"])
@pytest.mark.parametrize("kind", ["classic", "directory"])
def test_entry_in_redis_stays_until_the_files_are_gone(paused, kind, point):
    removal = paused(kind, point)
    beats = removal.cluster.db.hget("larder:{n1}", "hb")
    removal.agent.scan()
    wait_until(lambda: removal.cluster.db.hget("larder:{n1}", "hb") > beats, what="a beat")
    assert removal.case.name in removal.cluster.lru()
    assert removal.cluster.db.hget("larder:{n1}:cmd", removal.case.name)
    assert removal.go_on()["outcome"] == "deleted"
    wait_until(lambda: removal.case.name not in removal.cluster.lru(), what="it is taken out")
    removal.case.assert_removed()
