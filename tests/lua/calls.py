"""The scripts of common/lua as functions, and what Redis holds before and after."""

import dataclasses
import itertools
import pathlib

import redis

LUA = pathlib.Path(__file__).resolve().parents[2] / "common" / "lua"
TEXTS = {path.stem: path.read_text() for path in sorted(LUA.glob("*.lua"))}
SHAS = {}
PREFIX = "larder:"
INC = "0badcafe"  # incarnation
JOURNAL = "00112233"
EPOCH = 1_700_000_000_000
TTL = 600_000
LONGEST_TTL = 86_400_000
HOUR = 3_600_000
DAY = 24 * HOUR
# What follows a node's {N} in the names of its keys, and their types.
KINDS = {"": "hash", ":lru": "zset", ":size": "hash", ":state": "hash", ":hold": "zset",
         ":holders": "hash", ":cmd": "hash", ":receipts": "stream", ":lru:before": "zset"}
NAME = "hf:org/model-%d@0e9e39f249a1"


def load(db):
    for name, text in TEXTS.items():
        SHAS[name] = db.script_load(text)


def call(db, script, keys, args):
    return db.evalsha(SHAS[script], len(keys), *keys, *args)


def clock(db):
    """Redis' clock in ms, as the scripts compute it."""
    seconds, micros = db.time()
    return seconds * 1000 + micros // 1000


def names(count, first=0):
    return [NAME % i for i in range(first, first + count)]


@dataclasses.dataclass
class Found:
    """A model as an agent has found it."""

    model: str
    age: object = 0
    size: str = "1000 abc123"
    status: str = ""

    def args(self):
        return [self.model, self.age, self.size, self.status]


@dataclasses.dataclass
class Victim:
    """A model as the leader wants it gone."""

    model: str
    seen: object
    id: str = "c1"
    reason: str = "time_threshold"
    force: object = 0

    def args(self):
        return [self.id, self.model, self.seen, self.reason, self.force]


@dataclasses.dataclass
class Receipt:
    number: object
    model: str
    id: str = "c1"
    outcome: str = "deleted"
    bytes: object = 1000
    why: str = ""
    reason: str = "time_threshold"
    epoch: object = EPOCH
    used: object = 5
    took: object = 7

    def args(self):
        return [self.number, self.model, self.id, self.outcome, self.bytes, self.why, self.reason,
                self.epoch, self.used, self.took]


def flat(rows):
    return list(itertools.chain.from_iterable(rows))


class Node:
    """The keys of one node; each script with its keys in their order."""

    def __init__(self, db, name="n1", inc=INC, journal=JOURNAL):
        self.db = db
        self.name = name
        self.inc = inc
        self.journal = journal
        self.state = f"{PREFIX}{{{name}}}"
        self.lru = self.state + ":lru"
        self.before = self.state + ":lru:before"
        self.size = self.state + ":size"
        self.status = self.state + ":state"
        self.hold = self.state + ":hold"
        self.holders = self.state + ":holders"
        self.cmd = self.state + ":cmd"
        self.receipts = self.state + ":receipts"
        self.wake = self.state + ":wake"
        self.pressure = PREFIX + "pressure"
        self.done = PREFIX + "done"
        self.keys = {
            "beat": [self.state, self.lru, self.size, self.cmd, self.hold, self.holders],
            "register": [self.state, self.lru, self.size, self.status, self.hold, self.before,
                         self.holders],
            "issue": [self.state, self.lru, self.size, self.hold, self.cmd, self.status],
            "confirm": [self.state, self.lru, self.size, self.cmd, self.receipts, self.hold,
                        self.status, self.holders],
        }

    def on(self, db):
        """The same node over another connection."""
        return Node(db, self.name, self.inc, self.journal)

    def raw(self, script, args):
        return call(self.db, script, self.keys[script], args)

    # ---- the scripts ----

    def register_args(self, found=(), gone=(), first=False, last=True, fields=(), inc=None, heard=0,
                      epoch=0):
        return [inc or self.inc, int(first), int(last), heard, epoch, len(fields), *flat(fields),
                len(found), *flat(f.args() for f in found), len(gone), *gone]

    def register(self, found=(), gone=(), **how):
        return self.raw("register", self.register_args(found, gone, **how))

    def register_whole(self, found, chunk=500, **how):
        """In chunks, as the agent does."""
        chunks = [found[i : i + chunk] for i in range(0, len(found), chunk)] or [[]]
        for i, part in enumerate(chunks):
            answer = self.register(part, first=i == 0, last=i == len(chunks) - 1, **how)
            assert answer[0] == "OK", answer
        return int(answer[1])

    def beat_args(self, models=None, want=0, fields=(), uses=(), holds=(), inc=None, heard=0):
        """`uses` and `holds` are pairs of ms, model; who holds it is made up, or a third."""
        holds = [(*hold, f"hold: {hold[1]}")[:3] for hold in holds]
        models = self.db.zcard(self.lru) if models is None else models
        return [inc or self.inc, self.name, self.pressure, models, want, heard, len(fields),
                *flat(fields), len(uses), *flat(uses), len(holds), *flat(holds)]

    def beat(self, *args, **how):
        return self.raw("beat", self.beat_args(*args, **how))

    def issue_args(self, victims, epoch=EPOCH, inc=None, ttl=TTL, longest=LONGEST_TTL):
        return [self.wake, epoch, inc or self.inc, ttl, longest, *flat(v.args() for v in victims)]

    def issue(self, *victims, **how):
        return self.raw("issue", self.issue_args(victims, **how))

    def outcomes(self, *victims, **how):
        answer = self.issue(*victims, **how)
        assert answer[0] == "OK", answer
        assert len(answer) == 2 + 2 * len(victims)
        return answer[2::2]

    def confirm_args(self, receipts, inc=None, journal=None):
        return [inc or self.inc, journal or self.journal, self.name, self.done,
                *flat(r.args() for r in receipts)]

    def confirm(self, *receipts, **how):
        return self.raw("confirm", self.confirm_args(receipts, **how))

    def mend(self):
        keys = [self.state + suffix for suffix in KINDS]
        return call(self.db, "mend", keys, KINDS.values())

    # ---- what is there ----

    def field(self, name):
        return self.db.hget(self.state, name)

    def number(self, name):
        return int(self.field(name) or 0)

    def score(self, model):
        score = self.db.zscore(self.lru, model)
        return None if score is None else int(score)

    def scores(self):
        return {m: int(s) for m, s in self.db.zrange(self.lru, 0, -1, withscores=True)}

    def command(self, model):
        """The fields of a command, or None."""
        text = self.db.hget(self.cmd, model)
        return None if text is None else text.split(" ")


