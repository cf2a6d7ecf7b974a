"""Configuration files, variables and flags of both daemons: what is taken, and what is refused."""

import json

import pytest

from larder.models import fill
from larder.programs import BAD_CONFIG, GOOD, USAGE, Program

# As the cache service whose rules Larder keeps documents it, letter by letter.
FRAGMENT = """{ "enabled": true,
  "policy": { "type": "lru", "unused_threshold": "7d", "max_models": 40,
              "min_free_space_bytes": 500000000000 },
  "check_interval": "1h" }
"""
# And as it writes it itself.
WRITTEN = """{"enabled":false,"policy":{"unused_threshold":604800,"max_models":null,
"min_free_space_bytes":null,"type":"lru"},"check_interval":3600}"""
AGENT = {"roots": [{"path": "/nvme0/hub", "layout": "huggingface"}]}


@pytest.fixture
def coordinator(directory):
    return Program("larder-coordinator", directory)


@pytest.fixture
def agent(directory):
    return Program("larder-agent", directory).write(AGENT)


def rules(policy=None, **changes):
    """A file with eviction rules."""
    whole = {"type": "lru", "unused_threshold": "7d", **(policy or {})}
    return {"enabled": True, "policy": whole, "check_interval": "1h", **changes}


# ---- the format of the cache service whose rules Larder keeps ----


def test_fragment_unchanged(coordinator):
    settings = coordinator.write(FRAGMENT).settings()
    assert settings["enabled"] is True and settings["check_interval"] == "1h"
    policy = {k: v for k, v in settings["policy"].items() if v is not None}
    assert policy == {
        "type": "lru",
        "unused_threshold": "7d",
        "max_models": 40,
        "min_free_space_bytes": 500000000000,
        "min_copies": 0,
    }


def test_fragment_as_the_service_writes_it(coordinator):
    settings = coordinator.write(WRITTEN).settings()
    assert settings["enabled"] is False and settings["check_interval"] == "1h"
    assert settings["policy"]["unused_threshold"] == "7d"
    assert settings["policy"]["max_models"] is settings["policy"]["min_free_space_bytes"] is None


def test_fragment_is_in_force(cluster, root, directory):
    """A coordinator with this file, and all else from variables, evicts by it."""
    names = fill(root, {"a": 8, "b": 6})
    agent = cluster.agent(root).wait_ready()
    path = directory / "fragment.json"
    path.write_text(FRAGMENT.replace("500000000000", "0"))
    coordinator = cluster.coordinator(start=False)
    coordinator.process.argv[2] = str(path)
    env = {"REDIS_URL": cluster.redis.unix_url, "HTTP_LISTEN": "127.0.0.1:0", "HOLD_OFF": "0s"}
    coordinator.start(**{f"LARDER_{key}": value for key, value in env.items()}).wait_leads()
    cluster.wait_receipt(names["a"], "deleted")
    assert set(agent.models()) == {names["b"]}


def test_defaults(coordinator):
    for text in (None, "{}", '{"log": {"level": "warn"}}'):
        if text is not None:
            coordinator.write(text)
        settings = coordinator.settings()
        assert settings["enabled"] is True and settings["check_interval"] == "1h"
        policy = settings["policy"]
        assert (policy["type"], policy["unused_threshold"]) == ("lru", "7d")
        assert policy["max_models"] is policy["min_free_space_bytes"] is None
        assert settings["dry_run"] is False and settings["overrides"] is None


# ---- durations ----

ACCEPTED = {
    "45s": 45,
    "2h30m": 9000,
    "7d": 604800,
    "2w3d": 1468800,
    "1h, 30m": 5400,
    "2h\t30m": 9000,
    "1,5h": 5400,
    "1h30.5m": 5430,
    "+2h": 7200,
    "-0s": 0,
    "2 hours, 30 minutes": 9000,
    "1wk2days3hr4min5sec": 788645,
    "100:00:00": 360000,
    "2d, 01:00:00": 176400,
    "pt2h": 7200,
    "P1DT2H": 93600,
    "PT1.5H": 5400,
    "2h ": 7200,
}
REJECTED = ["", "3600", "0", "2H", " 2h", "-2h", "2h ago", "-PT2H", "1h,30m", "2h,", "30m1h"]
REJECTED += ["1h2h", "1.5d", "1y", "1mo", "P1Y", "P1M", "PT", "1e3s", "1_000s", "1h30", "never"]
REJECTED += [-1, 1.5, 604800.5, True, None, [], {}, 9223372036854775807, 1e300]


