"""The rule of disk space, on disks of a few MiB: floors, marks, what is under way, what blocks."""

import random

import pytest

from larder.caches import A, model_name
from larder.models import MODEL_BYTES, evicted, fill, keys_of, on_disk, weights
from larder.wait import stays, wait_until

HALF = MODEL_BYTES // 2
AGES = {"a": 50, "b": 40, "c": 30, "d": 20, "e": 10}

pytestmark = pytest.mark.mounts


def reached(disk, floor):
    wait_until(lambda: disk.available() >= floor, what=f"{floor} bytes are available")


def cycles_until_quiet(cluster, coordinator, count=5):
    """Cycle after cycle, each as soon as the one before has ended: none may take too much."""
    for _ in range(count):
        coordinator.demand_cycle()
    cluster.wait_quiet()


# ---- floors ----


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_floor_takes_the_oldest_and_not_one_more(make_disk, cluster, kind):
    disk = make_disk(kind)
    root = disk.root()
    names = fill(root, AGES)
    floor = disk.available() + MODEL_BYTES + HALF
    _, coordinator = cluster.pair(root, policy={"min_free_space_bytes": floor})
    reached(disk, floor)
    cycles_until_quiet(cluster, coordinator)
    assert on_disk(root, names) == {"c", "d", "e"}
    assert evicted(cluster) == {names[k]: "disk_space" for k in ("a", "b")}


@pytest.mark.parametrize("seed", range(3))
def test_never_more_than_one_model_beyond_the_floor(make_disk, cluster, seed):
    """Models of many sizes; cycles that begin the moment the last command has ended."""
    rng = random.Random(seed)
    disk = make_disk()
    root = disk.root()
    sizes = {f"m{i}": rng.randrange(64, 1024) << 10 for i in range(12)}
    ages = {key: 100 - i for i, key in enumerate(sizes)}
    names = {}
    for key, size in sizes.items():
        names |= fill(root, {key: ages[key]}, size)
    agent, coordinator = cluster.pair(root, dry_run=True)
    coordinator.wait_models(len(names))
    bytes_of = {k: agent.models()[name]["exclusive_bytes"] for k, name in names.items()}
    floor = disk.available() + rng.randrange(sum(bytes_of.values()))
    coordinator.reload(policy={"min_free_space_bytes": floor}, dry_run=False)
    left, have = list(names), disk.available()
    while have < floor:
        have += bytes_of[left.pop(0)]
    reached(disk, floor)
    cycles_until_quiet(cluster, coordinator)
    assert on_disk(root, names) == set(left)


def test_roots_on_one_disk_share_its_space(make_disk, cluster):
    """The oldest of both go, and what one of them frees counts for the other at once."""
    disk = make_disk()
    roots = {"one": disk.root("one"), "two": disk.root("two")}
    names = {
        "one": fill(roots["one"], {"a": 50, "c": 30, "e": 10}),
        "two": fill(roots["two"], {"b": 40, "d": 20, "f": 5}),
    }
    floor = disk.available() + 2 * MODEL_BYTES + HALF
    configs = [{"path": str(path), "name": name} for name, path in roots.items()]
    _, coordinator = cluster.pair(*configs, policy={"min_free_space_bytes": floor})
    reached(disk, floor)
    cycles_until_quiet(cluster, coordinator)
    left = {key for root in roots for key in on_disk(roots[root], names[root])}
    assert left == {"d", "e", "f"}


def test_gone_root_does_not_hide_its_disk(make_disk, cluster):
    """The first root by its name is taken away; the other one's disk fills."""
    disk = make_disk()
    gone, root = disk.root("gone"), disk.root("stays")
    names = fill(root, AGES)
    floor = disk.available() - HALF
    configs = [{"path": str(gone), "name": "a"}, {"path": str(root), "name": "b"}]
    _, coordinator = cluster.pair(*configs, policy={"min_free_space_bytes": floor})
    coordinator.wait_models(5)
    gone.rmdir()

    def modes():
        return {r["name"]: r["mode"] for r in coordinator.node("n1")["roots"]}

    wait_until(lambda: modes() == {"a": "unavailable", "b": "delete"}, what="the root is missed")
    disk.ballast(MODEL_BYTES)
    reached(disk, floor)
    cycles_until_quiet(cluster, coordinator)
    assert on_disk(root, names) == {"b", "c", "d", "e"}
    assert coordinator.node("n1")["wanted_bytes"] == 0


