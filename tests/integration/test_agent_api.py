"""The agent's HTTP API, route by route (docs/api.md)."""

import pytest

from larder.caches import A, B, DAY, Cache, age_everything
from larder.http import Http
from larder.models import MODEL_BYTES, fill, weights
from larder.wait import wait_until


@pytest.fixture(scope="module")
def node(clusters):
    """An agent with one model, for requests that change nothing; `node.names`, `node.hub`"""
    cluster = clusters.make()
    hub = cluster.directory / "hub"
    names = fill(hub, {"a": 3})
    agent = cluster.agent(hub).wait_ready()
    agent.names, agent.hub = names, hub
    return agent


# ---- health, errors, tokens ----


def test_health(node):
    for path in ("/livez", "/readyz"):
        answer = node.http.get(path)
        assert (answer.status, answer.body) == (200, "ok\n")


@pytest.mark.parametrize(
    "method,path,status",
    [
        ("GET", "/", 404),
        ("GET", "/v1/plan", 404),
        ("GET", "/v1/touch", 405),
        ("GET", "/v1/scan", 405),
        ("POST", "/v1/models", 405),
        ("DELETE", "/v1/status", 405),
    ],
)
def test_wrong_paths(node, method, path, status):
    answer = node.http.request(method, path, {} if method == "POST" else None)
    assert answer.status == status and answer.json["error"]


WRONG_TOUCHES = [
    (b"", 400),
    (b"[]", 400),
    ({}, 400),
    ({"model": 1}, 400),
    ({"path": None}, 400),
    ({"model": "hf:acme/a@aaaaaaaaaaaa", "path": "/tmp"}, 400),
    ({"model": "hf:acme/a@aaaaaaaaaaaa", "why": "because"}, 400),
    ({"model": "hf:acme/b@aaaaaaaaaaaa"}, 404),
    # One model has one spelling.
    ({"model": "hf+default:acme/a@aaaaaaaaaaaa"}, 404),
    ({"model": "hf:acme/a@aaaaaaaaaaaaa"}, 404),
    ({"model": "hf:acme/a"}, 404),
    ({"model": "hf:*"}, 404),
    ({"model": ""}, 404),
    ({"path": "/"}, 404),
    ({"path": "hub"}, 404),
]


@pytest.mark.parametrize("body,status", WRONG_TOUCHES)
def test_wrong_touches(node, body, status):
    before = node.last_use_ms(node.names["a"])
    answer = node.http.post("/v1/touch", body)
    assert answer.status == status and answer.json["error"], answer
    assert node.last_use_ms(node.names["a"]) < before + 3600_000


def test_paths_that_are_in_no_model(node):
    repo = Cache(node.hub).repo("acme/a")
    for path in (node.hub, repo, repo / "snapshots", repo / "snapshots" / ("b" * 40)):
        assert node.http.post("/v1/touch", {"path": str(path)}).status == 404
    beside = str(Cache(node.hub).snapshot("acme/a", A)) + "b"
    assert node.http.post("/v1/touch", {"path": beside}).status == 404


@pytest.mark.parametrize("route", ["/v1/touch", "/v1/inuse"])
def test_paths_that_climb(node, route):
    """They look as if they were in one model, and lead into another."""
    a = Cache(node.hub).snapshot("acme/a", A)
    before = node.last_use_ms(node.names["a"])
    for path in (f"{a}/../../../models--acme--b/snapshots/{A}", f"{a}/..", f"{a}/../{A}"):
        answer = node.http.post(route, {"path": path})
        assert answer.status == 400 and ".." in answer.json["error"], answer
    assert node.last_use_ms(node.names["a"]) < before + 3600_000


def test_touch_says_that_it_is_json(node):
    headers = {"Content-Type": "text/plain"}
    body = {"model": node.names["a"]}
    assert node.http.post("/v1/touch", body, headers=headers).status == 415


@pytest.mark.parametrize("with_token,status", [(False, 200), (True, 401)])
def test_token_is_needed_if_one_is_set(cluster, root, with_token, status):
    """Without one a touch, which can only keep a model, is taken from whoever reaches the port."""
    name = fill(root, {"a": 3})["a"]
    agent = cluster.agent(root, start=False)
    if with_token:
        agent.write_config(http={"token_file": str(agent.token_path)})
    agent.start().wait_ready()
    body = {"model": name}
    wrong = {"Authorization": "Bearer wrong"}
    for headers in ({}, wrong):
        answer = agent.http.post("/v1/touch", body, token=False, headers=headers)
        assert answer.status == status, answer
    assert agent.http.post("/v1/scan", token=False).status == (202 if status == 200 else 401)
    assert agent.touch(name).status == 200
    assert Http(agent.port).get("/v1/models").status == 200, "reading needs none"


# ---- what it knows ----


