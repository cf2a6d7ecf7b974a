"""The audit trail has each outcome once, whoever leads."""

from larder.models import MODEL_BYTES, fill
from larder.wait import stays, wait_until


def removal_under_way(cluster, root):
    """A removal that waits at its end, and the command for it; (agent, gate, id)"""
    name = fill(root, {"a": 30})["a"]
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-finish").shut()
    agent.start(**gate.env).wait_ready()
    coordinator = cluster.coordinator(lease="1s")
    coordinator.wait_models(1)
    row = cluster.order(name)
    gate.reached()
    return agent, gate, row["id"]


def test_receipt_that_comes_before_the_next_leader_listens(cluster, root):
    """It leads already and hears no messages yet: what it has missed it reads when it does."""
    agent, gate, command = removal_under_way(cluster, root)
    cluster.coordinators[0].kill9()
    cluster.db.acl_setuser("deaf", enabled=True, nopass=True, keys=["*"], categories=["+@all"])
    other = cluster.coordinator("c2", lease="1s", redis={"user": "deaf"}, start=False)
    cluster.db.config_resetstat()
    other.start(LARDER_REDIS_PASSWORD="any").wait_leads()
    wait_until(lambda: "cmdstat_xrange" in cluster.db.info("commandstats"), what="it has looked")
    gate.open()
    wait_until(lambda: agent.status()["removals"] == 0, what="the removal ends")
    wait_until(lambda: cluster.lru() == {}, what="the receipt is in Redis")
    cluster.db.execute_command("ACL", "SETUSER", "deaf", "allchannels")
    wait_until(lambda: other.evictions(id=command), what="the receipt is in the trail")
    (row,) = other.evictions()
    assert (row["outcome"], row["bytes"]) == ("deleted", MODEL_BYTES)
    wait_until(lambda: cluster.db.xlen("larder:{n1}:receipts") == 0, what="it is read once")


def test_each_outcome_stands_there_once(cluster, root):
    """Though one leader is killed after the other while it is written."""
    _, gate, command = removal_under_way(cluster, root)
    cluster.coordinators[0].kill9()
    gate.open()
    wait_until(lambda: cluster.lru() == {}, what="the receipt is in Redis")
    for name in ("c2", "c3"):
        leader = cluster.coordinator(name, lease="1s")
        wait_until(lambda c=leader: c.evictions(id=command), what="the receipt is in the trail")
        leader.kill9()
    last = cluster.coordinator("c4", lease="1s")
    stays(lambda: len(last.evictions()) == 1, 0.3)
