"""Redis' clock jumps, while the connections stay: nothing may look older than it is."""

import signal
import struct

import pytest

from larder.caches import Cache
from larder.daemons import binary
from larder.wait import wait_until

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Less than that after which a node is forgotten.
JUMP_MS = 6 * DAY_MS
OLD = {"unused_threshold": "5d", "min_age": "1s"}
JUMPED = r"event=-registration reason=\"Redis' clock has jumped\""
ONE = {"max_models": 1, "min_age": "0s"}


class Clock:
    """Redis' clock, which can be set."""

    def __init__(self, path):
        self.path = path
        self.path.write_bytes(struct.pack("=q", 0))

    @property
    def env(self):
        return {"LD_PRELOAD": binary("libclock_shift.so"), "SHIFT_FILE": self.path}

    def jump(self, ms):
        """In place: Redis has the file mapped."""
        with open(self.path, "r+b") as file:
            now = struct.unpack("=q", file.read())[0]
            file.seek(0)
            file.write(struct.pack("=q", now + ms))


@pytest.fixture
def clock(cluster, directory):
    clock = Clock(directory / "shift")
    cluster.use_redis(env=clock.env)
    return clock


def redis_ms(cluster):
    seconds, micros = cluster.db.time()
    return seconds * 1000 + micros // 1000


def idle_ms(cluster, model, node="n1"):
    """For how long it has not been used, as the coordinator sees it."""
    score = cluster.db.zscore(f"larder:{{{node}}}:lru", model)
    return None if score is None else redis_ms(cluster) - score


def live(coordinator):
    return {n["node"] for n in coordinator.http.get_json("/v1/nodes")["nodes"] if n["live"]}


def told_anew(cluster):
    """Has a beat come since the registration? What was ordered before it is refused."""
    return cluster.db.hget("larder:{n1}", "hb") > cluster.db.hget("larder:{n1}", "since")


def order_unasked(cluster, model):
    """What a leader would order who knows nothing of pins."""
    db = cluster.db
    generation = db.hget("larder:{n1}:size", model).split(" ")[1]
    seen = int(db.zscore("larder:{n1}:lru", model))
    fields = ("0123456789abcdef", seen, generation, redis_ms(cluster) + HOUR_MS,
              db.get("larder:epoch"), "manual")
    db.hset("larder:{n1}:cmd", model, " ".join(str(f) for f in fields))


def redis_knows(cluster, *models):
    wait_until(
        lambda: cluster.db.zcard("larder:{n1}:lru") >= len(models)
        and all(idle_ms(cluster, m) for m in models),
        what=f"Redis knows {models[:5]}",
    )


def test_jump_forward(cluster, clock, root):
    """What was idle for an hour has been idle for an hour, on any clock."""
    name = Cache(root, age=3600).model("acme/llama")
    agent, coordinator = cluster.pair(root, policy=OLD)
    redis_knows(cluster, name)
    assert coordinator.demand_cycle()["planned"] == {}
    clock.jump(JUMP_MS)
    # Whether before the agent has told anew or after it.
    assert coordinator.demand_cycle()["planned"] == {}
    agent.wait_log(JUMPED)
    wait_until(lambda: live(coordinator) == {"n1"}, what="it is told anew")
    assert coordinator.demand_cycle()["planned"] == {}
    assert HOUR_MS <= idle_ms(cluster, name) < 2 * HOUR_MS
    assert coordinator.evictions() == []


def test_jump_forward_of_a_node_that_sleeps(cluster, clock, root, directory):
    """Its agent cannot tell anew: it is left alone until it does."""
    other = directory / "other"
    name, slow = Cache(root, age=3600).model("acme/llama"), Cache(other, age=3600).model("acme/bert")
    coordinator = cluster.coordinator(policy=OLD)
    cluster.agent(root).wait_ready()
    sleeper = cluster.agent(other, name="n2").wait_ready()
    redis_knows(cluster, name)
    wait_until(lambda: idle_ms(cluster, slow, "n2"), what="Redis knows the sleeper's")
    sleeper.process.signal(signal.SIGSTOP)
    clock.jump(JUMP_MS)
    wait_until(lambda: live(coordinator) == {"n1"}, what="the other one is told anew")
    assert coordinator.demand_cycle()["planned"] == {}
    assert idle_ms(cluster, slow, "n2") > JUMP_MS
    sleeper.process.signal(signal.SIGCONT)
    wait_until(lambda: live(coordinator) == {"n1", "n2"}, what="it is awake")
    assert idle_ms(cluster, slow, "n2") < 2 * HOUR_MS
    assert coordinator.demand_cycle()["planned"] == {}
    assert coordinator.evictions() == []