@pytest.mark.parametrize("text,seconds", ACCEPTED.items(), ids=ACCEPTED)
def test_accepted_durations(coordinator, text, seconds):
    found = coordinator.write(rules({"unused_threshold": text})).settings()
    same = coordinator.write(rules({"unused_threshold": seconds})).settings()
    assert found["policy"]["unused_threshold"] == same["policy"]["unused_threshold"]


@pytest.mark.parametrize("value", REJECTED, ids=[json.dumps(v) for v in REJECTED])
def test_rejected_durations(coordinator, value):
    said = coordinator.write(rules({"unused_threshold": value})).refused()
    assert f"{coordinator.path}: policy.unused_threshold: " in said


@pytest.mark.parametrize("value", [0, "0s", "500ms", "999ms", -3600, "366d"])
def test_check_interval_has_limits(coordinator, value):
    said = coordinator.write(rules(check_interval=value)).refused()
    assert f"{coordinator.path}: check_interval: found " in said
    assert "allowed is a duration from 1s to 365d" in said


# ---- files that are refused ----

NO_JSON = {
    "empty": (b"", "line 1"),
    "cut off": (b'{"enabled": true, "policy"', "line 1"),
    "trailing comma": (b'{\n"log": {},\n}', "line 3"),
    "comment": (b'{ "log": {} // none\n}', "line 1"),
    "single quotes": (b"{'log': {}}", "line 1"),
    "twice": (b'{"dry_run": true, "dry_run": false}', "dry_run"),
    "two documents": (b"{}\n{}", "line 2"),
    "not a number": (b'{"max_evictions_per_cycle": NaN}', "line 1"),
    "leading zero": (b'{"max_evictions_per_cycle": 010}', "line 1"),
    "a list": (b"[]", "allowed is an object"),
    "a text": (b'"lru"', "allowed is an object"),
    "deep": (b'{"redis": ' + b"[" * 5000 + b"]" * 5000 + b"}", "line 1"),
    "bytes": (b'{"redis": {"user": "\xff"}}', "line 1"),
    "zero byte": (b'{"dry_run": true}\x00', "line 1"),
    "yaml": (b"enabled: true\npolicy:\n  type: lru\n", "line 1"),
    "huge": (b" " * (1 << 20) + b" {}", "too large"),
}


@pytest.mark.parametrize("text,named", NO_JSON.values(), ids=NO_JSON)
def test_file_that_does_not_parse(coordinator, text, named):
    said = coordinator.write(text).refused()
    assert str(coordinator.path) in said and named in said


def test_not_utf8_is_refused(coordinator):
    """A setting that a configuration file could not hold: --print-config would not load again."""
    code, _, err = coordinator.run(env={"LARDER_REDIS_URL": "redis://ab\udca1c"})
    assert code == BAD_CONFIG
    assert "LARDER_REDIS_URL: redis.url: it is not UTF-8" in err


def test_file_that_is_none(coordinator, directory):
    for path in (directory / "missing.json", directory, "/dev/null/x"):
        code, out, err = coordinator.run("--config", path)
        assert (code, out) == (BAD_CONFIG, "") and str(path) in err
    code, _, err = coordinator.run(env={"LARDER_COORDINATOR_CONFIG": str(directory / "gone.json")})
    assert code == BAD_CONFIG and "gone.json" in err


