"""larderctl: every command, its tables, its JSON, its exit status."""

import getpass
import os
import re
import time

import pytest

from larder.caches import A, DAY, Cache
from larder.ctl import Ctl, table
from larder.models import MODEL_BYTES, fill, on_disk, weights
from larder.redis_server import free_port
from larder.wait import wait_until
from larder.world import World

COMMANDS = (
    "status nodes models plan evict pin unpin pins history touch check doctor".split()
)  # of this page; others have tests of their own
USAGE, UNAVAILABLE, SOFTWARE, IOERR, NOPERM, CONFIG = 64, 69, 70, 74, 77, 78
WEEK = {"unused_threshold": "7d"}


@pytest.fixture
def ctl(cluster, directory):
    return Ctl(directory)


@pytest.fixture(scope="module")
def world(clusters):
    return World(clusters.make())


@pytest.fixture(scope="module")
def look(world):
    """larderctl for the world, to look at it only."""
    return Ctl(world.cluster.directory, world.coordinator, world.agents[0])


# ---- help and usage ----


def test_help(look):
    text = look.good("--help").out
    assert look.good("-h").out == text
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\S", text, re.MULTILINE), command
    for option in ("--server URL", "--token-file FILE", "-o, --output table|json", "--timeout DUR"):
        assert option in text


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(look, command):
    """Names every option with what it is for, and the exit statuses; needs no server."""
    nowhere = {"LARDER_SERVER": "http://127.0.0.1:1"}
    result = look.good(command, "--help", env=nowhere)
    assert result.out.startswith(f"larderctl {command}: ")
    assert f"Usage: larderctl {command} [OPTION...]" in result.out
    assert "Exit status:\n  0   " in result.out and "  64  bad arguments" in result.out
    assert result.out == look.good("--help", command, env=nowhere).out
    assert all(len(line) <= 100 for line in result.out.splitlines())


def test_version(look, world):
    version = world.coordinator.status()["version"]
    assert look.good("--version").out == f"larderctl {version}\n"


WRONG_USAGE = [
    ([], "no command; see larderctl --help"),
    (["stat"], 'unknown command "stat"; see larderctl --help'),
    (["status", "now"], "usage: larderctl status [OPTION...]"),
    (["status", "--frob"], 'unknown option "--frob"; see larderctl status --help'),
    (["--frob"], 'unknown option "--frob"; see larderctl --help'),
    (["status", "-x"], 'unknown option "-x"'),
    (["-o", "xml", "status"], '--output: found "xml" (a string); allowed is "table", "json"'),
    (["status", "-o"], "--output needs a value"),
    (["--timeout", "soon", "status"], "--timeout: "),
    (["--timeout=0s", "status"], "--timeout: found"),
    (["models", "--limit", "0"], "--limit: found 0 (an integer); allowed is an integer from 1"),
    (["models", "--limit", "many"], '--limit: found "many" (a string)'),
    (["models", "--offset=100001"], "--offset: found 100001"),
    (["models", "--sort", "age"], 'allowed is "last_used", "size", "name"'),
    (["models", "--node", "{a}"], 'node: "{a}" is not a glob'),
    (["history", "--limit", "1001"], "--limit: found 1001"),
    (["plan", "--node", "gpu-*"], "is not the name of a node"),
    (["evict"], "usage: larderctl evict [OPTION...] MODEL..."),
    (["evict", "*"], 'models: "*" would match every model'),
    (["evict", "hf:a@1", "--node", "[x]"], "nodes: each is a name, or a glob"),
    (["pin"], "usage: larderctl pin [OPTION...] GLOB"),
    (["pin", "a", "b"], "usage: larderctl pin [OPTION...] GLOB"),
    (["pin", "a", "--for", "1y"], "--for: "),
    (["pin", "a", "--for", "0s"], "--for: found"),
    (["pin", "[a]"], "glob: allowed is a model's name, or a glob with * and ?"),
    (["unpin"], "usage: larderctl unpin [OPTION...] GLOB"),
    (["touch"], "usage: larderctl touch [OPTION...] MODEL|PATH"),
    (["check"], "usage: larderctl check [OPTION...] FILE"),
    (["check", "--agent", "--coordinator", "x"], "--agent and --coordinator exclude each other"),
    (["--server", "ftp://x", "status"], "neither http nor https"),
    (["--server", "http://me:pw@x", "status"], "a user or password stands in it"),
    (["--server", "http://x/?a=b", "status"], "a query or fragment stands in it"),
    (["--server", "http://[", "status"], "is no server's URL"),
]


