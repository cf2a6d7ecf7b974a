"""What the coordinator's HTTP API shows: models, nodes, statistics, the plan, cycles."""


import pytest

from larder.models import MODEL_BYTES, fill, keys_of, on_disk, opened_in_a_cycle, weights
from larder.world import World

WEEK = {"unused_threshold": "7d"}


# ---- what is there ----


@pytest.fixture(scope="module")
def world(clusters):
    return World(clusters.make())


def test_models(world):
    answer = world.models(node="n1", model="hf:acme/a@*")
    assert (answer["total"], answer["offset"], answer["limit"]) == (1, 0, 100)
    (row,) = answer["models"]
    assert (row["node"], row["model"], row["root"]) == ("n1", world.names["a"], "default")
    assert (row["status"], row["why"], row["bytes"]) == ("DOWNLOADED", "", MODEL_BYTES)
    assert row["idle_ms"] // 86400000 == 60
    assert row["last_used"].endswith("Z")
    assert row["last_used_ms"] == int(world.cluster.lru()[world.names["a"]])
    assert (row["held"], row["pinned"], row["pending"]) == (False, False, False)


def test_models_that_something_keeps(world):
    rows = {r["model"]: r for r in world.models(node="n1")["models"]}
    assert [k for k, name in world.names.items() if rows[name]["pinned"]] == ["b"]
    assert [k for k, name in world.names.items() if rows[name]["held"]] == ["d"]
    broken, loading = rows[world.names["broken"]], rows[world.names["loading"]]
    assert broken["status"] == "ERROR"
    assert broken["why"] == "broken: model.safetensors is empty"
    assert loading["status"] == "DOWNLOADING"
    assert loading["why"] == "a download is under way"
    assert broken["last_used"] is broken["last_used_ms"] is broken["idle_ms"] is None


# The held one was used when it was found open; those that are not DOWNLOADED have no last use.
BY_USE = ["broken", "loading", "a", "b", "c", "a'", "e'", "f'", "d"]
BY_NAME = ["a", "a'", "b", "broken", "c", "d", "e'", "f'", "loading"]
BY_SIZE = ["broken", "loading", "a", "b", "c", "d", "a'", "e'", "f'"]
SORTED = [
    ({}, BY_USE),
    ({"sort": "last_used", "order": "asc"}, BY_USE),
    ({"order": "desc"}, BY_USE[::-1]),
    ({"sort": "size"}, BY_SIZE[::-1]),
    ({"sort": "size", "order": "asc"}, BY_SIZE),
    ({"sort": "name"}, BY_NAME),
    ({"sort": "name", "order": "desc"}, BY_NAME[::-1]),
    ({"node": "n2"}, ["a'", "e'", "f'"]),
    ({"node": "?1", "sort": "name"}, ["a", "b", "broken", "c", "d", "loading"]),
    ({"model": "hf:acme/a@*"}, ["a", "a'"]),
    ({"model": "*b*", "node": "n1", "sort": "name"}, ["b", "broken"]),
    ({"model": "hf:nobody/*"}, []),
    ({"node": "n3"}, []),
]


@pytest.mark.parametrize("params,expected", SORTED)
def test_models_sorted_and_filtered(world, params, expected):
    assert world.keys(**params) == expected


@pytest.mark.parametrize("sort", ["last_used", "size", "name"])
@pytest.mark.parametrize("size", [1, 2, 4, 9, 100])
def test_models_by_the_page(world, sort, size):
    """Pages cover the whole list once."""
    pages = [world.keys(sort=sort, limit=size, offset=at) for at in range(0, 10, size)]
    assert sum(pages, []) == world.keys(sort=sort)
    assert all(len(page) <= size for page in pages)
    answer = world.models(sort=sort, limit=size, offset=9)
    assert (answer["total"], answer["models"]) == (9, [])


def test_models_counted_only(world):
    assert world.models(limit=0) == {"total": 9, "offset": 0, "limit": 0, "models": []}


