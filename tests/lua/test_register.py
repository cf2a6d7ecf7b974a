"""register.lua: what an agent found on its disks, whole or as differences."""

import pytest

from calls import DAY, EPOCH, HOUR, Found, Victim, clock, dump, fails, names

A, B, C = names(3)
# The heartbeat and the inventory's number move with each call.
MOVES = ("hb", "inv", "since")


def test_whole(db, node, listener):
    before = clock(db)
    answer = node.register([Found(A, 5 * HOUR, "10 aa"), Found(B, 0, "20 bb", "DOWNLOADING x")],
                           first=True, fields=[("version", "1.2"), ("x", "y")])
    after = clock(db)
    assert answer[0] == "OK" and before <= int(answer[1]) <= after
    assert node.scores() == {A: int(answer[1]) - 5 * HOUR}
    assert db.hgetall(node.size) == {A: "10 aa"}
    assert db.hgetall(node.status) == {B: "DOWNLOADING x"}
    state = db.hgetall(node.state)
    inv = int(state.pop("inv"))
    assert before * 1000 <= inv < (after + 1) * 1000
    assert state == {"inc": node.inc, "hb": answer[1], "since": answer[1], "version": "1.2",
                     "x": "y"}
    assert sorted(db.keys()) == sorted([node.state, node.lru, node.size, node.status])
    assert listener.heard() == []


def test_nothing_found(db, node):
    assert node.register(first=True)[0] == "OK"
    assert db.keys() == [node.state]
    assert node.beat(0)[0] == "OK"


@pytest.mark.parametrize("count", [1, 500, 501, 1200, 5000])
def test_many_models(db, node, count):
    found = [Found(model, i * 1000, f"{i} {i:x}") for i, model in enumerate(names(count))]
    now = node.register_whole(found)
    assert db.zcard(node.lru) == db.hlen(node.size) == count
    assert node.score(names(count)[-1]) <= now - (count - 1) * 1000
    assert node.beat(count)[0] == "OK"


def test_one_call_may_be_large(db, node):
    found = [Found(model, i, f"{i} {i:x}") for i, model in enumerate(names(20_000))]
    assert node.register(found, first=True)[0] == "OK"
    assert node.register(gone=names(20_000))[0] == "OK"
    assert not db.exists(node.lru, node.size)


def test_loading_until_the_last_call(db, node):
    node.register([Found(A, HOUR)], first=True, last=False)
    assert node.field("loading") == "1"
    assert node.beat(1) == ["UNKNOWN"]
    assert node.issue(Victim(A, clock(db))) == ["LOADING"]
    node.register([Found(B, HOUR)], last=False)
    assert node.field("loading") == "1"
    node.register([Found(C, HOUR)])
    assert node.field("loading") is None
    assert not db.exists(node.before)
    assert node.outcomes(Victim(A, clock(db))) == ["issued"]
    assert sorted(node.scores()) == [A, B, C]


def test_what_is_not_named_any_more_is_gone(db, node):
    node.register([Found(A), Found(B), Found(C, status="ERROR")], first=True)
    node.beat(holds=[(HOUR, A), (HOUR, B)])
    node.register([Found(B)], first=True)
    assert list(node.scores()) == [B]
    assert list(db.hgetall(node.size)) == [B]
    assert not db.exists(node.status, node.before)
    # Holds stay until beats tell them anew: one too many keeps, one too few deletes.
    assert sorted(db.zrange(node.hold, 0, -1)) == sorted([A, B])


def test_keeps_counters_fence_commands_and_receipts(db, node):
    node.register([Found(A, HOUR)], first=True)
    node.issue(Victim(A, clock(db)))
    db.hset(node.state, mapping={"deleted": "7", "freed": "12345678901234567", "receipt": "ab:9"})
    db.xadd(node.receipts, {"id": "x"})
    kept = dump(db)
    node.register([Found(A, HOUR)], first=True, inc="another")
    assert node.number("deleted") == 7 and node.field("freed") == "12345678901234567"
    assert node.field("receipt") == "ab:9" and node.number("fence") > 0
    for key in (node.cmd, node.receipts):
        assert dump(db)[key] == kept[key]


# ---- differences ----


def test_differences(db, node):
    node.register([Found(A, HOUR), Found(B, HOUR)], first=True)
    used = node.score(A)
    node.beat(holds=[(HOUR, A), (HOUR, B)])
    node.register([Found(C, DAY, "30 cc"), Found(A, HOUR, "11 aa")], gone=[B])
    assert node.score(A) == used
    assert sorted(node.scores()) == [A, C]
    assert db.hgetall(node.size) == {A: "11 aa", C: "30 cc"}
    assert db.zrange(node.hold, 0, -1) == [A]


