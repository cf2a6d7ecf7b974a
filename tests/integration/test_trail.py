"""The audit trail has each outcome once, whoever leads."""

import re
import signal
from datetime import datetime, timedelta

from larder.models import MODEL_BYTES, fill
from larder.wait import stays, wait_until

RESULTS_KEPT = 32


def removal_under_way(cluster, root, lease="1s"):
    """A removal that waits at its end, and the command for it; (agent, gate, id)"""
    name = fill(root, {"a": 30})["a"]
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-finish").shut()
    agent.start(**gate.env).wait_ready()
    coordinator = cluster.coordinator(lease=lease)
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


def test_slow_link_doubles_nothing(cluster, root):
    """The receipts are not asked for again while the answer is awaited."""
    name = fill(root, {"a": 30})["a"]
    proxy = cluster.proxy()
    patient = {"command_timeout": "60s"}
    coordinator = cluster.coordinator(url=proxy.url, lease="60s", redis=patient)
    cluster.agent(root).wait_ready()
    coordinator.wait_models(1)
    with proxy.answers_held(b"XRANGE"):
        row = cluster.order(name)
        wait_until(lambda: cluster.lru() == {}, what="the receipt is in Redis")
        proxy.wait_held()
        # Long enough for another look at nodes with open commands.
        stays(lambda: coordinator.process.running, 2.5)
    wait_until(lambda: cluster.db.xlen("larder:{n1}:receipts") == 0, what="it is read")
    assert [found["id"] for found in coordinator.evictions()] == [row["id"]]


def test_outcome_waits_while_redis_takes_no_more(cluster, root):
    """It stays in the node's stream until it stands in the trail, and is logged once."""
    _, gate, command = removal_under_way(cluster, root, lease="60s")
    coordinator, db = cluster.coordinators[0], cluster.db
    db.config_set("maxmemory", 1)
    gate.open()
    refused = r"time=(\S+) .*event=-trail node=n1 reason=.*OOM"
    wait_until(lambda: coordinator.log_contains(refused, 3), what="it is tried again")
    times = [datetime.fromisoformat(t) for t in re.findall(refused, coordinator.process.log())]
    assert times[2] - times[1] > timedelta(seconds=3.5)  # and again after twice as long
    assert db.xlen("larder:{n1}:receipts") == 1
    assert coordinator.evictions() == []
    db.config_set("maxmemory", 0)
    wait_until(lambda: coordinator.evictions(id=command), what="the receipt is in the trail")
    wait_until(lambda: db.xlen("larder:{n1}:receipts") == 0, what="it is read")
    assert coordinator.process.log().count("event=+evicted") == 1


def allow(cluster, rule):
    """For everybody, this test too."""
    cluster.db.execute_command("ACL", "SETUSER", "default", rule)


def trail_ids(cluster):
    return [entry["id"] for _, entry in cluster.db.xrange("larder:log") if "outcome" in entry]


def test_receipts_that_cannot_be_removed(cluster, root):
    """They are read again, and stand in the trail once."""
    _, gate, command = removal_under_way(cluster, root, lease="60s")
    coordinator = cluster.coordinators[0]
    allow(cluster, "-xdel")
    gate.open()
    refused = r"event=-receipts node=n1 reason=.*NOPERM"
    wait_until(lambda: coordinator.log_contains(refused, 2), what="it is tried again")
    assert trail_ids(cluster) == [command]
    allow(cluster, "+xdel")
    wait_until(lambda: cluster.db.xlen("larder:{n1}:receipts") == 0, what="it is removed")
    assert trail_ids(cluster) == [command]
    assert coordinator.process.log().count("event=+evicted") == 1


def test_new_leader_that_may_not_read_the_trail(cluster, root):
    """What stands there it does not know yet: it writes nothing until it does."""
    _, gate, command = removal_under_way(cluster, root)
    allow(cluster, "-xdel")
    gate.open()
    wait_until(lambda: trail_ids(cluster) == [command], what="the receipt is in the trail")
    cluster.coordinators[0].kill9()
    allow(cluster, "-xrevrange")
    other = cluster.coordinator("c2", lease="1s")
    wait_until(lambda: other.log_contains(r"event=-trail reason=.*NOPERM", 2), what="it has asked")
    allow(cluster, "+xrevrange")
    allow(cluster, "+xdel")
    wait_until(lambda: cluster.db.xlen("larder:{n1}:receipts") == 0, what="it is read")
    assert trail_ids(cluster) == [command]


def test_trail_that_is_no_stream(cluster, root):
    """What ends is known all the same, and stands there once somebody has taken the key away."""
    _, gate, command = removal_under_way(cluster, root, lease="60s")
    cluster.coordinators[0].stop()
    cluster.db.set("larder:log", "x")
    coordinator = cluster.coordinator("c2")
    gate.open()
    wait_until(lambda: coordinator.log_contains(r"event=\+evicted"), what="it is known")
    wait_until(lambda: coordinator.log_contains(r"event=-trail node=n1 .*WRONGTYPE"), what="it is said")
    cluster.db.delete("larder:log")
    wait_until(lambda: trail_ids(cluster) == [command], what="the receipt is in the trail")
    wait_until(lambda: cluster.db.xlen("larder:{n1}:receipts") == 0, what="it is read")


def test_cycle_stands_there_though_many_came_after_it(cluster, root):
    """Its commands wait for longer than results are kept."""
    fill(root, {"a": 30})
    coordinator = cluster.coordinator(node_timeout="1h")
    agent = cluster.agent(root).wait_ready()
    coordinator.wait_models(1)
    agent.process.signal(signal.SIGSTOP)
    try:
        coordinator.reload(policy={"unused_threshold": "7d"})
        for _ in range(RESULTS_KEPT + 2):
            last = coordinator.status()["cycles"][0]["id"]
            assert coordinator.http.post("/v1/cycles").status == 202
            wait_until(lambda n=last: coordinator.status()["cycles"][0]["id"] > n, what="a cycle ends")
        assert len(coordinator.status()["cycles"]) == RESULTS_KEPT
    finally:
        agent.process.signal(signal.SIGCONT)
    coordinator.wait_log(r"event=\+cycle .*evicted=1")

    def entries():
        return [e["evicted"] for _, e in cluster.db.xrange("larder:log") if e["event"] == "cycle"]

    wait_until(lambda: entries() == ["1"], what="it stands in the trail")