@pytest.mark.parametrize("argv,text", WRONG_USAGE, ids=[" ".join(a) for a, _ in WRONG_USAGE])
def test_wrong_usage(look, argv, text):
    result = look(*argv)
    assert (result.code, result.out) == (USAGE, ""), result
    assert result.err.startswith("larderctl: ") and text in result.err
    assert result.err.count("\n") == 1


# ---- reaching the server ----


def test_server_that_is_not_there(look):
    result = look("--server", f"http://127.0.0.1:{free_port()}", "status")
    assert (result.code, result.out) == (UNAVAILABLE, "")
    assert "cannot ask http://127.0.0.1:" in result.err


def test_other_server(look, world):
    """An agent answers where a coordinator is meant."""
    result = look("--server", f"http://127.0.0.1:{world.agents[0].port}", "plan")
    assert (result.code, result.out) == (SOFTWARE, "")
    assert "it is not the server that is meant" in result.err


def test_server_without_redis(cluster, ctl):
    ctl.coordinator = cluster.coordinator()
    cluster.redis.stop()
    wait_until(lambda: not ctl.coordinator.status()["redis"]["connected"], what="Redis is missed")
    result = ctl("models")
    assert result.code == UNAVAILABLE and "Redis is not connected" in result.err
    assert "not connected" in ctl.good("status").out


@pytest.mark.parametrize("command", [["evict", "hf:a@1"], ["pin", "hf:a@1"], ["unpin", "hf:a@1"]])
def test_tokens(look, directory, command):
    result = look(*command, token=None)
    assert result.code == NOPERM and "--token-file, LARDER_TOKEN_FILE" in result.err
    result = look(*command, token="wrong")
    assert result.code == NOPERM and "a valid bearer token is needed" in result.err
    missing = look(*command, env={"LARDER_TOKEN_FILE": str(directory / "missing")})
    assert missing.code == CONFIG and "missing" in missing.err
    bad = directory / "token"
    bad.write_text("two words\n")
    result = look("--token-file", bad, *command)
    assert result.code == CONFIG and "the token has bytes that no token has" in result.err
    assert "two words" not in result.err, "a secret is not printed"


def test_token_file(look, world, directory):
    token = directory / "token"
    token.write_bytes(world.coordinator.token_path.read_bytes())
    for how in (["--token-file", token], []):
        env = {} if how else {"LARDER_TOKEN_FILE": str(token)}
        result = look(*how, "unpin", "hf:no/such@pin", token="wrong", env=env)
        assert result.code == 1 and "no such pin: hf:no/such@pin" in result.err


def test_output_that_cannot_be_written(look):
    with open("/dev/full", "w") as full:
        result = look.result(look.popen("models", stdout=full))
    assert result.code == IOERR and "the output cannot be written" in result.err


# ---- looking ----


def test_json_is_the_answer_of_the_api(look, world):
    for argv, path in [
        (["nodes", "--node", "n2"], "/v1/nodes?node=n2"),
        (["models", "--sort", "size", "--limit", "3"], "/v1/models?sort=size&limit=3"),
        (["plan"], "/v1/plan"),
        (["pins"], "/v1/pins"),
        (["history"], "/v1/evictions"),
        (["status"], "/v1/status"),
    ]:
        for spelling in (["-o", "json"], ["-ojson"], ["--output=json"]):
            answer = look.good(*spelling, *argv).json
            assert set(answer) == set(world.http.get_json(path))
        assert look.good(*argv, "-o", "json").json.keys() == answer.keys()


