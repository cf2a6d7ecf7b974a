"""The scripts called by many connections at once, in whatever order Redis takes them."""

import concurrent.futures
import contextlib
import random
import threading

import pytest
import redis

from calls import (DAY, EPOCH, HOUR, Cluster, Found, Receipt, Victim, clock, dump, names)
from larder.wait import wait_until

A, B, C = names(3)
ROUNDS = 150
CROWD = 12


class Crowd:
    """Threads with a connection each."""

    def __init__(self, server, size):
        self.connections = [server.client(single_connection_client=True) for _ in range(size)]
        self.pool = concurrent.futures.ThreadPoolExecutor(size)

    def close(self):
        self.pool.shutdown()
        for connection in self.connections:
            connection.close()

    def race(self, *acts):
        """Calls each of them with a connection of its own, all at once; their results in order."""
        barrier = threading.Barrier(len(acts))

        def run(act, connection):
            barrier.wait(30)
            return act(connection)

        futures = [self.pool.submit(run, *pair) for pair in zip(acts, self.connections)]
        return [future.result(60) for future in futures]


@pytest.fixture
def crowd(server):
    with contextlib.closing(Crowd(server, CROWD)) as crowd:
        yield crowd


def race(crowd, *acts):
    """The same; none of them is always the first in the row."""
    order = random.sample(range(len(acts)), len(acts))
    results = crowd.race(*(acts[i] for i in order))
    return [results[order.index(i)] for i in range(len(acts))]


# ---- leaders ----


def test_leaders_elect(db, crowd, cluster):
    epochs = []
    for _ in range(ROUNDS):
        answers = crowd.race(*(
            lambda c, i=i: Cluster(c).elect(f"c{i}", lease=30_000) for i in range(CROWD)))
        leaders = [(i, a) for i, a in enumerate(answers) if a[0] == "LEADER"]
        assert len(leaders) == 1, answers
        i, answer = leaders[0]
        followers = [a for a in answers if a[0] == "FOLLOWER"]
        assert len(followers) == CROWD - 1 and {a[1] for a in followers} == {f"c{i}"}
        epochs.append(int(answer[1]))
        # The leader renews and resigns while others try.
        answers = race(crowd, lambda c, i=i: Cluster(c).elect(f"c{i}"),
                       lambda c, i=i: Cluster(c).resign(f"c{i}"),
                       lambda c: Cluster(c).resign("other"))
        assert answers[1:] == [1, 0]
        if answers[0][1] != str(epochs[-1]):  # it was resigned before: this is another leadership
            epochs.append(int(answers[0][1]))
        db.delete(cluster.leader)
    assert epochs == sorted(set(epochs)), "two leaders have had the same epoch"


def test_leases_end_while_leaders_elect(db, crowd):
    """Each leadership has its epoch, and an epoch has one leader."""
    leaders = {}
    lock = threading.Lock()
    done = threading.Event()

    def candidate(connection, i):
        cluster = Cluster(connection)
        while not done.is_set():
            answer = cluster.elect(f"c{i}", lease=3)
            if answer[0] != "LEADER":
                continue
            with lock:
                assert leaders.setdefault(int(answer[1]), i) == i
                if len(leaders) >= 50:
                    done.set()
            while connection.hget(cluster.leader, "id") == f"c{i}":
                pass  # it does not renew

    crowd.race(*(lambda c, i=i: candidate(c, i) for i in range(4)))
    assert len(leaders) >= 50


