"""What the coordinator's HTTP API changes: evictions by hand and their history, pins."""

from larder.caches import A, B, Cache, model_name
from larder.models import MODEL_BYTES, fill, keys_of, on_disk, weights
from larder.wait import wait_until

WEEK = {"unused_threshold": "7d"}


# ---- evictions by hand, and their history ----


def outcomes(coordinator, models, **body):
    answer = coordinator.http.post("/v1/evictions", {"models": models, **body})
    assert answer.status == 202, answer
    return {(row["node"], row["model"]): row["outcome"] for row in answer.json["commands"]}


def test_evict_by_name_and_glob(cluster, directory):
    roots = {node: directory / f"cache-{node}" for node in ("gpu-1", "gpu-2", "cpu-1")}
    names = [fill(root, {"a": 3, "b": 2, "c": 1}) for root in roots.values()][0]
    coordinator = cluster.coordinator()
    for node, root in roots.items():
        cluster.agent(root, name=node).wait_ready()
    coordinator.wait_models(9)
    nobody = coordinator.http.post("/v1/evictions", {"models": ["hf:acme/z@*"]})
    assert (nobody.status, nobody.json["error"]) == (404, "no such model on these nodes")
    nowhere = {"models": [names["a"]], "nodes": ["tpu-*"]}
    assert coordinator.http.post("/v1/evictions", nowhere).status == 404
    assert outcomes(coordinator, [names["a"]], nodes=["gpu-*"]) == {
        ("gpu-1", names["a"]): "issued",
        ("gpu-2", names["a"]): "issued",
    }
    cluster.wait_quiet()
    assert outcomes(coordinator, [names["b"], "hf:acme/?@aaaaaaaaaaaa"], nodes=["cpu-1"]) == {
        ("cpu-1", names[key]): "issued" for key in "abc"
    }
    cluster.wait_quiet()
    left = {node: on_disk(root, names) for node, root in roots.items()}
    assert left == {"gpu-1": {"b", "c"}, "gpu-2": {"b", "c"}, "cpu-1": set()}


def test_receipt_of_an_eviction_by_hand(cluster, root):
    name = fill(root, {"a": 3})["a"]
    _, coordinator = cluster.pair(root)
    coordinator.wait_models(1)
    used_ms = cluster.lru()[name]
    row = cluster.order(name)
    assert row["bytes"] == MODEL_BYTES, "what is expected to come free"
    receipt = cluster.receipt(row["id"])
    assert receipt["at"].endswith("Z") and receipt["last_used"].endswith("Z")
    assert receipt.pop("at_ms") > used_ms and receipt.pop("took_ms") >= 0
    del receipt["at"], receipt["last_used"]
    assert receipt == {
        "id": row["id"],
        "node": "n1",
        "model": name,
        "outcome": "deleted",
        "why": "",
        "reason": "manual",
        "bytes": MODEL_BYTES,
        "epoch": coordinator.status()["leader"]["epoch"],
        "last_used_ms": used_ms,
    }


def test_what_is_in_use_or_kept_is_refused(cluster, directory):
    """And force sets aside a hold, never a pin, and never a file that is open."""
    root, other = directory / "hub", directory / "other"
    names = fill(root, {"held": 4, "pinned": 3, "open": 2})
    fill(other, {"reported": 5})
    reported = model_name("acme/reported", A, root="other")
    _, coordinator = cluster.pair(root, {"path": str(other), "name": "other", "report_only": True})
    coordinator.wait_models(4)
    assert coordinator.http.post("/v1/pins", {"glob": names["pinned"]}).status == 200
    with open(weights(root, "held"), "rb"):
        assert cluster.evict(names["held"])["why"].startswith("busy")
    wait_until(lambda: cluster.db.zcard("larder:{n1}:hold"), what="the hold is told")
    kept = {names["held"]: "held", names["pinned"]: "pinned", reported: "report_only"}
    found = outcomes(coordinator, list(kept))
    assert found == {("n1", name): outcome for name, outcome in kept.items()}
    with open(weights(root, "open"), "rb"):
        receipt = cluster.evict(names["open"], force=True)
        assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "busy")
    del kept[names["held"]]
    found = outcomes(coordinator, list(kept), force=True)
    assert found == {("n1", name): outcome for name, outcome in kept.items()}
    assert cluster.evict(names["held"], force=True)["outcome"] == "deleted"
    assert on_disk(root, names) == {"pinned", "open"}


def test_one_command_at_a_time(cluster, root):
    name = fill(root, {"a": 3})["a"]
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-check").shut()
    agent.start(**gate.env).wait_ready()
    coordinator = cluster.coordinator()
    coordinator.wait_models(1)
    first = cluster.order(name)
    gate.reached()
    assert outcomes(coordinator, [name]) == {("n1", name): "pending"}
    assert outcomes(coordinator, [name], force=True) == {("n1", name): "pending"}
    gate.open()
    assert cluster.receipt(first["id"])["outcome"] == "deleted"
    assert coordinator.http.post("/v1/evictions", {"models": [name]}).status == 404