def test_status(look, world):
    lines = dict(line.split(None, 1) for line in look.good("status").out.splitlines() if line)
    assert lines["leader"].startswith("this coordinator, ")
    assert str(world.coordinator.port) in lines["leader"]
    assert lines["Redis"].startswith("connected, master, version ")
    assert lines["eviction"] == "dry run: planned and logged, never issued"
    assert lines["observing"] == "no"
    cycles = table(look.good("status").out.split("\n\n")[1])
    assert (cycles[0]["TRIGGER"], cycles[0]["LIVE"], cycles[0]["NOTE"]) == ("demand", "2/2", "dry run")


def test_status_of_one_that_stands_by_and_observes(cluster, ctl):
    ctl.coordinator = leader = cluster.coordinator(hold_off="1h")
    observing = ctl.good("status").out
    assert "yes, nothing is issued: the leadership is new" in observing
    other = cluster.coordinator("c2", start=False).start()
    here = f"127.0.0.1:{leader.port}"
    wait_until(lambda: other.status()["leader"]["address"] == here, what="c2 knows the leader")
    ctl.coordinator = other
    assert re.search(rf"leader +\S+ at {here}; this one, \S+, stands by", ctl.good("status").out)


def test_nodes(look):
    rows = look.good("nodes").rows
    assert [(r["NODE"], r["ROOT"], r["MODE"], r["LIVE"]) for r in rows] == [
        ("n1", "default", "delete", "yes"),
        ("n1", "empty", "report", "yes"),
        ("n2", "default", "delete", "yes"),
    ]
    assert (rows[0]["MODELS"], rows[1]["MODELS"], rows[2]["MODELS"]) == ("4", "-", "3")
    assert rows[1]["NOTE"] == "report_only is set"
    assert re.fullmatch(r"[\d.]+ [KMGT]iB", rows[0]["TOTAL"])
    assert [r["NODE"] for r in look.good("nodes", "--node", "?2").rows] == ["n2"]


def test_empty_tables_say_so(look):
    for argv, what in [
        (["nodes", "--node", "n9"], "nodes"),
        (["models", "--model", "hf:nobody/*"], "models"),
        (["history", "--node", "n9"], "evictions"),
    ]:
        result = look(*argv)
        assert (result.code, result.out, result.err) == (0, "", f"larderctl: no {what}\n")


def test_models(look, world):
    rows = look.good("models", "--node", "n1", "--sort", "name").rows
    keys = ["a", "b", "broken", "c", "d", "loading"]
    assert [row["MODEL"] for row in rows] == [world.names[key] for key in keys]
    of = dict(zip(keys, rows, strict=True))
    assert (of["a"]["STATUS"], of["a"]["BYTES"]) == ("DOWNLOADED", "1.0 MiB")
    assert re.fullmatch(r"60d(\d+h)?", of["a"]["IDLE"])
    assert (of["b"]["FLAGS"], of["d"]["FLAGS"], of["c"]["FLAGS"]) == ("pinned", "held", "-")
    assert (of["broken"]["STATUS"], of["broken"]["IDLE"]) == ("ERROR", "-")
    assert of["broken"]["WHY"] == "broken: model.safetensors is empty"
    assert of["loading"]["STATUS"] == "DOWNLOADING"


@pytest.mark.parametrize("sort", ["last_used", "size", "name"])
def test_models_sorted(look, world, sort):
    def shown(*argv):
        return [(r["NODE"], r["MODEL"]) for r in look.good("models", "--sort", sort, *argv).rows]

    api = world.models(sort=sort)["models"]
    assert shown() == [(row["node"], row["model"]) for row in api]
    assert shown("--reverse") == shown()[::-1]


