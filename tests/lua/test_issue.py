"""issue.lua: delete commands of the leader, each under its epoch and on what it saw."""

import pytest

from calls import (DAY, EPOCH, HOUR, LONGEST_TTL, TTL, Found, Receipt, Victim, clock, dump, fails,
                   names)

A, B, C, D = names(4)


@pytest.fixture
def node(node):
    """A and B unused for a day, C not downloaded, D in error."""
    node.register([Found(A, DAY, "10 aa"), Found(B, DAY, "20 bb"), Found(C, 0, "0 0", "DOWNLOADING"),
                   Found(D, 0, "0 0", "ERROR no config")], first=True)
    return node


def test_issued(db, node, listener):
    before = clock(db)
    seen = node.score(A)
    answer = node.issue(Victim(A, seen, "a-1.x"), Victim(B, seen + 5, "b1", "manual", 1))
    now = int(answer[1])
    assert answer == ["OK", answer[1], "issued", "10 aa", "issued", "20 bb"]
    assert before <= now <= clock(db)
    assert db.hgetall(node.cmd) == {
        A: f"a-1.x {seen} aa {now + TTL} {EPOCH} time_threshold",
        B: f"b1 {seen + 5} bb {now + TTL} {EPOCH} manual force",
    }
    assert node.field("fence") == str(EPOCH)
    assert listener.heard() == [(node.wake, str(EPOCH))]
    assert node.beat(2)[2:] == [x for pair in db.hgetall(node.cmd).items() for x in pair]


@pytest.mark.parametrize("reason", ["time_threshold", "count_limit", "disk_space", "manual"])
def test_reasons(db, node, reason):
    assert node.outcomes(Victim(A, clock(db), reason=reason)) == ["issued"]
    assert node.command(A)[5:] == [reason]


def test_nothing_to_issue_still_fences(db, node, listener):
    assert len(node.issue(epoch=EPOCH + 5)) == 2
    assert node.number("fence") == EPOCH + 5 and not db.exists(node.cmd)
    assert listener.heard() == []


def test_many_at_once(db, node):
    models = names(10_000)
    node.register([Found(m, DAY) for m in models], first=True)
    outcomes = node.outcomes(*(Victim(m, clock(db), f"i{i}") for i, m in enumerate(models)))
    assert outcomes == ["issued"] * 10_000
    assert {v.split()[0] for v in db.hvals(node.cmd)} == {f"i{i}" for i in range(10_000)}


def test_each_of_many_by_what_is_known_of_it(db, node):
    """However many are looked up together."""
    models, now = names(2500), clock(db)
    node.register([Found(m, DAY, f"{i} {i:x}") for i, m in enumerate(models)], first=True)
    node.register(gone=models[::7])
    db.zadd(node.hold, {m: now + HOUR for m in models[::11]})
    db.hset(node.cmd, mapping={m: f"c 1 a {now + HOUR} 1 manual" for m in models[::13]})

    def expected(i):
        parts = {7: "gone", 11: "held", 13: "pending"}
        return next((outcome for n, outcome in parts.items() if i % n == 0), "issued")

    assert node.outcomes(*(Victim(m, now) for m in models)) == [expected(i) for i in range(2500)]
    issued = {m: i for i, m in enumerate(models) if expected(i) == "issued"}
    assert all(node.command(m)[2] == f"{i:x}" for m, i in issued.items())


# ---- the second veto ----


def test_used_since(db, node, listener):
    seen = node.score(A)
    assert node.outcomes(Victim(A, seen - 1)) == ["used"]
    node.beat(2, uses=[(0, A)])
    assert node.outcomes(Victim(A, seen)) == ["used"]
    node.register([Found(B, 0, "20 bb")])
    assert node.outcomes(Victim(B, seen)) == ["used"]
    assert not db.exists(node.cmd) and listener.heard() == []
    assert node.outcomes(Victim(A, node.score(A))) == ["issued"]


@pytest.mark.parametrize("score", ["+inf", 2**60, "9007199254740993"])
def test_a_score_that_nobody_saw_is_a_use(db, node, score):
    db.zadd(node.lru, {A: score})
    assert node.outcomes(Victim(A, clock(db))) == ["used"]


def test_held(db, node):
    node.beat(2, holds=[(HOUR, A)])
    assert node.outcomes(Victim(A, clock(db)), Victim(B, clock(db))) == ["held", "issued"]
    assert node.command(A) is None
    assert node.outcomes(Victim(A, clock(db), reason="manual")) == ["held"]
    assert node.outcomes(Victim(A, clock(db), reason="manual", force=1)) == ["issued"]


def test_a_hold_that_has_ended_is_none(db, node):
    db.zadd(node.hold, {A: clock(db) - 1})
    db.zadd(node.hold, {B: "+inf"})
    assert node.outcomes(Victim(A, clock(db)), Victim(B, clock(db))) == ["issued", "held"]