INT = "allowed is an integer from"
OVERRIDE = {"nodes": "gpu-*", "policy": {"max_models": 1}}
REFUSED = [
    # unknown keys, at every depth
    ({"max_model": 5}, "unknown key max_model; allowed are enabled, policy, check_interval"),
    (rules({"max_model": 5}), "unknown key policy.max_model; allowed are type, unused_threshold"),
    ({"redis": {"host": "x"}}, "unknown key redis.host; allowed are url, user"),
    ({"http": {"port": 1}}, "unknown key http.port; allowed are listen, token_file"),
    ({"log": {"file": "x"}}, "unknown key log.file; allowed are level, format"),
    ({"Enabled": True}, "unknown key Enabled"),
    ({"roots": []}, "unknown key roots"),
    # what must be there
    ({"enabled": True}, "policy is missing; enabled, policy and check_interval go together"),
    ({"policy": {}}, "enabled is missing"),
    ({"enabled": True, "policy": {"type": "lru"}, "check_interval": 1}, "unused_threshold is miss"),
    (
        {"enabled": True, "policy": {"unused_threshold": 1}, "check_interval": 1},
        "policy.type is missing",
    ),
    # types
    (rules(enabled=1), "enabled: found 1 (an integer); allowed is true or false"),
    (rules(enabled="yes"), 'enabled: found "yes" (a string); allowed is true or false'),
    (rules(enabled=None), "enabled: found null"),
    (rules(policy=None) | {"policy": "lru"}, 'policy: found "lru" (a string); allowed is an obj'),
    ({"redis": []}, "redis: found [] (a list); allowed is an object"),
    ({"http": {"listen": 9480}}, "http.listen: found 9480 (an integer); allowed is ADDRESS:PORT"),
    # values
    (rules({"type": "LRU"}), 'policy.type: found "LRU" (a string); allowed is "lru"'),
    (rules({"type": "fifo"}), 'policy.type: found "fifo" (a string); allowed is "lru"'),
    (rules({"max_models": 0}), f"policy.max_models: found 0 (an integer); {INT} 1 to 4294967295"),
    (rules({"max_models": -1}), f"policy.max_models: found -1 (an integer); {INT} 1"),
    (rules({"max_models": 4294967296}), f"policy.max_models: found 4294967296 (an integer); {INT}"),
    (rules({"max_models": "10"}), f'policy.max_models: found "10" (a string); {INT}'),
    (rules({"max_models": 1.5}), f"policy.max_models: found 1.5 (a number); {INT}"),
    (
        rules({"min_free_space_bytes": -1}),
        f"policy.min_free_space_bytes: found -1 (an integer); {INT}",
    ),
    (
        rules({"min_free_space_bytes": 2**60 + 1}),
        f"policy.min_free_space_bytes: found {2**60 + 1} (an integer); {INT} 0 to {2**60}",
    ),
    (rules({"min_free_space_bytes": 1e30}), "policy.min_free_space_bytes: found 1e+30"),
    (
        rules({"start_evicting_at_percent": 0}),
        f"start_evicting_at_percent: found 0 (an integer); {INT}",
    ),
    (rules({"start_evicting_at_percent": 100}), "start_evicting_at_percent: found 100"),
    (rules({"start_evicting_at_percent": 80}), "is set without policy.stop_evicting_at_percent"),
    (rules({"stop_evicting_at_percent": 80}), "is set without policy.start_evicting_at_percent"),
    (
        rules({"start_evicting_at_percent": 80, "stop_evicting_at_percent": 80}),
        "policy.stop_evicting_at_percent is 80; allowed is less than",
    ),
    (rules({"min_copies": -1}), "policy.min_copies: found -1"),
    ({"max_bytes_per_cycle": 0}, "max_bytes_per_cycle: found 0"),
    ({"hold_off": "2d"}, 'hold_off: found "2d" (a string); allowed is a duration from 0s to 1d'),
    ({"lease": "500ms"}, 'lease: found "500ms" (a string); allowed is a duration from 1s to 1m'),
    ({"node_timeout": "100ms"}, "node_timeout: found"),
    ({"command_ttl": "25h"}, "command_ttl: found"),
    ({"advertise": "nowhere"}, 'advertise: found "nowhere"; allowed is HOST:PORT'),
    ({"http": {"listen": "nowhere"}}, 'http.listen: found "nowhere"; allowed is ADDRESS:PORT'),
    ({"http": {"listen": "[::1]"}}, 'http.listen: found "[::1]"; allowed is ADDRESS:PORT'),
    ({"http": {"listen": "127.0.0.1:70000"}}, "http.listen: found"),
    ({"log": {"level": "loud"}}, 'log.level: found "loud" (a string); allowed is "error", "warn"'),
    ({"redis": {"url": "http://x"}}, 'redis.url: found "http://x"; allowed is redis://'),
    ({"redis": {"url": "redis://x:0"}}, "redis.url: "),
    ({"redis": {"prefix": "a b"}}, "redis.prefix: "),
    ({"redis": {"cert_file": "/c"}}, "redis.cert_file and redis.key_file go together"),
    # overrides
    ({"overrides": {}}, "overrides: found an object; allowed is a list"),
    ({"overrides": [OVERRIDE | {"nodes": "[a]"}]}, 'overrides[0].nodes: "[a]" is not a glob'),
    ({"overrides": [OVERRIDE, {"nodes": "a"}]}, "overrides[1]: allowed is"),
    (
        {"overrides": [OVERRIDE | {"policy": {"max_modles": 1}}]},
        "unknown key overrides[0].policy.max_modles",
    ),
    (
        {"overrides": [OVERRIDE | {"policy": {"max_models": 0}}]},
        "overrides[0].policy.max_models: found 0",
    ),
    (
        {"overrides": [OVERRIDE | {"policy": {"start_evicting_at_percent": 9}}]},
        "overrides[0]: policy.start_evicting_at_percent is set without",
    ),
]