def test_models_by_the_page(look):
    seen, offset = [], 0
    while True:
        result = look("models", "--limit", "4", "--offset", str(offset))
        assert result.code == 0
        seen += [(r["NODE"], r["MODEL"]) for r in result.rows]
        more = re.search(r"(\d+) of 9 models; go on with --offset (\d+)", result.err)
        if more is None:
            break
        offset = int(more.group(2))
        assert offset == int(more.group(1)) == len(seen)
    assert len(seen) == len(set(seen)) == 9


def test_columns_are_aligned(look):
    """Every cell of a column begins, or ends, at the same place."""
    lines = look.good("models", "--sort", "name").out.splitlines()
    status = lines[0].index("STATUS")
    right = lines[0].index("BYTES") + len("BYTES")
    for line in lines[1:]:
        assert re.match(r"(DOWNLOADED|DOWNLOADING|ERROR) ", line[status:]), line
        assert line[right - 1] != " " and line[right : right + 2] in ("  ", ""), line
        assert line == line.rstrip()


def test_plan(cluster, ctl, root):
    fill(root, {"a": 30, "b": 20, "c": 10})
    _, coordinator = cluster.pair(
        root,
        policy=WEEK | {"max_evictions_per_node": 1, "min_free_space_bytes": 1 << 60},
        dry_run=True,
    )
    ctl.coordinator = coordinator
    pin = {"glob": "hf:acme/b@*"}
    assert coordinator.http.post("/v1/pins", pin).status == 200
    coordinator.wait_victims(1)
    text = ctl.good("plan").out
    first, victims, spared, targets = text.split("\n\n")
    assert first == "Dry run: this will be logged, and nothing of it done."
    assert victims.startswith("Victims: 1, 1.0 MiB\n")
    (row,) = table(victims.split("\n", 1)[1])
    assert (row["MODEL"], row["REASON"]) == ("hf:acme/a@aaaaaaaaaaaa", "time_threshold")
    assert re.fullmatch(r"30d(\d+h)?", row["IDLE"])
    rows = table(spared.split("\n", 1)[1])
    assert {(r["MODEL"], r["WANTED BY"], r["SPARED BY"]) for r in rows} == {
        ("hf:acme/b@aaaaaaaaaaaa", "time_threshold", "pinned"),
        ("hf:acme/c@aaaaaaaaaaaa", "time_threshold", "cap"),
    }
    (row,) = table(targets.split("\n", 1)[1])
    assert (row["RULE"], row["WANTED"], row["KEPT BY"]) == (
        "disk_space",
        "1.0 EiB",
        "the disk is smaller",
    )
    coordinator.reload(dry_run=False, enabled=False)
    assert ctl.good("plan").out.startswith("Automatic eviction is disabled")
    assert "left alone: 1 of 1" in ctl.good("plan", "--node", "n9").out


@pytest.fixture
def explained(cluster, ctl, root):
    """
    "a" is idle, somebody asked for "b", "c" is held, "d" was found open; no more than one is to stay.
    {key: name}
    """
    names = fill(root, {"a": 30, "b": 20, "c": 10, "d": 9})
    ctl.coordinator = cluster.coordinator(dry_run=True, policy={"max_models": 1})
    ctl.agent = agent = cluster.agent(root, watch="off").wait_ready()
    ctl.coordinator.wait_models(4)
    assert agent.touch(names["b"]).status == 200
    hold = {"model": names["c"], "ttl": "1h", "who": "launcher"}
    assert agent.http.post("/v1/holds", hold).status == 200
    with open(weights(root, "d"), "rb"):
        assert cluster.receipt(cluster.order(names["d"])["id"])["outcome"] == "refused"
    wait_until(lambda: cluster.db.zcard("larder:{n1}:hold") == 2, what="Redis knows who holds them")
    old = time.time() * 1000 - DAY * 1000
    recent = [names[key] for key in "bcd"]
    wait_until(lambda: all(cluster.lru()[n] > old for n in recent), what="Redis knows of their uses")
    return names


NOW = r"\d+(ms|s|m\d*s?)"
HOLDERS = {"a": "-", "b": "-", "c": "hold: launcher", "d": "open: busy: model.safetensors is open"}


