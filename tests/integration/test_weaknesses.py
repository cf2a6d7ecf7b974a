"""
What went wrong in the cache service whose rules Larder keeps, tried on Larder. tests/weaknesses.md
lists all of it, with the tests; here are those that are at home nowhere else.
"""

import ast
import fcntl
import os
import pathlib
import re
import shutil

import pytest

from larder.caches import A, B, Cache, model_name
from larder.http import Http
from larder.models import MODEL_BYTES, fill, on_disk
from larder.wait import stays, wait_until

TESTS = pathlib.Path(__file__).resolve().parents[1]
WEEK = {"unused_threshold": "7d"}


# ---- the list ----


def functions(path):
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_list_names_tests_that_exist():
    named = re.findall(r"`([\w/]+\.(?:py|c)): (test_\w+)`", (TESTS / "weaknesses.md").read_text())
    assert len(named) > 50
    for file, test in named:
        path = TESTS / file
        if path.suffix == ".py":
            assert test in functions(path), f"{file} has no {test}"
        else:
            assert f"cmocka_unit_test({test})" in path.read_text(), f"{file} does not run {test}"


def test_the_list_names_each_test_of_this_file():
    text = (TESTS / "weaknesses.md").read_text()
    tests = [name for name in functions(pathlib.Path(__file__)) if name.startswith("test_")]
    assert [t for t in tests if "the_list_names" not in t and t not in text] == []


# ---- the disk is the truth ----


def test_directory_that_has_gone_is_no_success(cluster, root):
    """Nothing was deleted, so nothing is called deleted, and the registry forgets nothing."""
    names = fill(root, {"a": 30, "b": 20})
    _, coordinator = cluster.pair(root, policy=WEEK, dry_run=True)
    coordinator.wait_victims(2)
    away = root.with_name("away")
    root.rename(away)
    coordinator.reload(dry_run=False)
    for _ in range(2):
        assert coordinator.demand_cycle()["evicted_count"] == 0
    assert {row["outcome"] for row in coordinator.evictions()} <= {"refused", "failed"}
    assert set(cluster.lru()) == set(names.values())
    away.rename(root)
    wait_until(lambda: coordinator.node("n1")["roots"][0]["mode"] == "delete", what="it is back")
    assert cluster.evict(names["a"])["bytes"] == MODEL_BYTES
    assert on_disk(root, names) == {"b"}


def test_what_somebody_else_removed_is_not_called_deleted(cluster, root):
    name = fill(root, {"a": 30})["a"]
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-check").shut()
    agent.start(**gate.env).wait_ready()
    coordinator = cluster.coordinator()
    coordinator.wait_models(1)
    row = cluster.order(name)
    gate.reached()
    shutil.rmtree(Cache(root).repo("acme/a"))
    gate.open()
    receipt = cluster.receipt(row["id"])
    assert (receipt["outcome"], receipt["bytes"]) == ("gone", 0), receipt
    assert coordinator.http.get_json("/v1/stats")["evicted_models"] == 0
    wait_until(lambda: cluster.lru() == {}, what="the registry agrees with the disk")


def test_registry_that_is_lost_during_a_removal_has_no_ghost(cluster, root):
    """Redis goes after the files went and before it heard of that."""
    names = fill(root, {"a": 30, "b": 20})
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-finish").shut()
    agent.start(**gate.env).wait_ready()
    coordinator = cluster.coordinator()
    coordinator.wait_models(2)
    cluster.order(names["a"])
    gate.reached()
    cluster.redis.kill9()
    gate.open()
    wait_until(lambda: agent.status()["removals"] == 0, what="the removal ends without Redis")
    cluster.redis.start()
    coordinator.wait_leads()
    agent.wait_ready()
    wait_until(lambda: set(cluster.lru()) == {names["b"]}, what="what is there is registered")
    stays(lambda: set(cluster.lru()) == {names["b"]}, 0.5)
    wait_until(lambda: coordinator.evictions(), what="the receipt is told")
    (row,) = coordinator.evictions(model=names["a"])
    assert (row["outcome"], row["bytes"]) == ("deleted", MODEL_BYTES), "told late, and once"


def test_registry_that_was_emptied_is_filled_again(cluster, root):
    """What no record speaks of is found: the disk is read, not the registry."""
    names = fill(root, {"a": 30, "b": 20})
    coordinator = cluster.coordinator()
    # A node registers again no sooner than a little after this time.
    cluster.agent(root, redis={"command_timeout": "1s"}).wait_ready()
    coordinator.wait_models(2)
    before = cluster.lru()
    cluster.db.flushall()
    wait_until(lambda: set(cluster.lru()) == set(names.values()), what="all are registered again")
    assert all(abs(cluster.lru()[name] - used) < 1000 for name, used in before.items())
    coordinator.wait_leads()
    wait_until(lambda: coordinator.node("n1") and coordinator.node("n1")["live"], what="n1 lives")
    assert cluster.evict(names["a"])["outcome"] == "deleted"


