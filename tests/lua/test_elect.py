"""elect.lua and resign.lua: one leader at a time, each with an epoch of its own."""

import pytest

from calls import clock, dump, fails
from larder.wait import wait_until

LEASE = 60_000


def take(cluster, id, **how):
    answer = cluster.elect(id, **how)
    assert answer[0] == "LEADER", answer
    return int(answer[1])


def test_taken(db, cluster, listener):
    before = clock(db)
    answer = cluster.elect("c1", "http://c1:8080")
    now = int(answer[2])
    assert answer == ["LEADER", str(now), str(now)] and before <= now <= clock(db)
    assert db.hgetall(cluster.leader) == {
        "id": "c1", "epoch": str(now), "address": "http://c1:8080", "since_ms": str(now),
        "renewed_ms": str(now)}
    assert db.get(cluster.epoch) == str(now)
    assert LEASE - 10_000 < db.pttl(cluster.leader) <= LEASE
    assert db.pttl(cluster.epoch) == -1
    assert listener.heard() == []


def test_follower(db, cluster):
    take(cluster, "c1", address="http://c1")
    before = dump(db)
    for _ in range(3):
        word, id, address, left = cluster.elect("c2", "http://c2")
        assert (word, id, address) == ("FOLLOWER", "c1", "http://c1")
        assert 0 < int(left) <= LEASE
    assert dump(db) == before


def test_renewed(db, cluster):
    epoch = take(cluster, "c1")
    since = db.hget(cluster.leader, "since_ms")
    for _ in range(3):
        db.pexpire(cluster.leader, 1000)
        answer = cluster.elect("c1", "elsewhere")
        assert answer[:2] == ["LEADER", str(epoch)]
        assert db.hget(cluster.leader, "renewed_ms") == answer[2]
        assert db.pttl(cluster.leader) > 1000
    assert db.hget(cluster.leader, "since_ms") == since and db.get(cluster.epoch) == str(epoch)


def test_looking_takes_nothing(db, cluster):
    assert cluster.elect("c1", takes=0) == ["FOLLOWER", "", "", "0"]
    assert db.keys() == []
    take(cluster, "c1")
    assert cluster.elect("c2", takes=0)[:2] == ["FOLLOWER", "c1"]
    db.persist(cluster.leader)
    assert cluster.elect("c2", takes=0)[3] == "0" and db.pttl(cluster.leader) == -1


def test_free_when_the_lease_is_over(db, cluster):
    first = take(cluster, "c1", lease=50)
    wait_until(lambda: not db.exists(cluster.leader), what="the lease is over")
    assert take(cluster, "c2") > first
    assert cluster.elect("c1")[:2] == ["FOLLOWER", "c2"]


def test_taken_again_by_the_same_one(db, cluster):
    """It was away for too long: its commands of before are an old leader's."""
    first = take(cluster, "c1")
    db.delete(cluster.leader)
    assert take(cluster, "c1") > first


# ---- epochs ----


def test_epochs_grow_within_one_millisecond(cluster):
    epochs = []
    for i in range(500):
        epochs.append(take(cluster, f"c{i}"))
        assert cluster.resign(f"c{i}") == 1
    assert epochs == sorted(set(epochs))


def test_an_epoch_follows_the_last_one_when_the_clock_has_gone_back(db, cluster):
    later = clock(db) + 10**9
    db.set(cluster.epoch, later)
    assert take(cluster, "c1") == later + 1


def test_an_epoch_is_not_less_than_was_asked_for(db, cluster):
    """A node has seen a later one: Redis has lost it in a fail-over."""
    least = clock(db) + 10**9
    assert take(cluster, "c1", least=least) == least
    db.delete(cluster.leader)
    assert take(cluster, "c2", least=least) == least + 1
    db.delete(cluster.leader)
    assert take(cluster, "c3", least=5) == least + 2


def test_redis_has_lost_everything(db, cluster):
    first = take(cluster, "c1")
    wait_until(lambda: clock(db) > first, what="the clock goes on")
    db.flushall()
    assert take(cluster, "c2") > first


@pytest.mark.parametrize("last", ["", "x", "-5", "1e300", "inf", "nan", "12.5", "0x10", str(2**53 - 1),
                                  str(2**53), str(2**63 - 1), "9" * 400])
