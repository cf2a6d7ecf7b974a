"""docs/redis.md has every key with its format, as the code and a live Redis have them."""

import json
import re

import pytest

from larder.caches import Cache
from larder.cluster import Cluster
from larder.redis_server import RedisServer
from larder.sentinels import Sentinels
from larder.wait import wait_until
from markdown import CHECKOUT, DOCS, blocks, code, table

PAGE = DOCS / "redis.md"
ROWS = {code(row[0])[0]: row[1:] for row in table(PAGE, "key")}
ENTRIES = {tuple(code(row[0])): set(code(row[1])) for row in table(PAGE, "entry")}
FIELDS = {name for row in table(PAGE, "field") for name in code(row[0])}
# Only while something is under way, or after it has happened once.
SOMETIMES = {
    "loading",
    "pressed",
    "fence",
    "deleted",
    "gone",
    "refused",
    "failed",
    "refault",
    "freed",
    "receipt",
}
PASSWORDS = {
    "larder-agent-gpu-a1": "SECRET1",
    "larder-coordinator": "SECRET2",
    "larder-viewer": "SECRET3",
}


def names_in_code():
    """The keys and channels of common/keys.c, with N for a node."""
    source = (CHECKOUT / "common/keys.c").read_text()
    of_node = source.partition("node_suffixes[] = {")[2].partition("};")[0]
    of_cluster = source.partition("cluster_names[] = {")[2].partition("};")[0]
    names = {f"larder:{{N}}{suffix}" for suffix in re.findall(r'"([^"]*)"', of_node)}
    return names | {f"larder:{name}" for name in re.findall(r'"([^"]*)"', of_cluster)}


def test_every_key_of_the_code_is_there():
    assert set(ROWS) == names_in_code()
    assert len(ROWS) == len(table(PAGE, "key")), "a key is there twice"


def test_every_script_is_in_the_protocol():
    scripts = {path.stem for path in (CHECKOUT / "common/lua").glob("*.lua")}
    assert {
        name for row in table(DOCS / "protocol.md", "script") for name in code(row[0])
    } == scripts


def logged(db, event):
    """The entries of one kind in the audit trail."""
    return [fields for _, fields in db.xrange("larder:log") if fields["event"] == event]


@pytest.fixture
def lively(cluster, root):
    """A node with models in all states, a pin, a hold, a refusal, an eviction and a return."""
    cache = Cache(root)
    models = [cache.model(f"acme/{name}") for name in ("old", "busy", "pinned")]
    cache.put("acme/broken", "c" * 40, "model.safetensors", b"")
    cache.make_old("acme/broken")
    agent, coordinator = cluster.pair(root)
    agent.wait_model(models[0])
    cluster.wait_lru(models[1])
    pin = {"glob": models[2], "ttl": "1h", "by": "ann", "why": "test"}
    assert coordinator.http.post("/v1/pins", pin).status == 200
    with open(cache.snapshot("acme/busy", "a" * 40) / "model.safetensors", "rb"):
        assert cluster.evict(models[1])["why"].startswith("busy")
    assert cluster.evict(models[0])["outcome"] == "deleted"
    wait_until(lambda: cluster.db.exists("larder:{n1}:hold"), what="the hold is in Redis")
    coordinator.demand_cycle()
    cache.model("acme/old")
    wait_until(lambda: logged(cluster.db, "refault"), what="the model is back")
    return cluster


TYPES = {"sorted set": "zset", "hash": "hash", "stream": "stream", "set": "set", "string": "string"}


def test_keys_of_a_live_redis_are_as_the_page_says(lively):
    db = lively.db
    for key in db.keys("*"):
        row = ROWS[key.replace("{n1}", "{N}")]
        assert db.type(key) == TYPES[row[0]], key
    assert (
        FIELDS == {re.sub("root:.*", "root:NAME", f) for f in db.hkeys("larder:{n1}")} | SOMETIMES
    )