def test_a_model_is_downloaded_or_not(db, node):
    node.register([Found(A, status="DOWNLOADING")], first=True)
    assert node.beat(0)[0] == "OK"
    for status in ("", "ERROR why", "DOWNLOADING again", "", "ERROR"):
        node.register([Found(A, status=status)])
        assert db.hget(node.status, A) == (status or None)
        assert db.hexists(node.size, A) == (node.score(A) is not None) == (status == "")
    node.register(gone=[A])
    assert db.keys() == [node.state]


def test_a_model_that_was_not_there_is_gone(db, node):
    node.register([Found(A)], first=True)
    before = dump(db, MOVES)
    node.register(gone=[B, C])
    assert dump(db, MOVES) == before


def test_the_later_of_two_in_one_call_counts(db, node):
    node.register([Found(A, HOUR, "1 a"), Found(A, HOUR, "2 b"), Found(B), Found(B, status="ERROR")],
                  first=True, )
    assert db.hgetall(node.size) == {A: "2 b"}
    assert list(node.scores()) == [A]
    node.register([Found(A)], gone=[A])
    assert node.scores() == {}


# ---- said again, said late ----


@pytest.mark.parametrize("first", [True, False])
def test_replayed(db, node, first):
    node.register([Found(A, HOUR), Found(B, HOUR), Found(C, status="ERROR")], first=True)
    args = dict(found=[Found(A, HOUR), Found(C, HOUR), Found(B, status="ERROR")], first=first)
    node.register(**args)
    before = dump(db, MOVES)
    for _ in range(3):
        assert node.register(**args)[0] == "OK"
        assert dump(db, MOVES) == before


def test_said_late_by_an_earlier_registration(db, node):
    """It has lost its node: to another agent, or to its own later connection."""
    node.register([Found(A, HOUR)], first=True, inc="old")
    node.register([Found(B, HOUR)], first=True, last=False)
    before = dump(db)
    assert node.register([Found(C, HOUR)], inc="old") == ["UNKNOWN"]
    assert node.register([Found(C, HOUR)], inc="old", last=False) == ["UNKNOWN"]
    assert node.register(gone=[B], inc="old") == ["UNKNOWN"]
    assert dump(db) == before
    node.register([Found(A, HOUR)])
    assert sorted(node.scores()) == [A, B]


def test_unknown_without_a_registration(db, node):
    assert node.register([Found(A)]) == ["UNKNOWN"]
    assert node.register([Found(A)], last=False) == ["UNKNOWN"]
    assert db.keys() == []


# ---- a last use never goes backwards ----


def test_keeps_the_later_use(db, node):
    node.register([Found(A, HOUR), Found(B, DAY)], first=True)
    before = node.scores()
    node.register([Found(A, DAY), Found(B, HOUR)], first=True)
    assert node.score(A) == before[A]
    assert node.score(B) >= before[B] + DAY - HOUR
    before = node.scores()
    node.register([Found(A, DAY), Found(B, DAY)])
    assert node.scores() == before


def test_a_rounded_age_is_no_new_use(db, node):
    node.register([Found(A, HOUR)], first=True)
    used = node.score(A)
    for how in ({"first": True}, {}):
        node.register([Found(A, clock(db) - used - 500)], **how)
        assert node.score(A) == used
    node.register([Found(A, HOUR - 10_000)])
    assert node.score(A) >= used + 10_000


def test_uses_outlive_a_registration_that_was_broken_off(db, node):
    node.register([Found(A, HOUR), Found(B, HOUR), Found(C, HOUR)], first=True)
    used = node.scores()
    node.register([Found(A, DAY)], first=True, last=False, inc="i2")
    node.register([Found(B, DAY)], first=True, last=False, inc="i3")
    node.register([Found(B, DAY)], last=False, inc="i3")
    assert node.register([Found(C, DAY)], inc="i2") == ["UNKNOWN"]
    node.register([Found(A, 2 * DAY), Found(B, DAY)], first=True, last=False, inc="i4")
    node.register([Found(C, DAY)], inc="i4")
    assert node.scores() == used
    assert not db.exists(node.before)


def test_a_use_while_it_registers_counts(db, node):
    node.register([Found(A, DAY)], first=True)
    node.register([Found(A, HOUR)], first=True, last=False)
    used = node.score(A)
    node.register([Found(A, DAY)], first=True, inc="i2")
    assert node.score(A) == used


def test_redis_has_lost_everything(db, node):
    node.register([Found(A, HOUR)], first=True)
    used = node.score(A)
    db.flushall()
    node.register([Found(A, clock(db) - used)], first=True)
    assert abs(node.score(A) - used) <= 1000


