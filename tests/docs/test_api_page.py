"""docs/api.md: its routes are those of the programs, its answers have the keys that they send."""

import json
import re

import pytest

from larder.http import Http
from markdown import CHECKOUT, DOCS, blocks, code, prose

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


def shown(program, route):
    """The answer that the page shows for a route."""
    start = "## " + program.capitalize()
    for block in blocks(PAGE, "json"):
        above = "\n".join(PAGE.read_text().splitlines()[: block.line])
        in_program = above.rpartition("\n## ")[2].startswith(start[3:])
        if in_program and block.more == ["answer"] and f"`{route}" in block.heading:
            return json.loads(block.text)
    raise AssertionError(f"no answer is shown for {route} of the {program}")


@pytest.fixture(scope="module")
def used(docs_cluster):
    """The cluster after a pin, evictions by hand and a cycle."""
    http = docs_cluster.coordinator.http
    pin = {"glob": "hf:meta-llama/*", "ttl": "30d", "why": "launch", "by": "ann"}
    assert http.post("/v1/pins", pin).status == 200
    assert (
        docs_cluster.cluster.evict("hf:gpt2@607a30d783df", nodes=["gpu-a1"])["outcome"] == "deleted"
    )
    docs_cluster.coordinator.demand_cycle()
    return docs_cluster


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
]


@pytest.mark.parametrize(("program", "route", "params"), READS, ids=lambda v: str(v))
def test_answer_has_the_keys_that_the_page_shows(used, program, route, params):
    daemon = used.coordinator if program == "coordinator" else used.agent
    answer = daemon.http.get_json(route.split()[1], **params)
    assert shape(answer) - {".cycles[].stopped"} == shape(shown(program, route))


def test_all_reads_are_compared():
    reads = {(program, *ROUTE.match(route).groups()) for program, route, _ in READS}
    probes = {(p, "GET", path) for p in PROGRAMS.values() for path in ("/livez", "/readyz")}
    assert reads | probes == {route for route in documented_routes() if route[1] == "GET"}


def test_answer_to_an_eviction(used):
    body = {"models": ["hf:acme/tiny@*"], "nodes": ["gpu-a2"], "force": False}
    answer = used.coordinator.http.post("/v1/evictions", body)
    assert answer.status == 202
    assert shape(answer.json) == shape(shown("coordinator", "POST /v1/evictions"))


def test_answer_to_a_touch(used):
    name = next(iter(used.agent.models()))
    answer = used.agent.http.post("/v1/touch", {"model": name})
    assert answer.status == 200
    assert shape(answer.json) == shape(shown("agent", "POST /v1/touch"))


def test_bodies_of_the_page_are_understood(used):
    """Each body that is shown is taken; what it names need not be there."""
    for block in blocks(PAGE, "json"):
        if block.more:
            continue
        method, path = ROUTE.findall(block.heading)[-2 if "DELETE" in block.heading else -1]
        daemon = used.agent if path == "/v1/touch" else used.coordinator
        answer = daemon.http.request(method, path, json.loads(block.text))
        assert answer.status in (200, 202, 404), (block, answer)


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
    for source in [*(CHECKOUT / "coordinator").glob("api*.c"), CHECKOUT / "agent/api.c"]:
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