def test_stats(world):
    """The fields of the cache service whose rules Larder keeps, in total and for each node."""
    stats = world.http.get_json("/v1/stats")
    nodes = {node.pop("node"): node for node in stats.pop("nodes")}
    lru = {node: world.cluster.lru(node) for node in ("n1", "n2")}
    assert set(nodes) == {"n1", "n2"}
    assert (stats.pop("node_count"), stats.pop("live_nodes")) == (2, 2)
    for node, total, downloaded in (("n1", 6, 4), ("n2", 3, 3)):
        row = nodes[node]
        assert row.pop("live") is True
        assert (row["total_models"], row["downloaded_models"]) == (total, downloaded)
        assert row["oldest_model_last_used_ms"] == min(lru[node].values())
        assert row["newest_model_last_used_ms"] == max(lru[node].values())
        assert row["disk_bytes"] > row["available_bytes"] > 0
    assert (nodes["n1"]["downloading_models"], nodes["n1"]["error_models"]) == (1, 1)
    assert nodes["n1"]["refused_evictions"] == 1
    sums = [k for k in stats if not k.startswith(("oldest", "newest", "available"))]
    assert {k: stats[k] for k in sums} == {k: nodes["n1"][k] + nodes["n2"][k] for k in sums}
    assert stats["oldest_model_last_used_ms"] == nodes["n1"]["oldest_model_last_used_ms"]
    assert stats["newest_model_last_used_ms"] == nodes["n1"]["newest_model_last_used_ms"]
    assert stats["oldest_model_last_used"].endswith("Z")
    # Both roots of n1 lie on one disk, whose space counts once.
    assert nodes["n1"]["disk_bytes"] == nodes["n2"]["disk_bytes"]


def test_stats_of_some_nodes(world):
    stats = world.http.get_json("/v1/stats", node="n2")
    assert [n["node"] for n in stats["nodes"]] == ["n2"]
    assert (stats["total_models"], stats["node_count"]) == (3, 1)
    nothing = world.http.get_json("/v1/stats", node="gpu-*")
    assert (nothing["total_models"], nothing["nodes"]) == (0, [])
    assert nothing["oldest_model_last_used"] is nothing["newest_model_last_used_ms"] is None


def test_nodes(world):
    nodes = world.http.get_json("/v1/nodes")["nodes"]
    assert sorted(n["node"] for n in nodes) == ["n1", "n2"]
    (node,) = world.http.get_json("/v1/nodes", node="n1")["nodes"]
    assert node["live"] and node["registered"]
    assert node["version"] == world.agents[0].status()["version"]
    assert 0 <= node["heartbeat_age_ms"] < 20000 and node["heartbeat"] and node["since"]
    assert (node["models"], node["downloading"], node["error"]) == (4, 1, 1)
    assert (node["wanted_bytes"], node["evicted"], node["freed_bytes"]) == (0, 0, 0)
    assert node["model_bytes"] > 7 << 20
    roots = {root["name"]: root for root in node["roots"]}
    assert (roots["default"]["mode"], roots["default"]["note"]) == ("delete", "")
    assert roots["default"]["layout"] == "huggingface"
    assert (roots["empty"]["mode"], roots["empty"]["note"]) == ("report", "report_only is set")
    assert roots["default"]["disk"] == roots["empty"]["disk"]
    assert roots["default"]["total_bytes"] > roots["default"]["available_bytes"] > 0


def test_status(world):
    status = world.coordinator.status()
    assert status["leader"] == {
        "here": True,
        "id": status["id"],
        "address": f"127.0.0.1:{world.coordinator.port}",
        "epoch": int(world.cluster.db.get("larder:epoch")),
    }
    assert status["redis"]["maxmemory_policy"] == "noeviction"
    assert (status["enabled"], status["dry_run"], status["observing"]) == (True, True, False)
    assert 0 < status["next_cycle_ms"] <= 3600000


# ---- the plan ----


