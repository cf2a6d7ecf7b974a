"""confirm.lua: receipts, each counted once."""

import itertools

import pytest

from calls import EPOCH, HOUR, Found, Receipt, Victim, clock, dump, fails, names

A, B, C = names(3)
OUTCOMES = ("deleted", "gone", "refused", "failed", "refault")
KEPT = 1000  # RECEIPTS_KEPT


@pytest.fixture
def node(db, node):
    """A node with commands for A and B."""
    node.register([Found(A, HOUR), Found(B, HOUR)], first=True)
    node.issue(Victim(A, clock(db), "a1"), Victim(B, clock(db), "b1"))
    node.beat(2, fields=[("n", 2)])
    return node


def counters(node):
    return {name: node.number(name) for name in (*OUTCOMES, "freed")}


def last(db, node):
    return db.xrevrange(node.receipts, count=1)[0][1]


def test_deleted(db, node, listener):
    inventory = node.number("inv")
    node.beat(2, holds=[(HOUR, A), (HOUR, B)])
    receipt = Receipt(1, A, "a1", "deleted", 12345, "", "disk_space", EPOCH, 77, 88)
    assert node.confirm(receipt) == ["OK", 1]
    assert list(node.scores()) == [B] and list(db.hgetall(node.size)) == [B]
    assert list(db.hgetall(node.cmd)) == [B] and db.zrange(node.hold, 0, -1) == [B]
    assert db.hkeys(node.holders) == [B]
    assert node.field("n") == "1" and node.number("inv") > inventory
    assert node.field("receipt") == node.journal + ":1"
    assert counters(node) == {**dict.fromkeys(OUTCOMES, 0), "deleted": 1, "freed": 12345}
    assert last(db, node) == {
        "id": "a1", "model": A, "outcome": "deleted", "bytes": "12345", "why": "",
        "reason": "disk_space", "epoch": str(EPOCH), "last_used_ms": "77", "took_ms": "88"}
    assert listener.heard() == [(node.done, node.name)]
    assert node.beat(1)[0] == "OK"


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_outcomes(db, node, outcome):
    inventory = node.number("inv")
    assert node.confirm(Receipt(1, A, "a1", outcome, 5, "why it is so")) == ["OK", 1]
    freed = 0 if outcome == "refault" else 5  # what came back was counted when it came free
    assert counters(node) == {**dict.fromkeys(OUTCOMES, 0), outcome: 1, "freed": freed}
    assert last(db, node)["outcome"] == outcome and last(db, node)["why"] == "why it is so"
    leaves = outcome in ("deleted", "gone")
    assert (A in node.scores()) == db.hexists(node.size, A) == (not leaves)
    assert node.number("n") == 2 - leaves
    assert (node.number("inv") > inventory) == leaves
    assert node.command(A) is None and node.command(B) is not None


def test_what_was_in_error_goes(db, node):
    node.register([Found(C, 0, "0 0", "ERROR")])
    node.issue(Victim(C, 0, "c1", "manual"))
    node.confirm(Receipt(1, C, "c1"))
    assert not db.exists(node.status) and node.number("n") == 2


def test_a_command_of_another_id_stays(db, node):
    before = db.hgetall(node.cmd)
    node.confirm(Receipt(1, A, "other", "refused"), Receipt(2, A, "", "refused"),
                 Receipt(3, A, "a", "refused"), Receipt(4, A, "a1 ", "refused"))
    assert db.hgetall(node.cmd) == before
    assert node.number("refused") == 4


def test_without_a_command(db, node):
    """It has ended by its deadline, or Redis has lost it: what was done is done."""
    db.delete(node.cmd)
    assert node.confirm(Receipt(1, A, "a1")) == ["OK", 1]
    assert list(node.scores()) == [B]
    assert node.confirm(Receipt(2, C, "c9", "gone", 0)) == ["OK", 1]
    assert node.number("n") == 1 and node.number("gone") == 1


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_model_that_redis_does_not_know(db, node, outcome):
    assert node.confirm(Receipt(1, C, "c1", outcome), Receipt(2, C, "c2", outcome)) == ["OK", 2]
    assert node.number(outcome) == 2 and sorted(node.scores()) == [A, B] and node.number("n") == 2