def test_a_last_epoch_that_is_none(db, cluster, last):
    """As if there were none: what nodes have seen is told by their fences."""
    db.set(cluster.epoch, last)
    before = clock(db)
    assert before <= take(cluster, "c1") <= clock(db)


@pytest.mark.parametrize("last", [2**53 - 3, 2**53 - 10])
def test_large_epochs_are_told_apart(db, cluster, last):
    db.set(cluster.epoch, last)
    assert take(cluster, "c1") == last + 1
    assert db.get(cluster.epoch) == str(last + 1)


# ---- what somebody wrote there ----


@pytest.mark.parametrize("epoch", [None, "", "x", "-1", "1e3", str(2**53), str(2**64)])
def test_a_leader_without_an_epoch_takes_one(db, cluster, epoch):
    db.hset(cluster.leader, "id", "c1")
    if epoch is not None:
        db.hset(cluster.leader, "epoch", epoch)
    assert cluster.elect("c2")[:2] == ["FOLLOWER", "c1"]
    taken = take(cluster, "c1")
    assert db.hget(cluster.leader, "epoch") == db.get(cluster.epoch) == str(taken)
    assert abs(taken - clock(db)) < 10_000 and db.pttl(cluster.leader) > 0


def test_a_lease_without_an_end_gets_one(db, cluster):
    """Whose is it? Who still leads renews it; otherwise nobody would ever lead again."""
    first = take(cluster, "c1")
    db.persist(cluster.leader)
    assert cluster.elect("c2", lease=50) == ["FOLLOWER", "c1", "http://c1:1", "50"]
    wait_until(lambda: not db.exists(cluster.leader), what="the lease is over")
    assert take(cluster, "c2") > first


@pytest.mark.parametrize("left", [LEASE + 5_000, 3_600_000, 10**15])
def test_a_lease_from_before_the_clock_went_back(db, cluster, left):
    """It ends soon, and not before the one who has it, if it lives, renews it."""
    first = take(cluster, "c1", lease=LEASE)
    db.pexpire(cluster.leader, left)
    assert cluster.elect("c2", lease=1000, takes=0)[3] != str(LEASE)
    assert db.pttl(cluster.leader) > LEASE
    assert cluster.elect("c2", lease=1000) == ["FOLLOWER", "c1", "http://c1:1", str(LEASE)]
    assert LEASE - 10_000 < db.pttl(cluster.leader) <= LEASE
    assert take(cluster, "c1", lease=LEASE) == first


def test_a_hash_without_an_id_is_no_leader(db, cluster):
    db.hset(cluster.leader, mapping={"epoch": "5", "address": "x"})
    take(cluster, "c1")
    assert db.hget(cluster.leader, "id") == "c1"


@pytest.mark.parametrize("lease", ["", "0", "-1", "x", "1.5", "1e4", "inf", "nan", "9" * 30])
def test_a_lease_that_is_none(db, cluster, lease):
    assert "lease" in fails(db, lambda: cluster.elect("c1", lease=lease))


@pytest.mark.parametrize("least", ["", "-1", "x", "1.5", "nan", "inf", str(2**53), "9" * 30])
def test_a_least_epoch_that_is_none(db, cluster, least):
    assert "epoch" in fails(db, lambda: cluster.elect("c1", least=least))


# ---- resign ----


def test_resigned(db, cluster):
    first = take(cluster, "c1")
    assert cluster.resign("c1") == 1
    assert not db.exists(cluster.leader) and db.get(cluster.epoch) == str(first)
    assert cluster.resign("c1") == 0
    assert take(cluster, "c2") > first


def test_only_the_leader_resigns(db, cluster):
    assert cluster.resign("c1") == 0 and cluster.resign("") == 0
    take(cluster, "c2")
    before = dump(db)
    for other in ("c1", "c", "c22", "", "C2"):
        assert cluster.resign(other) == 0
    assert dump(db) == before


def test_said_late_it_takes_nothing_from_the_next_one(db, cluster):
    take(cluster, "c1")
    cluster.resign("c1")
    take(cluster, "c2")
    assert cluster.resign("c1") == 0
    assert db.hget(cluster.leader, "id") == "c2"
