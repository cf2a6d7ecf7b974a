"""docs/api.md: its routes are those of the programs, its answers have the keys that they send."""

import json
import re

import pytest

from larder.caches import Cache
from larder.engines import Vllm
from larder.http import Http
from larder.wait import wait_until
from markdown import CHECKOUT, DOCS, blocks, code, prose
from worlds import GPT2

PAGE = DOCS / "api.md"
ROUTE = re.compile(r"(GET|POST|DELETE) (/[\w/]+)")
ROW = re.compile(r'\{HTTP_(GET|POST|DELETE), "([^"]+)", (true|false), \w+\}')
KEY = re.compile(r'(?:cJSON_Add\w+To(?:Object|Array)|json_doc_add_int64)\(\w+, "(\w+)"')
TIME = re.compile(r'api_add_time\(\w+, "(\w+)"')
PROGRAMS = {"Coordinator": "coordinator", "Agent": "agent"}
# Objects whose keys are names of reasons and the like, of which an answer has those that there are.
OPEN = ("planned", "spared", "evicted", "blocked")


def sections():
    """(program, heading, lines) of the page's parts of the third level."""
    program, found = None, []
    for line in prose(PAGE):
        if line.startswith("## "):
            program = PROGRAMS[line[3:]]
        elif line.startswith("### "):
            found.append((program, line, []))
        elif found:
            found[-1][2].append(line)
    return found


def documented_routes():
    """{(program, method, path): needs a token} as headings tell it."""
    routes = {}
    for program, heading, _ in sections():
        for text, token in re.findall(r"`([^`]+)`( \(token\))?", heading):
            method, path = ROUTE.match(text).groups()
            routes[program, method, path] = bool(token)
    return routes


def test_routes_are_those_of_the_programs():
    routes = {}
    for program in PROGRAMS.values():
        for method, path, token in ROW.findall((CHECKOUT / program / "api.c").read_text()):
            routes[program, method, path] = token == "true"
    assert len(routes) > 15
    assert documented_routes() == routes


def shape(value, name=""):
    """The paths of all keys in it."""
    if isinstance(value, dict):
        if name in OPEN:
            return {f"{name}{{}}"}
        keys = set()
        for key, inner in value.items():
            keys |= {f"{name}.{part}" for part in shape(inner, key)} or {f"{name}.{key}"}
        return keys
    if isinstance(value, list):
        return {f"{name}[]{part}" for inner in value for part in shape(inner)} or {name}
    return {name}


def program_of(block):
    """Whose part of the page it stands in."""
    above = "\n".join(PAGE.read_text().splitlines()[: block.line])
    return PROGRAMS[above.rpartition("\n## ")[2].partition("\n")[0]]


def shown(program, route):
    """The answer that the page shows for a route."""
    method = route.partition(" ")[0]
    for block in blocks(PAGE, "json"):
        # Under a heading with several routes the fence may say whose answer it is.
        ours = program_of(block) == program and block.more in (["answer"], ["answer", method])
        if ours and re.search(rf"`{re.escape(route)}[`?\[]", block.heading):
            return json.loads(block.text)
    raise AssertionError(f"no answer is shown for {route} of the {program}")


@pytest.fixture(scope="module")
def used(docs_cluster):
    """The cluster after a pin, an eviction by hand, a cycle and a return; with an engine and a hold."""
    http, agent = docs_cluster.coordinator.http, docs_cluster.agent
    pin = {"glob": "hf:meta-llama/*", "ttl": "30d", "why": "launch", "by": "ann"}
    assert http.post("/v1/pins", pin).status == 200
    assert (
        docs_cluster.cluster.evict("hf:gpt2@607a30d783df", nodes=["gpu-a1"])["outcome"] == "deleted"
    )
    docs_cluster.coordinator.demand_cycle()
    Cache(docs_cluster.directory / "hub").model("gpt2", GPT2)
    wait_until(lambda: http.get_json("/v1/refaults")["refaults"], what="gpt2 is back")
    engine = Vllm("acme/tiny")
    try:
        agent.write_config(engines=[engine.config()])
        agent.restart()
        agent.wait_ready()
        wait_until(lambda: engine_of(agent)["state"] == "fresh", what="the engine was asked")
        assert agent.http.post("/v1/holds", {"repo": "acme/tiny", "id": "train-7"}).status == 200
        yield docs_cluster
    finally:
        engine.stop()


def engine_of(agent):
    return agent.http.get_json("/v1/sources")["probe"]["engines"][0]


READS = [
    ("coordinator", "GET /v1/status", {}),
    ("coordinator", "GET /v1/stats", {"node": "gpu-a1"}),
    ("coordinator", "GET /v1/nodes", {"node": "gpu-a1"}),
    ("coordinator", "GET /v1/models", {"limit": "1"}),
    ("coordinator", "GET /v1/plan", {"node": "gpu-a1"}),
    ("coordinator", "GET /v1/evictions", {}),
    ("coordinator", "GET /v1/pins", {}),
    ("coordinator", "GET /v1/refaults", {}),
    ("agent", "GET /v1/status", {}),
    ("agent", "GET /v1/models", {}),
    ("agent", "GET /v1/sources", {}),
    ("agent", "GET /v1/holds", {}),
]
# What answers with text.
TEXTS = {(p, "GET", path) for p in PROGRAMS.values() for path in ("/livez", "/readyz")} | {
    ("agent", "GET", "/metrics")
}


