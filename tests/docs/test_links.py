"""What pages point at exists: links, anchors, and files of the project that are named."""

import itertools
import re

import pytest

from markdown import CHECKOUT, code, pages, prose, short

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A file or folder of the project in back-quotes; * stands for some of them.
NAMED = re.compile(r"(\./)?(agent|coordinator|common|cli|cmake|scripts|tests|docs)/[\w./*-]*\*?")
SOURCES = ("agent", "coordinator", "common", "cli", "common/lua")


def anchor(heading):
    text = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return text.replace(" ", "-")


def anchors(page):
    """As GitHub makes them: the second heading of one wording ends in -1."""
    found = set()
    for line in prose(page):
        if line.startswith("#"):
            same = anchor(line.lstrip("#"))
            names = itertools.chain([same], (f"{same}-{i}" for i in itertools.count(1)))
            found.add(next(name for name in names if name not in found))
    return found


def problems_of(page, target):
    path, _, fragment = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists():
        return f"{target}: no such file"
    if fragment and fragment not in anchors(file):
        return f"{target}: no such heading"
    return None


@pytest.mark.parametrize("page", pages(), ids=short)
def test_links_lead_somewhere(page):
    targets = [t for line in prose(page) for t in LINK.findall(line) if "://" not in t]
    problems = [problems_of(page, target) for target in targets]
    assert [p for p in problems if p] == []


@pytest.mark.parametrize("page", pages(), ids=short)
def test_files_that_are_named_exist(page):
    named = [n for n in code("\n".join(prose(page))) if NAMED.fullmatch(n)]
    missing = [n for n in named if not list(CHECKOUT.glob(n.removeprefix("./").rstrip("/")))]
    assert missing == []


@pytest.mark.parametrize("page", pages(), ids=short)
def test_sources_that_are_named_exist(page):
    """`guard.c` and `issue.lua` without their folder."""
    named = [n for n in code("\n".join(prose(page))) if re.fullmatch(r"[\w]+\.(c|h|lua)", n)]
    missing = [n for n in named if not any((CHECKOUT / folder / n).exists() for folder in SOURCES)]
    assert missing == []


def test_the_tour_covers_what_deletes():
    """README's tour names the files on which the safety argument rests."""
    readme = (CHECKOUT / "README.md").read_text().partition("## A tour of the code")[2]
    for file in ("policy.c", "caution.c", "guard.c", "removal.c", "issue.lua", "confirm.lua"):
        assert f"/{file}`" in readme
