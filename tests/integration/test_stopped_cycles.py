"""A cycle that must not go on issues nothing more, and another one comes soon."""

import signal

import pytest

from larder.models import fill, on_disk
from larder.wait import stays, wait_until

WEEK = {"unused_threshold": "7d"}
# Longer than what the coordinator takes for a freeze.
FROZEN_S = 10.5


def waiting_cycle(cluster, root, **config):
    """A cycle whose plan for n1 waits in the proxy: (names, coordinator, proxy)"""
    names = fill(root, {"a": 30})
    proxy = cluster.proxy()
    coordinator = cluster.coordinator(url=proxy.url, policy=WEEK, **config)
    cluster.agent(root).wait_ready()
    coordinator.wait_models(1)
    return names, coordinator, proxy


def assert_nothing_issued(cluster, root, names):
    assert cluster.db.hget("larder:{n1}", "fence") is None
    assert on_disk(root, names) == {"a"}


def stopped(coordinator, why):
    """The newest cycle, once it has been stopped."""

    def found():
        cycles = coordinator.status()["cycles"]
        return cycles[0] if cycles and cycles[0].get("stopped") == why else None

    return wait_until(found, what=f"a cycle is stopped: {why}")


def test_cycle_that_was_stopped_comes_again_soon(cluster, root):
    """And not only when the interval is over."""
    coordinator = waiting_cycle(cluster, root)[1]
    cluster.db.set("larder:pins", "not a hash")
    assert coordinator.http.post("/v1/cycles").status == 202
    stopped(coordinator, "the pins cannot be read")
    assert 0 < coordinator.status()["next_cycle_ms"] <= 30000
    answer = coordinator.http.get("/v1/models")
    assert (answer.status, answer.json["error"]) == (503, "the pins cannot be read")


@pytest.mark.parametrize("changes", [{"dry_run": True}, {"enabled": False}], ids=str)
def test_new_settings_stop_the_cycle_under_way(cluster, root, changes):
    names, coordinator, proxy = waiting_cycle(cluster, root)
    with proxy.answers_held(b"{n1}:lru"):
        assert coordinator.http.post("/v1/cycles").status == 202
        proxy.wait_held()
        coordinator.reload(**changes)
    stopped(coordinator, "the settings have changed")
    assert_nothing_issued(cluster, root, names)


def test_cycle_begins_anew_with_new_settings(cluster, root):
    names, coordinator, proxy = waiting_cycle(cluster, root)
    before = [c["trigger"] for c in coordinator.status()["cycles"]]
    with proxy.answers_held(b"{n1}:lru"):
        assert coordinator.http.post("/v1/cycles").status == 202
        proxy.wait_held()
        coordinator.reload(policy={"max_evictions_per_node": 5})
    wait_until(lambda: on_disk(root, names) == set(), what="the next cycle evicts")

    def begun_anew():
        triggers = [c["trigger"] for c in coordinator.status()["cycles"]]
        return triggers == ["demand"] * 2 + before

    wait_until(begun_anew, what="one cycle follows, and no more")


def test_cycle_of_a_frozen_coordinator_issues_nothing(cluster, root):
    """What it has read before is too old to act on, though the answer has come in time."""
    patient = {"command_timeout": "60s"}
    names, coordinator, proxy = waiting_cycle(
        cluster, root, hold_off="1s", lease="60s", redis=patient
    )
    wait_until(lambda: not coordinator.status()["observing"], what="the hold-off ends")
    with proxy.answers_held(b"{n1}:lru"):
        assert coordinator.http.post("/v1/cycles").status == 202
        proxy.wait_held()
        coordinator.process.signal(signal.SIGSTOP)
    stays(lambda: coordinator.process.running, FROZEN_S)
    coordinator.process.signal(signal.SIGCONT)
    stopped(coordinator, "the coordinator was frozen")
    assert_nothing_issued(cluster, root, names)
