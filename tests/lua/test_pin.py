"""pin.lua: pins are added and removed, and everybody hears of it."""

import json

import pytest

from calls import DAY, clock, dump, fails


def test_for_ever(db, cluster, listener):
    assert cluster.pin("hf:org/*", members='"by":"ann","why":"demo"') == ["0"]
    assert db.hgetall(cluster.pins) == {"hf:org/*": '{"until_ms":0,"by":"ann","why":"demo"}'}
    assert listener.heard() == [(cluster.changed, "pins")]


def test_for_a_while(db, cluster):
    before = clock(db)
    (until,) = cluster.pin("hf:a@1", DAY)
    assert before + DAY <= int(until) <= clock(db) + DAY
    assert json.loads(db.hget(cluster.pins, "hf:a@1")) == {
        "until_ms": int(until), "by": "me", "why": "because"}


def test_removed(db, cluster, listener):
    cluster.pin("a")
    cluster.pin("b")
    listener.heard()
    assert cluster.pin("a", "remove") == ["1"]
    assert list(db.hgetall(cluster.pins)) == ["b"]
    assert listener.heard() == [(cluster.changed, "pins")]


def test_replayed(db, cluster):
    for _ in range(3):
        assert cluster.pin("a") == ["0"]
        assert db.hlen(cluster.pins) == 1
    ends = [int(cluster.pin("a", DAY)[0]) for _ in range(3)]
    assert ends == sorted(ends) and db.hlen(cluster.pins) == 1
    assert cluster.pin("a", "remove") == ["1"]
    before = dump(db)
    for _ in range(3):
        assert cluster.pin("a", "remove") == ["0"]
        assert dump(db) == before


def test_the_last_word_counts(db, cluster):
    cluster.pin("a", DAY)
    cluster.pin("a")
    assert json.loads(db.hget(cluster.pins, "a"))["until_ms"] == 0
    cluster.pin("a", 1000)
    assert json.loads(db.hget(cluster.pins, "a"))["until_ms"] > clock(db) - 10_000


@pytest.mark.parametrize("how_long", [" ", "-1", "x", "1.5", "1e5", "inf", "nan", "REMOVE", "9" * 16])
def test_how_long_is_no_number(db, cluster, how_long):
    cluster.pin("b")
    assert "how long" in fails(db, lambda: cluster.pin("a", how_long))


STRANGE = ["", " ", "\n", "\0", "x" * 100_000, "é\U0001f600", "remove", "%d%s", '"'*9]


@pytest.mark.parametrize("glob", STRANGE, ids=[repr(s[:12]) for s in STRANGE])
def test_any_text_is_text(db, cluster, glob):
    cluster.pin("other")
    assert cluster.pin(glob) == ["0"]
    assert db.hexists(cluster.pins, glob)
    assert cluster.pin(glob, "remove") == ["1"]
    assert list(db.hgetall(cluster.pins)) == ["other"]