def test_force_does_not_set_aside_a_use_that_was_not_seen(db, node):
    assert node.outcomes(Victim(A, node.score(A) - 1, reason="manual", force=1)) == ["used"]


def test_gone(db, node):
    node.register(gone=[A])
    assert node.outcomes(Victim(A, clock(db)), Victim("never", clock(db))) == ["gone", "gone"]
    assert node.issue(Victim(A, clock(db)))[3] == ""
    assert not db.exists(node.cmd)


def test_what_is_not_downloaded_is_gone(db, node):
    for reason, force in [("time_threshold", 0), ("manual", 0), ("manual", 1)]:
        assert node.outcomes(Victim(C, clock(db), reason=reason, force=force)) == ["gone"]
    assert not db.exists(node.cmd)


def test_what_is_in_error_goes_only_by_hand(db, node):
    assert node.outcomes(Victim(D, 0)) == ["gone"]
    assert node.outcomes(Victim(D, 0, reason="disk_space")) == ["gone"]
    assert node.issue(Victim(D, 0, reason="manual"))[2:] == ["issued", "0 0"]
    assert node.command(D)[1:3] == ["0", "0"]


def test_what_is_in_error_and_held(db, node):
    node.beat(2, holds=[(HOUR, D)])
    assert node.outcomes(Victim(D, 0, reason="manual")) == ["held"]


@pytest.mark.parametrize("size", [None, "", "10", "10 ", " aa", "x aa", "10 xyz", "10  aa", "-1 aa",
                                  "10 aa bb cc", "10 aa 5", "10 aa ", "10 aa bb\n",
                                  "10\naa", "1e3 aa"])
def test_a_size_that_says_no_generation_keeps(db, node, size):
    if size is None:
        db.hdel(node.size, A)
    else:
        db.hset(node.size, A, size)
    assert node.outcomes(Victim(A, clock(db))) == ["gone"]
    assert node.outcomes(Victim(A, clock(db), reason="manual", force=1)) == ["gone"]
    assert not db.exists(node.cmd)


def test_bytes_are_answered_digit_by_digit(db, node):
    node.register([Found(A, DAY, "9223372036854775807 aa")])
    assert node.issue(Victim(A, clock(db)))[2:] == ["issued", "9223372036854775807 aa"]


# ---- the slot ----


def test_pending(db, node, listener):
    node.issue(Victim(A, clock(db), "first"))
    before = dump(db)
    listener.heard()
    for epoch in (EPOCH, EPOCH + 1):
        assert node.outcomes(Victim(A, clock(db), "second"), epoch=epoch) == ["pending"]
    assert node.outcomes(Victim(A, clock(db), reason="manual", force=1), epoch=EPOCH + 1) == [
        "pending"]
    assert listener.heard() == []
    assert dump(db, ["fence"])[node.cmd] == before[node.cmd]


def test_replayed(db, node, listener):
    """The answer was lost and the call is made again, or comes twice: one command, one message."""
    args = node.issue_args([Victim(A, clock(db), "a1"), Victim(B, clock(db), "b1")])
    assert node.raw("issue", args)[2::2] == ["issued", "issued"]
    before = dump(db)
    for _ in range(3):
        assert node.raw("issue", args)[2::2] == ["pending", "pending"]
    assert dump(db) == before
    assert len(listener.heard()) == 1


def test_replayed_after_the_receipt(db, node, listener):
    """Late: the model has gone, and come back."""
    args = node.issue_args([Victim(A, node.score(A), "a1")])
    node.raw("issue", args)
    node.confirm(Receipt(1, A, "a1"))
    listener.heard()
    assert node.raw("issue", args)[2:] == ["gone", ""]
    node.register([Found(A, 0, "10 ab")])
    assert node.raw("issue", args)[2:] == ["used", "10 ab"]
    assert not db.exists(node.cmd) and listener.heard() == []


def test_twice_in_one_call(db, node, listener):
    assert node.outcomes(Victim(A, clock(db), "a1"), Victim(A, clock(db), "a2"),
                         Victim(B, clock(db), "b1")) == ["issued", "pending", "issued"]
    assert node.command(A)[0] == "a1"
    assert len(listener.heard()) == 1


def test_a_command_past_its_deadline_is_replaced(db, node):
    assert node.outcomes(Victim(A, clock(db), "old"), ttl=0) == ["issued"]
    assert node.outcomes(Victim(A, clock(db), "new")) == ["issued"]
    assert node.command(A)[0] == "new"
    deadline = clock(db)
    db.hset(node.cmd, A, f"old 1 aa {deadline} {EPOCH} manual")
    assert node.outcomes(Victim(A, clock(db), "new")) == ["issued"]


