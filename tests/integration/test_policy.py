"""What the policy evicts, for which reason, and what it spares: whole cycles, end to end."""


import pytest

from larder.caches import A, B, Cache, model_name
from larder.models import MODEL_BYTES, evicted, fill, keys_of, on_disk
from larder.models import opened_in_a_cycle, spared, weights
from larder.wait import stays, wait_until

WEEK = {"unused_threshold": "7d"}


def start(cluster, *roots, models, **config):
    """An agent and a coordinator that see `models` models; the first cycle has found no node yet."""
    agent, coordinator = cluster.pair(*roots, **config)
    coordinator.wait_models(models)
    return agent, coordinator


# ---- the rules of time and count ----


def test_time_threshold(cluster, root):
    names = fill(root, {"old": 8, "older": 30, "young": 6})
    _, coordinator = start(cluster, root, models=3, policy=WEEK)
    result = coordinator.demand_cycle()
    assert result["planned"] == result["evicted"] == {"time_threshold": 2}
    assert result["bytes_freed"] == 2 * MODEL_BYTES
    assert on_disk(root, names) == {"young"}
    assert evicted(cluster) == {names[k]: "time_threshold" for k in ("old", "older")}


def test_time_threshold_is_crossed_and_not_only_reached(cluster, root):
    """At every look around the threshold a model is a victim exactly when it is older than it."""
    name = fill(root, {"a": 1})["a"]
    agent, coordinator = start(
        cluster, root, models=1, dry_run=True, policy={"unused_threshold": "2s"}
    )
    coordinator.wait_victims(1)
    before = cluster.lru()[name]
    assert agent.touch(name).status == 200
    wait_until(lambda: cluster.lru()[name] > before, what="the use is told")
    used_ms = cluster.lru()[name]

    def is_victim():
        plan = coordinator.plan()
        seconds, micros = cluster.db.time()
        if plan["victim_count"] == 0:
            assert plan["now_ms"] - used_ms <= 2000
            return False
        assert seconds * 1000 + micros // 1000 - used_ms > 2000
        return True

    wait_until(is_victim, what="it is older than the threshold")


def test_count_limit_takes_the_oldest(cluster, root):
    names = fill(root, {"a": 5, "b": 4, "c": 3, "d": 2})
    _, coordinator = start(cluster, root, models=4, policy={"max_models": 2})
    result = coordinator.demand_cycle()
    assert result["evicted"] == {"count_limit": 2}
    assert on_disk(root, names) == {"c", "d"}
    assert set(evicted(cluster).values()) == {"count_limit"}
    assert coordinator.demand_cycle()["planned"] == {}


@pytest.mark.mounts
def test_only_the_first_reason_counts(make_disk, cluster):
    disk = make_disk()
    root = disk.root()
    names = fill(root, {"a": 30, "b": 20, "c": 5, "d": 4, "e": 3})
    floor = disk.available() + 3 * MODEL_BYTES + MODEL_BYTES // 2
    policy = WEEK | {"max_models": 2, "min_free_space_bytes": floor}
    _, coordinator = start(cluster, root, models=5, policy=policy, dry_run=True)
    plan = coordinator.wait_victims(4)
    reasons = [(row["model"], row["reason"]) for row in plan["victims"]]
    assert reasons == [
        (names["a"], "time_threshold"),
        (names["b"], "time_threshold"),
        (names["c"], "count_limit"),
        (names["d"], "disk_space"),
    ]
    assert plan["spared"] == [] and plan["targets_not_reached"] == []
    coordinator.reload(dry_run=False)
    coordinator.demand_cycle()
    cluster.wait_quiet()
    assert evicted(cluster) == dict(reasons)
    assert on_disk(root, names) == {"e"}


def test_only_downloaded_models_are_eligible(cluster, root):
    """Neither evicted nor counted, however old: what is broken, and what is being downloaded."""
    names = fill(root, {"a": 90, "b": 80})
    cache = Cache(root)
    broken = cache.model("acme/broken", A)
    weights(root, "broken").write_bytes(b"")
    loading = cache.model("acme/loading", A)
    for repo in ("acme/broken", "acme/loading"):
        cache.make_old(repo, age=365 * 86400)
    (cache.repo("acme/loading") / "blobs/0123.incomplete").write_bytes(b"half")
    agent, coordinator = start(
        cluster, root, models=4, policy={"max_models": 2, "unused_threshold": "100d"}
    )
    agent.wait_model(broken, "ERROR")
    agent.wait_model(loading, "DOWNLOADING")
    assert set(cluster.lru()) == set(names.values())
    result = coordinator.demand_cycle()
    assert result["planned"] == {} and result["spared"] == {}
    assert coordinator.plan()["victims"] == []
    assert on_disk(root, {**names, "broken": 0, "loading": 0}) == {"a", "b", "broken", "loading"}