def test_several_in_one_call(db, node, listener):
    inventory = node.number("inv")
    assert node.confirm(Receipt(1, A, "a1", bytes=3), Receipt(2, B, "b1", "refused", 0),
                        Receipt(3, B, "b2", "gone", 4)) == ["OK", 3]
    assert node.scores() == {} and not db.exists(node.cmd)
    assert counters(node) == {
        **dict.fromkeys(OUTCOMES, 0), "deleted": 1, "gone": 1, "refused": 1, "freed": 7}
    assert node.number("n") == 0 and node.number("inv") > inventory
    assert node.field("receipt") == node.journal + ":3"
    assert len(listener.heard()) == 1
    assert [entry["id"] for _, entry in db.xrange(node.receipts)] == ["a1", "b1", "b2"]


def test_none_at_all(db, node, listener):
    before = dump(db)
    assert node.confirm() == ["OK", 0]
    assert dump(db) == before and listener.heard() == []


# ---- said again, said late ----


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_replayed(db, node, listener, outcome):
    receipts = [Receipt(1, A, "a1", outcome), Receipt(2, B, "b1", outcome)]
    assert node.confirm(*receipts) == ["OK", 2]
    before = dump(db)
    listener.heard()
    for _ in range(3):
        assert node.confirm(*receipts) == ["OK", 0]
        assert node.confirm(receipts[0]) == ["OK", 0]
        assert node.confirm(receipts[1]) == ["OK", 0]
    assert dump(db) == before and listener.heard() == []


def test_said_again_with_newer_ones(db, node):
    node.confirm(Receipt(1, A, "a1"))
    assert node.confirm(Receipt(1, A, "a1"), Receipt(2, B, "b1")) == ["OK", 1]
    assert node.number("deleted") == 2 and node.number("freed") == 2000
    assert db.xlen(node.receipts) == 2


def test_said_late_takes_nothing_that_has_come_back(db, node):
    receipt = Receipt(1, A, "a1")
    node.confirm(receipt)
    node.register([Found(A, 0, "10 new")])
    node.issue(Victim(A, clock(db), "a2"))
    before = dump(db)
    assert node.confirm(receipt) == ["OK", 0]
    assert dump(db) == before


def test_said_again_ends_a_command_that_was_put_back(db, node):
    """A fail-over has brought the command back, but the receipt was counted."""
    command = db.hget(node.cmd, A)
    node.confirm(Receipt(1, A, "a1", "refused"))
    db.hset(node.cmd, A, command)
    assert node.confirm(Receipt(1, A, "a1", "refused")) == ["OK", 0]
    assert node.command(A) is None and node.number("refused") == 1


def test_numbers_start_again_with_another_journal(db, node):
    node.confirm(Receipt(7, A, "a1"))
    assert node.confirm(Receipt(1, B, "b1"), journal="ffee") == ["OK", 1]
    assert node.field("receipt") == "ffee:1" and node.number("deleted") == 2
    assert node.confirm(Receipt(1, B, "b1"), journal="ffee") == ["OK", 0]


@pytest.mark.parametrize("text", ["", "junk", ":", "00112233:", ":5", "00112233:x", "00112233:-5"])
def test_a_last_number_that_is_none_counts_as_none(db, node, text):
    db.hset(node.state, "receipt", text)
    assert node.confirm(Receipt(1, A, "a1")) == ["OK", 1]
    assert node.confirm(Receipt(1, A, "a1")) == ["OK", 0]


def test_unknown(db, node):
    before = dump(db)
    assert node.confirm(Receipt(1, A, "a1"), inc="another") == ["UNKNOWN"]
    assert dump(db) == before
    node.register([Found(A), Found(B)], first=True, inc="another")
    before = dump(db)
    assert node.confirm(Receipt(1, A, "a1")) == ["UNKNOWN"]
    assert dump(db) == before
    db.flushall()
    assert node.confirm(Receipt(1, A, "a1")) == ["UNKNOWN"]
    assert db.keys() == []