def test_jump_forward_takes_along_what_redis_knows(cluster, clock, root):
    """Of more models than one call of the registration holds."""
    cache = Cache(root, age=30 * DAY_MS // 1000)
    names = [cache.model(f"acme/m{i}") for i in range(501)]
    agent, coordinator = cluster.pair(root, policy=OLD)
    coordinator.reload(enabled=False)
    redis_knows(cluster, *names)
    used = redis_ms(cluster) - HOUR_MS
    cluster.db.zadd("larder:{n1}:lru", {name: used for name in names})
    clock.jump(JUMP_MS)
    agent.wait_log(JUMPED)
    wait_until(
        lambda: cluster.db.zcard("larder:{n1}:lru") == 501
        and cluster.db.hget("larder:{n1}", "loading") is None
        and live(coordinator) == {"n1"},
        what="it is told anew",
    )
    scores = cluster.db.zrange("larder:{n1}:lru", 0, -1, withscores=True)
    now = redis_ms(cluster)
    assert all(HOUR_MS <= now - score < 2 * HOUR_MS for _, score in scores)
    assert coordinator.evictions() == []


def test_jump_forward_of_more_than_a_week(cluster, clock, root):
    """No node has been silent for so long, and none is forgotten."""
    name = Cache(root, age=3600).model("acme/llama")
    agent, coordinator = cluster.pair(root, policy=OLD)
    redis_knows(cluster, name)
    agent.process.signal(signal.SIGSTOP)
    coordinator.demand_cycle()
    clock.jump(8 * DAY_MS)
    for _ in range(2):
        coordinator.demand_cycle()
        assert live(coordinator) == set()
    assert idle_ms(cluster, name) > 8 * DAY_MS
    agent.process.signal(signal.SIGCONT)
    wait_until(lambda: live(coordinator) == {"n1"}, what="it is told anew")
    assert not coordinator.log_contains(r"event=\+node-forgotten")


def test_jump_forward_keeps_holds(cluster, clock, root):
    name = Cache(root, age=3600).model("acme/llama")
    agent, _ = cluster.pair(root)
    redis_knows(cluster, name)
    assert agent.http.post("/v1/holds", {"model": name, "ttl": "1h"}).status == 200

    def left():
        return cluster.db.zscore("larder:{n1}:hold", name) - redis_ms(cluster)

    wait_until(lambda: cluster.db.zscore("larder:{n1}:hold", name), what="the hold is told")
    clock.jump(JUMP_MS)
    wait_until(lambda: left() > 0, what="the hold is told anew")
    assert left() <= HOUR_MS


def test_jump_forward_while_the_agent_is_down(cluster, clock, root):
    """Its journal has the time of the last use on the clock of before, and on the machine's own."""
    name = Cache(root, age=30 * DAY_MS // 1000).model("acme/llama")
    agent, coordinator = cluster.pair(root, policy=OLD)
    redis_knows(cluster, name)
    assert agent.touch(name).status == 200
    wait_until(lambda: idle_ms(cluster, name) < HOUR_MS, what="Redis knows of the use")
    agent.stop()
    clock.jump(JUMP_MS)
    agent.start().wait_ready()
    wait_until(lambda: live(coordinator) == {"n1"}, what="it is told anew")
    assert idle_ms(cluster, name) < HOUR_MS
    assert coordinator.demand_cycle()["planned"] == {}


def test_jump_forward_ends_no_pin(cluster, clock, root):
    name = Cache(root, age=30 * DAY_MS // 1000).model("acme/llama")
    coordinator = cluster.coordinator(policy=OLD)
    pin = {"glob": name, "by": "ann", "why": "launch", "ttl": "5d"}
    assert coordinator.http.post("/v1/pins", pin).status == 200
    agent = cluster.agent(root).wait_ready()
    redis_knows(cluster, name)
    assert coordinator.demand_cycle()["planned"] == {}
    clock.jump(JUMP_MS)
    agent.wait_log(JUMPED)
    wait_until(lambda: told_anew(cluster) and live(coordinator) == {"n1"}, what="it is told anew")
    assert coordinator.demand_cycle()["planned"] == {}
    assert cluster.order(name)["outcome"] == "pinned"
    order_unasked(cluster, name)
    receipt = cluster.wait_receipt(name, "refused")
    assert receipt["why"] == "pinned", receipt


def test_jump_back(cluster, clock, root, directory):
    """Models do not wait until the clock has caught up; silent nodes do not count as alive."""
    cache, other = Cache(root, age=3600), directory / "other"
    names = [cache.model("acme/llama"), cache.model("acme/bert")]
    Cache(other).model("acme/silent")
    coordinator = cluster.coordinator(policy=ONE)
    coordinator.reload(enabled=False)
    agent = cluster.agent(root).wait_ready()
    silent = cluster.agent(other, name="n2").wait_ready()
    redis_knows(cluster, *names)
    silent.process.signal(signal.SIGSTOP)
    clock.jump(-JUMP_MS)
    agent.wait_log(JUMPED)
    wait_until(lambda: all(idle_ms(cluster, n) >= 0 for n in names), what="they are told anew")
    wait_until(lambda: live(coordinator) == {"n1"}, what="one node is alive")
    coordinator.reload(enabled=True)
    coordinator.demand_cycle()
    wait_until(lambda: len(coordinator.evictions()) == 1, what="one is evicted")
    silent.process.signal(signal.SIGCONT)
    wait_until(lambda: live(coordinator) == {"n1", "n2"}, what="both are alive")


def test_small_jump_back(cluster, clock, root, directory):
    """A heartbeat of before is in the future, if only by seconds: its node is silent."""
    other = directory / "other"
    coordinator = cluster.coordinator()
    cluster.agent(root).wait_ready()
    silent = cluster.agent(other, name="n2").wait_ready()
    coordinator.wait_sees("n1", "n2")
    silent.process.signal(signal.SIGSTOP)
    clock.jump(-50_000)
    wait_until(lambda: live(coordinator) == {"n1"}, what="one node is alive")
    silent.process.signal(signal.SIGCONT)
    wait_until(lambda: live(coordinator) == {"n1", "n2"}, what="both are alive")


def kill_connections(cluster, name):
    for client in cluster.db.client_list():
        if client["name"] == name:
            cluster.db.client_kill_filter(_id=client["id"])


def refused_for_the_clock(cluster, command):
    receipt = cluster.receipt(command["id"])
    return (receipt["outcome"], receipt["why"][:6]) == ("refused", "clock:")


# Up to a day a deadline may be what it says on either clock.
@pytest.mark.parametrize("jump_ms", [-HOUR_MS, -JUMP_MS])
def test_order_from_before_a_jump_back(cluster, clock, root, jump_ms):
    """It may be older than a use which, on the clock of now, was before what the order saw."""
    name = Cache(root, age=3600).model("acme/llama")
    agent, _ = cluster.pair(root)
    redis_knows(cluster, name)
    agent.process.signal(signal.SIGSTOP)
    command = cluster.order(name)
    assert command["outcome"] == "issued"
    clock.jump(jump_ms)
    agent.process.signal(signal.SIGCONT)
    assert refused_for_the_clock(cluster, command)
    # What is asked for on the new clock is done.
    wait_until(lambda: told_anew(cluster), what="it is told anew")
    assert cluster.evict(name)["outcome"] == "deleted"


def test_use_after_an_order_and_a_jump_back(cluster, clock, root):
    name = Cache(root, age=3600).model("acme/llama")
    proxy = cluster.proxy()
    cluster.coordinator()
    agent = cluster.agent(root, url=proxy.url, redis={"command_timeout": "30s"}).wait_ready()
    redis_knows(cluster, name)
    assert agent.touch(name).status == 200
    wait_until(lambda: idle_ms(cluster, name) < HOUR_MS, what="Redis knows of the use")
    with proxy.requests_held(b"larder"):
        proxy.wait_held()
        command = cluster.order(name)
        assert command["outcome"] == "issued"
        clock.jump(-HOUR_MS)
        assert agent.touch(name).status == 200
    assert refused_for_the_clock(cluster, command)


def test_order_from_before_a_jump_back_without_a_link(cluster, clock, root):
    """The agent learns of the jump from the answer to its registration."""
    name = Cache(root, age=30 * DAY_MS // 1000).model("acme/llama")
    agent, _ = cluster.pair(root)
    redis_knows(cluster, name)
    agent.process.signal(signal.SIGSTOP)
    command = cluster.order(name)
    assert command["outcome"] == "issued"
    clock.jump(-HOUR_MS)
    kill_connections(cluster, "larder-agent-n1")
    agent.process.signal(signal.SIGCONT)
    assert refused_for_the_clock(cluster, command)
    assert not agent.log_contains(JUMPED)


def test_leader_that_died_before_a_jump_back(cluster, clock):
    """Its lease does not last until that time comes again."""
    leader = cluster.coordinator(lease="60s")
    follower = cluster.coordinator("c2", lease="1s", start=False).start()
    wait_until(lambda: follower.status()["leader"]["id"], what="it knows who leads")
    leader.kill9()
    clock.jump(-HOUR_MS)
    wait_until(lambda: 0 < cluster.db.pttl("larder:leader") <= 60_000, what="the lease is short")
