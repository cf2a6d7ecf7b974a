"""Holds: what a caller claims is kept, over restarts too, until he releases it or its time is over."""

import os
import time

import pytest

from larder.caches import A, B, Cache
from larder.ctl import Ctl
from larder.openers import Mapping
from larder.wait import wait_until

REPO = "acme/llama"


@pytest.fixture
def held(cluster, root):
    """(cluster, agent, name of a model)"""
    name = Cache(root).model(REPO)
    agent, _ = cluster.pair(root)
    agent.wait_model(name)
    return cluster, agent, name


def hold(agent, status=200, **body):
    answer = agent.http.post("/v1/holds", {"who": "test", **body})
    assert answer.status == status, answer
    return answer.json


def release(agent, identity):
    return agent.http.delete("/v1/holds", id=identity).status


def outcome(cluster, name):
    """What becomes of an eviction by hand: the word of Redis, or of the agent."""
    row = cluster.order(name)
    if row["outcome"] != "issued":
        return row["outcome"]
    receipt = cluster.receipt(row["id"])
    return receipt["outcome"] + " " + receipt["why"]


def larderctl(agent, *args):
    done = Ctl(agent.directory)(*args, "--agent", f"http://127.0.0.1:{agent.port}")
    return done.code, done.out + done.err


def test_a_held_model_stays(held):
    cluster, agent, name = held
    answer = hold(agent, model=name, ttl="1h")
    assert answer["models"] == [name]
    # At once, by the agent's own knowledge, before Redis knows.
    assert outcome(cluster, name) in ("held", "refused held: test", "used")
    wait_until(lambda: cluster.db.zscore("larder:{n1}:hold", name), what="Redis knows")
    assert cluster.db.hget("larder:{n1}:holders", name) == "hold: test"
    assert outcome(cluster, name) == "held"
    row = agent.models()[name]
    assert row["held_by"] == "test" and row["held_source"] == "hold" and row["source"] == "hold"
    rows = cluster.coordinators[0].http.get_json("/v1/models")["models"]
    assert rows[0]["held_by"] == "hold: test" and rows[0]["source"] == "hold"


def test_a_released_model_goes(held):
    cluster, agent, name = held
    identity = hold(agent, model=name, ttl="1h")["id"]
    wait_until(lambda: cluster.db.zscore("larder:{n1}:hold", name), what="Redis knows")
    assert release(agent, identity) == 200
    assert release(agent, identity) == 404
    wait_until(lambda: not cluster.db.zscore("larder:{n1}:hold", name), what="Redis knows")
    assert cluster.db.hget("larder:{n1}:holders", name) is None
    assert cluster.evict(name)["outcome"] == "deleted"


def test_a_hold_ends_by_itself(held):
    cluster, agent, name = held
    hold(agent, model=name, ttl=1)
    wait_until(lambda: agent.models()[name]["held_ms"] == 0, what="the hold ends")
    assert cluster.evict(name)["outcome"] == "deleted"


def test_a_hold_counts_before_redis_knows_it(held):
    """A command and a hold at the same time: whoever was told that he holds it, has it."""
    cluster, agent, name = held
    row = cluster.order(name)
    answer = agent.http.post("/v1/holds", {"model": name, "ttl": "1h", "who": "test"})
    assert answer.status in (200, 409)
    told = answer.status == 200 and answer.json["models"] == [name]
    deleted = row["outcome"] == "issued" and cluster.receipt(row["id"])["outcome"] == "deleted"
    assert deleted != told
    assert (name in agent.models()) == told


def test_a_hold_stops_a_removal_on_its_way(held):
    cluster, agent, name = held
    gate = agent.pause("removal-moved")
    agent.restart(**{k: str(v) for k, v in gate.env.items()})
    agent.wait_ready()
    agent.wait_model(name)
    gate.shut()
    row = cluster.order(name)
    assert row["outcome"] == "issued", row
    gate.reached()
    answer = hold(agent, model=name, ttl="1h")
    assert answer["models"] == [name]
    gate.open()
    receipt = cluster.receipt(row["id"])
    assert receipt["outcome"] == "refused" and receipt["why"].startswith("used"), receipt
    assert agent.models()[name]["held_by"] == "test"