class Cluster:
    """The keys that belong to no node."""

    def __init__(self, db):
        self.db = db
        self.leader = PREFIX + "leader"
        self.epoch = PREFIX + "epoch"
        self.pins = PREFIX + "pins"
        self.changed = PREFIX + "changed"
        self.keys = {"elect": [self.leader, self.epoch], "resign": [self.leader],
                     "pin": [self.pins]}

    def raw(self, script, args):
        return call(self.db, script, self.keys[script], args)

    def elect(self, id, address="http://c1:1", lease=60_000, least=0, takes=1):
        return self.raw("elect", [id, address, lease, least, takes])

    def resign(self, id):
        return self.raw("resign", [id])

    def pin(self, glob, how_long="", members='"by":"me","why":"because"'):
        return self.raw("pin", [self.changed, glob, how_long, members])


# ---- all of it ----

READERS = {
    "string": lambda db, key: db.get(key),
    "list": lambda db, key: db.lrange(key, 0, -1),
    "set": lambda db, key: db.smembers(key),
    "hash": lambda db, key: db.hgetall(key),
    "zset": lambda db, key: db.zrange(key, 0, -1, withscores=True),
    "stream": lambda db, key: db.xrange(key),
}


def dump(db, without=()):
    """Everything in Redis. `without`: fields of hashes that may differ."""
    found = {}
    for key in db.scan_iter(count=1000):
        kind = db.type(key)
        value = READERS[kind](db, key)
        if kind == "hash":
            value = {k: v for k, v in value.items() if k not in without}
        found[key] = (kind, value)
    return found


class Listener:
    """Hears every message on Larder's channels."""

    def __init__(self, db):
        self.db = db
        self.pubsub = db.pubsub()

    def __enter__(self):
        self.pubsub.psubscribe(PREFIX + "*")
        assert self.pubsub.get_message(timeout=10)["type"] == "psubscribe"
        return self

    def __exit__(self, *_):
        self.pubsub.close()

    def heard(self):
        """Pairs of channel and message since it was asked last."""
        self.db.publish(PREFIX + "end", "")
        messages = []
        while True:
            message = self.pubsub.get_message(timeout=10)
            assert message is not None, "no message within 10 s"
            if message["channel"] == PREFIX + "end":
                return messages
            messages.append((message["channel"], message["data"]))


def fails(db, act, prefix=""):
    """`act` must end in an error of Redis and change nothing; returns the error's text."""
    before = dump(db)
    try:
        answer = act()
    except redis.ResponseError as error:
        assert str(error).startswith(prefix), error
        assert dump(db) == before, f"something has changed in spite of the error: {error}"
        return str(error)
    raise AssertionError(f"no error but {answer!r}")
