"""A model that comes back soon after its eviction is counted, told once, and shown with its age."""

import re
import time

from larder.caches import A, Cache
from larder.ctl import Ctl
from larder.wait import stays, wait_until

REPO = "acme/llama"


def refaults(coordinator):
    return coordinator.http.get_json("/v1/refaults")["refaults"]


def metric(agent, name):
    """The samples of one family: labels -> value."""
    text = agent.http.get("/metrics").body
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+)(\{.*\})? (\S+)", line)
        if match and match[1] == name:
            found[match[2] or ""] = float(match[3])
    return found


def test_a_model_that_comes_back(cluster, root):
    cache = Cache(root)
    name = cache.model(REPO)
    agent, coordinator = cluster.pair(root)
    agent.wait_model(name)
    freed = cluster.evict(name)["bytes"]
    agent.wait_gone(name)
    assert refaults(coordinator) == []
    cache.model(REPO)
    agent.wait_model(name)
    (row,) = wait_until(lambda: refaults(coordinator), what="the return is told")
    assert row["model"] == name and row["node"] == "n1" and row["reason"] == "manual"
    assert row["bytes"] == freed
    assert 0 <= row["away_ms"] < 60_000
    assert row["evicted_ms"] + row["away_ms"] == row["at_ms"]
    assert row["unused_ms"] == row["evicted_ms"] - row["last_used_ms"]
    (node,) = coordinator.http.get_json("/v1/nodes")["nodes"]
    assert node["refaults"] == 1 and node["evicted"] == 1
    assert node["freed_bytes"] == freed
    assert coordinator.http.get_json("/v1/stats")["refaults"] == 1
    assert metric(agent, "larder_refaults_total") == {"": 1}
    # It is no eviction, and no restart tells it again.
    assert len(coordinator.evictions()) == 1
    agent.restart()
    agent.wait_ready()
    agent.wait_model(name)
    stays(lambda: len(refaults(coordinator)) == 1, 1)


def test_over_a_restart(cluster, root):
    """The agent was away when the model came back."""
    cache = Cache(root)
    name = cache.model(REPO)
    agent, coordinator = cluster.pair(root)
    agent.wait_model(name)
    assert cluster.evict(name)["outcome"] == "deleted"
    agent.kill9()
    cache.model(REPO)
    agent.start().wait_ready()
    wait_until(lambda: refaults(coordinator), what="the return is told")
    assert agent.log_contains(r"event=\+refault")


def test_too_late_is_none(cluster, root):
    cache = Cache(root)
    name = cache.model(REPO)
    coordinator = cluster.coordinator()
    agent = cluster.agent(root, refault_window="1s").wait_ready()
    coordinator.wait_sees("n1")
    agent.wait_model(name)
    gone_ms = cluster.evict(name)["at_ms"]
    wait_until(lambda: time.time() * 1000 > gone_ms + 1000, what="the window is over")
    cache.model(REPO)
    agent.wait_model(name)
    stays(lambda: refaults(coordinator) == [], 1)
    assert metric(agent, "larder_refaults_total") == {"": 0}


def test_larderctl_history(cluster, root):
    cache = Cache(root)
    name = cache.model(REPO)
    agent, coordinator = cluster.pair(root)
    agent.wait_model(name)
    assert cluster.evict(name)["outcome"] == "deleted"
    agent.wait_gone(name)
    cache.model(REPO)
    wait_until(lambda: refaults(coordinator), what="the return is told")
    (row,) = Ctl(root, coordinator).good("history", "--refaults").rows
    assert row["MODEL"] == name and re.fullmatch(r"\d+(ms|s)", row["BACK AFTER"])


def test_metrics_are_well_formed(cluster, root):
    """Every family has a HELP and a TYPE line, names fit the rules, values are numbers."""
    Cache(root).model(REPO)
    Cache(root).make_old(REPO)
    agent, _ = cluster.pair(root)
    agent.wait_model("hf:acme/llama@" + A[:12])
    answer = agent.http.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    family = None
    for line in answer.body.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert re.fullmatch(r"larder_[a-z0-9_]+", family) and line.endswith(".")
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and kind in ("gauge", "counter")
            assert (kind == "counter") == name.endswith("_total")
        else:
            match = re.fullmatch(r"(\w+)(?:\{(\w+=\"[^\"]*\",?)*\})? (-?[0-9.]+)", line)
            assert match and match[1] == family, line
    assert metric(agent, "larder_models")['{root="default",status="DOWNLOADED"}'] == 1
    assert metric(agent, "larder_source_degraded")['{source="open"}'] == 0
    assert metric(agent, "larder_oldest_model_age_seconds")['{root="default"}'] >= 9 * 86400
