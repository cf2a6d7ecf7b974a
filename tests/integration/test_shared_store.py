"""The store of blobs that newer clients share between repositories."""

import fcntl
import os

import pytest

from larder.caches import comparable, expected_after, folder_of, model_name
from larder.cluster import assert_clean
from larder.judges import assert_only_gone
from larder.trees import tree
from larder.wait import wait_until

BASE, BASE_MAIN = "acme/tiny", "3" * 40
FORK, FORK_MAIN = "fork/tiny", "7" * 40
XET = "ab" + "0" * 62
SIZE = 1 << 20


def fork(kind="model"):
    """A repository with the same weights as BASE under another configuration."""
    files = {
        "config.json": {"text": '{"fork": true}'},
        "model.safetensors": {"bytes": SIZE, "seed": "t1"},
    }
    revision = {"commit": FORK_MAIN, "refs": ["main"], "files": files}
    return {"id": FORK, "type": kind, "revisions": [revision]}


def weights(root, repo, kind="model"):
    """The blob of the weights in a repository."""
    [snapshot] = (root / folder_of(repo, kind) / "snapshots").iterdir()
    link = snapshot / "model.safetensors"
    return root / folder_of(repo, kind) / "blobs" / os.path.basename(os.readlink(link))


@pytest.fixture
def store(judges, hub, root):
    """BASE and FORK share their weights, by the library's own functions."""
    hub.add(fork())
    client = judges["python-new"]
    for repo in (BASE, FORK):
        client.download(root, repo, "main")
        share(judges, root, repo)
    return root / "blobs" / XET[:2]


def share(judges, root, repo, kind="model", xet=XET):
    blob = weights(root, repo, kind)
    assert judges["python-new"].call("share", cache=root, blob=blob, xet_hash=xet)
    assert blob.is_symlink()


def evict_and_judge(cluster, judges, root, repo, commit):
    scanned, before = judges.scan(root), tree(root)
    receipt = cluster.evict(model_name(repo, commit))
    assert receipt["outcome"] == "deleted", receipt
    assert_clean(root)
    expected = expected_after(before, folder_of(repo), commit)
    assert comparable(tree(root)) == comparable(expected)
    assert_only_gone(scanned, judges.scan(root), f"model/{repo}", commit, folder_of(repo))
    assert judges["python-new"].call("unreferenced", cache=root) == []
    return receipt


def test_payload_stays_while_another_repository_has_it_and_goes_with_the_last(
    cluster, judges, hub, root, store
):
    agent, _ = cluster.pair(root)
    agent.wait_model(model_name(BASE, BASE_MAIN))
    line = f"{folder_of(BASE)}/blobs/{weights(root, BASE).name}\n"
    first = evict_and_judge(cluster, judges, root, FORK, FORK_MAIN)
    assert (store / XET).stat().st_size == SIZE
    assert (store / f"{XET}.refs").read_text() == line
    assert first["bytes"] < SIZE
    assert judges["python-new"].offline(root, BASE, "main").is_dir()
    second = evict_and_judge(cluster, judges, root, BASE, BASE_MAIN)
    assert not (store / XET).exists()
    assert not (store / f"{XET}.refs").exists()
    assert second["bytes"] >= SIZE
    hub.clear_log()
    judges["python-new"].download(root, BASE, "main")
    assert hub.fetched() == {(BASE, "config.json"), (BASE, "model.safetensors")}


def test_sizes_tell_what_deleting_would_free(cluster, judges, root, store):
    """Neither frees the payload alone; once one has gone the other does."""
    agent, _ = cluster.pair(root)
    name = model_name(BASE, BASE_MAIN)
    row = agent.wait_model(name)
    assert row["exclusive_bytes"] < SIZE < row["logical_bytes"]
    evict_and_judge(cluster, judges, root, FORK, FORK_MAIN)
    agent.scan()
    wait_until(lambda: agent.models()[name]["exclusive_bytes"] >= SIZE, what="the size is told")


def test_reference_of_a_kernel_keeps_the_payload(cluster, judges, hub, root):
    """The newest client's store holds for repositories of kernels too."""
    kernel = root / "kernels--fork--tiny"
    judges["python-new"].download(root, BASE, "main")
    share(judges, root, BASE)
    etag = weights(root, BASE).name
    (kernel / "blobs").mkdir(parents=True)
    (kernel / "snapshots" / FORK_MAIN).mkdir(parents=True)
    (kernel / "refs").mkdir()
    (kernel / "refs/main").write_text(FORK_MAIN)
    payload = root / "blobs" / XET[:2] / XET
    (kernel / "blobs" / etag).write_bytes(payload.read_bytes())
    (kernel / "snapshots" / FORK_MAIN / "model.safetensors").symlink_to(f"../../blobs/{etag}")
    blob = kernel / "blobs" / etag
    assert judges["python-new"].call("share", cache=root, blob=blob, xet_hash=XET)
    agent, _ = cluster.pair(root)
    agent.wait_model(model_name(BASE, BASE_MAIN))
    assert cluster.evict(model_name(BASE, BASE_MAIN))["outcome"] == "deleted"
    assert_clean(root)
    assert payload.exists()


def test_missing_manifest_keeps_the_payload(cluster, judges, root, store):
    agent, _ = cluster.pair(root)
    agent.wait_model(model_name(BASE, BASE_MAIN))
    (store / f"{XET}.refs").unlink()
    for repo, commit in ((FORK, FORK_MAIN), (BASE, BASE_MAIN)):
        assert cluster.evict(model_name(repo, commit))["outcome"] == "deleted"
    assert (store / XET).exists()
    assert_clean(root)


def test_foreign_folder_in_the_place_of_the_store_is_left_alone(cluster, judges, root, store):
    """Without the marker the folder is somebody else's: what it holds is not Larder's to judge."""
    agent, _ = cluster.pair(root)
    name = model_name(BASE, BASE_MAIN)
    agent.wait_model(name)
    (root / "blobs/.huggingface-shared-blobs").write_text("2\n")
    before = tree(root / "blobs")
    agent.scan()
    row = cluster.order(name)
    if row["outcome"] == "issued":
        assert cluster.receipt(row["id"])["outcome"] != "deleted"
    assert tree(root / "blobs") == before


def test_lock_of_the_store_is_waited_for_not_broken(cluster, judges, root, store):
    """A client that is linking to the payload at this moment holds its lock."""
    agent, _ = cluster.pair(root)
    agent.wait_model(model_name(FORK, FORK_MAIN))
    with open(store / f"{XET}.lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cluster.evict(model_name(FORK, FORK_MAIN))
        assert (store / XET).exists()
        assert judges["python-new"].offline(root, BASE, "main").is_dir()