# ---- what spares a model ----


def test_pin_spares_until_it_ends(cluster, root):
    names = fill(root, {"a": 30, "b": 20})
    _, coordinator = start(cluster, root, models=2, policy=WEEK)
    pin = {"glob": "hf:acme/a@*", "why": "launch", "by": "ann"}
    assert coordinator.http.post("/v1/pins", pin).status == 200
    result = coordinator.demand_cycle()
    assert (result["evicted"], result["spared"]) == ({"time_threshold": 1}, {"pinned": 1})
    assert spared(coordinator.plan()) == {names["a"]: ("time_threshold", "pinned")}
    assert coordinator.http.post("/v1/pins", pin | {"ttl": "1s"}).status == 200
    coordinator.wait_victims(1)
    assert coordinator.demand_cycle()["evicted"] == {"time_threshold": 1}
    assert on_disk(root, names) == set()


def test_open_model_is_held_and_others_go_first(cluster, root):
    """The first cycle finds out that the oldest is open; the next one takes another instead."""
    names = fill(root, {"a": 30, "b": 20, "c": 10})
    coordinator = cluster.coordinator(policy={"max_models": 2})
    agent = cluster.agent(root, start=False, watch="off")
    gate = agent.pause("removal-check").shut()
    agent.start(**gate.env).wait_ready()
    coordinator.wait_models(3)
    with opened_in_a_cycle(coordinator, gate, weights(root, "a")) as first:
        assert (first["refused"], first["evicted_count"]) == (1, 0)
        held = "larder:{n1}:hold"
        wait_until(lambda: cluster.db.zscore(held, names["a"]), what="Redis knows that it is open")
        second = coordinator.demand_cycle()
    assert (second["refused"], second["evicted"]) == (0, {"count_limit": 1})
    assert on_disk(root, names) == {"a", "c"}


def test_held_model_is_spared_by_the_time_rule(cluster, root):
    names = fill(root, {"a": 30})
    _, coordinator = start(cluster, root, models=1, policy=WEEK)
    until = cluster.db.time()[0] * 1000 + 600000
    # Somebody else's hold, of which the agent knows nothing.
    cluster.db.zadd("larder:{n1}:hold", {names["a"]: until})
    cluster.db.hset("larder:{n1}", "attention", 1)
    assert spared(coordinator.plan()) == {names["a"]: ("time_threshold", "held")}
    assert coordinator.demand_cycle()["evicted_count"] == 0
    assert on_disk(root, names) == {"a"}


def test_too_young_is_spared(cluster, root):
    names = fill(root, {"a": 30, "b": 9, "c": 8})
    policy = {"max_models": 1, "min_age": "10d"}
    _, coordinator = start(cluster, root, models=3, policy=policy)
    result = coordinator.demand_cycle()
    assert (result["evicted"], result["spared"]) == ({"count_limit": 1}, {"too_young": 2})
    assert on_disk(root, names) == {"b", "c"}
    (target,) = coordinator.plan()["targets_not_reached"]
    assert (target["wanted"], target["reached"]) == (1, 2)
    assert target["blocked"] == {"too_young": 2}


def test_report_only_root_is_spared(cluster, directory):
    kept, cleaned = directory / "kept", directory / "cleaned"
    keep, clean = fill(kept, {"a": 30}), fill(cleaned, {"b": 30})
    roots = (
        {"path": str(kept), "name": "kept", "report_only": True},
        {"path": str(cleaned), "name": "cleaned"},
    )
    _, coordinator = start(cluster, *roots, models=2, policy=WEEK)
    name = model_name("acme/a", A, root="kept")
    assert spared(coordinator.plan()) == {name: ("time_threshold", "report_only")}
    assert coordinator.demand_cycle()["evicted"] == {"time_threshold": 1}
    assert on_disk(kept, keep) == {"a"} and on_disk(cleaned, clean) == set()
    as_if = coordinator.plan(as_if_deleting="true")
    assert [row["model"] for row in as_if["victims"]] == [name]