def test_each_disk_has_its_own_floor(make_disk, cluster):
    full, roomy = make_disk(), make_disk(mib=64)
    roots = {"full": full.root(), "roomy": roomy.root()}
    names = {name: fill(root, AGES) for name, root in roots.items()}
    floor = full.available() + HALF
    configs = [{"path": str(path), "name": name} for name, path in roots.items()]
    _, coordinator = cluster.pair(*configs, policy={"min_free_space_bytes": floor})
    reached(full, floor)
    cycles_until_quiet(cluster, coordinator)
    assert on_disk(roots["full"], names["full"]) == {"b", "c", "d", "e"}
    assert on_disk(roots["roomy"], names["roomy"]) == set(AGES)


def test_marks(make_disk, cluster):
    """Nothing below the start mark; from there on down to the stop mark."""
    disk = make_disk()
    root = disk.root()
    names = fill(root, AGES)  # about 5 of 16 MiB
    policy = {"start_evicting_at_percent": 60, "stop_evicting_at_percent": 45}
    _, coordinator = cluster.pair(root, policy=policy)
    coordinator.wait_models(5)
    disk.ballast(4 << 20)  # 9 MiB: more than the stop mark
    stop = disk.total() * 55 // 100
    assert disk.available() < stop
    for _ in range(2):
        assert coordinator.demand_cycle()["planned"] == {}
    stays(lambda: on_disk(root, names) == set(AGES), 1.2, "nothing goes below the start mark")
    disk.ballast(1 << 20, "more")  # 10 MiB: more than the start mark
    reached(disk, stop)
    cycles_until_quiet(cluster, coordinator)
    assert on_disk(root, names) == {"d", "e"}
    assert disk.available() < stop + MODEL_BYTES
    assert set(evicted(cluster).values()) == {"disk_space"}


def test_pressure_starts_a_cycle_at_once(make_disk, cluster):
    """The timer would run in an hour; the agent asks when a disk falls under its floor."""
    disk = make_disk()
    root = disk.root()
    names = fill(root, AGES)
    floor = disk.available() - HALF
    agent, coordinator = cluster.pair(root, policy={"min_free_space_bytes": floor})
    coordinator.wait_models(5)
    coordinator.demand_cycle()
    assert on_disk(root, names) == set(AGES)
    disk.ballast(MODEL_BYTES)
    reached(disk, floor)
    cluster.wait_quiet()
    assert on_disk(root, names) == {"b", "c", "d", "e"}
    assert coordinator.status()["cycles"][0]["trigger"] == "pressure"
    for process in (agent, coordinator):
        assert process.log_contains(r"event=\+pressure ")
    assert coordinator.node("n1")["wanted_bytes"] == 0


# ---- what is under way ----


def test_bytes_under_way_are_counted(make_disk, cluster):
    """The disk is as full as before while the files are being removed; nothing more is asked for."""
    disk = make_disk()
    root = disk.root()
    names = fill(root, AGES)
    agent = cluster.agent(root, start=False)
    gate = agent.pause("reap").shut()
    coordinator = cluster.coordinator(policy={"min_free_space_bytes": disk.available() + HALF})
    agent.start(**gate.env)
    gate.reached()
    # The sorted set keeps what is not gone from the disk.
    assert names["a"] in cluster.lru()
    for _ in range(3):
        plan = coordinator.plan()
        assert plan["victims"] == [] and plan["targets_not_reached"] == []
        assert coordinator.http.post("/v1/cycles").status == 202
    (row,) = coordinator.http.get_json("/v1/models", model=names["a"])["models"]
    assert row["pending"]
    gate.open()
    cluster.wait_quiet()
    cycles_until_quiet(cluster, coordinator)
    assert evicted(cluster) == {names["a"]: "disk_space"}
    assert names["a"] not in cluster.lru()