def test_only_the_latest_epoch_issues(db, crowd, node):
    models = names(200)
    node.register([Found(m, DAY) for m in models], first=True)
    epochs = [EPOCH + i for i in range(CROWD - 1)]
    ended = []

    def leader(connection, epoch):
        mine = node.on(connection)
        victims = [Victim(random.choice(models), 2**50, f"e{epoch}-{i}") for i in range(50)]
        try:
            return [mine.issue(victim, epoch=epoch) for victim in victims]
        finally:
            ended.append(epoch)

    def watcher(connection):
        fences = []
        while len(ended) < len(epochs):
            fences.append(node.on(connection).number("fence"))
        return fences

    *results, fences = crowd.race(*(lambda c, e=e: leader(c, e) for e in epochs), watcher)
    assert fences == sorted(fences), "the fence has fallen"
    assert node.number("fence") == max(epochs)
    for epoch, answers in zip(epochs, results, strict=True):
        words = [a[0] for a in answers]
        assert words == sorted(words, key=lambda word: word == "FENCED"), "fenced, and then not"
        assert all(int(a[1]) > epoch for a in answers if a[0] == "FENCED")
    assert {a[0] for a in results[-1]} == {"OK"}
    issued = [a for answers in results for a in answers if a[0] == "OK" and a[2] == "issued"]
    assert len(issued) == db.hlen(node.cmd)


# ---- one victim ----


def test_two_leaders_want_the_same(db, crowd, node):
    for _ in range(ROUNDS):
        db.flushall()
        node.register([Found(A, DAY)], first=True)
        answers = crowd.race(*(
            lambda c, i=i: node.on(c).outcomes(Victim(A, 2**50, f"i{i}")) for i in range(CROWD)))
        assert sorted(answers) == [["issued"]] + [["pending"]] * (CROWD - 1)
        assert node.command(A)[0] == f"i{answers.index(['issued'])}"


def test_issue_against_touch(db, crowd, node):
    both = set()
    for i in range(ROUNDS):
        db.flushall()
        node.register([Found(A, DAY)], first=True)
        seen = node.score(A)
        issued, touched = race(
            crowd, lambda c: node.on(c).issue(Victim(A, seen, f"i{i}")),
            lambda c: node.on(c).beat(1, uses=[(0, A)]))
        assert issued[0] == touched[0] == "OK"
        assert node.score(A) == int(touched[1])
        both.add(issued[2])
        if issued[2] == "issued":
            # The agent knows of the use and of what the command saw, and refuses.
            assert int(touched[1]) >= int(issued[1]) > seen == int(node.command(A)[1])
        else:
            assert issued[2] == "used" and int(touched[1]) <= int(issued[1])
            assert node.command(A) is None
    assert both <= {"issued", "used"}


def test_issue_against_hold(db, crowd, node):
    for i in range(ROUNDS):
        db.flushall()
        node.register([Found(A, DAY)], first=True)
        issued, held = race(
            crowd, lambda c: node.on(c).issue(Victim(A, 2**50, f"i{i}")),
            lambda c: node.on(c).beat(1, holds=[(HOUR, A)]))
        assert db.zscore(node.hold, A) == int(held[1]) + HOUR
        if issued[2] == "issued":
            assert int(held[1]) >= int(issued[1])
        else:
            assert issued[2] == "held" and int(held[1]) <= int(issued[1])
            assert node.command(A) is None


def test_issue_against_a_hold_that_ends(db, crowd, node):
    for i in range(ROUNDS):
        db.flushall()
        node.register([Found(A, DAY)], first=True)
        node.beat(1, holds=[(HOUR, A)])
        issued, _ = race(
            crowd, lambda c: node.on(c).outcomes(Victim(A, 2**50, f"i{i}")),
            lambda c: node.on(c).beat(1, holds=[(0, A)]))
        assert issued in (["issued"], ["held"])
        assert (node.command(A) is None) == (issued == ["held"]) and not db.exists(node.hold)


def test_issue_against_pin(db, crowd, node, cluster):
    """Pins are no business of the node's keys: the agent reads them after it has heard a command."""
    for i in range(ROUNDS):
        db.flushall()
        node.register([Found(A, DAY)], first=True)
        heard = node.on(crowd.connections[-1])

        def agent(_, heard=heard):
            wait_until(lambda: len(heard.beat(1)) > 2, every=0, what="the command is heard")
            return heard.db.hgetall(cluster.pins)

        _, pinned, seen = race(
            crowd, lambda c: node.on(c).issue(Victim(A, 2**50, f"i{i}")),
            lambda c: (Cluster(c).pin(A, DAY), c.hget(node.cmd, A)), agent)
        # Was it pinned before there was a command? Then the agent has read the pin.
        if pinned[1] is None:
            assert A in seen