def test_caps_of_a_node(cluster, root):
    """Oldest first, and the rest in later cycles."""
    names = fill(root, {"a": 50, "b": 40, "c": 30, "d": 20})
    policy = WEEK | {"max_evictions_per_node": 2}
    _, coordinator = start(cluster, root, models=4, policy=policy)
    result = coordinator.demand_cycle()
    assert (result["evicted"], result["spared"]) == ({"time_threshold": 2}, {"cap": 2})
    assert on_disk(root, names) == {"c", "d"}
    coordinator.reload(
        policy={"max_evictions_per_node": None, "max_bytes_per_node": MODEL_BYTES + 1}
    )
    assert coordinator.demand_cycle()["evicted"] == {"time_threshold": 1}
    assert on_disk(root, names) == {"d"}


def test_model_larger_than_a_cap_blocks_nothing(cluster, root):
    """It fits into no cycle: the next ones go, and the plan says what keeps it."""
    names = fill(root, {"big": 50}, 2 * MODEL_BYTES) | fill(root, {"a": 40, "b": 30})
    policy = {"unused_threshold": "90d", "max_models": 1}
    cap = {"max_bytes_per_cycle": MODEL_BYTES + 1}
    _, coordinator = start(cluster, root, models=3, policy=policy, **cap)
    assert spared(coordinator.plan())[names["big"]] == ("count_limit", "cap")
    assert coordinator.demand_cycle()["evicted"] == {"count_limit": 1}
    assert coordinator.demand_cycle()["evicted"] == {"count_limit": 1}
    assert on_disk(root, names) == {"big"}


def test_caps_of_a_cycle_hold_over_all_nodes(cluster, directory):
    roots = [directory / "r1", directory / "r2"]
    names = [fill(root, {"a": 50, "b": 40}) for root in roots]
    coordinator = cluster.coordinator(policy=WEEK, max_evictions_per_cycle=1)
    for i, root in enumerate(roots):
        cluster.agent(root, name=f"n{i}").wait_ready()
    coordinator.wait_models(4)

    def left():
        return sum(len(on_disk(root, n)) for root, n in zip(roots, names, strict=True))

    for expected in (3, 2):
        result = coordinator.demand_cycle()
        assert (result["evicted_count"], left()) == (1, expected)
        assert result["spared"] == {"cap": expected}
    coordinator.reload(max_evictions_per_cycle=None, max_bytes_per_cycle=MODEL_BYTES + 1)
    assert (coordinator.demand_cycle()["evicted_count"], left()) == (1, 1)


# ---- copies ----


@pytest.fixture
def twins(cluster, directory):
    """Two nodes with the same models; (coordinator, roots, names)"""

    def make(ages, **config):
        roots = {node: directory / f"cache-{node}" for node in ("n1", "n2")}
        names = [fill(root, ages) for root in roots.values()][0]
        coordinator = cluster.coordinator(**config)
        for node, root in roots.items():
            cluster.agent(root, name=node).wait_ready()
        coordinator.wait_models(2 * len(names))
        return coordinator, roots, names

    return make


def copies(roots, names):
    """{key: how many nodes have it}"""
    found = [on_disk(root, names) for root in roots.values()]
    return {key: sum(key in keys for keys in found) for key in names}


def test_last_copies_stay(cluster, twins):
    policy = WEEK | {"min_copies": 1}
    coordinator, roots, names = twins({"a": 30, "b": 20, "c": 10, "d": 8}, policy=policy)
    result = coordinator.demand_cycle()
    assert (result["evicted"], result["spared"]) == ({"time_threshold": 4}, {"last_copy": 4})
    assert copies(roots, names) == dict.fromkeys(names, 1)
    assert coordinator.demand_cycle()["planned"] == {}
    assert {why for _, why in spared(coordinator.plan()).values()} == {"last_copy"}


def test_as_many_copies_stay_as_are_wanted(cluster, twins):
    policy = WEEK | {"min_copies": 2}
    coordinator, roots, names = twins({"a": 30, "b": 20}, policy=policy)
    assert coordinator.demand_cycle()["spared"] == {"last_copy": 4}
    assert copies(roots, names) == {"a": 2, "b": 2}