@pytest.mark.parametrize("config,text", REFUSED, ids=[text[:50] for _, text in REFUSED])
def test_refused_by_the_coordinator(coordinator, config, text):
    """The sentence names the file, the key, what was found and what is allowed."""
    said = coordinator.write(config).refused()
    assert f"larder-coordinator: {coordinator.path}: " in said and text in said


def root(**changes):
    return {"path": "/nvme0/hub", "layout": "huggingface"} | changes


REFUSED_ROOTS = [
    ([], "an empty or too long list; allowed is a list of 1 to 64 roots"),
    ({}, "roots: found an object"),
    (["/nvme0"], "roots[0]"),
    ([{"path": "/a"}], "roots[0].layout is missing"),
    ([{"layout": "huggingface"}], "roots[0].path is missing"),
    ([root(path="hub")], 'roots[0].path: found "hub"; allowed is an absolute path'),
    ([root(path=None)], "roots[0].path and layout must not be null"),
    ([root(layout="ollama")], 'roots[0].layout: found "ollama"; allowed is "huggingface" or'),
    ([root(name="A")], 'roots[0].name: found "A"; allowed is 1 to 16 of a-z, 0-9 and'),
    ([root(glob="*")], 'roots[0].glob: only layout "directory" has one'),
    ([root(layout="directory", glob="../*")], 'roots[0].glob: found "../*"'),
    ([root(layout="directory", glob="/*")], 'roots[0].glob: found "/*"'),
    ([root(report_onyl=True)], "unknown key roots[0].report_onyl; allowed are name, path"),
    ([root(settle_time="-1s")], "roots[0].settle_time: "),
    ([root(settle_time="2d")], "roots[0].settle_time: found"),
    ([root(), root(path="/b")], 'two roots are named "default"'),
    ([root(), root(name="b")], 'roots "default" and "b" overlap'),
    ([root(), root(name="b", path="/nvme0")], 'roots "default" and "b" overlap'),
    ([root(), root(name="b", path="/nvme0/hub/x/")], 'roots "default" and "b" overlap'),
]


