"""
Models that share files with the one that is removed: whatever becomes of it, and however their links
are spelled, theirs stay.
"""

import hashlib

import pytest

from larder.caches import A, B, Cache, age_everything
from larder.openers import look
from larder.removals import DAY, REPO, SIZE
from larder.trees import dangling, left_by_larder
from larder.wait import wait_until

OTHER = "acme/other"


def absolute(cache, repo, commit, path):
    """Spells a link as no client does: it leads to the same file by its absolute path."""
    link = cache.snapshot(repo, commit) / path
    blob = link.resolve()
    link.unlink()
    link.symlink_to(blob)
    return link


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def drop_leftover(root):
    """A blob that belongs to nobody, in a repository of its own."""
    cache = Cache(root)
    cache.model(OTHER)
    return cache.blob(OTHER, b"left over " * 100)


@pytest.fixture
def blind(make_disk):
    """A root without access times: nothing on it tells of a use after it has ended."""
    return make_disk(mib=64, options="noatime").root()


# ---- links that clients do not make ----


def test_no_leftover_is_what_an_odd_link_leads_to(cluster, root):
    """Its engine has closed its files days ago: nothing but the link tells that it is used."""
    cache = Cache(root)
    cache.model(REPO, A, SIZE)
    link = absolute(cache, REPO, A, "model.safetensors")
    before = digest(link)
    leftover = drop_leftover(root)
    age_everything(root, 10 * DAY)
    agent = cluster.agent({"path": str(root), "leftover_max_age": "0s"}).wait_ready()
    wait_until(lambda: not leftover.exists(), what="the agent tidies up")
    again = cache.blob(OTHER, b"left over again " * 100)
    wait_until(lambda: not again.exists(), what="it does so again")
    assert dangling(root) == []
    assert digest(link) == before


def test_eviction_of_what_an_odd_link_of_another_revision_leads_to(cluster, root):
    cache = Cache(root)
    name = cache.model(REPO, A, SIZE, seed="same")
    cache.model(REPO, B, SIZE, seed="same", refs=("v2",))
    link = absolute(cache, REPO, B, "model.safetensors")
    before = digest(link)
    age_everything(root, 10 * DAY)
    agent, _ = cluster.pair(root)
    assert agent.wait_model(name)["exclusive_bytes"] == 0, "nothing of it would come free"
    receipt = cluster.evict(name)
    assert receipt["outcome"] == "deleted", receipt
    wait_until(lambda: left_by_larder(root) == [], what="the trash is emptied")
    assert not cache.snapshot(REPO, A).exists()
    assert digest(link) == before


# ---- a removal that cannot be undone yet ----


def test_vetoed_model_that_cannot_be_put_back_yet_loses_nothing(cluster, root):
    """
    Neither the agent's tidying nor the eviction of a revision that shares its files takes any of
    them, and when nothing is in its way any more it comes back.
    """
    cache = Cache(root)
    name = cache.model(REPO, A, SIZE, seed="same")
    other = cache.model(REPO, B, SIZE, seed="same", refs=("v2",))
    cache.put(REPO, A, "own.bin", b"its own " * 100)
    digests = {p.name: digest(p) for p in cache.snapshot(REPO, A).iterdir()}
    age_everything(root, 10 * DAY)
    agent = cluster.agent({"path": str(root), "leftover_max_age": "0s"}, start=False)
    moved, undo = agent.pause("removal-moved").shut(), agent.pause("removal-undo").shut()
    agent.start(**moved.env).wait_ready()
    cluster.coordinator().wait_sees(agent.name)
    cluster.wait_lru(name)
    assert cluster.order(name)["outcome"] == "issued"
    moved.reached()
    assert agent.touch(name).status == 200
    moved.open()
    undo.reached()
    # Somebody is at work in the repository: for the moment there is no folder to put it into.
    snapshots = cache.repo(REPO) / "snapshots"
    snapshots.rename(cache.repo(REPO) / "away")
    snapshots.touch()
    undo.open()
    agent.wait_log("event=-removal-stuck")
    snapshots.unlink()
    (cache.repo(REPO) / "away").rename(snapshots)
    leftover = drop_leftover(root)
    wait_until(lambda: not leftover.exists(), what="the agent tidies up")
    agent.wait_model(other)
    cluster.wait_lru(other)
    receipt = cluster.evict(other, force=True)
    assert receipt["outcome"] == "deleted", receipt
    agent.wait_model(name)
    wait_until(lambda: left_by_larder(root) == [], what="all is in its place")
    assert {p.name: digest(p) for p in cache.snapshot(REPO, A).iterdir()} == digests
    assert dangling(root) == []
    assert (cache.repo(REPO) / "refs/main").read_text() == A