def test_issue_against_registration(db, crowd, node):
    """What is issued fits what stands there: never a model of before under a score of after."""
    for i in range(ROUNDS):
        db.flushall()
        node.register([Found(A, DAY, "1 aa"), Found(B, DAY, "2 bb")], first=True)

        def again(connection):
            other = node.on(connection)
            other.register([Found(A, 0, "3 cc")], first=True, last=False, inc="i2")
            other.register([Found(C, DAY, "4 dd")], inc="i2")

        issued, _ = race(crowd, lambda c, i=i: node.on(c).issue(
            Victim(A, node.score(A) or 0, f"a{i}"), Victim(B, 2**50, f"b{i}")), again)
        if issued[0] == "OK":
            assert issued[2:] == ["issued", "1 aa", "issued", "2 bb"]
        else:
            assert issued in (["INCARNATION"], ["LOADING"]) and not db.exists(node.cmd)
        assert sorted(node.scores()) == [A, C]


# ---- mending ----


def unless_broken(act, connection):
    """None: a key was of another type."""
    try:
        return act(connection)
    except redis.ResponseError:
        return None


def test_mend_against_those_who_work_there(db, crowd, node):
    """What is wrong goes once; nothing goes that somebody writes before, between and after."""
    for i in range(ROUNDS):
        db.flushall()
        node.register([Found(A, DAY), Found(B, DAY)], first=True)
        db.set(node.cmd, "x")
        db.hset(node.state, "refused", "x")

        def issue(connection, i=i):
            return node.on(connection).outcomes(Victim(A, 2**50, f"i{i}"))

        def hold(connection):
            return node.on(connection).beat(2, holds=[(HOUR, B)])

        issued, held, *dropped = race(
            crowd, lambda c, act=issue: unless_broken(act, c), lambda c: unless_broken(hold, c),
            *[lambda c: node.on(c).mend()] * 4)
        assert sorted(sum(dropped, [])) == [node.state + " refused", node.cmd]
        assert issued in (None, ["issued"])
        assert issued or issue(db) == ["issued"]
        held = held or hold(db)
        assert node.command(A)[0] == f"i{i}" and db.zscore(node.hold, B) == int(held[1]) + HOUR
        assert node.confirm(Receipt(1, A, f"i{i}", "refused")) == ["OK", 1]
        assert node.number("refused") == 1 and node.scores().keys() == {A, B}
        assert node.mend() == []


# ---- receipts ----


def test_one_receipt_from_everywhere(db, crowd, node):
    receipts = [Receipt(1, A, "a1"), Receipt(2, B, "b1", "refused"), Receipt(3, C, "c1", "gone", 0)]
    for _ in range(ROUNDS):
        db.flushall()
        node.register([Found(A), Found(B), Found(C)], first=True)
        node.issue(*(Victim(r.model, 2**50, r.id) for r in receipts))
        answers = crowd.race(*(
            lambda c, i=i: node.on(c).confirm(*receipts[: i % 3 + 1]) for i in range(CROWD)))
        assert sum(a[1] for a in answers) == 3
        assert [node.number(x) for x in ("deleted", "refused", "gone", "freed")] == [1, 1, 1, 2000]
        assert db.xlen(node.receipts) == 3 and not db.exists(node.cmd)
        assert node.scores().keys() == {B} and node.field("receipt") == node.journal + ":3"


def test_confirm_against_issue(db, crowd, node):
    """The receipt of a command that was late ends that command, never the one after it."""
    for i in range(ROUNDS):
        db.flushall()
        node.register([Found(A, DAY)], first=True)
        node.issue(Victim(A, 2**50, "old"), ttl=0)
        issued, confirmed = race(
            crowd, lambda c: node.on(c).outcomes(Victim(A, 2**50, "new")),
            lambda c: node.on(c).confirm(Receipt(1, A, "old", "refused", 0, "deadline")))
        assert issued == ["issued"] and confirmed == ["OK", 1]
        assert node.command(A)[0] == "new" and node.number("refused") == 1


