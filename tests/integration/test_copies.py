"""min_copies: what counts as a copy, whatever happens to commands, nodes and leaders in between."""

import contextlib
import signal

from larder.models import fill, on_disk
from larder.wait import wait_until

POLICY = {"unused_threshold": "7d", "min_copies": 1}
ONE_EACH = {"a": 30, "b": 20}


class Twins:
    """Nodes n1 and n2 with the same old models, and a leader c1 that has counted their copies."""

    def __init__(self, cluster, ages=None, agent_env=None, counted=True, **config):
        self.cluster, self.db = cluster, cluster.db
        self.roots = {node: cluster.directory / f"cache-{node}" for node in ("n1", "n2")}
        self.names = [fill(root, ages or {"a": 30}) for root in self.roots.values()][0]
        # A node that is stopped for a while stays live.
        config = {"policy": POLICY, "dry_run": True, "node_timeout": "1h"} | config
        self.leader = cluster.coordinator(**config)
        self.config = config
        for node, root in self.roots.items():
            agent = cluster.agent(root, name=node, start=False)
            agent.start(**(agent_env or {}).get(node, {})).wait_ready()
        self.agents = {agent.name: agent for agent in cluster.agents}
        self.leader.wait_models(2 * len(self.names))
        if counted:
            self.plan_once()

    def plan_once(self):
        """A cycle counts the copies, and does nothing."""
        assert self.leader.demand_cycle()["planned"] == {"time_threshold": len(self.names)}

    @contextlib.contextmanager
    def stopped(self, node):
        """What is ordered of it waits until the end."""
        self.agents[node].process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.agents[node].process.signal(signal.SIGCONT)

    def command(self, node):
        return self.db.hget(f"larder:{{{node}}}:cmd", self.names["a"])

    def order(self, node):
        row = self.cluster.order(self.names["a"], nodes=[node])
        assert row["outcome"] == "issued", row
        return row["id"]

    def follower(self):
        """A second coordinator, whose cycles are real ones once it leads."""
        config = self.config | {"dry_run": False}
        follower = self.cluster.coordinator("c2", start=False, **config).start()
        wait_until(lambda: follower.http.get("/readyz").status == 200, what="c2 is connected")
        return follower

    def take_over(self, follower):
        """The first one ends, the second one leads; the result of its first cycle."""
        self.leader.stop()
        follower.wait_leads()
        self.leader = follower

        def first():
            cycles = follower.status()["cycles"]
            return cycles[-1] if cycles and cycles[-1]["ended"] else None

        return wait_until(first, what="its first cycle ends")

    def act(self):
        """One cycle that acts; its result."""
        self.leader.reload(dry_run=False)
        return self.leader.demand_cycle()

    def left(self):
        return {node: on_disk(root, self.names) for node, root in self.roots.items()}


def test_node_that_was_taken_out_does_not_count(cluster):
    twins = Twins(cluster, ONE_EACH)
    cluster.agents[1].kill9()
    cluster.db.srem("larder:nodes", "n2")
    assert twins.act()["spared"] == {"last_copy": 2}
    assert twins.left()["n1"] == {"a", "b"}


def test_node_that_was_taken_out_while_copies_were_not_counted(cluster):
    twins = Twins(cluster, ONE_EACH)
    cluster.agents[1].kill9()
    twins.leader.reload(policy={"min_copies": 0})
    cluster.db.srem("larder:nodes", "n2")
    assert twins.leader.demand_cycle()["planned"] == {"time_threshold": 2}
    twins.leader.reload(policy={"min_copies": 1})
    assert twins.act()["spared"] == {"last_copy": 2}
    assert twins.left()["n1"] == {"a", "b"}


def test_plan_for_one_node_counts_all(cluster):
    """Also before any cycle has."""
    twins = Twins(cluster, counted=False)
    plan = twins.leader.plan(node="n1")
    assert (plan["victim_count"], plan["spared"], plan["nodes"]) == (1, [], 1)


def test_leader_counts_what_the_last_one_has_under_way(cluster):
    """Though it has counted before, for a plan, and the node's inventory is still the same."""
    twins = Twins(cluster)
    follower = twins.follower()
    assert follower.plan()["victim_count"] == 1
    with twins.stopped("n1"):
        twins.order("n1")
        result = twins.take_over(follower)
        assert (result["planned"], result["spared"]) == ({}, {"pending": 1, "last_copy": 1})
    wait_until(lambda: twins.command("n1") is None, what="n1 has answered")
    assert twins.left()["n2"] == {"a"}


def test_follower_forgets_what_it_saw_under_way(cluster):
    """It does not hear how the command ends; once it leads, the copy counts."""
    twins = Twins(cluster)
    follower = twins.follower()
    with twins.stopped("n1"):
        twins.order("n1")
        assert follower.plan()["victim_count"] == 0
        # The node refuses it: the command is gone, and the inventory is what it was.
        cluster.db.delete("larder:{n1}:cmd")
        assert follower.plan()["victim_count"] == 1
    result = twins.take_over(follower)
    assert (result["evicted"], result["spared"]) == ({"time_threshold": 1}, {"last_copy": 1})
    assert sorted(map(len, twins.left().values())) == [0, 1]