# ---- use ----


def test_reading_is_a_use_though_nobody_tells(cluster, root):
    """The oldest is read, as an engine would; another one is then the least recently used."""
    names = fill(root, {"a": 30, "b": 20})
    _, coordinator = cluster.pair(root, policy={"max_models": 1}, dry_run=True)
    coordinator.wait_models(2)
    before = cluster.lru()
    (Cache(root).snapshot("acme/a", A) / "model.safetensors").read_bytes()
    wait_until(lambda: cluster.lru()[names["a"]] > before[names["a"]], what="the use is told")
    coordinator.reload(dry_run=False)
    assert coordinator.demand_cycle()["evicted"] == {"count_limit": 1}
    assert on_disk(root, names) == {"a"}


def test_plan_is_not_trusted_when_it_comes_to_deleting(cluster, root):
    """Touched after it was chosen and before its turn has come: it stays, the others go."""
    names = fill(root, {"a": 50, "b": 40, "c": 30})
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-check").shut()
    agent.start(**gate.env).wait_ready()
    coordinator = cluster.coordinator(policy=WEEK)
    gate.reached()
    assert agent.touch(names["c"]).status == 200
    gate.open()
    cluster.wait_receipt(names["c"], "refused")
    cluster.wait_receipt(names["b"], "deleted")
    cluster.wait_quiet()
    assert on_disk(root, names) == {"c"}
    assert coordinator.evictions(model=names["c"])[0]["why"].startswith("used")


# ---- one model is one thing ----


def test_files_fetched_at_different_times_are_one_model(cluster, root):
    """First its configuration alone, later the weights: one entry, which frees all of it."""
    cache = Cache(root)
    cache.put("acme/a", A, "config.json", b"{}")
    cache.put("acme/a", A, "tokenizer/merges.txt", b"a b\n" * 100)
    cache.ref("acme/a", "main", A)
    cache.make_old("acme/a")
    agent = cluster.agent(root, scan_interval="1d").wait_ready()
    coordinator = cluster.coordinator()
    (small,) = [row["exclusive_bytes"] for row in agent.models().values()]
    cache.put("acme/a", A, "model.safetensors", os.urandom(1 << 20))
    cache.make_old("acme/a")
    agent.scan()
    name, whole = model_name("acme/a", A), small + (1 << 20)
    wait_until(lambda: agent.models()[name]["exclusive_bytes"] == whole, what="all is seen")
    assert list(agent.models()) == [name]

    def told():
        (row,) = coordinator.http.get_json("/v1/models")["models"]
        return row["bytes"] == whole

    wait_until(told, what="Redis knows of all")
    receipt = cluster.evict(name)
    assert (receipt["outcome"], receipt["bytes"]) == ("deleted", whole), receipt
    assert not cache.repo("acme/a").exists() and cluster.lru() == {}


def test_same_name_elsewhere_is_another_model(cluster, directory):
    """In another root, layout or kind of repository: each has its entry, and goes alone."""
    roots = {name: directory / name for name in ("one", "two", "plain")}
    models = {"one": fill(roots["one"], {"a": 30})["a"]}
    models["dataset"] = Cache(roots["one"]).model("acme/a", A, kind="dataset")
    fill(roots["two"], {"a": 30})
    models["two"] = model_name("acme/a", A, root="two")
    (roots["plain"] / "acme/a").mkdir(parents=True)
    (roots["plain"] / "acme/a/weights.bin").write_bytes(b"w" * 5000)
    models["plain"] = "dir+plain:acme/a@-"
    _, coordinator = cluster.pair(
        roots["one"],
        {"path": str(roots["two"]), "name": "two"},
        {"path": str(roots["plain"]), "name": "plain", "layout": "directory", "glob": "*/*"},
    )
    coordinator.wait_models(4)
    assert set(cluster.lru()) == set(models.values())
    for spelling in ("acme/a", "hf:acme/a", "hf:ACME/a@" + "a" * 12, "hf+one:acme/a@" + "a" * 12):
        answer = coordinator.http.post("/v1/evictions", {"models": [spelling]})
        assert answer.status == 404, "one model has one spelling"
    assert cluster.evict(models["one"])["outcome"] == "deleted"
    assert set(cluster.lru()) == {models[key] for key in ("dataset", "two", "plain")}
    assert on_disk(roots["one"], {"a": 0}) == set() and on_disk(roots["two"], {"a": 0}) == {"a"}
    assert Cache(roots["one"]).snapshot("acme/a", A, "dataset").is_dir()
    assert (roots["plain"] / "acme/a/weights.bin").exists()


