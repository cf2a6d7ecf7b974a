"""docs/names.md: its examples are what the agent calls such models; all pages keep the grammar."""

import re

import pytest

from larder.caches import Cache, age_everything
from larder.wait import wait_until
from markdown import DOCS, blocks, code, pages, prose, short

PAGE = DOCS / "names.md"
# The page's grammar as an expression.
SEGMENT = r"(?!\.{1,2}(?:/|@))(?:[A-Za-z0-9._:=~+-]|%[0-9A-F]{2})+"
MEMBER = re.compile(
    rf"(?:hf|hf\.d|hf\.s|hf\.k|dir)(?:\+[a-z0-9-]{{1,16}})?:{SEGMENT}(?:/{SEGMENT})*"
    r"@(?:-|[A-Za-z0-9._+=-]{1,64})"
)
# What looks like a name of a model, or like a glob of some.
LIKE = re.compile(r"(?<![\w.:/])(?:hf|hf\.[dsk]|dir)(?:\+[\w-]+)?:[^\s'\"`,;)\]}|]+")


def examples():
    return blocks(PAGE)[0].text.split()


def test_examples_keep_the_grammar():
    assert len(examples()) == 4
    for name in examples():
        assert MEMBER.fullmatch(name), name


@pytest.mark.parametrize("page", pages(), ids=short)
def test_names_on_a_page_keep_the_grammar(page):
    for name in LIKE.findall(page.read_text()):
        # `hf+nvme1` alone, globs and the grammar itself are no names.
        if "@" in name and "*" not in name and "..." not in name:
            assert MEMBER.fullmatch(name.rstrip("\\")), name


def place(directory, name):
    """Makes the model that has this name; returns the root that it needs."""
    layout, root, path, revision = re.fullmatch(r"([a-z.]+)(?:\+([^:]+))?:(.+)@(.+)", name).groups()
    where = directory / f"{layout}-{root or 'default'}"
    entry = {"name": root or "default", "path": str(where), "layout": "huggingface"}
    if layout == "dir":
        entry |= {"layout": "directory", "glob": "*/*" if "/" in path else "*"}
        (where / path).mkdir(parents=True)
        (where / path / "model.plan").write_bytes(b"x" * 5000)
        age_everything(where, 86400)
        return entry
    kind = {"hf": "model", "hf.d": "dataset", "hf.s": "space", "hf.k": "kernel"}[layout]
    Cache(where).model(path, (revision * 4)[:40], kind=kind)
    return entry


@pytest.mark.parametrize("name", examples())
def test_the_agent_spells_it_so(cluster, directory, name):
    root = place(directory, name)
    agent = cluster.agent(root).wait_ready()
    wait_until(
        lambda: list(agent.models()) == [name], what=f"{name}, found: {list(agent.models())}"
    )
    cluster.wait_lru(name)
    assert agent.touch(name).status == 200


def test_layouts_of_the_table_are_those_of_the_grammar():
    (row,) = [line for line in prose(PAGE) if line.startswith("| `hf` |")]
    assert code(row)[1:] == ["hf", "hf.d", "hf.s", "hf.k", "dir"]


@pytest.mark.parametrize(
    "name",
    [
        "hf:gpt2@607a30d783df ",  # more after it
        "hf:%67pt2@607a30d783df",  # a needless escape
        "hf:a//b@607a30d783df",  # an empty segment
        "hf+default:gpt2@607a30d783df",
        "hf:a%2fb@607a30d783df",  # lower-case digits
        "hf:../gpt2@607a30d783df",
        "hf:gpt2",
    ],
)
def test_other_spellings_are_refused(cluster, directory, name):
    """One model has one spelling: a touch by another finds nothing."""
    agent = cluster.agent(place(directory, "hf:gpt2@607a30d783df")).wait_ready()
    agent.wait_model("hf:gpt2@607a30d783df")
    assert agent.touch(name).status == 404