@pytest.mark.parametrize("roots,text", REFUSED_ROOTS, ids=[text[:40] for _, text in REFUSED_ROOTS])
def test_refused_roots(agent, roots, text):
    said = agent.write({"roots": roots}).refused()
    assert f"larder-agent: {agent.path}: " in said and text in said


@pytest.mark.parametrize(
    "config,text",
    [
        ({}, "roots: no cache directory is configured"),
        (AGENT | {"node_name": "a b"}, 'node_name: found "a b"; allowed is 1 to 128 of A-Z'),
        (AGENT | {"node_name": ""}, 'node_name: found ""'),
        (AGENT | {"state_dir": "state"}, 'state_dir: found "state"; allowed is an absolute path'),
        (AGENT | {"beat_interval": "50ms"}, 'beat_interval: found "50ms" (a string); allowed is'),
        (AGENT | {"scan_interval": 0}, "scan_interval: found 0"),
        (AGENT | rules(), "unknown key enabled; allowed are node_name, state_dir, roots"),
    ],
)
def test_refused_by_the_agent(agent, config, text):
    said = agent.write(config).refused()
    assert f"larder-agent: {agent.path}: " in said and text in said


def test_path_that_only_begins_alike_does_not_overlap(agent):
    agent.write({"roots": [root(), root(name="b", path="/nvme0/hub2")]})
    assert len(agent.settings()["roots"]) == 2


# ---- variables and flags ----


def test_flags_win_over_variables_and_these_over_the_file(coordinator):
    coordinator.write(rules({"max_models": 10}))
    assert coordinator.settings()["policy"]["max_models"] == 10
    env = {"LARDER_POLICY_MAX_MODELS": "20"}
    assert coordinator.settings(env=env)["policy"]["max_models"] == 20
    for flag in (["--policy-max-models=30"], ["--policy-max-models", "30"]):
        assert coordinator.settings(*flag, env=env)["policy"]["max_models"] == 30
    env["LARDER_POLICY_MAX_MODELS"] = "null"
    assert coordinator.settings(env=env)["policy"]["max_models"] is None
    last = ["--policy-max-models=1", "--policy-max-models=2"]
    assert coordinator.settings(*last)["policy"]["max_models"] == 2


def test_every_kind_of_setting_by_variable_and_flag(coordinator, agent):
    env = {
        "LARDER_ENABLED": "false",
        "LARDER_CHECK_INTERVAL": "90m",
        "LARDER_HOLD_OFF": "45",
        "LARDER_LOG_FORMAT": "json",
        "LARDER_OVERRIDES": '[{"nodes": "gpu-*", "policy": {"max_models": 3}}]',
    }
    settings = coordinator.settings("--redis-prefix=test:", env=env)
    assert settings["enabled"] is False and settings["log"]["format"] == "json"
    assert (settings["check_interval"], settings["hold_off"]) == ("1h30m", "45s")
    assert settings["overrides"] == json.loads(env["LARDER_OVERRIDES"])
    assert settings["redis"]["prefix"] == "test:"
    roots = [{"path": "/x", "layout": "directory", "name": "x"}]
    settings = agent.settings("--roots", json.dumps(roots), env={"LARDER_NODE_NAME": "gpu-7"})
    assert settings["roots"] == roots and settings["node_name"] == "gpu-7"


def test_file_of_a_variable_and_of_a_flag(coordinator, directory):
    coordinator.write({"hold_off": "1s"})
    other = directory / "other.json"
    other.write_text('{"hold_off": "2s"}')
    env = {"LARDER_COORDINATOR_CONFIG": str(other)}
    code, out, _ = coordinator.run("--print-config", env=env, with_file=False)
    assert code == GOOD and json.loads(out)["hold_off"] == "2s"
    assert coordinator.settings(env=env)["hold_off"] == "1s", "the flag wins"
    for spelling in (["-c", other], ["--config", other], [f"--config={other}"]):
        code, out, _ = coordinator.run(*spelling, "--print-config", with_file=False)
        assert code == GOOD and json.loads(out)["hold_off"] == "2s"


