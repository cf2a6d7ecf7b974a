"""The coordinator's HTTP API, route by route (docs/api.md)."""

import pytest

from larder.daemons import TOKEN
from larder.http import Http
from larder.models import fill
from larder.wait import wait_until

ROUTES = {
    "GET": ["/v1/status", "/v1/stats", "/v1/nodes", "/v1/models", "/v1/plan", "/v1/evictions"]
    + ["/v1/pins"],
    "POST": ["/v1/cycles", "/v1/evictions", "/v1/pins"],
    "DELETE": ["/v1/pins"],
}
NEED_A_TOKEN = [(m, p) for m in ("POST", "DELETE") for p in ROUTES[m]]
NEED_REDIS = [(m, p) for m, paths in ROUTES.items() for p in paths if p != "/v1/status"]
GOOD_BODY = {
    "/v1/evictions": {"models": ["hf:acme/a@*"]},
    "/v1/pins": {"glob": "hf:acme/a@*"},
    "/v1/cycles": {},
}


@pytest.fixture(scope="module")
def quiet(clusters):
    """One coordinator for all requests that change nothing."""
    return clusters.make().coordinator()


def ask(http, method, path, **options):
    body = GOOD_BODY[path] if method == "POST" else None
    params = {"glob": "hf:acme/a@*"} if method == "DELETE" else None
    return http.request(method, path, body, params=params, **options)


# ---- health, errors, tokens ----


def test_health(quiet):
    for path in ("/livez", "/readyz"):
        answer = quiet.http.get(path)
        assert (answer.status, answer.body) == (200, "ok\n")


def test_answers_are_json_that_nobody_keeps(quiet):
    answer = quiet.http.get("/v1/status")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


WRONG_PATHS = [
    ("GET", "/", 404, "no such path"),
    ("GET", "/v1/model", 404, "no such path"),
    ("GET", "/v1/models/", 404, "no such path"),
    ("POST", "/v1/status", 405, "no such method"),
    ("DELETE", "/v1/models", 405, "no such method"),
    ("GET", "/v1/cycles", 405, "no such method"),
]


@pytest.mark.parametrize("method,path,status,text", WRONG_PATHS)
def test_wrong_paths(quiet, method, path, status, text):
    answer = quiet.http.request(method, path, {} if method == "POST" else None)
    assert answer.status == status and text in answer.json["error"]


WRONG_PARAMETERS = [
    ("/v1/models?limit=1001", 'limit: found "1001"; allowed is 0 to 1000'),
    ("/v1/models?limit=-1", 'limit: found "-1"; allowed is 0 to 1000'),
    ("/v1/models?limit=", 'limit: found ""; allowed is 0 to 1000'),
    ("/v1/models?limit=1e3", 'limit: found "1e3"'),
    ("/v1/models?limit=99999999999999999999", "limit: found"),
    ("/v1/models?offset=100001", 'offset: found "100001"; allowed is 0 to 100000'),
    ("/v1/models?sort=age", 'sort: found "age"; allowed is last_used, size or name'),
    ("/v1/models?order=up", 'order: found "up"; allowed is asc or desc'),
    ("/v1/models?node=a%20b", 'node: "a b" is not a glob'),
    ("/v1/models?model=%7Ba,b%7D", 'model: "{a,b}" is not a glob'),
    ("/v1/stats?node=%5Ba%5D", 'node: "[a]" is not a glob'),
    ("/v1/nodes?node=", 'node: "" is not a glob'),
    ("/v1/evictions?limit=1001", 'limit: found "1001"; allowed is 0 to 1000'),
    ("/v1/evictions?model=%00", "model:"),
    ("/v1/evictions?node=%22", "is not a glob"),
    ("/v1/plan?node=gpu-*", 'node: "gpu-*" is not the name of a node'),
    ("/v1/plan?as_if_deleting=yes", "as_if_deleting: allowed is true or false"),
]


@pytest.mark.parametrize("path,text", WRONG_PARAMETERS, ids=[p for p, _ in WRONG_PARAMETERS])
def test_wrong_parameters(quiet, path, text):
    answer = quiet.http.get(path)
    assert answer.status == 400 and text in answer.json["error"], answer


WRONG_BODIES = [
    ("/v1/evictions", b"", "bad JSON"),
    ("/v1/evictions", b"{", "bad JSON: line 1"),
    ("/v1/evictions", b"[]", "bad JSON: allowed is an object"),
    ("/v1/evictions", b'{"models": ["a"], "models": ["b"]}', "bad JSON"),
    ("/v1/evictions", {}, "models: allowed is a list of 1 to 100"),
    ("/v1/evictions", {"models": []}, "models: allowed is a list of 1 to 100"),
    ("/v1/evictions", {"models": ["a"] * 101}, "models: allowed is a list of 1 to 100"),
    ("/v1/evictions", {"models": "hf:a@1"}, "models: allowed is a list of 1 to 100"),
    ("/v1/evictions", {"models": [1]}, "models: each is a name, or a glob with * and ?"),
    ("/v1/evictions", {"models": ["a b"]}, "models: each is a name, or a glob with * and ?"),
    ("/v1/evictions", {"models": ["*"]}, 'models: "*" would match every model'),
    ("/v1/evictions", {"models": ["hf:a@1", "?*"]}, 'models: "?*" would match every model'),
    ("/v1/evictions", {"models": ["a"], "nodes": []}, "nodes: allowed is a list of 1 to 100"),
    ("/v1/evictions", {"models": ["a"], "nodes": ["{}"]}, "nodes: each is a name, or a glob"),
    ("/v1/evictions", {"models": ["a"], "force": 1}, "force: allowed is true or false"),
    ("/v1/evictions", {"models": ["a"], "forced": True}, "unknown key forced; allowed are"),
    ("/v1/pins", {}, "glob: allowed is a model's name, or a glob with * and ?"),
    ("/v1/pins", {"glob": 1}, "glob: allowed is"),
    ("/v1/pins", {"glob": "[a]"}, "glob: allowed is"),
    ("/v1/pins", {"glob": "a", "ttl": "1y"}, "ttl: "),
    ("/v1/pins", {"glob": "a", "ttl": "-1s"}, "ttl: "),
    ("/v1/pins", {"glob": "a", "ttl": "3600"}, "ttl: "),
    ("/v1/pins", {"glob": "a", "ttl": -1}, "ttl: allowed is a duration such as '2h', seconds"),
    ("/v1/pins", {"glob": "a", "ttl": 1.5}, "ttl: allowed is a duration"),
    ("/v1/pins", {"glob": "a", "ttl": 0}, "ttl: allowed is 1s to 100 years"),
    ("/v1/pins", {"glob": "a", "ttl": "36501d"}, "ttl: allowed is 1s to 100 years"),
    ("/v1/pins", {"glob": "a", "why": 1}, "by and why: allowed are texts up to 200 bytes"),
    ("/v1/pins", {"glob": "a", "by": "b" * 201}, "by and why: allowed are texts up to 200"),
    ("/v1/pins", {"glob": "a", "until": 1}, "unknown key until; allowed are glob, ttl, by, why"),
]