def test_a_hold_that_is_too_late_is_refused(held):
    cluster, agent, name = held
    gate = agent.pause("removal-commit")
    agent.restart(**{k: str(v) for k, v in gate.env.items()})
    agent.wait_ready()
    agent.wait_model(name)
    gate.shut()
    row = cluster.order(name)
    gate.reached()
    hold(agent, 409, model=name, id="mine")
    assert release(agent, "mine") == 404
    gate.open()
    assert cluster.receipt(row["id"])["outcome"] == "deleted"


def test_a_hold_survives_kill_9(held):
    cluster, agent, name = held
    hold(agent, model=name, ttl="1h", id="mine")
    agent.kill9()
    agent.start().wait_ready()
    agent.wait_model(name)
    wait_until(lambda: agent.models()[name]["held_by"] == "test", what="the hold is back")
    wait_until(lambda: cluster.db.zscore("larder:{n1}:hold", name), what="Redis knows")
    assert outcome(cluster, name) == "held"
    assert release(agent, "mine") == 200
    agent.restart()
    agent.wait_ready()
    wait_until(lambda: agent.models()[name]["held_ms"] == 0, what="it stays released")


def test_a_hold_is_released_after_a_restart_without_redis(held):
    """It is not in force again yet, but the journal has it: it must not come back from there."""
    cluster, agent, name = held
    for identity in ("mine", "other"):
        hold(agent, model=name, ttl="1h", id=identity)
    cluster.redis.stop()
    agent.restart()
    wait_until(lambda: release(agent, "mine") == 200, what="it is released")
    assert release(agent, "mine") == 404
    cluster.redis.start()
    agent.wait_ready()

    def holds():
        return [h["id"] for h in agent.http.get_json("/v1/holds")["holds"]]

    wait_until(lambda: "other" in holds(), what="what the journal has is in force")
    assert holds() == ["other"]


def test_renewal(held):
    _, agent, name = held
    hold(agent, model=name, ttl=5, id="mine")
    answer = hold(agent, model=name, ttl="1h", id="mine")
    assert answer["id"] == "mine" and answer["left_ms"] > 3_000_000
    holds = agent.http.get_json("/v1/holds")["holds"]
    assert [h["id"] for h in holds] == ["mine"]


def test_repository_and_path(cluster, root):
    cache = Cache(root)
    first, second = cache.model(REPO, A), cache.model(REPO, B, refs=())
    agent, _ = cluster.pair(root)
    agent.wait_model(first)
    agent.wait_model(second)
    assert sorted(hold(agent, repo=REPO)["models"]) == sorted([first, second])
    assert hold(agent, repo=REPO, revision=A)["models"] == [first]
    assert hold(agent, path=str(cache.snapshot(REPO, B)))["models"] == [second]
    assert hold(agent, path=f"{root}//./{cache.snapshot(REPO, B).relative_to(root)}/")["models"] == [
        second
    ]
    assert hold(agent, path="/nowhere")["models"] == []


def test_what_comes_later_is_held(cluster, root):
    agent, _ = cluster.pair(root)
    assert hold(agent, repo=REPO, ttl="1h")["models"] == []
    name = Cache(root).model(REPO)
    agent.wait_model(name)
    assert agent.models()[name]["held_by"] == "test"
    wait_until(lambda: cluster.db.zscore("larder:{n1}:hold", name), what="Redis knows")
    assert outcome(cluster, name) == "held"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"model": 1},
        {"model": "not a name"},
        {"model": "hf:a@1", "path": "/x"},
        {"path": "relative"},
        {"path": "/nvme/hub/../hub"},
        {"path": "/nvme/.."},
        {"repo": "/absolute"},
        {"repo": "a/b/c"},
        {"repo": "a/b", "revision": "main"},
        {"model": "hf:a@1", "revision": A},
        {"model": "hf:a@1", "ttl": 0},
        {"model": "hf:a@1", "ttl": -1},
        {"model": "hf:a@1", "ttl": "31d"},
        {"model": "hf:a@1", "ttl": "soon"},
        {"model": "hf:a@1", "ttl": None},
        {"model": "hf:a@1", "id": "a b"},
        {"model": "hf:a@1", "id": ""},
        {"model": "hf:a@1", "id": "x" * 65},
        {"model": "hf:a@1", "who": "x" * 161},
        {"model": "hf:a@1", "until": 5},
    ],
)
def test_bad_bodies(cluster, root, body):
    agent = cluster.agent(root)
    answer = agent.http.post("/v1/holds", body)
    assert answer.status == 400 and answer.json["error"], answer
    assert agent.http.get_json("/v1/holds")["holds"] == []


