"""
Random sequences of calls on one node: agents that come, go and are cut off, leaders of several
epochs, calls that come again late, and a Redis that forgets. After each call Redis must hold what
the reference says, and what must never break is looked at by itself.

A failure prints its seed: LARDER_TEST_SEED=N ./scripts/test lua -- -k random
"""

import os
import random
import time

import pytest

from calls import (DAY, EPOCH, HOUR, LONGEST_TTL, TTL, Cluster, Found, Node, Receipt, Victim, clock,
                   fails, names)
from reference import COMMAND, OUTCOMES, Reference

GIVEN = os.environ.get("LARDER_TEST_SEED")
SEED = int(GIVEN, 0) if GIVEN else time.time_ns()
SEQUENCES = 1 if GIVEN else 16
STEPS = 250
MODELS = names(12)
REASONS = ("time_threshold", "count_limit", "disk_space", "manual")
AGES = (0, 1, 500, 5000, HOUR, DAY, 60 * DAY, -1, -HOUR, 2**52)


class World:
    def __init__(self, db, seed):
        self.random = random.Random(seed)
        self.db = db
        self.node = Node(db)
        self.cluster = Cluster(db)
        self.reference = Reference()
        self.agents = 0
        self.begin_agent()
        self.inventories = {}
        self.least = {}  # model -> what its last use may not fall below
        self.fence = 0
        self.counted = set()
        self.freed = 0
        self.leader_epoch = 0
        self.pins = 0

    # ---- what an agent knows ----

    def begin_agent(self):
        """An agent's registration; sometimes of one that has lost its journal."""
        self.agents += 1
        self.inc = f"{self.agents:08x}"
        self.left = []  # models of a registration that is not over
        if self.agents == 1 or self.random.random() < 0.2:
            self.journal = f"{self.random.getrandbits(32):08x}"
            self.said = []  # (act, arguments) of calls, to be made again
            self.sent = []  # its receipts
            self.confirmed = 0  # how many of them were answered
            self.forgotten = 0  # how many of those Redis has lost

    def some(self, most):
        return self.random.sample(MODELS, self.random.randint(0, min(most, len(MODELS))))

    def found(self, model):
        status = self.random.choice(["", "", "", "", "DOWNLOADING", "ERROR why"])
        size = f"{self.random.randint(0, 10**6)} {self.random.getrandbits(32):x}"
        return Found(model, self.random.choice(AGES), size, status)

    # ---- the calls, and what must come of them ----

    def say(self, act, *args):
        self.said.append((act, args))
        act(*args)

    def again(self):
        """Something that was said before, now."""
        if self.said:
            act, args = self.random.choice(self.said[-30:])
            act(*args)

    def now(self, answer):
        """What the script's clock said; it is in the answer, or else in the heartbeat."""
        return int(answer[1]) if answer[0] == "OK" else self.node.number("hb")

    def register(self, inc, first, last, found, gone):
        answer = self.node.register(found, gone, first=first, last=last, inc=inc)
        assert answer[0] == self.reference.register(self.now(answer), inc, first, last, found, gone)

    def beat(self, inc, models, want, uses, holds):
        answer = self.node.beat(models, want, uses=uses, holds=holds, inc=inc)
        word = self.reference.beat(self.now(answer), inc, models, uses, holds)
        assert answer[0] == word
        if word == "OK":
            heard = dict(zip(answer[2::2], answer[3::2], strict=True))
            assert heard == self.reference.cmd

    def issue(self, epoch, inc, ttl, victims):
        answer = self.node.issue(*victims, epoch=epoch, inc=inc, ttl=ttl)
        refused = self.reference.refuses(epoch, inc)
        if refused:
            assert answer[0] == refused
            return
        args = int(answer[1]), epoch, victims, ttl, LONGEST_TTL
        assert answer[2::2] == self.reference.issue(*args)

    def confirm(self, inc, journal, receipts):
        answer = self.node.confirm(*receipts, inc=inc, journal=journal)
        new = self.reference.confirm(inc, journal, receipts)
        assert answer == (["UNKNOWN"] if new is None else ["OK", new])
        if new is None:
            return
        if journal == self.journal and receipts:
            self.confirmed = max(self.confirmed, receipts[-1].number)
        for receipt in receipts:
            if (journal, receipt.number) not in self.counted:
                self.counted.add((journal, receipt.number))
                self.freed += receipt.bytes if receipt.outcome != "refault" else 0

    # ---- what happens ----

    def do_register_whole(self):
        self.begin_agent()
        self.left = [self.found(m) for m in self.some(12)]
        self.do_register_on(first=True)

    def do_register_on(self, first=False):
        """One more chunk of a registration; it may never come to the last."""
        if not first and not self.reference.loading:
            return
        count = self.random.randint(0, len(self.left))
        chunk, self.left = self.left[:count], self.left[count:]
        self.say(self.register, self.inc, first, not self.left, chunk, [])

    def do_differences(self):
        if not self.reference.loading:
            models = self.some(6)
            found = [self.found(m) for m in models[:4]]
            self.say(self.register, self.inc, False, True, found, models[4:])

    def do_beat(self):
        models = len(self.reference.lru) + self.random.choice([0, 0, 0, 0, 1])
        uses = [(self.random.choice(AGES), m) for m in self.some(5)]
        holds = [(self.random.choice([0, -1, 1, 5, HOUR]), m) for m in self.some(3)]
        want = self.random.choice([0, 0, 10**9])
        self.say(self.beat, self.inc, models, want, uses, holds)

    def do_issue(self):
        victims = []
        for model in self.some(5):
            reason = self.random.choice(REASONS)
            seen = self.reference.lru.get(model, 0) + self.random.choice([0, 0, 0, -1, DAY])
            force = int(reason == "manual" and self.random.random() < 0.5)
            id = f"{self.random.getrandbits(32):x}"
            victims.append(Victim(model, max(0, seen), id, reason, force))
        epoch = self.fence + self.random.choice([0, 0, 0, 1, 7, -1, -100])
        inc = self.random.choice([self.inc, self.inc, self.inc, "another"])
        ttl = self.random.choice([TTL, TTL, TTL, 0, 1])
        self.say(self.issue, max(EPOCH, epoch), inc, ttl, victims)

    def do_confirm(self):
        """New receipts, all that were not answered, and often ones before them once more."""
        first = max(self.forgotten, self.confirmed - self.random.choice([0, 0, 1, 3]))
        commands = list(self.reference.cmd.items())
        for _ in range(self.random.randint(0, 3)):
            model, command = self.random.choice(commands or [(MODELS[0], "none")])
            id = self.random.choice([command.split(" ")[0], "another"])
            self.sent.append(Receipt(len(self.sent) + 1, model, id, self.random.choice(OUTCOMES),
                                     self.random.choice([0, 5, 2**40])))
        self.say(self.confirm, self.inc, self.journal, self.sent[first:])

    def do_broken(self):
        """A call that was cut short, or holds what is no number."""
        args = self.node.register_args([self.found(m) for m in MODELS[:2]], inc=self.inc)
        if self.random.random() < 0.5:
            args = self.node.beat_args(3, uses=[(5, MODELS[0])], inc=self.inc)
        script = "register" if args[1] in (0, 1) else "beat"
        if self.random.random() < 0.5:
            args = args[: self.random.randint(0, len(args) - 1)]
        else:
            args[{"register": 8, "beat": 8}[script]] = "x"
        fails(self.db, lambda: self.node.raw(script, args))

    def do_elect(self):
        answer = self.cluster.elect(f"c{self.random.randint(1, 3)}")
        if answer[0] == "LEADER" and int(answer[1]) != self.leader_epoch:
            assert int(answer[1]) > self.leader_epoch
            self.leader_epoch = int(answer[1])

    def do_resign(self):
        self.cluster.resign(f"c{self.random.randint(1, 3)}")

    def do_pin(self):
        how_long = self.random.choice(["", "5", "remove"])
        self.cluster.pin(self.random.choice(MODELS[:3]), how_long)
        self.pins = self.db.hlen(self.cluster.pins)

    def do_lose_everything(self):
        while clock(self.db) <= self.leader_epoch:
            pass
        self.db.flushall()
        self.reference = Reference()
        self.least, self.fence = {}, 0
        self.counted, self.freed = set(), 0
        self.forgotten = self.confirmed
        self.said = []  # its connections were lost, too
        self.begin_agent()

    STEPS = {do_register_whole: 2, do_register_on: 4, do_differences: 6, do_beat: 8, do_issue: 8,
             do_confirm: 6, again: 8, do_broken: 2, do_elect: 1, do_resign: 1, do_pin: 1,
             do_lose_everything: 0.3}

    def step(self):
        (act,) = self.random.choices(list(self.STEPS), list(self.STEPS.values()))
        act(self)
        return act.__name__

    # ---- what must never break ----

    def check(self):
        node, db = self.node, self.db
        assert self.reference.differences(node) == []
        scores, now = node.scores(), clock(db)
        assert db.zcard(node.lru) == db.hlen(node.size)
        assert not set(scores) & set(db.hkeys(node.status)), "downloaded and not"
        assert all(0 <= score <= now for score in scores.values())
        for model, score in scores.items():
            assert score >= self.least.get(model, 0), "a last use went backwards"
        before = self.reference.before
        self.least = {m: max(scores.get(m, 0), before.get(m, 0)) for m in {*scores, *before}}
        assert node.number("fence") >= self.fence, "the fence has fallen"
        self.fence = node.number("fence")
        assert sum(node.number(outcome) for outcome in OUTCOMES) == len(self.counted)
        assert node.number("freed") == self.freed
        assert node.field("n") is None or node.number("n") >= 0
        for command in db.hvals(node.cmd):
            assert COMMAND.fullmatch(command) and int(command.split()[3]) <= now + LONGEST_TTL
        inventory = self.inventories.setdefault(node.field("inv"), frozenset(scores))
        assert inventory == frozenset(scores), "another inventory under a number that was seen"
        assert set(db.hkeys(node.holders)) == set(db.zrange(node.hold, 0, -1))
        assert not db.exists(node.before) or self.reference.loading


@pytest.mark.parametrize("sequence", range(SEQUENCES))
def test_random(db, sequence):
    world = World(db, SEED + sequence)
    print(f"LARDER_TEST_SEED={SEED + sequence}")
    for i in range(STEPS):
        name = world.step()
        print(f"{i} {name}")
        world.check()