def test_bad_variable_is_named(coordinator):
    said = coordinator.refused(env={"LARDER_POLICY_MAX_MODELS": "many"})
    assert "environment variable LARDER_POLICY_MAX_MODELS: policy.max_models: found" in said
    said = coordinator.refused(env={"LARDER_CHECK_INTERVAL": "500ms"})
    assert "LARDER_CHECK_INTERVAL" in said and '"500ms"' in said


@pytest.mark.parametrize(
    "argv,text",
    [
        (["--policy-max-models", "0"], "--policy-max-models: policy.max_models: found 0"),
        (["--policy-max-models"], "--policy-max-models needs a value"),
        (["--max-models", "1"], "unknown argument --max-models; see larder-coordinator --help"),
        (["now"], "unknown argument now"),
        (["--config"], "--config needs a file"),
        (["-x"], "unknown argument -x"),
    ],
)
def test_bad_flags(coordinator, argv, text):
    code, out, err = coordinator.run(*argv)
    assert (code, out) == (USAGE, "") and text in err


def test_check_of_both_together(coordinator):
    """A file that is good alone, and a flag that does not fit it."""
    coordinator.write(rules({"start_evicting_at_percent": 80, "stop_evicting_at_percent": 70}))
    code, out, _ = coordinator.run("--check")
    assert (code, out) == (GOOD, f"{coordinator.path}: good\n")
    code, _, err = coordinator.run("--check", "--policy-stop-evicting-at-percent=90")
    assert code == BAD_CONFIG and "policy.stop_evicting_at_percent is 90" in err


# ---- what is printed ----

WHOLE = rules(
    {
        "unused_threshold": "36h 30m",
        "max_models": 4294967295,
        "min_free_space_bytes": 2**60,
        "start_evicting_at_percent": 85,
        "stop_evicting_at_percent": 70,
        "min_age": "90s",
        "min_copies": 2,
        "max_evictions_per_node": 5,
        "max_bytes_per_node": 2**53 + 1,
    },
    check_interval="90m",
    overrides=[{"nodes": "gpu-a*", "policy": {"max_models": None, "min_age": "1d"}}],
    dry_run=True,
    hold_off="1m",
    max_evictions_per_cycle=7,
    max_bytes_per_cycle=2**62,
    advertise="larder.example:9480",
    redis={"url": "rediss://larder@redis.example:6380/3", "ca_file": "/etc/ca", "prefix": "l:"},
    http={"listen": "[::1]:9480", "token_file": "/etc/larder/token"},
    log={"level": "debug", "format": "json"},
)


@pytest.mark.parametrize(
    "program,config",
    [("larder-coordinator", WHOLE), ("larder-coordinator", {}), ("larder-agent", AGENT)],
)
def test_what_is_printed_is_a_configuration(directory, program, config):
    """Read again it comes to the same, to the last digit."""
    program = Program(program, directory).write(config)
    first = program.run("--print-config")
    assert first[0] == GOOD
    program.write(first[1])
    assert program.run("--check") == (GOOD, f"{program.path}: good\n", "")
    assert program.run("--print-config") == first
    assert f"{2**53 + 1}" in first[1] or config is not WHOLE


@pytest.mark.parametrize("program", ["larder-coordinator", "larder-agent"])
def test_help_and_version(directory, program):
    program = Program(program, directory)
    code, text, err = program.run("--help")
    assert (code, err) == (GOOD, "") and text.startswith(f"{program.name}: ")
    argv = ["--roots", json.dumps(AGENT["roots"])] if program.name == "larder-agent" else []
    for flag in flags_of(program.settings(*argv)):
        assert f"\n  --{flag}=VALUE\n" in text
    assert "LARDER_REDIS_PASSWORD (environment only)" in text
    code, text, _ = program.run("--version")
    assert code == GOOD and text.startswith(f"{program.name} ")


def flags_of(settings, prefix=""):
    for key, value in settings.items():
        name = prefix + key.replace("_", "-")
        if isinstance(value, dict):
            yield from flags_of(value, f"{name}-")
        else:
            yield name
