"""What a leader does beside its cycles: nodes without anything, and the change of leaders."""

import signal

from larder.models import fill
from larder.wait import wait_until


def test_a_name_without_a_node_is_forgotten(cluster, root):
    """And only that: a node that cannot be understood keeps its name."""
    db = cluster.db
    _, coordinator = cluster.pair(root)
    db.sadd("larder:nodes", "ghost", "odd")
    db.set("larder:{odd}", "not a hash")
    assert coordinator.demand_cycle()["nodes"] == 3
    coordinator.wait_log(r"event=\+node-forgotten node=ghost")
    wait_until(lambda: db.smembers("larder:nodes") == {"n1", "odd"}, what="the name is gone")


def test_cycle_ends_when_its_commands_are_another_leaders(cluster, root):
    """It does not stay open for ever, and stands in the log and in the trail."""
    fill(root, {"a": 30})
    policy = {"unused_threshold": "7d"}
    coordinator = cluster.coordinator(policy=policy, node_timeout="1h", dry_run=True)
    agent = cluster.agent(root).wait_ready()
    coordinator.wait_models(1)
    agent.process.signal(signal.SIGSTOP)
    try:
        coordinator.reload(dry_run=False)
        assert coordinator.http.post("/v1/cycles").status == 202
        wait_until(lambda: coordinator.status()["open_commands"] == 1, what="one is under way")
        cluster.db.hset("larder:leader", "id", "another")
        cluster.db.pexpire("larder:leader", 300)
        coordinator.wait_log(r"event=-leader")
        coordinator.wait_leads()
        assert coordinator.status()["open_commands"] == 0
        assert all(cycle["ended"] for cycle in coordinator.status()["cycles"])
        (entry,) = [e for _, e in cluster.db.xrange("larder:log") if e["event"] == "cycle"]
        assert (entry["trigger"], entry["evicted"]) == ("demand", "0")
    finally:
        agent.process.signal(signal.SIGCONT)


def test_leadership_that_is_lost_for_a_moment(cluster, root):
    """Nobody else has led meanwhile: what a cycle has under way still counts for it."""
    fill(root, {"a": 30})
    proxy = cluster.proxy()
    config = {"lease": "1s", "redis": {"command_timeout": "1s"}, "node_timeout": "1h"}
    coordinator = cluster.coordinator(url=proxy.url, **config)
    agent = cluster.agent(root).wait_ready()
    coordinator.wait_models(1)
    agent.process.signal(signal.SIGSTOP)
    try:
        coordinator.reload(policy={"unused_threshold": "7d"})
        assert coordinator.http.post("/v1/cycles").status == 202
        wait_until(lambda: coordinator.status()["open_commands"] == 1, what="one is under way")
        with proxy.answers_held(b"EVALSHA"):
            proxy.wait_held()
            cluster.db.persist("larder:leader")  # as long as it takes
            coordinator.wait_log(r"event=-leader")
        coordinator.wait_leads()
        assert coordinator.status()["open_commands"] == 1
    finally:
        agent.process.signal(signal.SIGCONT)

    def entries(event, field):
        return [e[field] for _, e in cluster.db.xrange("larder:log") if e["event"] == event]

    wait_until(lambda: entries("cycle", "evicted"), what="the cycle stands in the trail")
    assert entries("cycle", "evicted") == ["1"]
    assert len(set(entries("leader", "epoch"))) == 1