@pytest.mark.parametrize("between", ["nothing", "a folder"])
def test_vetoed_model_whose_place_was_tidied_up_comes_back(cluster, root, between):
    """Somebody removes empty folders, or makes the one that he misses."""
    layout = {"nothing": "huggingface", "a folder": "directory"}[between]
    if layout == "huggingface":
        name = Cache(root).model(REPO, A, SIZE)
        place, file = Cache(root).repo(REPO) / "snapshots", "model.safetensors"
        link = place / A / file
    else:
        place = root / "engine"
        place.mkdir()
        link = place / "weights.bin"
        link.write_bytes(b"weights" * 1000)
        name = "dir:engine@-"
    before = digest(link)
    age_everything(root, 10 * DAY)
    agent = cluster.agent({"path": str(root), "layout": layout}, start=False)
    moved, undo = agent.pause("removal-moved").shut(), agent.pause("removal-undo").shut()
    agent.start(**moved.env).wait_ready()
    cluster.coordinator().wait_sees(agent.name)
    cluster.wait_lru(name)
    row = cluster.order(name)
    moved.reached()
    assert agent.touch(name).status == 200
    moved.open()
    undo.reached()
    if layout == "huggingface":
        place.rmdir()
    else:
        place.mkdir()
    undo.open()
    receipt = cluster.receipt(row["id"])
    assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "used"), receipt
    assert digest(link) == before
    assert left_by_larder(root) == []


# ---- the folder of a repository that has nothing any more ----


def test_client_that_fills_the_empty_folder_in_the_moment_it_goes(cluster, root):
    """The agent is killed before it has looked again; the next start does."""
    cache = Cache(root)
    name = cache.model(REPO, A, SIZE)
    (root / ".locks").mkdir()
    age_everything(root, 10 * DAY)
    agent = cluster.agent(root, start=False)
    moved = agent.pause("shell-moved").shut()
    agent.start(**moved.env).wait_ready()
    cluster.coordinator().wait_sees(agent.name)
    cluster.wait_lru(name)
    assert cluster.order(name)["outcome"] == "issued"
    moved.reached()
    agent.kill9()
    [shell] = (root / ".locks").glob(".larder-*")
    (shell / "blobs" / "fresh").write_bytes(b"just downloaded")
    moved.open()
    agent.start()
    fresh = cache.repo(REPO) / "blobs" / "fresh"
    wait_until(fresh.exists, what="the folder is put back")
    assert fresh.read_bytes() == b"just downloaded"
    assert list((root / ".locks").glob(".larder-*")) == []


# ---- uses of what is shared ----


@pytest.mark.mounts
def test_use_of_a_shared_file_counts_while_its_sibling_is_in_the_trash(blind, cluster):
    """Emptying it takes as long as it takes. Nothing but the watch tells of this use."""
    cache = Cache(blind)
    name = cache.model(REPO, A, SIZE, seed="same")
    other = cache.model(REPO, B, SIZE, seed="same", refs=("v2",))
    age_everything(blind, 10 * DAY)
    agent = cluster.agent(blind, start=False)
    reap = agent.pause("reap").shut()
    agent.start(**reap.env).wait_ready()
    cluster.coordinator().wait_sees(agent.name)
    cluster.wait_lru(name)
    cluster.wait_lru(other)
    row = cluster.order(name)
    reap.reached()
    old = agent.models()[other]["idle_ms"]
    look(cache.snapshot(REPO, B) / "model.safetensors")
    seen = wait_until(
        lambda: agent.models()[other]["idle_ms"] < old and agent.models()[other],
        what="the use is seen",
    )
    assert seen["source"] == "watch", seen
    reap.open()
    assert cluster.receipt(row["id"])["outcome"] == "deleted"