@pytest.mark.parametrize("path,body,text", WRONG_BODIES)
def test_wrong_bodies(quiet, path, body, text):
    answer = quiet.http.post(path, body)
    assert answer.status == 400 and text in answer.json["error"], answer
    assert quiet.http.get_json("/v1/pins") == {"pins": []}


@pytest.mark.parametrize("path", ["/v1/evictions", "/v1/pins"])
def test_bodies_say_that_they_are_json(quiet, path):
    """So that no page in a browser can send one."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        headers = {"Content-Type": kind}
        assert quiet.http.post(path, GOOD_BODY[path], headers=headers).status == 415


def test_no_glob_to_unpin(quiet):
    assert quiet.http.delete("/v1/pins").status == 400
    answer = quiet.http.delete("/v1/pins", glob="hf:no/such@pin")
    assert answer.status == 404 and "hf:no/such@pin" in answer.json["error"]


@pytest.mark.parametrize("method,path", NEED_A_TOKEN)
def test_changes_need_the_token(quiet, method, path):
    wrong = ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer "]
    for header in wrong:
        answer = ask(quiet.http, method, path, token=False, headers={"Authorization": header})
        assert answer.status == 401, (header, answer)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert ask(quiet.http, method, path, token=False).status == 401


def test_reading_needs_no_token(quiet):
    for path in ROUTES["GET"]:
        assert quiet.http.request("GET", path, token=False).status == 200


@pytest.mark.parametrize("method,path", NEED_A_TOKEN)
def test_without_a_token_changes_are_off(cluster, method, path):
    coordinator = cluster.coordinator(http={"token_file": None})
    answer = ask(coordinator.http, method, path)
    assert answer.status == 403 and "http.token_file" in answer.json["error"]


def test_token_is_read_again_on_sighup(cluster):
    coordinator = cluster.coordinator()
    coordinator.token_path.write_text("another-token\nsecond line\n")
    coordinator.hup()
    assert ask(coordinator.http, "POST", "/v1/cycles").status == 401
    assert ask(Http(coordinator.port, "another-token"), "POST", "/v1/cycles").status == 202
    # One that cannot be read leaves the last one in force.
    coordinator.token_path.unlink()
    coordinator.hup()
    assert ask(Http(coordinator.port, "another-token"), "POST", "/v1/cycles").status == 202


@pytest.fixture(scope="module")
def cut_off(clusters):
    """A coordinator whose Redis has gone."""
    cluster = clusters.make()
    coordinator = cluster.coordinator()
    cluster.redis.stop()
    coordinator.wait_log("event=-redis-link name=larder-coordinator")
    return coordinator


@pytest.mark.parametrize("method,path", NEED_REDIS)
def test_without_redis(cut_off, method, path):
    answer = ask(cut_off.http, method, path)
    assert (answer.status, answer.json["error"]) == (503, "Redis is not connected")


def test_health_without_redis(cut_off):
    assert cut_off.http.get("/livez").status == 200
    assert cut_off.http.get("/readyz").status == 503
    status = cut_off.status()
    assert status["redis"]["connected"] is False
    wait_until(lambda: not cut_off.leads, what="its lease ends")
    assert ask(cut_off.http, "POST", "/v1/cycles").status == 503


def test_one_that_stands_by(cluster, root):
    """It answers reads and keeps pins, and says where the leader is."""
    name = fill(root, {"a": 30})["a"]
    _, leader = cluster.pair(root)
    leader.wait_models(1)
    other = cluster.coordinator("c2", start=False)
    other.start()
    wait_until(lambda: other.http.get("/readyz").status == 200, what="c2 is ready")
    here = f"127.0.0.1:{leader.port}"
    wait_until(lambda: other.status()["leader"]["address"] == here, what="c2 knows the leader")
    for path in ("/v1/cycles", "/v1/evictions"):
        answer = ask(other.http, "POST", path)
        assert answer.status == 503 and answer.json["error"].endswith(here), answer
    for path in ROUTES["GET"]:
        assert other.http.get(path).status == 200
    assert other.http.get_json("/v1/models")["models"][0]["model"] == name
    assert ask(other.http, "POST", "/v1/pins").status == 200
    assert [p["glob"] for p in leader.http.get_json("/v1/pins")["pins"]] == ["hf:acme/a@*"]
    assert leader.plan()["victims"] == other.plan()["victims"] == []