def test_models_why(ctl, explained):
    """When it was used last, who saw it, and who has it now."""
    rows = {row["MODEL"]: row for row in ctl.good("models", "--why").rows}
    by_key = {key: rows[name] for key, name in explained.items()}
    seen = {key: row["USE KNOWN BY"] for key, row in by_key.items()}
    assert seen == {"a": "atime", "b": "api", "c": "hold", "d": "open"}
    assert {key: row["HELD BY"] for key, row in by_key.items()} == HOLDERS
    assert re.fullmatch(r"30d(\d+h)?", by_key["a"]["IDLE"])
    assert all(re.fullmatch(NOW, by_key[key]["IDLE"]) for key in "bcd"), rows
    plain = ctl.good("models").rows
    assert "USE KNOWN BY" not in plain[0] and "HELD BY" not in plain[0]


def test_plan_why(ctl, explained):
    ctl.coordinator.wait_victims(2)
    _, victims, spared, targets = ctl.good("plan").out.split("\n\n")
    first, second = table(victims.split("\n", 1)[1])
    assert (first["MODEL"], first["USE KNOWN BY"]) == (explained["a"], "atime")
    assert re.fullmatch(r"30d(\d+h)?", first["IDLE"])
    assert (second["MODEL"], second["USE KNOWN BY"]) == (explained["b"], "api")
    assert re.fullmatch(NOW, second["IDLE"])
    rows = {row["MODEL"]: row for row in table(spared.split("\n", 1)[1])}
    assert set(rows) == {explained["c"], explained["d"]}
    for key, source in (("c", "hold"), ("d", "open")):
        row = rows[explained[key]]
        assert (row["USE KNOWN BY"], row["HELD BY"]) == (source, HOLDERS[key])
        assert (row["WANTED BY"], row["SPARED BY"]) == ("count_limit", "held")
        assert re.fullmatch(NOW, row["IDLE"])
    (row,) = table(targets.split("\n", 1)[1])
    assert (row["WANTED"], row["KEPT BY"]) == ("1", "held 2")


@pytest.mark.mounts
def test_plan_that_last_copies_block(disk, cluster, ctl):
    """Neither so few models nor so much space is to be had: what is wanted, and what keeps it."""
    root = disk.root()
    names = fill(root, {"a": 30, "b": 20, "c": 10})
    floor = disk.available() + MODEL_BYTES
    policy = {"max_models": 1, "min_copies": 1, "min_free_space_bytes": floor}
    _, ctl.coordinator = cluster.pair(root, policy=policy)
    ctl.coordinator.wait_models(3)
    assert ctl.coordinator.demand_cycle()["spared"] == {"last_copy": 3}
    targets = ctl.good("plan").out.split("\n\n")[-1]
    rows = {row["RULE"]: row for row in table(targets.split("\n", 1)[1])}
    count, space = rows["count_limit"], rows["disk_space"]
    assert (count["WANTED"], count["REACHED"], count["KEPT BY"]) == ("1", "3", "last_copy 3")
    assert space["KEPT BY"] == "last_copy 3.0 MiB"
    targets = {row["rule"]: row for row in ctl.coordinator.plan()["targets_not_reached"]}
    assert targets["count_limit"]["blocked"] == {"last_copy": 3}
    assert targets["disk_space"]["blocked"] == {"last_copy": 3 * MODEL_BYTES}
    assert targets["disk_space"]["wanted"] == floor > targets["disk_space"]["reached"]
    assert on_disk(root, names) == {"a", "b", "c"}


# ---- pins ----