def test_status(node):
    status = node.status()
    assert (status["node"], status["registered"], status["removals"]) == ("n1", True, 0)
    assert status["wanted_bytes"] == 0
    (root,) = status["roots"]
    assert (root["name"], root["path"], root["layout"]) == (
        "default",
        str(node.hub),
        "huggingface",
    )
    assert (root["mode"], root["note"]) == ("delete", "")
    assert root["leases"] and root["access_times"]
    assert root["total_bytes"] > root["available_bytes"] > 0
    assert root["scan_took_ms"] >= 0 and root["leftover_bytes"] == root["floor_bytes"] == 0


def test_models(cluster, root):
    """Two revisions that share their weights, one that has its own."""
    cache = Cache(root)
    one = cache.model("acme/a", A, 1 << 20, seed="same")
    two = cache.model("acme/a", B, 1 << 20, seed="same", refs=())
    alone = fill(root, {"b": 3})["b"]
    agent = cluster.agent(root).wait_ready()
    rows = agent.models()
    assert set(rows) == {one, two, alone}
    logical = (1 << 20) + 23
    for name, exclusive in ((one, 0), (two, 0), (alone, MODEL_BYTES)):
        row = rows[name]
        assert (row["root"], row["status"], row["why"]) == ("default", "DOWNLOADED", "")
        assert (row["files"], row["logical_bytes"]) == (2, logical)
        assert (row["exclusive_bytes"], row["shared_bytes"] > 0) == (exclusive, exclusive == 0)
        assert (row["held_ms"], row["removing"], row["source"]) == (0, False, "atime")
    assert rows[alone]["idle_ms"] // 86400000 == 3
    assert rows[alone]["generation"] not in (rows[one]["generation"], rows[two]["generation"])


def test_registration_tells_all_at_once(cluster, root):
    """As soon as Redis has the models it knows the roots they are in, and what is free there."""
    fill(root, {"a": 3})
    cluster.agent({"path": str(root), "report_only": True}, beat_interval="1m")
    wait_until(lambda: cluster.lru(), what="the model is registered")
    node = cluster.db.hgetall("larder:{n1}")
    assert "mode=report note=report_only is set" in node["root:default"]
    assert (node["n"], node["attention"]) == ("1", "1") and "version" in node


# ---- touches ----


def touched(cluster, agent, name, body):
    """Does this touch move the last use forward, here and in Redis?"""
    before = cluster.lru()[name]
    answer = agent.http.post("/v1/touch", body)
    assert answer.status == 200 and answer.json == {"model": name}, answer
    wait_until(lambda: cluster.lru()[name] > before, what="Redis is told")
    row = agent.models()[name]
    assert row["source"] == "api" and row["idle_ms"] < 60000


def test_touch_by_name_and_by_path(cluster, root):
    names = fill(root, {"a": 3, "b": 3})
    agent = cluster.agent(root).wait_ready()
    snapshot = Cache(root).snapshot("acme/a", A)
    touched(cluster, agent, names["a"], {"model": names["a"]})
    for path in (snapshot, snapshot / "model.safetensors", f"{snapshot}/", f"{snapshot}/..name"):
        touched(cluster, agent, names["a"], {"path": str(path)})
    assert agent.models()[names["b"]]["source"] == "atime", "no other model was used"


def test_touch_in_a_plain_directory(cluster, directory):
    root = directory / "engines"
    (root / "llama/rank0").mkdir(parents=True)
    (root / "llama/rank0/weights.bin").write_bytes(b"w" * 5000)
    age_everything(root, 3 * DAY)  # uses that are less than a second apart may count as one
    agent = cluster.agent({"path": str(root), "layout": "directory"}).wait_ready()
    for path in (root / "llama", root / "llama/rank0/weights.bin", root / "llama/not/there"):
        touched(cluster, agent, "dir:llama@-", {"path": str(path)})


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_touch_while_redis_is_away_is_told_later(cluster, root, end):
    """Though the agent ends meanwhile."""
    name = fill(root, {"a": 3})["a"]
    agent = cluster.agent(root).wait_ready()
    cluster.redis.stop()
    wait_until(lambda: agent.http.get("/readyz").status == 503, what="Redis is missed")
    assert agent.http.get("/livez").status == 200
    assert set(agent.models()) == {name}, "it goes on knowing what is on the disk"
    assert agent.touch(name).status == 200
    used = agent.last_use_ms(name)
    if end == "killed":
        journal = agent.directory / "state/journal"
        wait_until(lambda: '"api"' in journal.read_text(), what="the use is in the journal")
        agent.kill9()
    else:
        agent.stop()
    cluster.redis.start()
    agent.start().wait_ready()
    wait_until(lambda: abs(cluster.lru().get(name, 0) - used) < 2000, what="the use is told")


# ---- scans ----


def test_scan_looks_now(cluster, root):
    agent = cluster.agent(root, scan_interval="1d").wait_ready()
    name = fill(root, {"a": 3})["a"]
    assert agent.models() == {}
    agent.scan()
    agent.wait_model(name)
    weights(root, "a").unlink()
    agent.scan()
    agent.wait_model(name, "ERROR")