def test_blob_that_only_a_nested_file_refers_to_stays(cluster, root):
    """The revision that stays has it in a folder of a folder only."""
    cache = Cache(root)
    shared = os.urandom(1 << 18)
    cache.put("acme/a", A, "model.safetensors", shared)
    cache.put("acme/a", B, "original/deep/consolidated.safetensors", shared)
    cache.put("acme/a", B, "config.json", b"{}")
    cache.make_old("acme/a")
    _, coordinator = cluster.pair(root)
    coordinator.wait_models(2)
    assert cluster.evict(model_name("acme/a", A))["outcome"] == "deleted"
    kept = cache.snapshot("acme/a", B) / "original/deep/consolidated.safetensors"
    assert kept.read_bytes() == shared


def test_abandoned_downloads_do_not_stay_for_ever(cluster, root):
    """A partial file that nobody writes goes after a while; one whose lock is held does not."""
    cache = Cache(root)
    names = fill(root, {"given": 30, "loading": 30})
    partials = {}
    for key in names:
        blobs = cache.repo(f"acme/{key}") / "blobs"
        partials[key] = blobs / ("e" * 64 + ".incomplete")
        partials[key].write_bytes(b"half")
        locks = root / ".locks" / cache.repo(f"acme/{key}").name
        locks.mkdir(parents=True)
        (locks / ("e" * 64 + ".lock")).touch()
    held = root / ".locks/models--acme--loading" / ("e" * 64 + ".lock")
    with open(held, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        config = {"path": str(root), "leftover_max_age": "1s", "partial_timeout": "1s"}
        agent = cluster.agent(config).wait_ready()
        wait_until(lambda: not partials["given"].exists(), what="the abandoned one goes")
        agent.wait_model(names["given"])
        assert partials["loading"].exists()
        assert agent.models()[names["loading"]]["status"] == "DOWNLOADING"
    assert on_disk(root, names) == set(names)


# ---- many replicas ----


def test_replicas_add_no_cycle_and_no_command(cluster, root):
    """Three coordinators and a restart of each that stands by: one cycle, one command per model."""
    names = fill(root, {"a": 30, "b": 20, "c": 3})
    _, leader = cluster.pair(root, policy=WEEK, dry_run=True)
    leader.wait_victims(2)
    others = [
        cluster.coordinator(f"c{i}", start=False, policy=WEEK, dry_run=False).start()
        for i in (2, 3)
    ]
    cycles = len(leader.status()["cycles"])
    for other in others:
        wait_until(lambda o=other: o.http.get("/readyz").status == 200, what="it is ready")
        other.restart()
        wait_until(lambda o=other: o.status()["leader"]["address"], what="it knows the leader")
        assert other.status()["leader"]["address"] == f"127.0.0.1:{leader.port}"
    assert on_disk(root, names) == {"a", "b", "c"}
    assert len(leader.status()["cycles"]) == cycles
    leader.reload(dry_run=False)
    leader.demand_cycle()
    assert on_disk(root, names) == {"c"}
    assert all(other.status()["cycles"] == [] for other in others)
    assert sorted(row["model"] for row in leader.evictions()) == [names["a"], names["b"]]


def test_next_leader_goes_on(cluster, root):
    """The leader is killed while its command is under way; its successor hears how that ended."""
    name = fill(root, {"a": 30})["a"]
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-check").shut()
    agent.start(**gate.env).wait_ready()
    leader = cluster.coordinator(lease="1s")
    leader.wait_models(1)
    row = cluster.order(name)
    gate.reached()
    leader.kill9()
    other = cluster.coordinator("c2", lease="1s")
    gate.open()
    wait_until(lambda: other.evictions(id=row["id"]), what="the receipt is in the trail")
    assert other.evictions()[0]["outcome"] == "deleted"
    assert on_disk(root, {"a": name}) == set()


# ---- cost ----


def calls(db):
    """{command: how often Redis has run it}"""
    stats = db.info("commandstats")
    return {key.removeprefix("cmdstat_"): value["calls"] for key, value in stats.items()}


def cost(cluster, coordinator):
    cluster.db.config_resetstat()
    result = coordinator.demand_cycle()
    return result, calls(cluster.db)


@pytest.mark.parametrize("strangers", [0, 20000])
def test_cycle_costs_what_it_evicts_and_not_what_is_there(cluster, root, strangers):
    """
    No pass over the keyspace, no second one per victim, and other users' keys are never seen. A
    cycle with nothing to do is a handful of commands.
    """
    victims = {f"v{i:02}": 30 for i in range(20)}
    names = fill(root, victims | {f"k{i:02}": 3 for i in range(20)}, size=4096)
    once = WEEK | {"max_evictions_per_node": 1}
    coordinator = cluster.coordinator(policy=once, dry_run=True, node_timeout="5m")
    # Hardly any beats among what is counted.
    cluster.agent(root, beat_interval="1m").wait_ready()
    coordinator.wait_models(40)
    pipeline = cluster.db.pipeline(transaction=False)
    for i in range(strangers):
        pipeline.hset(f"strange:{i}", "field", "value")
    pipeline.execute()
    coordinator.reload(dry_run=False)
    result, one = cost(cluster, coordinator)
    assert result["evicted"] == {"time_threshold": 1}
    coordinator.reload(policy={"max_evictions_per_node": None})
    result, used = cost(cluster, coordinator)
    assert result["evicted"] == {"time_threshold": 19} and on_disk(root, names) == {
        key for key in names if key.startswith("k")
    }
    assert not {"scan", "keys", "sort"} & set(used)
    # The names of the nodes, their state, what is too old: once, not once per victim.
    assert (used["sscan"], used["zrangebyscore"]) == (1, 1)
    assert used["hgetall"] < one["hgetall"] + 10
    # One entry of the trail for each victim, by the node and by the leader, and the cycle's own.
    assert used["xadd"] == 2 * 19 + 1
    _, idle = cost(cluster, coordinator)
    assert (idle["sscan"], idle["zrangebyscore"]) == (1, 1)
    assert "xadd" not in idle


def test_log_has_no_line_as_long_as_the_list_of_victims(cluster, root):
    names = fill(root, {f"v{i:02}": 30 for i in range(40)}, size=4096)
    agent, coordinator = cluster.pair(root, policy=WEEK, dry_run=True)
    coordinator.wait_victims(40)
    coordinator.reload(dry_run=False)
    coordinator.demand_cycle()
    assert on_disk(root, names) == set()
    for process in (agent.process, coordinator.process):
        lines = process.log(whole=True).splitlines()
        assert max(map(len, lines)) < 500
        assert max(sum(name in line for name in names.values()) for line in lines) <= 1


def test_slow_removal_stops_nothing_else(cluster, directory):
    """While one root's disk is busy the agent beats, answers, and looks after its other root."""
    slow, quick = directory / "slow", directory / "quick"
    names = fill(slow, {"a": 30})
    fill(quick, {"b": 20})
    other = model_name("acme/b", A, root="quick")
    agent = cluster.agent(slow, {"path": str(quick), "name": "quick"}, start=False)
    gate = agent.pause("removal-claim").shut()
    agent.start(**gate.env).wait_ready()
    coordinator = cluster.coordinator()
    coordinator.wait_models(2)
    command = cluster.order(names["a"])
    gate.reached()
    for _ in range(3):
        beat = cluster.db.hget("larder:{n1}", "hb")
        wait_until(lambda b=beat: cluster.db.hget("larder:{n1}", "hb") != b, what="it beats")
    before = cluster.lru()[other]
    assert agent.touch(other).status == 200
    wait_until(lambda: cluster.lru()[other] > before, what="a use is told")
    fill(quick, {"c": 10})
    cluster.wait_lru(model_name("acme/c", A, root="quick"))
    assert names["a"] in cluster.lru() and coordinator.evictions() == []
    gate.open()
    assert cluster.receipt(command["id"])["outcome"] == "deleted"


# ---- the end ----


@pytest.mark.parametrize("point", ["removal-check", "reap"])
def test_sigterm_ends_both_cleanly_in_the_middle_of_a_removal(cluster, root, point):
    """With status 0, and what was under way is brought to its end after the start."""
    names = fill(root, {"a": 30, "b": 3})
    agent = cluster.agent(root, start=False)
    gate = agent.pause(point).shut()
    agent.start(**gate.env).wait_ready()
    coordinator = cluster.coordinator()
    coordinator.wait_models(2)
    row = cluster.order(names["a"])
    gate.reached()
    coordinator.stop()
    agent.process.popen.terminate()
    agent.wait_log(r"event=\+stop")
    assert Http(agent.port).get("/livez").status == 200, "it waits for what is under way"
    gate.open()
    assert agent.process.wait() == 0
    agent.start()
    coordinator.start().wait_leads()
    agent.wait_ready()
    coordinator.wait_sees("n1")
    cluster.wait_receipt(names["a"], "deleted")
    assert coordinator.evictions(id=row["id"])[0]["outcome"] == "deleted"
    assert on_disk(root, names) == {"b"}