@pytest.mark.parametrize(("program", "route", "params"), READS, ids=lambda v: str(v))
def test_answer_has_the_keys_that_the_page_shows(used, program, route, params):
    daemon = used.coordinator if program == "coordinator" else used.agent
    answer = daemon.http.get_json(route.split()[1], **params)
    assert shape(answer) - {".cycles[].stopped"} == shape(shown(program, route))


def test_all_reads_are_compared():
    reads = {(program, *ROUTE.match(route).groups()) for program, route, _ in READS}
    assert reads | TEXTS == {route for route in documented_routes() if route[1] == "GET"}


def test_answer_to_an_eviction(used):
    body = {"models": ["hf:acme/tiny@*"], "nodes": ["gpu-a2"], "force": False}
    answer = used.coordinator.http.post("/v1/evictions", body)
    assert answer.status == 202
    assert shape(answer.json) == shape(shown("coordinator", "POST /v1/evictions"))


def test_answer_to_a_hold(used):
    body = {"repo": "acme/tiny", "ttl": "2h", "who": "train-8"}
    answer = used.agent.http.post("/v1/holds", body)
    assert answer.status == 200
    assert shape(answer.json) == shape(shown("agent", "POST /v1/holds"))
    assert used.agent.http.delete("/v1/holds", id=answer.json["id"]).json == {
        "id": answer.json["id"]
    }


def test_answer_to_inuse(used):
    answer = used.agent.http.post("/v1/inuse", {"model": "hf:acme/tiny@" + "a" * 12})
    assert answer.status == 200
    assert shape(answer.json) == shape(shown("agent", "POST /v1/inuse"))


def test_metrics_that_the_page_names(used):
    found = {line.split()[2] for line in metrics_help(used.agent)}
    named = {n for n in code("\n".join(prose(PAGE))) if n.startswith("larder_")}
    assert named and named <= found


def metrics_help(agent):
    lines = agent.http.get("/metrics").body.splitlines()
    return [line for line in lines if line.startswith("# HELP ")]


def test_answer_to_a_touch(used):
    name = next(iter(used.agent.models()))
    answer = used.agent.http.post("/v1/touch", {"model": name})
    assert answer.status == 200
    assert shape(answer.json) == shape(shown("agent", "POST /v1/touch"))


def test_bodies_of_the_page_are_understood(used):
    """Each body that is shown is taken; what it names need not be there, or may be going."""
    for block in blocks(PAGE, "json"):
        if block.more:
            continue
        method, path = ROUTE.findall(block.heading)[-2 if "DELETE" in block.heading else -1]
        daemon = used.agent if program_of(block) == "agent" else used.coordinator
        answer = daemon.http.request(method, path, json.loads(block.text))
        assert answer.status in (200, 202, 404, 409), (block, answer)


def test_parameters_of_the_page_are_understood(used):
    http = used.coordinator.http
    for path, params in (
        ("/v1/models", {"node": "gpu-*", "model": "hf:*", "sort": "size", "order": "asc"}),
        ("/v1/models", {"sort": "name", "limit": "1000", "offset": "100000"}),
        ("/v1/plan", {"node": "gpu-a1", "as_if_deleting": "true"}),
        (
            "/v1/evictions",
            {"node": "gpu-*", "model": "hf:*", "id": "7dccee0b0db0e585", "limit": "1000"},
        ),
        ("/v1/refaults", {"node": "gpu-*", "model": "hf:*", "limit": "1000"}),
        ("/v1/stats", {"node": "gpu-*"}),
        ("/v1/nodes", {"node": "gpu-*"}),
    ):
        http.get_json(path, **params)
    assert http.get("/v1/models", limit="1001").status == 400
    assert http.get("/v1/models", offset="100001").status == 400
    assert http.get("/v1/evictions", limit="1001").status == 400


def test_every_key_of_the_sources_is_on_the_page():
    """Also those that no answer of the test has."""
    keys = set()
    agent = [*(CHECKOUT / "agent").glob("use_*.c"), CHECKOUT / "agent/probe_target.c"]
    for source in [*CHECKOUT.glob("*/api*.c"), *agent]:
        text = source.read_text()
        keys |= set(KEY.findall(text))
        keys |= {key + end for key in TIME.findall(text) for end in ("", "_ms")}
    page = PAGE.read_text()
    named = set(re.findall(r'"(\w+)":', page)) | set(code("\n".join(prose(PAGE))))
    assert len(keys) > 80
    assert keys - named == set()


@pytest.mark.parametrize("which", ["coordinator", "agent"])
def test_errors_are_as_the_page_says(used, which):
    daemon = used.coordinator if which == "coordinator" else used.agent
    change = "/v1/pins" if which == "coordinator" else "/v1/touch"
    http = daemon.http
    found = {
        400: http.request("POST", change, b"{"),
        404: http.get("/v1/nothing"),
        405: http.delete("/v1/status"),
        415: http.request("POST", change, b"{}", headers={"Content-Type": "text/plain"}),
    }
    if which == "coordinator":
        found[401] = http.request("POST", change, {}, token=False)
    for status, answer in found.items():
        assert answer.status == status, answer
        assert list(answer.json) == ["error"], answer


def test_changes_are_off_without_a_token(cluster):
    coordinator = cluster.coordinator(http={"token_file": None})
    answer = Http(coordinator.port).post("/v1/cycles")
    assert answer.status == 403 and list(answer.json) == ["error"]
