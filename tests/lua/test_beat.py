"""beat.lua: what an agent says every few seconds, and what it hears."""

import pytest

from calls import DAY, HOUR, Found, Victim, clock, dump, names

A, B, C = names(3)
REPEAT = 30_000  # PRESSURE_REPEAT_MS


@pytest.fixture
def node(node):
    """A node with two models, unused for an hour and for a day."""
    node.register([Found(A, HOUR), Found(B, DAY)], first=True)
    return node


def test_heartbeat_and_fields(db, node, listener):
    before = clock(db)
    answer = node.beat(2, fields=[("n", 2), ("root:hub", "layout=huggingface note=a b")])
    assert answer == ["OK", answer[1]] and before <= int(answer[1]) <= clock(db)
    assert node.field("hb") == answer[1] and node.field("want") == "0"
    assert node.field("n") == "2" and node.field("root:hub") == "layout=huggingface note=a b"
    assert node.field("pressed") is None
    assert listener.heard() == []


def test_heartbeat_alone_changes_nothing_else(db, node):
    node.beat(2)
    before = dump(db, ["hb"])
    for _ in range(3):
        node.beat(2)
        assert dump(db, ["hb"]) == before


# ---- who may speak ----


def test_unknown(db, node):
    assert node.beat(2, uses=[(0, A)], holds=[(HOUR, A)], inc="another") == ["UNKNOWN"]
    db.hset(node.state, "loading", "1")
    before = dump(db)
    assert node.beat(2, want=5, uses=[(0, A)]) == ["UNKNOWN"]
    assert dump(db) == before
    db.flushall()
    assert node.beat(2) == ["UNKNOWN"] and node.beat(0, inc="") == ["UNKNOWN"]
    assert db.keys() == []


@pytest.mark.parametrize("off", [90_000, -90_000, 8 * DAY])
def test_clock_that_has_jumped(db, node, off):
    """No heartbeat, and no use, from before it."""
    before = dump(db)
    assert node.beat(2, want=5, uses=[(0, A)], holds=[(HOUR, A)], heard=clock(db) + off) == ["CLOCK"]
    assert dump(db) == before


@pytest.mark.parametrize("off", [0, 30_000, -30_000])
def test_clock_that_runs_apart_a_little(db, node, off):
    assert node.beat(2, heard=clock(db) + off)[0] == "OK"


@pytest.mark.parametrize("models", [0, 1, 3, 2**53])
def test_resync_when_the_count_differs(node, models):
    assert node.beat(models) == ["RESYNC"]


def test_resync_when_redis_has_lost_or_won_something(db, node):
    db.zrem(node.lru, A)
    assert node.beat(2) == ["RESYNC"]
    db.zadd(node.lru, {A: 1})
    assert node.beat(2)[0] == "OK"
    db.hdel(node.size, A)
    assert node.beat(2) == ["RESYNC"]
    db.hset(node.size, A, "1 a")
    db.hset(node.size, C, "1 a")
    assert node.beat(2) == ["RESYNC"]
    db.delete(node.lru, node.size)
    assert node.beat(2) == ["RESYNC"]
    assert node.beat(0)[0] == "OK"


def test_resync_still_tells(db, node):
    """The node is alive and its models were used: that the count differs takes nothing of it away."""
    before = node.score(A)
    db.hdel(node.state, "hb")
    assert node.beat(7, uses=[(0, A)], holds=[(HOUR, B)]) == ["RESYNC"]
    assert node.field("hb") and node.score(A) > before and db.zcard(node.hold) == 1


# ---- last uses ----


def test_uses_move_forward(db, node):
    before = node.scores()
    now = int(node.beat(2, uses=[(5000, A), (2 * DAY, B)])[1])
    assert node.scores() == {A: now - 5000, B: before[B]}


def test_a_model_that_redis_does_not_know_is_not_added(db, node):
    assert node.beat(2, uses=[(0, C), (0, A)])[0] == "OK"
    assert sorted(node.scores()) == [A, B]


@pytest.mark.parametrize("age", [0, -1, -DAY, "-9007199254740993", -(2**62)])
def test_an_age_of_nothing_or_less_is_now(node, age):
    assert node.score(A) < int(node.beat(2, uses=[(age, A)])[1]) == node.score(A)


@pytest.mark.parametrize("age", [10**13, 2**53 + 1, 2**62])
def test_an_age_before_all_time_changes_nothing(node, age):
    before = node.scores()
    assert node.beat(2, uses=[(age, A)])[0] == "OK"
    assert node.scores() == before


def test_the_latest_of_several_counts(node):
    now = int(node.beat(2, uses=[(50_000, A), (10_000, A), (90_000, A)])[1])
    assert node.score(A) == now - 10_000


def test_a_use_said_twice_never_makes_older(node):
    scores = []
    for _ in range(20):
        now = int(node.beat(2, uses=[(1000, A)])[1])
        scores.append(node.score(A))
        assert scores[-1] == now - 1000
    assert scores == sorted(scores)


def test_a_thousand_uses_and_more(db, node):
    models = names(3000)
    node.register_whole([Found(m, DAY) for m in models])
    now = int(node.beat(3000, uses=[(i, m) for i, m in enumerate(models)])[1])
    assert node.scores() == {m: now - i for i, m in enumerate(models)}


# ---- holds ----


def test_holds(db, node):
    now = int(node.beat(2, holds=[(HOUR, A), (1, B)])[1])
    assert dict(db.zrange(node.hold, 0, -1, withscores=True)) == {A: now + HOUR, B: now + 1}
    node.beat(2, holds=[(0, A)])
    assert A not in db.zrange(node.hold, 0, -1)
    node.beat(2, holds=[(-5, A)])
    assert A not in db.zrange(node.hold, 0, -1)


