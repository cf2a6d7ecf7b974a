"""mend.lua: what Larder cannot have written goes from a node's keys, and all the rest stays."""

import pytest

from calls import (DAY, HOUR, KINDS, Found, Node, Receipt, Victim, clock, dump, fails, names)

A, B, C = names(3)
COUNTERS = ["deleted", "gone", "refused", "failed", "refault", "freed", "inv", "fence"]


@pytest.fixture
def node(db):
    """A node with something in each key."""
    node = Node(db)
    node.register([Found(A, DAY), Found(B, DAY), Found(C, 0, "0 0", "ERROR")], first=True)
    node.beat(2, holds=[(HOUR, B)])
    node.issue(Victim(A, clock(db), "a1"))
    node.confirm(*(Receipt(i, "other", "x", outcome)
                   for i, outcome in enumerate(("deleted", "gone", "refused", "failed"), start=1)))
    node.register([Found(A)], first=True, last=False, inc="another")
    assert set(db.keys()) == {node.state + suffix for suffix in KINDS if suffix != ":state"}
    return node


def test_what_is_right_stays(db, node, listener):
    before = dump(db)
    for _ in range(3):
        assert node.mend() == []
    assert dump(db) == before and listener.heard() == []
    db.flushall()
    assert node.mend() == [] and db.keys() == []


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("kind", ["string", "list", "set"])
def test_a_key_of_another_type_goes(db, node, suffix, kind):
    key = node.state + suffix
    db.delete(key)
    {"string": lambda: db.set(key, "x"), "list": lambda: db.rpush(key, "x"),
     "set": lambda: db.sadd(key, "x")}[kind]()
    before = dump(db)
    assert node.mend() == [key]
    del before[key]
    assert dump(db) == before
    assert node.mend() == []


def test_all_keys_of_another_type_go(db, node):
    for suffix in KINDS:
        db.set(node.state + suffix, "x")
    assert node.mend() == [node.state + suffix for suffix in KINDS]
    assert db.keys() == []


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "1e3", " 1", "0x1", "inf", "nan", "9" * 19,
                                   "9" * 400])
def test_a_counter_that_is_none_goes(db, node, counter, value):
    db.hset(node.state, counter, value)
    before = dump(db, [counter])
    assert node.mend() == [f"{node.state} {counter}"]
    assert node.field(counter) is None and dump(db) == before


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("value", ["0", "1", str(2**52 - 1)])
def test_a_counter_that_is_one_stays(db, node, counter, value):
    db.hset(node.state, counter, value)
    assert node.mend() == [] and node.field(counter) == value


def test_a_fence_that_no_leader_follows_goes(db, node):
    for fence in (2**52, 2**53 - 1):
        db.hset(node.state, "fence", fence)
        assert node.mend() == [f"{node.state} fence"]
    db.hset(node.state, "inv", 2**53 - 1)
    assert node.mend() == []


def test_more_bytes_than_lua_can_count_stay(db, node):
    """confirm.lua adds them in Redis, digit by digit."""
    db.hset(node.state, "freed", str(10**17 + 1))
    assert node.mend() == [] and node.field("freed") == str(10**17 + 1)


@pytest.mark.parametrize("suffix", [suffix for suffix in KINDS if suffix])
def test_what_was_mended_is_registered_and_works(db, node, suffix):
    node.register([Found(A, DAY), Found(B, DAY)], first=True)
    db.delete(node.state + suffix)
    db.set(node.state + suffix, "x")
    node.mend()
    node.register([Found(A, DAY), Found(B, DAY)], first=True)
    assert node.beat(2, holds=[(HOUR, B)])[0] == "OK"
    assert node.outcomes(Victim(B, clock(db), reason="manual", force=1, id="b1")) == ["issued"]
    assert node.confirm(Receipt(9, B, "b1")) == ["OK", 1]
    assert list(node.scores()) == [A]


@pytest.mark.parametrize("counter", COUNTERS)
def test_a_counter_that_was_mended_counts(db, node, counter):
    node.register([Found(A, DAY), Found(B, DAY)], first=True)
    node.beat(2, holds=[(0, B)])
    db.hset(node.state, counter, "x")
    receipts = [Receipt(8, B, "b1"), Receipt(9, A, "x", "refused")]
    if counter == "fence":
        fails(db, lambda: node.issue(Victim(B, clock(db), id="b1")))
    elif counter != "inv":
        fails(db, lambda: node.confirm(*receipts))
    node.mend()
    assert node.outcomes(Victim(B, clock(db), id="b1")) == ["issued"]
    assert node.confirm(*receipts) == ["OK", 2]


def test_an_inventory_gets_no_number_that_was_seen(db, node):
    node.register([Found(A, DAY)], first=True)
    seen = node.number("inv")
    db.hset(node.state, "inv", "x")
    node.mend()
    node.register([Found(B, DAY)])
    assert node.number("inv") > seen