def test_pins(cluster, ctl, root):
    name = fill(root, {"a": 30})["a"]
    _, ctl.coordinator = cluster.pair(root)
    ctl.coordinator.wait_models(1)
    result = ctl("pins")
    assert (result.code, result.out, result.err) == (0, "", "larderctl: no pins\n")
    until = ctl.good("pin", "hf:acme/*", "--for", "7d", "--why", "a launch", "--by", "ann").out
    at = re.fullmatch(r"pinned until (\S+Z): hf:acme/\*\n", until).group(1)
    assert ctl.good("pin", name).out == f"pinned for ever: {name}\n"
    rows = {row["GLOB"]: row for row in ctl.good("pins").rows}
    assert rows["hf:acme/*"] == {
        "GLOB": "hf:acme/*",
        "UNTIL": at,
        "BY": "ann",
        "WHY": "a launch",
    }
    assert (rows[name]["UNTIL"], rows[name]["WHY"]) == ("for ever", "-")
    assert rows[name]["BY"] == os.environ.get("USER", getpass.getuser())
    answer = ctl.good("-o", "json", "pin", name, "--for", "3600").json
    assert answer["glob"] == name and answer["until_ms"] > 0
    result = ctl("evict", name, "--force")
    assert result.code == 1 and result.rows[0]["OUTCOME"] == "pinned"
    # A pin is removed by its own text, not by what it matches.
    result = ctl("unpin", "hf:*")
    assert (result.code, result.out) == (1, "") and "no such pin: hf:*" in result.err
    assert ctl.good("unpin", "hf:acme/*").out == "unpinned hf:acme/*\n"
    assert ctl.good("unpin", name, "-o", "json").json == {"glob": name}
    assert ctl("evict", name, "--wait").code == 0


def test_text_from_elsewhere_cannot_write_to_the_terminal(cluster, ctl):
    """Somebody's reason of a pin holds an escape sequence."""
    ctl.coordinator = cluster.coordinator()
    why = "\x1b[2J\x07 é ok"
    assert ctl.coordinator.http.post("/v1/pins", {"glob": "hf:a@1", "why": why}).status == 200
    result = ctl.good("pins")
    assert "\x1b" not in result.out and r"\x1b[2J\x07 é ok" in result.out
    assert ctl.good("pins", "-o", "json").json["pins"][0]["why"] == why


# ---- evictions and their history ----


@pytest.fixture
def two_nodes(cluster, ctl, directory):
    """Two nodes with three models each; (roots, names)"""
    roots = {node: directory / f"cache-{node}" for node in ("n1", "n2")}
    names = [fill(root, {"a": 3, "b": 2, "c": 1}) for root in roots.values()][0]
    ctl.coordinator = cluster.coordinator()
    for node, root in roots.items():
        cluster.agent(root, name=node).wait_ready()
    ctl.coordinator.wait_models(6)
    return roots, names


def test_evict_and_history(cluster, ctl, two_nodes):
    roots, names = two_nodes
    result = ctl.good("evict", names["a"], "--node", "n1")
    (row,) = result.rows
    assert (row["NODE"], row["MODEL"], row["OUTCOME"]) == ("n1", names["a"], "issued")
    assert row["BYTES"] == "1.0 MiB"
    cluster.wait_quiet()
    result = ctl("evict", names["a"], "hf:acme/b@*", "--wait")
    assert result.code == 0
    assert {(r["NODE"], r["MODEL"], r["OUTCOME"], r["FREED"]) for r in result.rows} == {
        ("n2", names["a"], "deleted", "1.0 MiB"),
        ("n1", names["b"], "deleted", "1.0 MiB"),
        ("n2", names["b"], "deleted", "1.0 MiB"),
    }
    assert "3 of 3 commands have ended" in result.err, "progress while it waits"
    assert [on_disk(root, names) for root in roots.values()] == [{"c"}, {"c"}]
    rows = ctl.good("history").rows
    assert len(rows) == 4 and rows[-1]["NODE"] == "n1"
    assert {(r["OUTCOME"], r["REASON"], r["FREED"]) for r in rows} == {
        ("deleted", "manual", "1.0 MiB")
    }
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r["AT"]) for r in rows)
    assert [r["NODE"] for r in ctl.good("history", "--model", names["a"]).rows] == ["n2", "n1"]
    assert len(ctl.good("history", "--node", "n1", "--limit", "1").rows) == 1