def test_a_command_just_before_its_deadline_is_not(db, node):
    db.hset(node.cmd, A, f"old 1 aa {clock(db) + 10_000} {EPOCH} manual")
    assert node.outcomes(Victim(A, clock(db), "new")) == ["pending"]
    assert node.command(A)[0] == "old"


@pytest.mark.parametrize("junk", [
    "", " ", "junk", "\0", "x" * 100_000, "old 1 aa", "old 1 aa x 1 manual", "old 1 aa 1e15 1 manual",
    f"old 1 zz {2**41} 1 manual", f"old -1 aa {2**41} 1 manual", f" old 1 aa {2**41} 1 manual",
    f"old 1 aa {2**53 + 1} 1 manual", "old 1 aa " + "9" * 400 + " 1 manual", "old 1 aa inf 1 manual",
], ids=lambda text: repr(text[:30]))
def test_what_no_leader_writes_is_replaced(db, node, junk):
    db.hset(node.cmd, A, junk)
    assert node.outcomes(Victim(A, clock(db), "new")) == ["issued"]
    assert node.command(A)[0] == "new"


def test_a_deadline_beyond_the_longest_is_replaced(db, node):
    late = clock(db) + LONGEST_TTL
    db.hset(node.cmd, mapping={A: f"old 1 aa {late + HOUR} 1 manual",
                               B: f"old 1 aa {late - HOUR} 1 manual"})
    assert node.outcomes(Victim(A, clock(db)), Victim(B, clock(db))) == ["issued", "pending"]


# ---- who may issue ----


def test_unknown(db, node):
    db.flushall()
    assert node.issue(Victim(A, clock(db))) == ["UNKNOWN"]
    db.hset(node.state, "fence", 5)  # what is left of a node is none
    assert node.issue(Victim(A, clock(db))) == ["UNKNOWN"]
    assert db.keys() == [node.state]


def test_incarnation(db, node):
    before = dump(db)
    assert node.issue(Victim(A, clock(db)), inc="another") == ["INCARNATION"]
    assert dump(db) == before
    node.register([Found(A, DAY)], first=True, inc="another")
    assert node.issue(Victim(A, clock(db))) == ["INCARNATION"]
    assert node.outcomes(Victim(A, clock(db)), inc="another") == ["issued"]


def test_loading(db, node):
    node.register([Found(A, DAY)], first=True, last=False)
    before = dump(db)
    assert node.issue(Victim(A, clock(db))) == ["LOADING"]
    assert dump(db) == before


def test_fenced(db, node, listener):
    assert node.issue(epoch=EPOCH + 5)[0] == "OK"
    before = dump(db)
    for epoch in (EPOCH, EPOCH + 4, 0, 1):
        assert node.issue(Victim(A, clock(db)), epoch=epoch) == ["FENCED", str(EPOCH + 5)]
    assert dump(db) == before and listener.heard() == []
    assert node.outcomes(Victim(A, clock(db)), epoch=EPOCH + 5) == ["issued"]
    assert node.outcomes(Victim(B, clock(db)), epoch=EPOCH + 6) == ["issued"]
    assert node.number("fence") == EPOCH + 6


def test_fenced_comes_first(db, node):
    """An old leader must learn that it is one, whatever the node is doing."""
    node.issue(epoch=EPOCH + 5)
    node.register([Found(A, DAY)], first=True, last=False)
    assert node.issue(Victim(A, 1), epoch=EPOCH, inc="x") == ["FENCED", str(EPOCH + 5)]


def test_an_old_leaders_command_stays_until_it_ends(db, node):
    node.issue(Victim(A, clock(db), "old"), epoch=EPOCH)
    assert node.outcomes(Victim(A, clock(db), "new"), epoch=EPOCH + 1) == ["pending"]
    node.confirm(Receipt(1, A, "old", "refused", 0, "epoch"))
    assert node.outcomes(Victim(A, clock(db), "new"), epoch=EPOCH + 1) == ["issued"]


@pytest.mark.parametrize("fence", [2**53 - 1, 2**53 - 2])
def test_fences_are_told_apart_to_the_last(db, node, fence):
    db.hset(node.state, "fence", fence)
    assert node.issue(Victim(A, clock(db)), epoch=fence - 1) == ["FENCED", str(fence)]
    assert node.outcomes(Victim(A, clock(db)), epoch=fence) == ["issued"]
    assert node.command(A)[4] == str(fence)


@pytest.mark.parametrize("fence", ["", "x", "-1", "1.5", "1e3", "inf", "nan", str(2**53),
                                   str(2**63 - 1), str(2**64), "9" * 400])
def test_a_fence_that_is_none_is_an_error(db, node, fence):
    """Which leaders were here is not known then: nobody issues."""
    db.hset(node.state, "fence", fence)
    assert "the fence of the node" in fails(db, lambda: node.issue(Victim(A, clock(db))))