def test_who_holds_it(db, node):
    node.beat(2, holds=[(HOUR, A, "probe: vllm"), (HOUR, B, "api: me")])
    assert db.hgetall(node.holders) == {A: "probe: vllm", B: "api: me"}
    now = int(node.beat(2, holds=[(5000, B, "api: you")])[1])
    assert db.zscore(node.hold, B) == now + 5000 and db.hget(node.holders, B) == "api: you"
    node.beat(2, holds=[(0, A, ""), (-1, B, "")])
    assert not db.exists(node.hold, node.holders)


def test_thousands_of_holds_that_have_ended_go_piece_by_piece(db, node):
    models = names(7000)
    db.zadd(node.hold, {m: 1 + i for i, m in enumerate(models)})
    db.hset(node.holders, mapping={m: "x" for m in models})
    for left in (4000, 1000, 0):
        node.beat(2, holds=[(0, C)])
        assert db.zcard(node.hold) == db.hlen(node.holders) == left


def test_holds_that_have_ended_go(db, node):
    db.zadd(node.hold, {A: clock(db) - 1, B: clock(db) + HOUR})
    db.hset(node.holders, mapping={A: "api: me", B: "api: you"})
    node.beat(2)
    assert db.zcard(node.hold) == 2  # nobody looks at one that has ended
    node.beat(2, holds=[(HOUR, C)])
    assert db.zrange(node.hold, 0, -1) == [B, C]
    assert sorted(db.hkeys(node.holders)) == [B, C]


def test_the_later_of_two_holds_in_one_beat_counts(db, node):
    now = int(node.beat(2, holds=[(HOUR, A), (5000, A), (0, B), (HOUR, B), (HOUR, C), (0, C)])[1])
    assert dict(db.zrange(node.hold, 0, -1, withscores=True)) == {A: now + 5000, B: now + HOUR}


def test_a_hold_for_ever(db, node):
    node.beat(2, holds=[(2**53, A), (2**63 - 1, B)])
    assert db.zrange(node.hold, 0, -1, withscores=True) == [(A, 2**53), (B, 2**53)]
    assert node.outcomes(Victim(A, 2**50), Victim(B, 2**50)) == ["held", "held"]


def test_holds_said_twice(db, node):
    for _ in range(3):
        now = int(node.beat(2, holds=[(HOUR, A), (0, B)])[1])
        assert dict(db.zrange(node.hold, 0, -1, withscores=True)) == {A: now + HOUR}


# ---- commands ----


def test_commands_are_heard_until_they_end(db, node):
    assert len(node.beat(2)) == 2
    node.issue(Victim(A, clock(db), id="a1"), Victim(B, clock(db), id="b1"))
    for _ in range(3):
        heard = node.beat(2)[2:]
        assert dict(zip(heard[::2], heard[1::2], strict=True)) == db.hgetall(node.cmd)
        assert sorted(heard[::2]) == [A, B]


def test_what_somebody_wrote_there_is_heard_as_it_is(db, node):
    db.hset(node.cmd, mapping={A: "junk", "": "", "x" * 10_000: "y" * 100_000})
    heard = node.beat(2)[2:]
    assert dict(zip(heard[::2], heard[1::2], strict=True)) == db.hgetall(node.cmd)


def test_so_many_commands_that_not_all_fit(db, node):
    db.hset(node.cmd, mapping={f"m{i}": "junk" for i in range(10_000)})
    heard = node.beat(2)[2:]
    assert len(heard) == 4000 and set(heard[1::2]) == {"junk"}


# ---- pressure ----


def test_pressure_is_said_at_once_and_then_seldom(db, node, listener):
    node.beat(2, want=1000)
    assert listener.heard() == [(node.pressure, node.name)]
    assert node.field("want") == "1000"
    for want in (1000, 2000, 1):
        node.beat(2, want=want)
        assert listener.heard() == [] and node.field("want") == str(want)
    db.hset(node.state, "pressed", clock(db) - REPEAT)
    node.beat(2, want=1)
    assert listener.heard() == [(node.pressure, node.name)]
    node.beat(2, want=1)
    assert listener.heard() == []


def test_pressure_that_comes_back_is_said_at_once(node, listener):
    for want, heard in [(0, 0), (5, 1), (0, 0), (5, 1), (5, 0), (-5, 0), (5, 1)]:
        node.beat(2, want=want)
        assert len(listener.heard()) == heard


def test_pressure_is_repeated_when_the_clock_has_gone_back(db, node, listener):
    node.beat(2, want=5)
    db.hset(node.state, "pressed", clock(db) + DAY)
    listener.heard()
    node.beat(2, want=5)
    assert listener.heard() == [(node.pressure, node.name)]
    assert node.number("pressed") <= clock(db)


def test_pressure_is_said_again_when_what_stands_there_is_no_number(db, node, listener):
    node.beat(2, want=5)
    db.hset(node.state, mapping={"want": "x", "pressed": "y"})
    listener.heard()
    node.beat(2, want=5)
    assert listener.heard() == [(node.pressure, node.name)]


@pytest.mark.parametrize("want", [2**53 + 1, 10**16, 2**63 - 1])
def test_bytes_are_kept_digit_by_digit(node, want):
    node.beat(2, want=want, fields=[("bytes", want)])
    assert node.field("want") == node.field("bytes") == str(want)


def test_an_agent_that_is_not_heard_presses_nobody(node, listener):
    assert node.beat(2, want=5, inc="another") == ["UNKNOWN"]
    assert listener.heard() == []
    assert node.beat(3, want=5) == ["RESYNC"]
    assert listener.heard() == [(node.pressure, node.name)]