def test_pressure_goes_on_until_the_floor_is_reached(make_disk, cluster):
    """The oldest turns out to be open: another one goes, and nobody has to ask."""
    disk = make_disk()
    root = disk.root()
    names = fill(root, {"a": 50, "b": 40, "c": 30})
    floor = disk.available() + HALF
    with open(weights(root, "a"), "rb"):
        _, coordinator = cluster.pair(root, policy={"min_free_space_bytes": floor})
        cluster.wait_receipt(names["a"], "refused")
        coordinator.demand_cycle()
        reached(disk, floor)
    cluster.wait_quiet()
    assert on_disk(root, names) == {"a", "c"}


# ---- what cannot be reached ----


def test_shortfall_says_what_blocks(make_disk, cluster):
    disk = make_disk()
    root, other = disk.root(), disk.root("other")
    names = fill(root, {"pinned": 50, "open": 40, "young": 3})
    fill(other, {"reported": 60}, 2 << 20)
    agent, coordinator = cluster.pair(
        root,
        {"path": str(other), "name": "other", "report_only": True},
        policy={"min_age": "5d"},
    )
    coordinator.wait_models(4)
    pin = {"glob": names["pinned"], "why": "tests"}
    assert coordinator.http.post("/v1/pins", pin).status == 200
    with open(weights(root, "open"), "rb"):
        assert cluster.evict(names["open"])["why"].startswith("busy")
        wait_until(lambda: cluster.db.zcard("larder:{n1}:hold"), what="the hold is told")
    floor = disk.total() - MODEL_BYTES
    coordinator.reload(policy={"min_free_space_bytes": floor})
    result = coordinator.demand_cycle()
    assert (result["planned"], result["targets_not_reached"]) == ({}, 1)
    (target,) = coordinator.plan()["targets_not_reached"]
    assert (target["rule"], target["wanted"], target["impossible"]) == ("disk_space", floor, False)
    assert target["reached"] == disk.available()
    assert target["blocked"] == {
        "pinned": MODEL_BYTES,
        "held": MODEL_BYTES,
        "too_young": MODEL_BYTES,
        "report_only": MODEL_BYTES + (1 << 20),
    }
    assert coordinator.log_contains(
        r"event=-target-not-reached node=n1 rule=disk_space .*blocked_most_by=report_only"
    )
    names["reported"] = model_name("acme/reported", A, root="other")
    assert keys_of(coordinator.plan()["spared"], names) == set(names)
    del names["reported"]
    assert on_disk(root, names) == set(names)


def test_floor_larger_than_the_disk_frees_nothing(make_disk, cluster):
    """Trying to reach it would empty the disk; it is said instead."""
    disk = make_disk()
    root = disk.root()
    names = fill(root, AGES)
    _, coordinator = cluster.pair(root, policy={"min_free_space_bytes": disk.total() + 1})
    coordinator.wait_models(5)
    result = coordinator.demand_cycle()
    assert (result["planned"], result["targets_not_reached"]) == ({}, 1)
    assert coordinator.plan()["targets_not_reached"][0]["impossible"]
    assert on_disk(root, names) == set(AGES)
    assert coordinator.log_contains("event=-target-not-reached .*the floor exceeds the disk")


def test_disk_without_a_free_block(make_disk, cluster):
    """Nothing can be written there any more: the models that must go go nevertheless."""
    disk = make_disk("ext4")
    root = disk.root()
    names = fill(root, AGES)
    left = disk.available()
    try:
        disk.ballast(left)
    except OSError:  # the last blocks went for the file's own index
        pass
    floor = MODEL_BYTES + HALF
    _, coordinator = cluster.pair(root, policy={"min_free_space_bytes": floor})
    reached(disk, floor)
    cycles_until_quiet(cluster, coordinator)
    assert on_disk(root, names) == {"c", "d", "e"}