def test_copies_on_dead_nodes_do_not_count(cluster, twins):
    policy = WEEK | {"min_copies": 1}
    coordinator, roots, names = twins(
        {"a": 30, "b": 20}, policy=policy, node_timeout="2s", dry_run=True
    )
    cluster.agents[1].kill9()
    wait_until(lambda: not coordinator.node("n2")["live"], what="n2 is dead")
    coordinator.reload(dry_run=False)
    assert coordinator.demand_cycle()["spared"] == {"last_copy": 2}
    assert copies(roots, names) == {"a": 2, "b": 2}


def test_dead_node_gets_no_commands(cluster, twins):
    coordinator, roots, names = twins({"a": 30}, policy=WEEK, node_timeout="2s", dry_run=True)
    cluster.agents[1].kill9()
    wait_until(lambda: not coordinator.node("n2")["live"], what="n2 is dead")
    coordinator.reload(dry_run=False)
    result = coordinator.demand_cycle()
    assert (result["evicted_count"], result["nodes"], result["live_nodes"]) == (1, 2, 1)
    assert cluster.db.hgetall("larder:{n2}:cmd") == {}
    assert on_disk(roots["n1"], names) == set() and on_disk(roots["n2"], names) == {"a"}


@pytest.mark.mounts
def test_two_full_disks_never_give_up_both_copies(make_disk, cluster):
    """Both nodes ask for space at the same time, and each has what the other one has."""
    disks = {node: make_disk() for node in ("n1", "n2")}
    roots = {node: disk.root() for node, disk in disks.items()}
    ages = {"a": 50, "b": 40, "c": 30, "d": 20}
    names = [fill(root, ages) for root in roots.values()][0]
    floor = disks["n1"].available() + 2 * MODEL_BYTES - MODEL_BYTES // 2
    coordinator = cluster.coordinator(policy={"min_copies": 1, "min_free_space_bytes": floor})
    for node, root in roots.items():
        cluster.agent(root, name=node)
    for disk in disks.values():
        wait_until(lambda d=disk: d.available() >= floor, what="the floor is reached")
    cluster.wait_quiet()
    coordinator.demand_cycle()
    assert copies(roots, names) == dict.fromkeys(names, 1)


def test_copy_in_another_root_of_the_node_lets_one_go(cluster, directory):
    roots = [directory / "r1", directory / "r2"]
    names = [fill(root, {"a": 30}) for root in roots][0]
    configs = [{"path": str(root), "name": root.name} for root in roots]
    _, coordinator = start(cluster, *configs, models=2, policy=WEEK | {"min_copies": 1})
    result = coordinator.demand_cycle()
    assert (result["evicted"], result["spared"]) == ({"time_threshold": 1}, {"last_copy": 1})
    assert sorted(len(on_disk(root, names)) for root in roots) == [0, 1]


# ---- overrides ----


def test_overrides_of_node_globs(cluster, directory):
    """All that match apply, in order; a null takes a limit back."""
    roots = {node: directory / f"cache-{node}" for node in ("cpu-1", "gpu-1", "gpu-2")}
    names = [fill(root, {"a": 30, "b": 20, "c": 10}) for root in roots.values()][0]
    coordinator = cluster.coordinator(
        policy={"max_models": 2},
        overrides=[
            {"nodes": "gpu-*", "policy": {"max_models": 1}},
            {"nodes": "gpu-2", "policy": {"max_models": None, "unused_threshold": "25d"}},
        ],
    )
    for node, root in roots.items():
        cluster.agent(root, name=node).wait_ready()
    coordinator.wait_models(9)
    assert coordinator.demand_cycle()["evicted"] == {"time_threshold": 1, "count_limit": 3}
    left = {node: on_disk(root, names) for node, root in roots.items()}
    assert left == {"cpu-1": {"b", "c"}, "gpu-1": {"c"}, "gpu-2": {"b", "c"}}


# ---- what could not be deleted ----