@pytest.mark.parametrize("jump", [90_000, -90_000, 8 * DAY])
def test_differences_after_a_jump_of_the_clock(db, node, jump):
    """What they say would be on another clock than the rest: the agent begins again."""
    node.register([Found(A, HOUR)], first=True)
    before = dump(db)
    assert node.register([Found(B)], heard=clock(db) - jump) == ["CLOCK"]
    assert dump(db) == before
    assert node.register([Found(B)], heard=clock(db) + 30_000)[0] == "OK"


def test_a_jump_forward_takes_along_what_was_known(db, node):
    """Redis knows of a later use than the agent, an hour before the clock jumped."""
    node.register([Found(A, HOUR), Found(B, 3 * DAY), Found(C, HOUR)], first=True)
    db.zadd(node.lru, {m: node.score(m) - 8 * DAY for m in (A, B, C)})
    answer = node.register([Found(A, 9 * DAY), Found(B, 2 * DAY), Found(C, 9 * DAY)], first=True,
                           heard=clock(db) - 8 * DAY)
    idle = {m: int(answer[1]) - node.score(m) for m in (A, B, C)}
    assert abs(idle[A] - HOUR) < 60_000 and abs(idle[C] - HOUR) < 60_000
    assert idle[B] == 2 * DAY


def test_a_jump_forward_takes_along_more_than_one_call_holds(db, node):
    """All calls go out together, with the clock of before: those after the first are refused."""
    models = names(1200)
    node.register_whole([Found(m, HOUR) for m in models])
    db.zadd(node.lru, {m: node.score(m) - 8 * DAY for m in models})
    found = [Found(m, 9 * DAY) for m in models]
    heard = clock(db) - 8 * DAY
    assert node.register(found[:500], first=True, last=False, heard=heard)[0] == "OK"
    assert node.register(found[500:1000], last=False, heard=heard) == ["CLOCK"]
    assert node.register(found[1000:], heard=heard) == ["CLOCK"]
    node.inc = "another"
    now = node.register_whole(found, heard=clock(db))
    assert len(node.scores()) == 1200
    assert all(HOUR <= now - score < HOUR + 60_000 for score in node.scores().values())


def test_a_jump_forward_takes_no_strange_time_along(db, node):
    """What somebody wrote there, or what a jump back has left in the future."""
    node.register([Found(A, HOUR), Found(B, HOUR), Found(C, HOUR)], first=True)
    db.zadd(node.lru, {A: "+inf", B: "-inf", C: clock(db) - DAY})
    now = int(node.register([Found(m, 9 * DAY) for m in (A, B, C)], first=True,
                            heard=clock(db) - 8 * DAY)[1])
    assert node.scores() == {A: now, B: now - 9 * DAY, C: now}


def test_a_jump_back_lets_nothing_look_older(db, node):
    node.register([Found(A, HOUR), Found(B, 9 * DAY)], first=True)
    db.zadd(node.lru, {m: node.score(m) + 8 * DAY for m in (A, B)})
    now = int(node.register([Found(A, HOUR), Found(B, 9 * DAY)], first=True,
                            heard=clock(db) + 8 * DAY)[1])
    assert node.score(A) == now and abs(now - node.score(B) - DAY) < 60_000


def test_no_use_is_in_the_future(db, node):
    """Redis' clock went back, or somebody wrote there."""
    node.register([Found(A, HOUR), Found(B, HOUR), Found(C, HOUR)], first=True)
    db.zadd(node.lru, {A: clock(db) + DAY, B: "+inf", C: "-inf"})
    node.register([Found(A, DAY), Found(B, DAY), Found(C, DAY)], first=True)
    now = clock(db)
    assert now - 10_000 <= node.score(A) <= now and now - 10_000 <= node.score(B) <= now
    assert now - 2 * DAY < node.score(C) < now - DAY + 10_000


@pytest.mark.parametrize("age", [0, -1, -DAY, "-9007199254740993", -(2**62)])
def test_an_age_of_nothing_or_less_is_now(db, node, age):
    before = clock(db)
    node.register([Found(A, age)], first=True)
    node.register([Found(B, age)])
    assert before <= node.score(A) <= node.score(B) <= clock(db)


@pytest.mark.parametrize("age", [10**13, 2**53 + 1, 2**62])
def test_an_age_before_all_time_is_the_beginning(db, node, age):
    node.register([Found(A, age)], first=True)
    assert db.zscore(node.lru, A) == 0
    assert node.outcomes(Victim(A, 0)) == ["issued"]