def test_node_that_is_not_live_gets_no_command(cluster, root):
    name = fill(root, {"a": 3})["a"]
    agent, coordinator = cluster.pair(root, node_timeout="1s")
    coordinator.wait_models(1)
    agent.kill9()
    wait_until(lambda: not coordinator.node("n1")["live"], what="n1 is dead")
    assert outcomes(coordinator, [name]) == {("n1", name): "node not live"}
    assert cluster.db.hgetall("larder:{n1}:cmd") == {}


def test_broken_by_hand_and_downloading_not(cluster, root):
    names = fill(root, {"broken": 20, "loading": 20})
    weights(root, "broken").write_bytes(b"")
    (Cache(root).repo("acme/loading") / "blobs/0123.incomplete").write_bytes(b"half")
    agent, coordinator = cluster.pair(root)
    agent.wait_model(names["broken"], "ERROR")
    agent.wait_model(names["loading"], "DOWNLOADING")
    coordinator.wait_models(2)
    assert outcomes(coordinator, [names["loading"]]) == {("n1", names["loading"]): "gone"}
    assert cluster.evict(names["broken"])["outcome"] == "deleted"
    assert on_disk(root, names) == {"loading"}


def test_history(cluster, directory):
    roots = {node: directory / f"cache-{node}" for node in ("n1", "n2")}
    names = [fill(root, {"a": 3, "b": 2}) for root in roots.values()][0]
    coordinator = cluster.coordinator()
    for node, root in roots.items():
        cluster.agent(root, name=node).wait_ready()
    coordinator.wait_models(4)
    ids = []
    for node, key in (("n1", "a"), ("n2", "a"), ("n1", "b"), ("n2", "b")):
        receipt = cluster.evict(names[key], nodes=[node])
        assert receipt["outcome"] == "deleted"
        ids.insert(0, receipt["id"])

    def found(**params):
        return [row["id"] for row in coordinator.evictions(**params)]

    assert found() == ids, "the newest first"
    assert found(limit=2) == ids[:2]
    assert found(limit=0) == []
    assert found(id=ids[3]) == [ids[3]]
    assert found(node="n1") == [ids[1], ids[3]]
    assert found(model="hf:acme/a@*") == ids[2:]
    assert found(node="n2", model=names["b"]) == [ids[0]]
    assert found(node="n3") == found(id="no-such-id") == []


# ---- pins ----


def test_pins(cluster):
    coordinator = cluster.coordinator()
    http = coordinator.http

    def listed():
        return {pin["glob"]: pin for pin in http.get_json("/v1/pins")["pins"]}

    now_ms = coordinator.plan()["now_ms"]
    answer = http.post("/v1/pins", {"glob": "hf:a/*", "ttl": "30d", "why": "launch", "by": "ann"})
    assert answer.status == 200 and answer.json["glob"] == "hf:a/*"
    until = answer.json["until_ms"]
    assert now_ms + 30 * 86400000 <= until < now_ms + 31 * 86400000
    assert listed() == {
        "hf:a/*": {
            "glob": "hf:a/*",
            "until": answer.json["until"],
            "until_ms": until,
            "by": "ann",
            "why": "launch",
        }
    }
    for ttl in ({"ttl": None}, {}):  # for ever
        answer = http.post("/v1/pins", {"glob": "hf:b@1", **ttl})
        assert answer.json == {"glob": "hf:b@1", "until": None, "until_ms": None}
    assert listed()["hf:b@1"]["until"] is None
    answer = http.post("/v1/pins", {"glob": "hf:a/*", "ttl": 3600, "why": 'quotes " and \\ é'})
    assert answer.json["until_ms"] < until, "a second one replaces the first"
    assert listed()["hf:a/*"]["why"] == 'quotes " and \\ é'
    assert len(listed()) == 2
    assert http.delete("/v1/pins", glob="hf:a/*").json == {"glob": "hf:a/*"}
    assert http.delete("/v1/pins", glob="hf:a/*").status == 404
    assert http.delete("/v1/pins", glob="hf:b@1").status == 200
    assert listed() == {}


def test_pin_that_cannot_be_read_keeps_for_ever(cluster, root):
    """Somebody wrote it by hand: it is shown with its problem, and it pins."""
    names = fill(root, {"a": 30, "b": 20})
    _, coordinator = cluster.pair(root, policy=WEEK, dry_run=True)
    coordinator.wait_models(2)
    cluster.db.hset("larder:pins", mapping={names["a"]: "until tomorrow", "no{glob": "{}"})
    pins = {pin["glob"]: pin for pin in coordinator.http.get_json("/v1/pins")["pins"]}
    assert "for ever" in pins[names["a"]]["problem"]
    assert "not a glob" in pins["no{glob"]["problem"]
    assert keys_of(coordinator.plan()["victims"], names) == {"b"}
    assert coordinator.http.delete("/v1/pins", glob="no{glob").status == 200
    assert outcomes(coordinator, [names["a"]]) == {("n1", names["a"]): "pinned"}


def test_pins_of_revisions(cluster, root):
    """A pin of one revision keeps no other one."""
    cache = Cache(root)
    one, two = cache.model("acme/a", A), cache.model("acme/a", B, refs=())
    _, coordinator = cluster.pair(root)
    coordinator.wait_models(2)
    assert coordinator.http.post("/v1/pins", {"glob": one}).status == 200
    assert outcomes(coordinator, ["hf:acme/a@*"]) == {("n1", one): "pinned", ("n1", two): "issued"}