@pytest.mark.mounts
def test_failed_delete_is_tried_again_next_cycle_and_then_backs_off(make_disk, cluster):
    disk = make_disk("ext4")
    root = disk.root()
    names = fill(root, {"a": 30, "b": 20})
    disk.immutable(weights(root, "a"), True)
    _, coordinator = start(cluster, root, models=2, policy=WEEK)
    result = coordinator.demand_cycle()
    assert (result["evicted_count"], result["refused"]) == (1, 1)
    assert coordinator.evictions(model=names["a"])[0]["why"].startswith("immutable")
    assert names["a"] in cluster.lru(), "the registry forgets nothing that is on the disk"
    result = coordinator.demand_cycle()
    assert (result["issued"], result["refused"]) == (1, 1), "tried again in the next cycle"
    result = coordinator.demand_cycle()
    assert (result["issued"], result["spared"]) == (0, {"deferred": 1}), "and later after that"
    assert spared(coordinator.plan()) == {names["a"]: ("time_threshold", "deferred")}
    disk.immutable(weights(root, "a"), False)
    assert cluster.evict(names["a"])["outcome"] == "deleted", "by hand it is not deferred"


@pytest.mark.mounts
def test_back_off_ends(make_disk, cluster):
    disk = make_disk("ext4")
    root = disk.root()
    name = fill(root, {"a": 30})["a"]
    disk.immutable(weights(root, "a"), True)
    coordinator = cluster.coordinator(policy=WEEK, check_interval="1s")
    # The tool that makes it mutable again opens the file: a use, were opens looked at.
    cluster.agent(root, watch="off").wait_ready()
    coordinator.wait_models(1)
    cluster.wait_receipt(name, "refused", times=2)
    disk.immutable(weights(root, "a"), False)
    cluster.wait_receipt(name, "deleted")


@pytest.mark.mounts
def test_model_that_frees_nothing_is_passed_over_until_it_must_go(make_disk, cluster):
    """Two revisions share their weights: none frees them alone, the second frees all."""
    disk = make_disk()
    root = disk.root()
    cache = Cache(root)
    one = cache.model("acme/a", A, 4 << 20, seed="same")
    two = cache.model("acme/a", B, 4 << 20, seed="same", refs=())
    floor = disk.available() + (3 << 20)
    _, coordinator = start(
        cluster, root, models=2, policy={"min_free_space_bytes": floor}, dry_run=True
    )
    plan = coordinator.wait_victims(1)
    (target,) = plan["targets_not_reached"]
    assert target["blocked"] == {"shared": 1}, target
    coordinator.reload(dry_run=False)
    wait_until(
        lambda: (coordinator.demand_cycle(), disk.available() >= floor)[1],
        what="the second revision frees the weights",
    )
    cluster.wait_quiet()
    assert set(evicted(cluster)) == {one, two}


# ---- when nothing is done ----


def test_dry_run_plans_and_never_deletes(cluster, root):
    names = fill(root, {"a": 30, "b": 20})
    _, coordinator = start(cluster, root, models=2, policy=WEEK, dry_run=True)
    for _ in range(3):
        result = coordinator.demand_cycle()
        assert result["dry_run"] and result["planned"] == {"time_threshold": 2}
        assert (result["issued"], result["evicted_count"]) == (0, 0)
    assert cluster.db.hgetall("larder:{n1}:cmd") == {}
    assert coordinator.evictions() == []
    assert on_disk(root, names) == {"a", "b"}
    coordinator.reload(dry_run=False)
    assert coordinator.demand_cycle()["evicted"] == {"time_threshold": 2}


def test_disabled_evicts_by_hand_only(cluster, root):
    names = fill(root, {"a": 30, "b": 20})
    _, coordinator = start(cluster, root, models=2, policy=WEEK, enabled=False, check_interval="1s")
    assert coordinator.http.post("/v1/cycles").status == 409
    stays(lambda: on_disk(root, names) == {"a", "b"}, 1.5, "nothing is evicted")
    assert coordinator.status()["cycles"] == []
    assert cluster.evict(names["a"])["reason"] == "manual"
    coordinator.reload(enabled=True)
    wait_until(lambda: on_disk(root, names) == set(), what="the timer's cycle")


def test_hold_off_after_the_start(cluster, root):
    names = fill(root, {"a": 30})
    _, coordinator = start(cluster, root, models=1, policy=WEEK, hold_off="1h")
    assert coordinator.http.post("/v1/cycles").status == 202
    status = coordinator.status()
    assert status["observing"] and status["observing_why"] == "the leadership is new"
    stays(lambda: on_disk(root, names) == {"a"}, 0.5, "nothing is evicted")
    assert coordinator.status()["cycles"] == []
    plan = coordinator.plan()
    assert plan["victim_count"] == 1 and plan["observing_why"] == "the leadership is new"
    coordinator.write_config(hold_off="1s")
    coordinator.restart().wait_leads()
    wait_until(lambda: on_disk(root, names) == set(), what="after the hold-off")