# ---- the fence ----


@pytest.mark.parametrize("whole", [True, False])
def test_an_agent_brings_the_fence_back(db, node, whole):
    """Redis has lost it: what an older leader issues now, the agent would refuse."""
    seen = clock(db) + 6 * DAY
    node.register([Found(A, HOUR)], first=True)
    node.register([Found(A, HOUR)], first=whole, epoch=seen)
    assert node.number("fence") == seen
    assert node.issue(Victim(A, clock(db)), epoch=seen - 1) == ["FENCED", str(seen)]
    assert node.outcomes(Victim(A, clock(db)), epoch=seen) == ["issued"]


def test_a_fence_never_falls(db, node):
    node.register([Found(A, HOUR)], first=True, epoch=EPOCH)
    for lower in (0, 1, EPOCH - 1):
        assert node.register([Found(A, HOUR)], first=True, epoch=lower)[0] == "OK"
        assert node.number("fence") == EPOCH


@pytest.mark.parametrize("epoch", [None, 2**52, 2**53 - 1, 2**53, 2**62])
def test_no_agent_uses_up_the_epochs(db, node, epoch):
    node.register([Found(A, HOUR)], first=True, epoch=EPOCH)
    epoch = epoch or clock(db) + 101 * 365 * DAY
    assert node.register([Found(A, HOUR)], first=True, epoch=epoch)[0] == "OK"
    assert node.number("fence") == EPOCH


def test_an_agent_that_has_heard_no_leader_leaves_no_fence(db, node):
    node.register([Found(A, HOUR)], first=True)
    assert node.field("fence") is None


# ---- the number of the inventory ----


def test_models_that_come_or_go_change_the_number(db, node):
    seen = [0]

    def changed(**call):
        node.register(**call)
        seen.append(node.number("inv"))
        assert seen[-1] >= seen[-2]
        return seen[-1] > seen[-2]

    assert changed(first=True, last=False)
    assert not changed(last=True)
    assert changed(found=[Found(A)])
    assert not changed(found=[Found(A, DAY, "5 ab")])
    assert not changed(found=[Found(B, status="ERROR")])
    assert changed(found=[Found(A, status="ERROR"), Found(B, status="ERROR")])
    assert changed(found=[Found(B)])
    assert not changed(gone=[A, C])
    assert changed(gone=[A, B])
    assert changed(first=True)


@pytest.mark.parametrize("lost", ["", "0", "1", "junk", "nan", "inf", "-inf", "-5", "9" * 30])
def test_a_number_never_comes_back(db, node, lost):
    """A coordinator keeps what it read under a number, also when Redis forgets the number."""
    node.register([Found(A)], first=True)
    for _ in range(3):
        node.register([Found(B)])
    seen = node.number("inv")
    if lost:
        db.hset(node.state, "inv", lost)
    else:
        db.flushall()
    node.register([Found(C)], first=True)
    now = node.number("inv")
    assert seen < now < 2**53
    node.register([Found(A)])
    assert node.number("inv") > now


# ---- names and values ----

STRANGE = ["", " ", "a b", "\n", "\0", "\r\nDEL x\r\n", "{n2}", "*", "é\U0001f600", "%s%n", "0",
           "x" * 100_000, "../..", "-inf", "return 1"]


@pytest.mark.parametrize("text", STRANGE, ids=[repr(s[:12]) for s in STRANGE])
def test_any_text_is_text(db, node, text):
    node.register([Found(text, HOUR, text), Found(A, HOUR)], first=True, fields=[("x", text)])
    assert db.hget(node.size, text) == text and node.field("x") == text
    assert node.beat(uses=[(0, text)], holds=[(HOUR, text)])[0] == "OK"
    assert node.score(text) > node.score(A)
    assert list(db.zrange(node.hold, 0, -1)) == [text]
    assert db.hgetall(node.holders) == {text: f"hold: {text}"}
    assert sorted(db.keys()) == sorted(
        [node.state, node.lru, node.size, node.hold, node.holders])
    node.register(gone=[text])
    assert db.hgetall(node.size) == {A: "1000 abc123"}


def test_a_registration_replaces_what_is_of_another_type(db, node):
    """All of it but what only Redis may know: the last uses, and the node's own hash."""
    for key in (node.size, node.status, node.hold):
        db.set(key, "x")
    node.register([Found(A)], first=True)
    assert db.hgetall(node.size) == {A: "1000 abc123"}
    assert not db.exists(node.status, node.hold)
    for key in (node.state, node.lru, node.before):
        db.flushall()
        db.set(key, "x")
        fails(db, lambda: node.register([Found(A)], first=True), "WRONGTYPE")