def test_formats_of_a_live_redis_are_as_the_page_says(lively):
    db = lively.db
    sources = "|".join(name for row in table(DOCS / "api.md", "source") for name in code(row[0]))
    for value in db.hvals("larder:{n1}:size"):
        assert re.fullmatch(rf"\d+ [0-9a-f]+ ({sources})", value)
    for value in db.hvals("larder:{n1}:holders"):
        assert re.fullmatch(rf"({sources}): .+", value)
    assert [v.split()[0] for v in db.hvals("larder:{n1}:state")] == ["ERROR"]
    for value in db.hvals("larder:pins"):
        ends = ["ttl_ms", "made_wall_ms"] if json.loads(value)["until_ms"] else []
        assert sorted(json.loads(value)) == sorted(["by", "until_ms", "why", *ends])
    assert set(json.loads(db.get("larder:policy"))) <= {"policy", "overrides"}
    root = [row for row in table(PAGE, "field") if row[0] == "`root:NAME`"]
    members = set(code(root[0][1])) - {"delete", "report", "unavailable"}
    assert set(re.findall(r"(\w+)=", db.hget("larder:{n1}", "root:default"))) == members
    leader = set(code(ROWS["larder:leader"][1]))
    assert set(db.hkeys("larder:leader")) == leader


def test_entries_of_the_streams_are_as_the_page_says(lively):
    receipt = ENTRIES["larder:{N}:receipts",]
    for event in ("eviction", "refault", "leader"):
        found = [set(fields) for fields in logged(lively.db, event)]
        shown = ENTRIES["larder:log", "event", event]
        assert found and all(
            f == shown | {"event"} | (set() if event == "leader" else receipt) for f in found
        )


def test_cycle_entry_is_as_the_page_says(cluster, root):
    Cache(root).model("acme/old")
    agent, coordinator = cluster.pair(root, policy={"unused_threshold": "7d"})
    agent.wait_model("hf:acme/old@aaaaaaaaaaaa")
    cluster.wait_lru("hf:acme/old@aaaaaaaaaaaa")
    assert coordinator.demand_cycle()["evicted_count"] == 1
    (entry,) = wait_until(lambda: logged(cluster.db, "cycle"))
    assert set(entry) == ENTRIES["larder:log", "event", "cycle"] | {"event"}


def test_receipts_have_the_fields_that_the_page_says():
    """The stream is emptied at once, so this is read from the script that fills it."""
    script = (CHECKOUT / "common/lua/confirm.lua").read_text()
    call = script.partition("'XADD'")[2].partition(")")[0]
    names = set(re.findall(r"'([a-z_]+)'", call))
    assert names == ENTRIES["larder:{N}:receipts",]


# ---- what Redis needs ----


def test_settings_of_the_page_are_those_of_the_file(directory):
    """docs/redis.conf, the page's table, and what a Redis that includes the file says."""
    lines = (DOCS / "redis.conf").read_text().splitlines()
    in_file = dict(line.split() for line in lines if line and not line.startswith("#"))
    shown = {}
    for row in table(PAGE, "setting"):
        shown |= dict(zip(code(row[0]), code(row[1]), strict=True))
    assert shown == in_file
    server = RedisServer(directory, extra=["--include", DOCS / "redis.conf", "--appendonly", "no"])
    try:
        db = server.start().client()
        found = {name: db.config_get(name)[name] for name in in_file if name != "maxclients"}
        db.close()
    finally:
        server.close()
    assert found == {k: v for k, v in in_file.items() if k != "maxclients"} | {"appendonly": "no"}


# ---- users ----


@pytest.fixture
def guarded(directory):
    """A cluster on a Redis that has the page's users, and no other."""
    acl, _ = blocks(PAGE, "acl")
    path = directory / "users.acl"
    path.write_text(acl.text + "\nuser default off\nuser judge on nopass +acl +script\n")
    cluster = Cluster(directory)
    cluster._redis = RedisServer(directory, extra=["--aclfile", path]).start()
    cluster.servers.append(cluster._redis)
    yield cluster
    cluster.close()


def as_user(cluster, user):
    return cluster.redis.client(username=user, password=PASSWORDS[user])