def test_receipts_are_kept_over_another_registration(db, node):
    node.confirm(Receipt(1, A, "a1"))
    node.register([Found(B)], first=True, inc="another")
    assert node.confirm(Receipt(1, A, "a1"), inc="another") == ["OK", 0]
    assert node.confirm(Receipt(2, B, "b1"), inc="another") == ["OK", 1]
    assert node.number("deleted") == 2 and db.xlen(node.receipts) == 2


def test_before_the_first_beat_after_redis_lost_everything(db, node):
    """The number of models is that of the sorted set, not one less than nothing."""
    db.flushall()
    node.register([Found(A), Found(B)], first=True)
    node.confirm(Receipt(5, A, "a1"))
    assert node.number("n") == 1


# ---- numbers ----


def test_bytes_are_added_digit_by_digit(db, node):
    big = 2**53 - 1
    for number in range(1, 11):
        node.confirm(Receipt(number, C, bytes=big))
    assert node.field("freed") == str(10 * big)
    node.confirm(Receipt(11, C, bytes=1))
    assert node.field("freed") == str(10 * big + 1)


def test_numbers_of_receipts_up_to_the_largest(db, node):
    numbers = [1, 2, 10, 2**31, 2**32 + 1, 10**15 - 1, 10**15 + 1, 2**53 - 2, 2**53 - 1]
    for number in numbers:
        assert node.confirm(Receipt(number, C)) == ["OK", 1]
        assert node.confirm(Receipt(number, C)) == ["OK", 0]
        assert node.field("receipt") == f"{node.journal}:{number}"
    assert node.number("deleted") == len(numbers)


@pytest.mark.parametrize("counter", [*OUTCOMES, "freed"])
@pytest.mark.parametrize("value", ["", "x", "-1", "1.5", "1e3", "9" * 19, "9" * 400])
def test_a_counter_that_is_none_is_an_error(db, node, counter, value):
    """Nothing is half counted, however often it is tried."""
    db.hset(node.state, counter, value)
    receipts = [Receipt(1, A, "a1", "deleted"), Receipt(2, B, "b1", "refused")]
    for _ in range(2):
        assert f"{counter} of the node" in fails(db, lambda: node.confirm(*receipts))
    db.hdel(node.state, counter)
    assert node.confirm(*receipts) == ["OK", 2]


def test_the_stream_is_capped(db, node):
    numbers = itertools.count(1)
    for _ in range(30):
        node.confirm(*(Receipt(next(numbers), f"m{i}") for i in range(100)))
    assert node.number("deleted") == 3000
    # Redis trims whole blocks of a stream, of at most 100 entries.
    assert KEPT <= db.xlen(node.receipts) <= KEPT + 100


def test_a_stream_that_can_take_no_more(db, node):
    db.xadd(node.receipts, {"id": "x"}, id=f"{2**64 - 1}-{2**64 - 1}")
    for _ in range(2):
        with pytest.raises(Exception, match="exhausted"):
            node.confirm(Receipt(1, A, "a1"))
        assert counters(node) == dict.fromkeys((*OUTCOMES, "freed"), 0)
        assert sorted(node.scores()) == [A, B]
    db.delete(node.receipts)
    assert node.confirm(Receipt(1, A, "a1")) == ["OK", 1]


def test_more_bytes_in_one_call_than_can_be_added(db, node):
    receipts = [Receipt(i, C, bytes=2**52) for i in (1, 2)]
    assert "freed bytes" in fails(db, lambda: node.confirm(*receipts))
    for receipt in receipts:
        assert node.confirm(receipt) == ["OK", 1]
    assert node.number("freed") == 2**53


STRANGE = ["", " ", "\n", "\0", "\r\n+OK\r\n", "x" * 100_000, "é\U0001f600", "%d%s"]


@pytest.mark.parametrize("text", STRANGE, ids=[repr(s[:12]) for s in STRANGE])
def test_any_text_is_text(db, node, text):
    node.register([Found(text)])
    receipt = Receipt(1, text, text, "deleted", 1, text, text, text, text, text)
    assert node.confirm(receipt) == ["OK", 1]
    assert last(db, node) == {
        "id": text, "model": text, "outcome": "deleted", "bytes": "1", "why": text, "reason": text,
        "epoch": text, "last_used_ms": text, "took_ms": text}
    assert sorted(node.scores()) == [A, B]