def test_larderctl(held):
    _, agent, name = held
    code, out = larderctl(agent, "hold", name, "--id", "mine", "--for", "1h", "--who", "me")
    assert code == 0 and "mine" in out and name in out
    code, out = larderctl(agent, "hold", REPO)
    assert code == 0 and name in out
    code, out = larderctl(agent, "holds")
    assert code == 0 and "mine" in out and "me" in out
    code, out = larderctl(agent, "release", "mine")
    assert code == 0 and "mine" in out
    code, out = larderctl(agent, "release", "mine")
    assert code == 1
    code, out = larderctl(agent, "inuse", name)
    assert code == 0 and "open: no" in out


def test_inuse_names_the_process(held, root):
    _, agent, name = held
    path = os.path.realpath(Cache(root).snapshot(REPO, A) / "model.safetensors")
    with open(path, "rb") as file:
        code, out = larderctl(agent, "inuse", name)
        assert code == 0 and "open: yes" in out and f"({os.getpid()})" in out
        mapped = Mapping(file)
    with mapped:
        code, out = larderctl(agent, "inuse", name)
        assert "open: yes" in out and f"({os.getpid()})" in out
    # It was found in use: it is held for a while, and the reason is shown.
    row = agent.models()[name]
    assert row["held_source"] == "open" and row["held_by"].startswith("busy"), row


def test_an_open_model_is_found_before_it_is_a_victim(cluster, root):
    """Nobody asks: the agent looks at what may soon be evicted, and holds what is open."""
    cache = Cache(root)
    opened, idle = cache.model(REPO), cache.model("acme/idle")
    path = os.path.realpath(cache.snapshot(REPO, A) / "model.safetensors")
    with open(path, "rb"):
        agent, coordinator = cluster.pair(
            root, policy={"type": "lru", "unused_threshold": "2s", "min_age": "0s"}
        )
        agent.wait_model(opened)
        wait_until(lambda: agent.models()[opened]["held_source"] == "open", what="it is found")
        wait_until(lambda: cluster.db.zscore("larder:{n1}:hold", opened), what="Redis knows")
        wait_until(
            lambda: coordinator.demand_cycle() and idle not in agent.models(), 60, "idle goes"
        )
        assert opened in agent.models()


def test_holds_that_ended_while_the_agent_was_dead_are_forgotten(held):
    _, agent, name = held
    hold(agent, model=name, ttl="1s", id="short")
    hold(agent, model=name, ttl="1h", id="long")
    agent.kill9()
    over = time.time() + 1
    wait_until(lambda: time.time() > over, what="the short one is over")
    agent.start().wait_ready()
    wait_until(lambda: len(agent.http.get_json("/v1/holds")["holds"]) == 1, what="one is left")
    agent.stop()
    agent.start().wait_ready()
    journal = (agent.directory / "state" / "journal").read_text()
    assert "hold:long" in journal and "hold:short" not in journal


def test_a_full_disk_costs_no_later_hold(make_disk, cluster, root):
    """A record that was cut off by the full disk must not swallow the one after it."""
    disk = make_disk(mib=2)
    name = Cache(root).model(REPO)
    agent = cluster.agent(root, state_dir=str(disk.path / "state")).wait_ready()
    agent.wait_model(name)
    disk.ballast(disk.available())
    for i in range(5000):
        body = {"model": name, "ttl": "1s", "who": f"{i:0160}", "id": "same"}
        answer = agent.http.post("/v1/holds", body)
        if answer.status != 200:
            break
    # It holds, but nobody is told that it lasts.
    assert answer.status == 503 and agent.log_contains("event=-journal"), answer
    assert [h["id"] for h in agent.http.get_json("/v1/holds")["holds"]] == ["same"]
    (disk.path / "nobodys" / "ballast").unlink()
    hold(agent, model=name, ttl="1h", id="mine")
    agent.kill9()
    agent.start().wait_ready()
    wait_until(
        lambda: "mine" in [h["id"] for h in agent.http.get_json("/v1/holds")["holds"]],
        what="the hold is back",
    )
