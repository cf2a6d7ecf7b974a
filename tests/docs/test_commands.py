"""Every command of a sh block in README and the pages is run here, or says here where it is."""

import json
import os
import pathlib
import subprocess

import pytest

from larder.daemons import binary
from markdown import CHECKOUT, blocks, pages, short, words

# What runs elsewhere, or cannot run within itself.
ELSEWHERE = {
    "./scripts/demo": "test_demo.py",
    "./scripts/demo --root ~/.cache/huggingface/hub": "test_demo.py",
    "./scripts/test": "this suite",
    "./scripts/test unit": "this suite",
    "LARDER_LONG=1 ./scripts/test integration -- -k storm": "this suite, in its short form",
    "./scripts/bench": "test_the_benchmarks_are_listed",
    "cmake -S . -B build -G Ninja && ninja -C build && sudo cmake --install build": (
        "test_programs_are_installed"
    ),
}
# A command that may end with another status than 0 here, where its model or pin does not exist.
MAY_FAIL = {
    "larderctl touch hf:gpt2@607a30d783df": 1,
    "larderctl touch /models/llama/model.safetensors": 1,
    "larderctl inuse hf:gpt2@607a30d783df": 1,
    # The cluster's floor cannot be reached, and the Redis of that configuration is not here.
    "larderctl doctor": 1,
    "larderctl doctor --config /etc/larder/coordinator.json": 1,
}
# These ask the agent of this host.
OF_THE_AGENT = tuple(f"larderctl {name}" for name in ("touch", "hold", "release", "inuse"))


def commands():
    """(page, command) in the order of the pages; a command that is shown twice is run twice."""
    return [(p, c) for p in pages() for b in blocks(p, "sh", "bash") for c in words(b)]


def examples():
    """The commands below "Example:" of larderctl's own help."""
    page = (CHECKOUT / "docs/larderctl.md").read_text()
    return [line.strip() for line in page.splitlines() if line.startswith("  larderctl ")]


@pytest.fixture(scope="module")
def reader(docs_cluster):
    """Runs a command as a reader would who has the configurations of README in /etc/larder."""
    etc = docs_cluster.directory / "etc"
    etc.mkdir(exist_ok=True)
    for block in blocks(CHECKOUT / "README.md", "json"):
        name = "agent" if "roots" in json.loads(block.text) else "coordinator"
        (etc / f"{name}.json").write_text(block.text)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("LARDER_")}
    env = {**clean, **docs_cluster.env(), "HOME": str(docs_cluster.directory)}

    def run(command):
        # The help's example has its own agent; ours listens elsewhere.
        here = command.replace("/etc/larder/", f"{etc}/").replace(
            " FILE", f" {etc}/coordinator.json"
        )
        if here.startswith(OF_THE_AGENT):
            here += f" --agent http://127.0.0.1:{docs_cluster.agent.port}"
        return subprocess.run(
            ["bash", "-c", here],
            env=env,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


@pytest.mark.parametrize(
    ("page", "command"),
    [(p, c) for p, c in commands() if c not in ELSEWHERE],
    ids=lambda v: short(v) if isinstance(v, pathlib.Path) else v,
)
def test_command_of_a_page(reader, page, command):
    done = reader(command)
    assert done.returncode == MAY_FAIL.get(command, 0), (done.stdout, done.stderr)
    assert done.stdout or done.stderr  # "no refaults" is an answer too


@pytest.mark.parametrize("command", examples())
def test_example_of_the_help(reader, command):
    done = reader(command)
    if command.startswith("larderctl evict"):
        # The examples before it may have evicted or pinned what it names.
        said = done.stdout + done.stderr
        assert done.returncode in (0, 1) and ("NODE" in said or "no such model" in said), said
    else:
        assert done.returncode == MAY_FAIL.get(command, 0), (done.stdout, done.stderr)


def test_every_exception_is_shown_somewhere():
    shown = {c for _, c in commands()} | set(examples())
    assert [c for c in [*ELSEWHERE, *MAY_FAIL] if c not in shown] == []
    assert len(examples()) >= 10


def test_the_benchmarks_are_listed():
    """Without arguments it only lists them."""
    done = subprocess.run([CHECKOUT / "scripts/bench"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "selection" in done.stdout


def test_programs_are_installed(directory):
    """What README installs, from the build that is here."""
    build = binary("larderctl").parent
    subprocess.run(
        ["cmake", "--install", build, "--prefix", directory], check=True, capture_output=True
    )
    for program in ("larder-agent", "larder-coordinator", "larderctl"):
        (found,) = directory.glob(f"**/bin/{program}")
        done = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(program)
    assert list(directory.glob("**/redis.conf"))
