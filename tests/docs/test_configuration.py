"""Configurations on pages are accepted, and what docs/configuration.md says of them is so."""

import json
import os
import re
import subprocess

import pytest

from markdown import CHECKOUT, DOCS, blocks, code, pages, prose, table

PAGE = DOCS / "configuration.md"
EX_CONFIG = 78


def fragments():
    """All JSON that pages show, but for the API's bodies and answers."""
    return [b for p in pages() if p.name != "api.md" for b in blocks(p, "json")]


def agent_keys():
    """The first parts of the agent's settings that the coordinator has not."""
    keys = {}
    for program in ("agent", "coordinator"):
        rows = table(DOCS / f"settings-{program}.md", "key")
        keys[program] = {code(row[0])[0].partition(".")[0] for row in rows}
    return keys["agent"] - keys["coordinator"]


def program_of(settings):
    return "larder-agent" if agent_keys() & set(settings) else "larder-coordinator"


def run(*command, **env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LARDER_")}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**clean, **env}
    )


@pytest.fixture
def coordinator(build, directory):
    """Checks a configuration of the coordinator; returns what it prints, or its complaint."""

    def check(settings, *flags, **env):
        path = directory / "c.json"
        path.write_text(settings if isinstance(settings, str) else json.dumps(settings))
        done = run(build / "larder-coordinator", "--config", path, "--print-config", *flags, **env)
        return (done.returncode, json.loads(done.stdout) if done.stdout else done.stderr)

    return check


(ROOTS,) = [json.loads(b.text) for b in blocks(PAGE, "json") if b.heading == "Cache directories"]


def test_there_are_fragments():
    assert {program_of(json.loads(b.text)) for b in fragments()} == {
        "larder-agent",
        "larder-coordinator",
    }
    assert len(fragments()) >= 5


