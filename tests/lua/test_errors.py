"""
Keys of a wrong type, and arguments that nobody of Larder's would send: each is an error, and has
changed nothing. A script of Redis that fails half way is not rolled back.
"""

import pytest

from calls import (DAY, EPOCH, HOUR, LONGEST_TTL, Cluster, Found, Node, Receipt, Victim, call, clock,
                   dump, fails, names)

A, B, C = names(3)


def filled(db):
    """A node and a cluster with something in each key, and a good call of each script."""
    node, cluster = Node(db), Cluster(db)
    node.register([Found(A, DAY), Found(B, DAY), Found(C, 0, "0 0", "ERROR")], first=True)
    node.beat(2, holds=[(DAY, C)])
    node.issue(Victim(B, clock(db), "b0"))
    node.confirm(Receipt(1, "other"))
    db.zadd(node.before, {A: 1})
    cluster.elect("c1")
    cluster.pin("p1")
    return {
        "beat": (node, node.beat_args(2, 5, [("x", "y")], [(0, A)], [(0, C), (HOUR, A)])),
        "register": (node, node.register_args([Found(A, 0), Found(B, 0, "1 a", "ERROR")], [C],
                                              fields=[("x", "y")])),
        "register whole": (node, node.register_args([Found(A, 0)], [C], True, False)),
        "issue": (node, node.issue_args([Victim(A, clock(db), "a1"),
                                         Victim(C, 0, "c1", "manual")])),
        "confirm": (node, node.confirm_args([Receipt(2, B, "b0"), Receipt(3, A, "a1"),
                                             Receipt(4, C, "c1", "refused")])),
        "elect": (cluster, ["c1", "http://c1", 1000, 0, 1]),
        "resign": (cluster, ["c1"]),
        "pin": (cluster, [cluster.changed, "p1", "", '"by":"me"']),
    }


SCRIPTS = ["beat", "register", "register whole", "issue", "confirm", "elect", "resign", "pin"]
# A whole registration replaces these, whatever they are.
REPLACED = {("register whole", ":size"), ("register whole", ":state"), ("register whole", ":hold"),
            ("register whole", ":holders")}


def make(db, script):
    who, args = filled(db)[script]
    name = script.split()[0]
    return lambda args=args: call(db, name, who.keys[name], args), args, who.keys[name]


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_calls_are_good(db, script):
    act, _, _ = make(db, script)
    before = dump(db)
    answer = act()
    assert answer[0] in ("OK", "LEADER", "0") if script != "resign" else answer == 1
    assert dump(db) != before


# ---- keys of a wrong type ----


def wrong(db, key, kind):
    if kind == "string" and db.type(key) == "string":
        kind = "list"  # the epoch is one
    db.delete(key)
    if kind == "string":
        db.set(key, "12")
    elif kind == "list":
        db.rpush(key, "12", "13")
    else:
        db.sadd(key, "12", "13")