def test_lost_answer_to_a_command(cluster):
    """Redis has issued it, and the answer is lost on its way: the copy does not come back."""
    proxy = cluster.proxy()
    twins = Twins(cluster, url=proxy.url, lease="60s", redis={"command_timeout": "300ms"})
    with twins.stopped("n1"):
        with proxy.answers_held(b"time_threshold"):
            twins.leader.reload(dry_run=False)
            assert twins.leader.http.post("/v1/cycles").status == 202
            wait_until(lambda: twins.command("n1"), what="the command is issued")
            twins.leader.wait_log(r"event=-issue .*node=n1")
        wait_until(lambda: twins.leader.http.get("/readyz").status == 200, what="the link is back")
        assert twins.leader.leads
        result = twins.leader.demand_cycle()
        assert (result["planned"], result["spared"]) == ({}, {"pending": 1, "last_copy": 1})
    wait_until(lambda: twins.command("n1") is None, what="n1 has answered")
    assert twins.left() == {"n1": set(), "n2": {"a"}}


@contextlib.contextmanager
def planned_for_n1(twins, proxy):
    """A cycle has planned for n1 and read nothing else since; what happens here comes in between."""
    twins.leader.reload(dry_run=False)
    before = len(twins.leader.status()["cycles"])
    with proxy.requests_held(b"time_threshold"):
        assert twins.leader.http.post("/v1/cycles").status == 202
        proxy.wait_held()
        yield
    wait_until(lambda: len(twins.leader.status()["cycles"]) > before, what="the cycle ends")
    assert twins.leader.status()["cycles"][0]["issued"] == 0


def test_order_by_hand_that_comes_before_the_cycles(cluster):
    """The cycle's own is not issued; the copy is going nevertheless."""
    proxy = cluster.proxy()
    twins = Twins(cluster, url=proxy.url, lease="60s", redis={"command_timeout": "30s"})
    db, name = cluster.db, twins.names["a"]
    with twins.stopped("n1"):
        with planned_for_n1(twins, proxy):
            seen = int(db.zscore("larder:{n1}:lru", name))
            generation = db.hget("larder:{n1}:size", name).split()[1]
            ends = (db.time()[0] + 60) * 1000
            epoch = db.get("larder:epoch")
            db.hset("larder:{n1}:cmd", name, f"a1 {seen} {generation} {ends} {epoch} manual")
        result = twins.leader.demand_cycle()
        assert (result["planned"], result["spared"]) == ({}, {"pending": 1, "last_copy": 1})
    wait_until(lambda: twins.command("n1") is None, what="n1 has answered")
    assert twins.left() == {"n1": set(), "n2": {"a"}}


def test_copy_that_goes_before_its_command_comes(cluster):
    """Not by Larder: it does not count again, for what the rest of the cycle may decide."""
    proxy = cluster.proxy()
    twins = Twins(cluster, url=proxy.url, lease="60s", redis={"command_timeout": "30s"})
    db, name = cluster.db, twins.names["a"]
    for i in range(20):  # as many as are read whole at once: n2 comes after them
        node, other = f"larder:{{n1-{i}}}", f"hf:acme/other-{i}@{'b' * 12}"
        db.hset(node, mapping={"inc": "aa", "hb": db.time()[0] * 1000, "inv": 1, "n": 1})
        db.zadd(f"{node}:lru", {other: 1000})
        db.hset(f"{node}:size", other, "10 ab open")
        db.sadd("larder:nodes", f"n1-{i}")
    with twins.stopped("n1"), twins.stopped("n2"):
        with planned_for_n1(twins, proxy):
            db.zrem("larder:{n1}:lru", name)
            db.hdel("larder:{n1}:size", name)
            db.hincrby("larder:{n1}", "inv", 1)
        assert twins.command("n2") is None
    assert twins.left()["n2"] == {"a"}


def test_removal_that_outlives_its_deadline(cluster):
    """The agent has begun in time: its copy is going, though the command is void."""
    hooks = cluster.directory / "hooks"
    hooks.mkdir()
    gate = hooks / "removal-finish"
    gate.touch()
    env = {"n2": {"LARDER_HOOK_PAUSE": hooks}}
    twins = Twins(cluster, agent_env=env, command_ttl="1s")
    try:
        twins.order("n2")
        twins.leader.wait_log(r"event=-command-expired .*node=n2")
        result = twins.act()
        assert (result["planned"], result["spared"]) == ({}, {"last_copy": 2})
    finally:
        gate.unlink()
    wait_until(lambda: twins.command("n2") is None, what="n2 has answered")
    assert twins.left() == {"n1": {"a"}, "n2": set()}


def test_late_answer_to_an_older_command(cluster):
    """It gives nothing back while another command is open."""
    twins = Twins(cluster)
    late = {"id": "0123456789abcdef", "model": twins.names["a"], "outcome": "refused"}
    late |= {"why": "deadline: it has passed", "bytes": 0, "reason": "time_threshold"}
    with twins.stopped("n2"):
        twins.order("n2")
        cluster.db.xadd("larder:{n2}:receipts", late)
        cluster.db.publish("larder:done", "n2")
        twins.leader.wait_log(r"event=-not-evicted .*id=0123456789abcdef")
        result = twins.act()
        assert (result["planned"], result["spared"]) == ({}, {"pending": 1, "last_copy": 1})
    wait_until(lambda: twins.command("n2") is None, what="n2 has answered")
    assert twins.left() == {"n1": {"a"}, "n2": set()}


def test_node_with_a_heartbeat_of_the_future_does_not_count(cluster):
    """It died before Redis' clock went back, and would look alive until that time comes again."""
    twins = Twins(cluster, node_timeout="20s")
    cluster.agents[1].kill9()
    future_ms = (cluster.db.time()[0] + 3600) * 1000
    cluster.db.hset("larder:{n2}", "hb", future_ms)
    result = twins.act()
    assert (result["live_nodes"], result["spared"]) == (1, {"last_copy": 1})
    assert twins.left()["n1"] == {"a"}