def test_confirm_of_a_deletion_against_issue(db, crowd, node):
    for i in range(ROUNDS):
        db.flushall()
        node.register([Found(A, DAY)], first=True)
        issued, _ = race(
            crowd, lambda c: node.on(c).outcomes(Victim(A, 2**50, "new")),
            lambda c: node.on(c).confirm(Receipt(1, A, "old")))
        assert issued in (["issued"], ["gone"])
        assert (node.command(A) is None) == (issued == ["gone"])
        assert node.scores() == {} and not db.exists(node.size)


def test_issue_confirm_and_come_back(db, crowd, node):
    """A model that is evicted and comes back, again and again, with leaders that want it gone."""
    node.register([Found(A, DAY)], first=True)
    done = threading.Event()

    def agent(connection):
        mine, number = node.on(connection), 0
        try:
            while number < 100:
                heard = mine.beat()
                for model, text in zip(heard[2::2], heard[3::2], strict=True):
                    number += 1
                    outcome = random.choice(["deleted", "refused"])
                    mine.confirm(Receipt(number, model, text.split()[0], outcome, 1))
                    mine.register([Found(A, DAY)])
        finally:
            done.set()
        return number

    def leader(connection, i):
        issued, mine = [], node.on(connection)
        while not done.is_set():
            victim = Victim(A, 2**50, f"{i}-{len(issued)}")
            if mine.outcomes(victim) == ["issued"]:
                issued.append(victim.id)
        return issued

    number, *issued = crowd.race(agent, *(lambda c, i=i: leader(c, i) for i in range(3)))
    entries = [entry["id"] for _, entry in db.xrange(node.receipts)]
    assert len(entries) == number == node.number("deleted") + node.number("refused")
    assert len(set(entries)) == number, "a command has ended twice"
    all_issued = {id for ids in issued for id in ids}
    assert set(entries) <= all_issued and len(all_issued) - number <= 1
    assert node.number("freed") == number


# ---- registrations ----


def test_register_against_beat(db, crowd, node):
    models = names(30)
    node.register([Found(m, DAY) for m in models], first=True)
    done = threading.Event()
    before = node.scores()

    def agent(connection):
        mine = node.on(connection)
        try:
            for i in range(ROUNDS):
                mine.inc = f"i{i}"
                found = [Found(m, DAY) for m in models]
                mine.register_whole(found, chunk=7)
        finally:
            done.set()

    def late(connection):
        """What was said before, and comes now."""
        mine, heard = node.on(connection), set()
        while not done.is_set():
            inc = random.choice([node.inc, *(f"i{i}" for i in range(ROUNDS))])
            answer = mine.beat(30, uses=[(HOUR, random.choice(models))], inc=inc)
            heard.add(answer[0])
            low = {m: s for m, s in mine.scores().items() if s < before[m]}
            assert not low, "a last use went backwards"
        return heard

    results = crowd.race(agent, *(late for _ in range(5)))
    assert set().union(*results[1:]) <= {"OK", "UNKNOWN", "RESYNC"}
    assert node.scores().keys() == set(models) and not db.exists(node.before)
    assert node.on(db).beat(30, inc=f"i{ROUNDS - 1}")[0] == "OK"


def test_two_agents_with_one_name(db, crowd, node):
    """The later one has the node, and nothing of the other's."""
    def agent(connection, inc, models):
        mine = node.on(connection)
        for i, model in enumerate(models):
            answer = mine.register([Found(model, DAY)], first=i == 0, last=i == len(models) - 1,
                                   inc=inc)
            if answer == ["UNKNOWN"]:
                return False
        return True

    for _ in range(ROUNDS):
        db.flushall()
        own = {f"i{k}": names(5, first=10 * k) for k in range(4)}
        results = race(crowd, *(lambda c, k=k: agent(c, k, own[k]) for k in own))
        winner = node.field("inc")
        assert results[list(own).index(winner)] is True
        assert node.scores().keys() == set(db.hgetall(node.size)) == set(own[winner])
        assert node.field("loading") is None
        losers = [k for k in own if k != winner]
        before = dump(db)
        for loser in losers:
            assert node.beat(5, uses=[(0, names(1)[0])], inc=loser) == ["UNKNOWN"]
            assert node.register([Found(A)], inc=loser) == ["UNKNOWN"]
            assert node.confirm(Receipt(1, A), inc=loser) == ["UNKNOWN"]
            assert node.issue(Victim(A, 2**50), inc=loser) == ["INCARNATION"]
        assert dump(db) == before