def redis_contents(db, *but):
    """All that stands in Redis, except what beats and leases write."""
    contents = {}
    for key in sorted(db.scan_iter(count=1000)):
        if db.type(key) == "hash":
            contents[key] = {k: v for k, v in db.hgetall(key).items() if k not in but}
        elif db.type(key) == "zset":
            contents[key] = db.zrange(key, 0, -1, withscores=True)
        elif db.type(key) == "stream":
            contents[key] = db.xrange(key)
        elif db.type(key) == "set":
            contents[key] = db.smembers(key)
        else:
            contents[key] = db.get(key)
    return contents


def test_plan_never_acts(cluster, root):
    """However often it is asked for, nothing changes, and it says the same again."""
    names = fill(root, {"a": 30, "b": 20, "c": 3})
    policy = WEEK | {"min_copies": 1}
    _, coordinator = cluster.pair(root, policy=policy)
    cluster.agent(str(root.parent / "two"), name="n2", start=False)
    fill(root.parent / "two", {"a": 30, "c": 30})
    cluster.agents[1].start().wait_ready()
    coordinator.reload(dry_run=True)
    coordinator.wait_models(5)
    beats = ("hb", "renewed_ms", "clock", "root:default")
    before = redis_contents(cluster.db, *beats)
    plans = [coordinator.plan() for _ in range(10)]
    shown = [(p["victims"], [(s["model"], s["why"]) for s in p["spared"]]) for p in plans]
    assert all(plan == shown[0] for plan in shown)
    assert plans[0]["victim_count"] == 2 and plans[0]["victim_bytes"] == 2 * MODEL_BYTES
    assert not plans[0]["truncated"] and plans[0]["dry_run"] and plans[0]["enabled"]
    assert (plans[0]["nodes"], plans[0]["live_nodes"]) == (2, 2)
    assert redis_contents(cluster.db, *beats) == before
    assert on_disk(root, names) == {"a", "b", "c"}
    assert coordinator.evictions() == []


def test_plan_of_one_node(cluster, directory):
    roots = [directory / "r1", directory / "r2"]
    names = [fill(root, {"a": 30, "b": 20}) for root in roots][0]
    coordinator = cluster.coordinator(policy=WEEK, dry_run=True)
    for i, root in enumerate(roots):
        cluster.agent(root, name=f"n{i}").wait_ready()
    coordinator.wait_victims(4)
    plan = coordinator.plan(node="n1")
    assert {row["node"] for row in plan["victims"]} == {"n1"}
    assert keys_of(plan["victims"], names) == {"a", "b"}
    assert (plan["nodes"], plan["live_nodes"]) == (1, 1)
    nobody = coordinator.plan(node="n7")
    assert (nobody["nodes"], nobody["live_nodes"], nobody["victims"]) == (1, 0, [])


# ---- cycles ----


def test_cycle_on_demand_and_its_result(cluster, root):
    fill(root, {"a": 30, "b": 20, "c": 3})
    coordinator = cluster.coordinator(policy=WEEK)
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-check").shut()
    agent.start(**gate.env).wait_ready()
    coordinator.wait_models(3)
    with opened_in_a_cycle(coordinator, gate, weights(root, "a")) as result:
        pass
    assert result["trigger"] == "demand" and result["ended"] and not result["dry_run"]
    assert (result["nodes"], result["live_nodes"]) == (1, 1)
    assert result["planned"] == {"time_threshold": 2} and result["refused"] == 1
    assert (result["issued"], result["not_issued"]) == (2, 0)
    assert result["evicted"] == {"time_threshold": 1} and result["evicted_count"] == 1
    assert result["bytes_freed"] == MODEL_BYTES
    assert (result["failed"], result["expired"], result["gone"]) == (0, 0, 0)
    assert result["began"].endswith("Z") and result["read_ms"] >= 0
    status = coordinator.status()
    assert (status["open_commands"], status["cycles"][0]["id"]) == (0, result["id"])
    trail = cluster.db.xrevrange("larder:log", count=1)[0][1]
    assert trail == {
        "event": "cycle",
        "trigger": "demand",
        "evicted": "1",
        "bytes": str(MODEL_BYTES),
        "refused": "1",
        "failed": "0",
    }