def programs(cluster, root):
    """An agent and a coordinator, each as the user that the page has for it."""
    users = list(PASSWORDS)
    coordinator = cluster.coordinator(start=False, redis={"user": users[1]})
    coordinator.env["LARDER_REDIS_PASSWORD"] = PASSWORDS[users[1]]
    coordinator.start().wait_leads()
    agent = cluster.agent(root, name="gpu-a1", start=False, redis={"user": users[0]})
    agent.env["LARDER_REDIS_PASSWORD"] = PASSWORDS[users[0]]
    agent.start().wait_ready()
    coordinator.wait_sees("gpu-a1")
    return agent, coordinator


def test_programs_can_work_with_the_rights_of_the_page(guarded, root):
    cache = Cache(root)
    model = cache.model("acme/old")
    agent, coordinator = programs(guarded, root)
    agent.wait_model(model)
    assert agent.touch(model).status == 200
    assert coordinator.http.post("/v1/pins", {"glob": "x*"}).status == 200
    assert coordinator.http.delete("/v1/pins", glob="x*").status == 200
    viewer = as_user(guarded, list(PASSWORDS)[2])
    wait_until(
        lambda: viewer.zscore("larder:{gpu-a1}:lru", model), what="the viewer sees the model"
    )
    assert guarded.evict(model, force=True)["outcome"] == "deleted"
    coordinator.demand_cycle()
    judge = guarded.redis.client(username="judge", password="any")
    assert judge.acl_log() == []
    # And what they check themselves needs no more.
    assert coordinator.status()["redis"]["problems"] == []
    assert not any(d.log_contains("event=-redis-check") for d in (agent, coordinator))


def test_programs_can_work_with_these_rights_behind_sentinels(cluster, directory, root):
    """And with those of the page on the Sentinels."""
    of_redis, of_sentinels = (block.text for block in blocks(PAGE, "acl"))
    path = directory / "users.acl"
    path.write_text(of_redis + "\nuser default on nopass ~* &* +@all\n")
    sentinels = Sentinels(cluster, extra=["--aclfile", path], lines=[of_sentinels])
    users = list(PASSWORDS)
    sentinel = {"sentinel": {"user": "larder"}}
    env = {"LARDER_REDIS_SENTINEL_PASSWORD": "SECRET4"}
    coordinator = cluster.coordinator(
        url=sentinels.url(), start=False, redis={"user": users[1], **sentinel}
    )
    coordinator.start(LARDER_REDIS_PASSWORD=PASSWORDS[users[1]], **env).wait_leads()
    agent = cluster.agent(
        root, name="gpu-a1", url=sentinels.url(), start=False, redis={"user": users[0], **sentinel}
    )
    agent.start(LARDER_REDIS_PASSWORD=PASSWORDS[users[0]], **env).wait_ready()
    new = sentinels.fail_over()
    for daemon, name in ((coordinator, users[1]), (agent, users[0])):
        daemon.wait_log(rf"event=\+redis-link name={name} address=\S+:{new.port} version=\d", 60)
        assert not daemon.log_contains("NOPERM")
    # Nothing was refused there either.
    assert all(sentinels.client(i).acl_log() == [] for i in range(len(sentinels.list)))


def test_the_rights_are_enough_after_redis_has_forgotten_the_scripts(guarded, root):
    """SCRIPT FLUSH while everybody is connected: each one loads what it calls."""
    model = Cache(root).model("acme/old")
    agent, _ = programs(guarded, root)
    agent.wait_model(model)
    judge = guarded.redis.client(username="judge", password="any")
    judge.script_flush()
    agent.touch(model)
    assert guarded.evict(model, force=True)["outcome"] == "deleted"
    assert judge.acl_log() == []


def test_a_node_cannot_harm_another(guarded):
    import redis

    agent = as_user(guarded, "larder-agent-gpu-a1")
    for command in (
        ("HSET", "larder:{gpu-a2}", "hb", "1"),
        ("UNLINK", "larder:nodes"),
        ("HSET", "larder:pins", "*", "{}"),
        ("SET", "larder:policy", "{}"),
        ("PUBLISH", "larder:{gpu-a2}:wake", "1"),
    ):
        with pytest.raises(redis.exceptions.NoPermissionError):
            agent.execute_command(*command)
    with pytest.raises(redis.exceptions.NoPermissionError):
        as_user(guarded, "larder-viewer").execute_command("HDEL", "larder:pins", "x")
    agent.close()