@pytest.mark.parametrize("kind", ["string", "list", "set"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_key_of_a_wrong_type(db, listener, script, kind):
    keys = len(make(db, script)[2])
    for i in range(keys):
        db.flushall()
        act, _, keys = make(db, script)
        if (script, ":" + keys[i].rpartition(":")[2]) in REPLACED:
            continue
        wrong(db, keys[i], kind)
        listener.heard()
        assert "WRONGTYPE" in fails(db, act, "WRONGTYPE"), keys[i]
        assert listener.heard() == [], keys[i]


def test_a_wrong_type_that_has_been_removed(db):
    """An agent that gets errors goes on as soon as somebody has deleted the key."""
    node = Node(db)
    node.register([Found(A, DAY)], first=True)
    db.set(node.lru, "x")
    fails(db, lambda: node.beat(1), "WRONGTYPE")
    db.delete(node.lru)
    assert node.beat(1) == ["RESYNC"]
    node.register([Found(A, DAY)], first=True)
    assert node.beat(1)[0] == "OK"


# ---- arguments ----

# By position, those that must be numbers; the calls are those of `filled`.
NUMBERS = {
    "beat": [3, 4, 5, 6, 9, 10, 12, 13, 16],
    "register": [3, 4, 5, 8, 10, 14, 17],
    "register whole": [3, 4, 5, 6, 8, 11],
    "issue": [1, 3, 4, 7, 12],
    "confirm": [4, 8, 14, 18, 24, 28],
    "elect": [2, 3],
    "pin": [],
    "resign": [],
}
NO_NUMBERS = ["", " ", "x", "nan", "-nan", "inf", "-inf", "1e400", "--1", "1 2", "9" * 400, "\0", "1,5"]


def test_the_positions_are_right(db):
    """Each is a number in the good call, and no other argument that must be one is left out."""
    for script, (_, args) in filled(db).items():
        for i in NUMBERS[script]:
            int(args[i])
        if script in ("beat", "register", "register whole"):
            counts = {str(x) for x in (0, 1, 2, 5, HOUR)}
            assert {i for i, x in enumerate(args) if str(x) in counts and i > 2} == set(
                NUMBERS[script])


@pytest.mark.parametrize("script", [s for s in SCRIPTS if NUMBERS[s]])
@pytest.mark.parametrize("text", NO_NUMBERS, ids=lambda text: repr(text[:8]))
def test_an_argument_that_is_no_number(db, listener, script, text):
    act, args, _ = make(db, script)
    listener.heard()
    for i in NUMBERS[script]:
        error = fails(db, lambda i=i: act([*args[:i], text, *args[i + 1 :]]))
        assert "user_script" in error
    assert listener.heard() == []


COUNTS = {"beat": [6, 9, 12], "register": [5, 8, 17], "register whole": [5, 6, 11]}


@pytest.mark.parametrize("script", COUNTS)
@pytest.mark.parametrize("count", [-1, 0.5, 3, 100, 3000, 3001, 8000, 2**31, 2**53, 2**62])
def test_a_count_that_is_not_that_of_what_follows(db, script, count):
    """Also one that would keep Redis busy for hours."""
    act, args, _ = make(db, script)
    for i in COUNTS[script]:
        fails(db, lambda i=i: act([*args[:i], count, *args[i + 1 :]]))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_call_that_was_cut_short(db, listener, script):
    act, args, _ = make(db, script)
    listener.heard()
    # These are whole calls: no receipts, no models, a call without an id.
    whole = {"issue": {5, 10}, "confirm": {4, 14, 24}, "resign": {0}}.get(script, set())
    for length in set(range(len(args))) - whole:
        fails(db, lambda length=length: act(args[:length]))
    assert listener.heard() == []


@pytest.mark.parametrize("script", [s for s in SCRIPTS if s != "resign"])
def test_more_arguments_than_belong_there(db, script):
    act, args, _ = make(db, script)
    for more in ([""], ["0"], ["1", "2"], ["x"] * 7):
        fails(db, lambda more=more: act([*args, *more]))


def test_too_many_pairs_for_one_call(db):
    """More than Lua can unpack: said before anything is written."""
    node = Node(db)
    node.register([Found(A, DAY)], first=True)
    many = 4000
    for args in (
        node.beat_args(1, fields=[(f"f{i}", i) for i in range(many)]),
        node.beat_args(1, uses=[(0, f"m{i}") for i in range(many)]),
        node.beat_args(1, holds=[(HOUR, f"m{i}") for i in range(many)]),
    ):
        fails(db, lambda args=args: node.raw("beat", args))
    args = node.register_args([Found(A)], first=True, fields=[(f"f{i}", i) for i in range(many)])
    fails(db, lambda: node.raw("register", args))


VICTIMS = [
    Victim(A, 2**53), Victim(A, -1), Victim(A, "1e3"), Victim(A, "1.5"),
    Victim(A, 5, id=""), Victim(A, 5, id="a b"), Victim(A, 5, id="a\n1"), Victim(A, 5, id="a/1"),
    Victim(A, 5, reason=""), Victim(A, 5, reason="Manual"), Victim(A, 5, reason="manual force"),
    Victim(A, 5, force=1), Victim(A, 5, reason="disk_space", force=1),
    Victim(A, 5, reason="manual", force=2), Victim(A, 5, reason="manual", force=""),
    Victim(A, 5, reason="manual", force="force"),
]


@pytest.mark.parametrize("victim", VICTIMS, ids=lambda v: repr(v.args()[:1] + v.args()[2:]))
def test_a_victim_that_no_leader_names(db, listener, victim):
    """Not even the good ones beside it are issued."""
    node = Node(db)
    node.register([Found(A, DAY), Found(B, DAY)], first=True)
    fails(db, lambda: node.issue(Victim(B, clock(db), "b1"), victim))
    fails(db, lambda: node.issue(victim, Victim(B, clock(db), "b1")))
    assert listener.heard() == []


@pytest.mark.parametrize("how", [
    {"epoch": -1}, {"epoch": ""}, {"epoch": "1e12"}, {"epoch": 2**53}, {"epoch": EPOCH + 0.5},
    {"ttl": -1}, {"ttl": "1.5"}, {"ttl": 2**53}, {"longest": -1}, {"longest": 2**60},
], ids=repr)
def test_a_leader_that_is_none(db, how):
    node = Node(db)
    node.register([Found(A, DAY)], first=True)
    fails(db, lambda: node.issue(Victim(A, clock(db)), **how))


def test_a_command_that_no_leader_would_write_does_not_last(db):
    node = Node(db)
    node.register([Found(A, DAY)], first=True)
    assert node.outcomes(Victim(A, clock(db), "a1"), ttl=LONGEST_TTL + DAY) == ["issued"]
    assert node.outcomes(Victim(A, clock(db), "a2")) == ["issued"]


RECEIPTS = [
    Receipt(-1, A), Receipt("1.5", A), Receipt("1e3", A), Receipt(2**53, A), Receipt("0x5", A),
    Receipt(5, A, outcome=""), Receipt(5, A, outcome="Deleted"), Receipt(5, A, outcome="inc"),
    Receipt(5, A, outcome="fence"), Receipt(5, A, bytes=-1), Receipt(5, A, bytes="1.5"),
    Receipt(5, A, bytes="1e9"), Receipt(5, A, bytes=2**63), Receipt(5, A, bytes="+5"),
]


@pytest.mark.parametrize("receipt", RECEIPTS, ids=lambda r: repr(r.args()[:1] + r.args()[3:5]))
def test_a_receipt_that_no_agent_sends(db, listener, receipt):
    """Not even the good ones beside it count."""
    node = Node(db)
    node.register([Found(A, DAY), Found(B, DAY)], first=True)
    fails(db, lambda: node.confirm(Receipt(1, B), receipt))
    fails(db, lambda: node.confirm(receipt, Receipt(9, B)))
    assert listener.heard() == []


@pytest.mark.parametrize("journal", ["x", " ", "ab cd", "ab:1", "ab\n", "-1", "g" * 99])
def test_a_journal_that_is_none(db, journal):
    """Its receipts could never be told from those that were counted."""
    node = Node(db)
    node.register([Found(A, DAY)], first=True)
    assert "journal" in fails(db, lambda: node.confirm(Receipt(1, A), journal=journal))


def test_errors_say_what_they_found_and_not_all_of_it(db):
    node = Node(db)
    node.register([Found(A, DAY)], first=True)
    error = fails(db, lambda: node.beat(1, uses=[("y" * 100_000, A)]))
    assert "argument 9 is no whole number: yyyy" in error and len(error) < 300
    error = fails(db, lambda: node.confirm(Receipt("z" * 100_000, A)))
    assert "the number of a receipt" in error and len(error) < 300


# ---- Redis has no memory left ----


@pytest.mark.parametrize("script", ["beat", "register", "register whole", "issue", "elect", "pin"])
def test_no_memory(db, listener, script):
    act, _, _ = make(db, script)
    listener.heard()
    db.config_set("maxmemory", 1)
    try:
        assert "maxmemory" in fails(db, act)
    finally:
        db.config_set("maxmemory", 0)
    assert listener.heard() == []


def test_receipts_are_taken_when_there_is_no_memory(db):
    """They make room."""
    node = Node(db)
    node.register([Found(A, DAY)], first=True)
    node.issue(Victim(A, clock(db), "a1"))
    db.config_set("maxmemory", 1)
    try:
        assert node.confirm(Receipt(1, A, "a1")) == ["OK", 1]
    finally:
        db.config_set("maxmemory", 0)
    assert node.scores() == {} and node.number("deleted") == 1