@pytest.mark.parametrize("block", fragments(), ids=repr)
def test_fragment_is_accepted(block, build, directory):
    """An agent's has the cache directories of the page with it, unless it has its own."""
    path = directory / "config.json"
    path.write_text(block.text)
    program = program_of(json.loads(block.text))
    if program == "larder-agent":
        path.write_text(json.dumps(ROOTS | json.loads(block.text)))
    by_program = run(build / program, "--config", path, "--check")
    assert by_program.returncode == 0, by_program.stderr
    done = run(build / "larderctl", "-o", "json", "check", path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["program"] == program


def test_setting_is_key_variable_and_flag(coordinator):
    """policy.max_models, LARDER_POLICY_MAX_MODELS, --policy-max-models; and which of them wins."""
    names = code("\n".join(prose(PAGE)).partition("Flags win")[0].rpartition("a flag:")[2])
    key, variable, flag = names
    assert key == "policy.max_models"
    base = {"enabled": True, "check_interval": "1h"}
    base["policy"] = {"type": "lru", "unused_threshold": "7d", "max_models": 1}

    def value(*arguments, **env):
        return coordinator(base, *arguments, **env)[1]["policy"]["max_models"]

    assert value() == 1
    assert value(**{variable: "2"}) == 2
    assert value(f"{flag}=3", **{variable: "2"}) == 3


@pytest.mark.parametrize(
    "bad", [{"chek_interval": "1h"}, {"hold_off": True}, {"node_timeout": "1ms"}]
)
def test_bad_file_stops_the_start(coordinator, directory, bad):
    """Exit status 78, and a sentence with file, key and what is allowed."""
    status, complaint = coordinator(bad)
    assert status == EX_CONFIG
    assert str(directory / "c.json") in complaint and next(iter(bad)) in complaint
    assert "allowed" in complaint or "unknown" in complaint


def test_defaults_of_a_file_without_rules(coordinator):
    """Enabled, lru, 7 days, no count limit, no floor, every hour."""
    status, settings = coordinator({})
    assert status == 0
    policy = settings["policy"]
    assert (settings["enabled"], policy["type"], policy["unused_threshold"]) == (True, "lru", "7d")
    assert (policy["max_models"], policy["min_free_space_bytes"]) == (None, None)
    assert settings["check_interval"] == "1h"


RULES = json.loads(blocks(PAGE, "json")[0].text)


@pytest.mark.parametrize("key", ["enabled", "policy", "check_interval"])
def test_rules_come_together(coordinator, key):
    assert coordinator({k: v for k, v in RULES.items() if k != key})[0] == EX_CONFIG


@pytest.mark.parametrize("key", ["type", "unused_threshold"])
def test_policy_needs_type_and_threshold(coordinator, key):
    policy = {k: v for k, v in RULES["policy"].items() if k != key}
    assert coordinator({**RULES, "policy": policy})[0] == EX_CONFIG


REFUSED = {
    "negative durations": {"policy": {"unused_threshold": "-1h"}},
    "intervals under a second": {"check_interval": "999ms"},
    "sizes beyond an exbibyte": {"policy": {"min_free_space_bytes": (1 << 60) + 1}},
    "`max_models` 0": {"policy": {"max_models": 0}},
    "unknown": {"polcy": {}},
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_as_the_page_says(coordinator, what):
    assert what in " ".join(prose(PAGE))
    change = REFUSED[what]
    settings = {**RULES, **change}
    if "policy" in change:
        settings["policy"] = {**RULES["policy"], **change["policy"]}
    assert coordinator(settings)[0] == EX_CONFIG


@pytest.mark.parametrize("text", ['{"enabled": true, "enabled": true}', "{", "[]", ""])
def test_what_does_not_parse_is_refused(coordinator, text):
    assert coordinator(text)[0] == EX_CONFIG


def durations():
    section = "\n".join(prose(PAGE)).partition("## Durations\n")[2].partition("\n##")[0]
    taken, _, rest = section.partition("Units go")
    return [d for d in code(taken) if d], [u for u in code(rest) if re.fullmatch("[a-z]+", u)]


def test_durations_of_the_page_are_accepted(coordinator):
    examples, units = durations()
    assert len(examples) > 6 and units == ["w", "d", "h", "m", "s", "ms", "us", "ns"]
    for text in examples + ["2000ms", "2000000us", "2000000000ns", "1w", "5m", "3600"]:
        value = int(text) if text.isdigit() else text
        rules = {**RULES, "check_interval": value}
        assert coordinator(rules)[0] == 0, text
    for text in ("1y", "2 months", "-1h", "3600", "1m1h", "1h1h", "1H"):
        assert coordinator({**RULES, "check_interval": text})[0] == EX_CONFIG, text


def rows_of(source, name):
    return (CHECKOUT / source).read_text().partition(name)[2].partition("SETTING_END")[0]


def test_root_keys_and_defaults_are_those_of_the_source():
    rows = rows_of("agent/options.c", "root_settings[] = {")
    found = {}
    for name, rest in re.findall(r"\{ROW(?:_MS)?\((\w+)\)(.*?)\},\n", rows, re.S):
        default = re.search(r'\.def = "?(\w+)"?', rest)
        found[name] = "required" if "REQUIRED" in rest else default.group(1) if default else "*"
    shown = {code(row[0])[0]: row[1].strip("`") for row in table(PAGE, "key", "Cache directories")}
    found["name"] = shown["name"] if found["name"] == "MODEL_ROOT_DEFAULT" else found["name"]
    assert shown == found


def test_engine_keys_are_those_of_the_source():
    rows = rows_of("agent/engine_options.c", "rows[] = {")
    found = {name: "REQUIRED" in rest for name, rest in re.findall(r"\{ROW\((\w+)\)(.*)", rows)}
    shown = {code(row[0])[0]: row[1] == "required" for row in table(PAGE, "key", "Engines")}
    assert shown == found and any(found.values())


def test_settings_that_the_page_names_exist():
    named = set(code("\n".join(prose(PAGE))))
    reference = "".join((DOCS / f"settings-{p}.md").read_text() for p in ("agent", "coordinator"))
    keys = {n for n in named if re.fullmatch(r"(policy|redis|http|log)\.\w+", n)}
    keys |= {n for n in named if re.fullmatch(r"LARDER_\w+", n)}
    keys |= {n for n in named if re.match(r"(max|min)_|(start|stop)_evicting", n)}
    assert len(keys) > 15
    missing = [k for k in keys if f"`{k}`" not in reference and f"`policy.{k}`" not in reference]
    assert missing == []