def test_evict_wait_in_json_has_the_receipts(cluster, ctl, two_nodes):
    _, names = two_nodes
    result = ctl("-o", "json", "evict", names["a"], "--wait")
    assert result.code == 0
    commands = result.json["commands"]
    assert {c["outcome"] for c in commands} == {"issued"}
    assert {c["receipt"]["outcome"] for c in commands} == {"deleted"}
    assert {c["receipt"]["bytes"] for c in commands} == {MODEL_BYTES}
    assert {c["receipt"]["id"] for c in commands} == {c["id"] for c in commands}


def test_evict_what_is_not_there(ctl, two_nodes):
    _, names = two_nodes
    result = ctl("evict", "hf:acme/z@*")
    assert (result.code, result.out) == (1, "") and "no such model on these nodes" in result.err
    result = ctl("evict", names["a"], "hf:acme/z@*", "--wait")
    assert result.code == 1
    assert "larderctl: no such model on these nodes: hf:acme/z@*\n" in result.err
    assert {row["OUTCOME"] for row in result.rows} == {"deleted"}, "the others go"


def test_evict_more_than_one_request_may_name(cluster, ctl):
    """What was left out is said."""
    db = cluster.db
    models = {f"hf:acme/m{i}@aaaaaaaaaaaa": i for i in range(10001)}
    db.sadd("larder:nodes", "n1")
    db.hset("larder:{n1}", mapping={"inc": "00000000", "hb": int(db.time()[0] * 1000) - 3600000})
    db.zadd("larder:{n1}:lru", models)
    ctl.coordinator = cluster.coordinator().wait_leads()
    result = ctl("-o", "json", "evict", "hf:acme/*")
    assert (result.code, result.json["truncated"], len(result.json["commands"])) == (1, True, 10000)
    assert "more models match" in result.err
    db.zrem("larder:{n1}:lru", "hf:acme/m5@aaaaaaaaaaaa")
    result = ctl("-o", "json", "evict", "hf:acme/*")
    assert (result.json["truncated"], len(result.json["commands"])) == (False, 10000)
    assert "more models match" not in result.err


def test_evict_what_is_in_use(cluster, ctl, root):
    """Refused by the agent, with the reason; then held, until somebody forces it."""
    name = fill(root, {"a": 3})["a"]
    cluster.agent(root, watch="off").wait_ready()
    ctl.coordinator = cluster.coordinator()
    ctl.coordinator.wait_models(1)
    with open(weights(root, "a"), "rb"):
        for how in ([], ["--force"]):
            result = ctl("evict", name, *how, "--wait")
            (row,) = result.rows
            assert (result.code, row["OUTCOME"], row["FREED"]) == (1, "refused", "0 B")
            assert row["WHY"].startswith("busy")
        wait_until(lambda: cluster.db.zcard("larder:{n1}:hold"), what="the hold is told")
    result = ctl("evict", name, "--wait")
    assert (result.code, result.rows[0]["OUTCOME"]) == (1, "held")
    assert result.rows[0]["WHY"] == "somebody uses it; --force evicts it nevertheless"
    assert ctl("evict", name, "--force", "--wait").code == 0
    assert on_disk(root, {"a": name}) == set()


def test_evict_does_not_wait_for_ever(cluster, ctl, root):
    name = fill(root, {"a": 3})["a"]
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-check").shut()
    agent.start(**gate.env).wait_ready()
    ctl.coordinator = cluster.coordinator()
    ctl.coordinator.wait_models(1)
    result = ctl("evict", name, "--wait", "--timeout", "3s")
    (row,) = result.rows
    assert (result.code, row["OUTCOME"]) == (1, "open")
    assert row["WHY"] == "no answer yet; larderctl history will show it"
    gate.open()
    cluster.wait_receipt(name, "deleted")
    assert ctl.good("history").rows[0]["OUTCOME"] == "deleted"


