"""What a leader does beside its cycles: nodes without anything, and the change of leaders."""

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
