"""What daemons make of a Redis that has forgotten something, or that somebody has written to."""

import pytest

from larder.caches import A, Cache
from larder.wait import wait_until

STATE = "larder:{n1}"


@pytest.fixture
def two(cluster, directory):
    """A coordinator, and models on two nodes."""
    names = []
    cluster.coordinator()
    for node in ("n1", "n2"):
        path = directory / f"hub-{node}"
        path.mkdir()
        names.append(Cache(path).model(f"acme/{node}", A))
        cluster.agent(path, name=node).wait_ready().wait_model(names[-1])
    cluster.coordinators[0].wait_sees("n1", "n2")
    for node, name in zip(("n1", "n2"), names, strict=True):
        cluster.wait_lru(name, node)
    return names


@pytest.mark.parametrize("lost", ["lru", "size", ""], ids=["lru", "size", "all"])
def test_each_registration_has_an_incarnation_of_its_own(cluster, root, lost):
    """What comes late from before it is not taken for a part of it."""
    name = Cache(root).model("acme/llama")
    cluster.agent(root).wait_ready()
    cluster.wait_lru(name)
    before = cluster.db.hget(STATE, "inc")
    cluster.db.delete(f"{STATE}:{lost}" if lost else STATE)
    wait_until(lambda: cluster.db.hget(STATE, "inc") not in (None, before), what="it registers again")
    cluster.wait_lru(name)


@pytest.mark.parametrize(
    ("fence", "outcome"),
    [(2**52, "fenced"), (2**53 - 3, "fenced"), (2**53 - 2, "fenced"), (2**53 - 1, "fenced"),
     (2**53, "not issued"), ("x", "not issued")],
)
def test_a_fence_that_no_leader_wrote_stops_its_own_node_only(cluster, two, fence, outcome):
    leader = cluster.db.hget("larder:leader", "epoch")
    cluster.db.hset(STATE, "fence", fence)
    for _ in range(3):
        assert cluster.order(two[0], nodes=["n1"])["outcome"] == outcome
    assert cluster.evict(two[1], nodes=["n2"])["outcome"] == "deleted"
    assert cluster.db.hget("larder:leader", "epoch") == leader
    assert cluster.coordinators[0].leads


def test_a_later_epoch_that_a_node_has_seen_is_exceeded(cluster, two):
    """Redis has lost the epoch in a fail-over."""
    seen = int(cluster.db.hget("larder:leader", "epoch")) + 10**9
    cluster.db.hset(STATE, "fence", seen)
    assert cluster.order(two[0], nodes=["n1"])["outcome"] == "fenced"
    wait_until(lambda: int(cluster.db.get("larder:epoch")) > seen, what="a later epoch is taken")
    cluster.coordinators[0].wait_leads()
    assert cluster.evict(two[0], nodes=["n1"])["outcome"] == "deleted"


def test_a_leader_catches_up_with_an_epoch_that_only_an_agent_knows(cluster, two, directory):
    """Redis' clock was ahead when a leader was elected; then Redis lost all that it knew."""
    db = cluster.db
    seen = int(db.hget("larder:leader", "epoch")) + 6 * 86_400_000
    db.hset(STATE, "fence", seen)
    assert cluster.order(two[0], nodes=["n1"])["outcome"] == "fenced"
    wait_until(lambda: int(db.get("larder:epoch")) > seen, what="a later epoch is taken")
    cluster.coordinators[0].wait_leads()
    assert cluster.evict(two[0], nodes=["n1"])["outcome"] == "deleted"
    name = Cache(directory / "hub-n1").model("acme/more", A)
    cluster.agents[0].wait_model(name)
    cluster.coordinators[0].stop()
    db.flushall()
    cluster.coordinators[0].start().wait_leads()
    assert int(db.get("larder:epoch")) < seen
    cluster.coordinators[0].wait_sees("n1", "n2")
    cluster.wait_lru(name)
    assert int(db.hget(STATE, "fence")) > seen
    assert db.hget("larder:{n2}", "fence") is None, "it has obeyed no leader yet"
    assert cluster.order(name, nodes=["n1"])["outcome"] == "fenced"
    wait_until(lambda: int(db.get("larder:epoch")) > seen, what="a later epoch is taken again")
    cluster.coordinators[0].wait_leads()
    assert cluster.evict(name, nodes=["n1"])["outcome"] == "deleted"


def test_a_node_that_is_gone_leaves_no_key(cluster):
    """Silent for more than a week: nothing of it stays in Redis."""
    db = cluster.db
    seconds, _ = db.time()
    db.sadd("larder:nodes", "gone")
    db.hset("larder:{gone}", mapping={"inc": "00000000", "hb": (seconds - 8 * 86400) * 1000})
    for key in ("lru", "lru:before", "hold"):
        db.zadd("larder:{gone}:" + key, {"hf:acme/x@aaaaaaaaaaaa": 1})
    for key in ("size", "state", "holders", "cmd"):
        db.hset("larder:{gone}:" + key, "hf:acme/x@aaaaaaaaaaaa", "x")
    db.xadd("larder:{gone}:receipts", {"id": "x"})
    cluster.coordinator().demand_cycle()
    wait_until(lambda: not db.sismember("larder:nodes", "gone"), what="it is forgotten")
    wait_until(lambda: db.keys("larder:{gone}*") == [], what="its keys are gone")