def test_evict_asks_the_leader_that_it_is_told_of(cluster, ctl, root):
    name = fill(root, {"a": 3})["a"]
    _, leader = cluster.pair(root)
    leader.wait_models(1)
    ctl.coordinator = cluster.coordinator("c2", start=False).start()
    here = f"127.0.0.1:{leader.port}"
    known = ctl.coordinator
    wait_until(lambda: known.status()["leader"]["address"] == here, what="c2 knows the leader")
    assert ctl("evict", name, "--wait").code == 0
    assert on_disk(root, {"a": name}) == set()


# ---- touches ----


def test_touch(cluster, ctl, root):
    name = fill(root, {"a": 3})["a"]
    ctl.agent = cluster.agent(root).wait_ready()
    for what in (name, Cache(root).snapshot("acme/a", A)):
        before = cluster.lru()[name]
        result = ctl.touch(what)
        assert (result.code, result.out) == (0, f"touched {name}\n"), result
        wait_until(lambda at=before: cluster.lru()[name] > at, what="Redis is told")
    assert ctl.touch(name, "-o", "json").json == {"model": name}
    result = ctl.touch("hf:acme/z@aaaaaaaaaaaa")
    assert (result.code, result.out) == (1, "") and "hf:acme/z@aaaaaaaaaaaa" in result.err
    assert ctl.touch("/").code == 1
    result = ctl("touch", "--agent", f"http://127.0.0.1:{free_port()}", name)
    assert result.code == UNAVAILABLE


def test_touch_that_comes_too_late(cluster, ctl, root):
    name = fill(root, {"a": 3})["a"]
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-commit").shut()
    ctl.agent = agent.start(**gate.env).wait_ready()
    ctl.coordinator = cluster.coordinator()
    ctl.coordinator.wait_models(1)
    cluster.order(name)
    gate.reached()
    result = ctl.touch(name)
    assert result.code == 1 and "it is being deleted" in result.err
    gate.open()


# ---- configuration files ----

GOOD_AGENT = '{"roots": [{"path": "/nvme0/hub", "layout": "huggingface"}]}'
GOOD_COORDINATOR = (
    '{"enabled": true, "policy": {"type": "lru", "unused_threshold": "7d"},'
    ' "check_interval": "1h"}'
)
CHECKS = [
    ([], GOOD_COORDINATOR, "larder-coordinator", None),
    ([], GOOD_AGENT, "larder-agent", None),
    ([], "{}", "larder-coordinator", None),
    ([], '{"enabled": true}', "larder-coordinator", "policy is missing"),
    ([], '{"roots": []}', "larder-agent", "an empty or too long list"),
    ([], '{"state_dir": "here"}', "larder-agent", "allowed is an absolute path"),
    ([], '{"max_model": 5}', "larder-coordinator", "unknown key max_model; allowed are"),
    ([], "{", "larder-coordinator", "line 1"),
    (["--coordinator"], GOOD_AGENT, "larder-coordinator", "unknown key roots"),
    (["--agent"], GOOD_COORDINATOR, "larder-agent", "unknown key enabled"),
    (["--agent"], "{}", "larder-agent", "roots: no cache directory is configured"),
]


@pytest.mark.parametrize("argv,text,program,error", CHECKS)
def test_check(directory, argv, text, program, error):
    ctl = Ctl(directory)
    path = directory / "config.json"
    path.write_text(text)
    result = ctl("check", *argv, path)
    as_json = ctl("-o", "json", "check", *argv, path)
    assert result.code == as_json.code == (0 if error is None else CONFIG)
    said = {"file": str(path), "program": program, "good": error is None}
    if error is None:
        assert (result.out, result.err) == (f"{path}: good\n", "")
        assert as_json.json == said
        return
    assert result.out == "" and result.err.startswith(f"larderctl: {path}: ")
    assert error in result.err
    assert as_json.json == said | {"error": as_json.json["error"]}
    assert error in as_json.json["error"]


def test_check_of_what_is_no_file(directory):
    for path in (directory / "missing.json", directory):
        result = Ctl(directory)("check", path)
        assert result.code == CONFIG and str(path) in result.err