def test_hold_off_after_redis_came_back_empty(cluster, root):
    """An empty Redis makes no model look old, and nothing is done while nodes register again."""
    names = fill(root, {"a": 30, "b": 3})
    pinned = {"glob": names["a"]}
    agent, coordinator = start(cluster, root, models=2, policy=WEEK)
    assert coordinator.http.post("/v1/pins", pinned).status == 200
    assert agent.touch(names["b"]).status == 200
    used = agent.last_use_ms(names["b"])
    coordinator.reload(hold_off="1h")
    cluster.redis.kill9()
    cluster.redis.start()  # without the pin
    coordinator.wait_leads()
    coordinator.wait_models(2)
    status = coordinator.status()
    assert status["observing"], status
    assert coordinator.http.post("/v1/cycles").status == 202
    stays(lambda: on_disk(root, names) == {"a", "b"}, 0.5, "nothing is evicted")
    assert abs(cluster.lru()[names["b"]] - used) < 2000, "its last use outlived Redis"
    coordinator.write_config(hold_off="0s")
    coordinator.restart().wait_leads()
    wait_until(lambda: on_disk(root, names) == {"b"}, what="after the hold-off")


def test_timer_runs_cycles(cluster, root):
    fill(root, {"a": 3})
    _, coordinator = start(cluster, root, models=1, policy=WEEK)

    def by_timer():
        return [c["trigger"] for c in coordinator.status()["cycles"]].count("interval")

    before = by_timer()
    coordinator.reload(check_interval="1s")
    wait_until(lambda: by_timer() >= before + 2, what="two cycles by the timer")


# ---- reload ----


def test_good_reload_is_in_force_at_once(cluster, root):
    names = fill(root, {"a": 30, "b": 20, "c": 10})
    agent, coordinator = start(cluster, root, models=3)
    assert coordinator.demand_cycle()["planned"] == {}
    floor = 1 << 40
    coordinator.reload(
        policy={"unused_threshold": "15d", "min_free_space_bytes": floor}, dry_run=True
    )
    assert keys_of(coordinator.plan()["victims"], names) >= {"a", "b"}
    # The agents hear of the policy too: they know their floors by it.
    wait_until(
        lambda: agent.status()["roots"][0]["floor_bytes"] == floor, what="the agent knows its floor"
    )
    coordinator.reload(policy={"min_free_space_bytes": None}, dry_run=False)
    assert coordinator.demand_cycle()["evicted"] == {"time_threshold": 2}
    assert on_disk(root, names) == {"c"}


BAD_RELOADS = {
    "not JSON": ('{"enabled": true,', "line 1"),
    "unknown key": ('{"enabeld": false}', "enabeld"),
    "out of range": (
        '{"enabled": true, "policy": {"type": "lru", "unused_threshold": "-1s"},'
        ' "check_interval": "1h"}',
        "policy.unused_threshold",
    ),
    "missing": ('{"enabled": true}', "policy is missing"),
    "gone": (None, "No such file"),
}


@pytest.mark.parametrize("text,named", BAD_RELOADS.values(), ids=BAD_RELOADS)
def test_bad_reload_changes_nothing(cluster, root, text, named):
    names = fill(root, {"a": 30, "b": 3})
    _, coordinator = start(cluster, root, models=2, policy=WEEK)
    coordinator.config_path.unlink()
    if text is not None:
        coordinator.config_path.write_text(text)
    coordinator.hup()
    line = coordinator.wait_log(r"event=-reload (.*)").group(1)
    assert str(coordinator.config_path) in line and named in line
    assert coordinator.demand_cycle()["evicted"] == {"time_threshold": 1}
    assert on_disk(root, names) == {"b"}


def test_reload_names_what_waits_for_a_restart(cluster, root):
    _, coordinator = start(cluster, root, models=0)
    coordinator.reload(redis={"prefix": "other:"})
    assert coordinator.log_contains(r"event=\+reload setting=redis.prefix .*next start")
    assert coordinator.leads