def test_a_late_connection_against_a_new_registration(db, crowd, node):
    """
    An agent's connection was lost with a registration half said; Redis reads the rest of it while
    the agent registers anew. Each registration has its incarnation: the rest is not taken.
    """
    models = names(20)
    for _ in range(ROUNDS):
        db.flushall()
        node.register([Found(m, HOUR) for m in models], first=True, inc="i0")
        used = node.scores()
        node.register([Found(m, DAY) for m in models[:5]], first=True, last=False, inc="i1")

        def rest(connection):
            mine = node.on(connection)
            return [mine.register([Found(m, DAY) for m in models[5:10]], last=False, inc="i1")[0],
                    mine.register([Found(m, DAY) for m in models[10:]], inc="i1")[0],
                    mine.beat(20, holds=[(0, A)], inc="i1")[0]]

        def anew(connection):
            mine = node.on(connection)
            mine.inc = "i2"
            mine.register_whole([Found(m, DAY) for m in models], chunk=5)

        late, _ = race(crowd, rest, anew)
        assert late == sorted(late), "after UNKNOWN nothing is taken any more"
        assert node.scores() == used, "a last use went backwards"
        assert node.field("inc") == "i2" and node.field("loading") is None
        assert not db.exists(node.before)


def test_differences_against_beats_and_receipts(db, crowd, node):
    """All that one agent may have under way at once."""
    models = names(40)
    node.register([Found(m, DAY) for m in models], first=True)
    numbers = iter(range(1, 10_000))

    def differences(connection):
        mine = node.on(connection)
        for _ in range(100):
            some = random.sample(models, 6)
            mine.register([Found(m, DAY, status=random.choice(["", "ERROR"])) for m in some[:4]],
                          some[4:])

    def beats(connection):
        mine = node.on(connection)
        for _ in range(100):
            mine.beat(40, uses=[(0, m) for m in random.sample(models, 5)],
                      holds=[(random.choice([0, HOUR]), random.choice(models))])

    def receipts(connection):
        mine = node.on(connection)
        return sum(mine.confirm(Receipt(next(numbers), random.choice(models)))[1]
                   for _ in range(100))

    def look(connection):
        mine = node.on(connection)
        for _ in range(100):
            pipe = connection.pipeline(transaction=True)
            pipe.zrange(mine.lru, 0, -1)
            pipe.hkeys(mine.size)
            pipe.hkeys(mine.status)
            lru, size, status = pipe.execute()
            assert set(lru) == set(size) and not set(lru) & set(status)

    results = crowd.race(differences, differences, beats, beats, receipts, look, look)
    assert node.number("deleted") == results[4] == 100 == db.xlen(node.receipts)


# ---- pins ----


def test_pins_from_everywhere(db, crowd, cluster):
    for _ in range(ROUNDS):
        db.flushall()
        answers = crowd.race(*(
            lambda c, i=i: Cluster(c).pin(f"g{i % 3}", DAY) for i in range(CROWD)))
        assert all(int(a[0]) > clock(db) for a in answers) and db.hlen(cluster.pins) == 3
        answers = crowd.race(*(
            lambda c, i=i: Cluster(c).pin(f"g{i % 3}", "remove") for i in range(CROWD)))
        assert sorted(a[0] for a in answers) == ["0"] * (CROWD - 3) + ["1"] * 3
        assert not db.exists(cluster.pins)
