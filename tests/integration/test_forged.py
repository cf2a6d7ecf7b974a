"""
What somebody with a Redis client can forge: commands, registrations, receipts, keys of the wrong
type. Each is refused or ignored, and the log says why; nothing is deleted, and all goes on working.
"""

import os
import signal

import pytest

from larder.forged import Scene
from larder.wait import wait_until

MB = 1 << 20


@pytest.fixture
def scene(cluster, root):
    return Scene(cluster, root)


# ---- commands ----


def expect_receipt(scene, text, outcome, why, model=None):
    """A command that is understood is answered by a receipt."""
    scene.order(text, model)
    receipt = scene.cluster.receipt(text.split()[0])
    assert receipt["outcome"] == outcome, (text, receipt)
    assert receipt["why"].startswith(why), (text, receipt)
    assert receipt["bytes"] == 0
    assert scene.db.hlen(scene.key(":cmd")) == 0, "a receipt ends its command"


def test_commands_that_do_not_fit(scene):
    expect_receipt(scene, scene.command(generation="0"), "refused", "replaced")
    expect_receipt(scene, scene.command(generation="123abc"), "refused", "replaced")
    expect_receipt(scene, scene.command(deadline=scene.now_ms()), "refused", "deadline")
    expect_receipt(scene, scene.command(deadline=0), "refused", "deadline")
    expect_receipt(scene, scene.command(used=0), "refused", "used")
    expect_receipt(scene, scene.command(), "gone", "", model="hf:acme/nobody@aaaaaaaaaaaa")
    expect_receipt(scene, scene.command(), "gone", "", model="hf+disk9:acme/victim@aaaaaaaaaaaa")
    expect_receipt(scene, scene.command(), "gone", "", model="dir:victim@-")
    scene.assert_works()
    # The agent has obeyed the leader now, and knows his epoch.
    for epoch in (0, 1, int(scene.db.get("larder:epoch")) - 1):
        expect_receipt(scene, scene.command(epoch=epoch), "refused", "epoch")
    assert set(scene.agent.models()) == {scene.victim, scene.kept}


def broken_commands(good):
    """Texts that are no commands, each one mistake away from `good`."""
    words = good.split()
    for count in range(len(words)):
        yield " ".join(words[:count])
    for size in (1, 10, 30, len(good) // 2, len(good) - 1):
        yield good[:size]
    for place, bad in (
        (0, ("", "A", "x" * 65, "../../etc", "a/b", "id\x1b[31m", "é")),
        (1, ("-1", "+1", "01", "1.5", "1e3", "0x10", " 1", "nan", "9" * 20, "9223372036854775808")),
        (2, ("", "ABC", "xyz", "0" * 65, "-1", "12/34")),
        (3, ("-1", "1e18", "9" * 19, "never")),
        (4, ("-1", "9223372036854775808", "9" * 30, "")),
        (5, ("", "MANUAL", "manual,", "time", "manual\n", "manual force force", "manual FORCE")),
    ):
        for word in bad:
            yield " ".join(words[:place] + [word] + words[place + 1 :])
    yield from (good.replace(" ", "  "), good.replace(" ", "\t"), f" {good}", f"{good} ")
    yield from (f"{good}\n", f"{good}\0", f"{good}\0junk", f"{good} junk", f"{good};{good}")
    yield from (good.replace("manual", "time_threshold force"), '{"id": "x"}', "*3\r\n$3\r\nDEL\r\n")
    yield from (b"\xff\xfe" + good.encode(), os.urandom(60), b"\0", b"\0" * 200)
    yield from ("x" * MB, good + " " * MB, os.urandom(MB), f"{good} {'force ' * 1000}")


def test_commands_that_are_none(scene):
    for number, text in enumerate(dict.fromkeys(broken_commands(scene.command())), 1):
        scene.order(text)
        scene.wait_ignored(number, repr(text)[:200])
    scene.assert_works()


HOSTILE_NAMES = [
    "",
    "..",
    ".",
    "/",
    "/etc/passwd",
    "../../../etc/passwd",
    "models--acme--victim",
    "models--acme--victim/snapshots/" + "a" * 40,
    "hf:../victim@aaaaaaaaaaaa",
    "hf:acme/../victim@aaaaaaaaaaaa",
    "hf:/acme/victim@aaaaaaaaaaaa",
    "hf:acme//victim@aaaaaaaaaaaa",
    "hf:acme/victim/@aaaaaaaaaaaa",
    "hf:acme/./victim@aaaaaaaaaaaa",
    "hf:acme/%76ictim@aaaaaaaaaaaa",
    "hf:acme%2Fvictim@aaaaaaaaaaaa",
    "hf:acme/victi%6d@aaaaaaaaaaaa",
    "hf:acme/victi%6D@aaaaaaaaaaaa",
    "hf:%2e%2e/victim@aaaaaaaaaaaa",
    "hf:acme/victim%00@aaaaaaaaaaaa",
    "hf:acme/victim%@aaaaaaaaaaaa",
    "hf+default:acme/victim@aaaaaaaaaaaa",
    "HF:acme/victim@aaaaaaaaaaaa",
    "hf:acme/victim@aaaaaaaaaaaa ",
    " hf:acme/victim@aaaaaaaaaaaa",
    "hf:acme/victim@aaaaaaaaaaaa\n",
    "hf:acme/victim@aaaaaaaaaaaa\0",
    "hf:acme/victim@aaaaaaaaaaaa\0junk",
    "hf:acme/victim@../../" + "a" * 40,
    "hf:acme/*@aaaaaaaaaaaa",
    "hf:*",
    "*",
    "hf:acme/vict?m@aaaaaaaaaaaa",
    "hf:acme/{victim,kept}@aaaaaaaaaaaa",
    "hf:acme/[v]ictim@aaaaaaaaaaaa",
    "hf:acme/vic\x1b[2Jtim@aaaaaaaaaaaa",
    "hf:acme/vic\u202etim@aaaaaaaaaaaa",
    "hf:acme/\u0440victim@aaaaaaaaaaaa",
    b"hf:acme/\xff\xfevictim@aaaaaaaaaaaa",
    "hf:" + "a" * 600 + "@aaaaaaaaaaaa",
    "hf:acme/victim@" + "a" * 65,
    "hf:acme/" + "%76" * 100000 + "@aaaaaaaaaaaa",
    "x" * MB,
]


def test_names_of_models_in_commands(scene):
    """None of them is another spelling of a model that is there."""
    for name in HOSTILE_NAMES:
        scene.order(scene.command(), name)
    scene.wait_ignored(len(HOSTILE_NAMES), "each of them")
    assert scene.cluster.coordinators[0].evictions() == []
    assert "\x1b" not in scene.agent.process.log()
    scene.assert_works()


# ---- keys of the wrong type ----

MAKERS = {
    "string": lambda db, key: db.set(key, "junk"),
    "list": lambda db, key: db.rpush(key, "junk"),
    "set": lambda db, key: db.sadd(key, "junk"),
    "hash": lambda db, key: db.hset(key, "junk", "junk"),
    "zset": lambda db, key: db.zadd(key, {"junk": 1}),
    "stream": lambda db, key: db.xadd(key, {"junk": "junk"}),
}


def overwrite(db, key, kind):
    """Another client has stored something of another type there."""
    pipe = db.pipeline()
    pipe.delete(key)
    MAKERS[kind](pipe, key)
    pipe.execute()


@pytest.mark.parametrize(
    "suffix, kind",
    [
        ("", "string"),
        (":lru", "list"),
        (":lru", "hash"),
        (":lru:before", "string"),
        (":size", "zset"),
        (":state", "set"),
        (":hold", "stream"),
        (":cmd", "list"),
        (":receipts", "string"),
    ],
)
def test_key_of_a_node_has_the_wrong_type(scene, suffix, kind):
    """The agent notices, by the next look at the latest, and puts it right."""
    overwrite(scene.db, scene.key(suffix), kind)
    scene.look_at_everything()
    scene.cycle()
    scene.assert_untouched()
    scene.db.publish("larder:changed", "pins")  # what makes the agent look
    wait_until(lambda: scene.db.type(scene.key(suffix)) != kind, what="it is dropped")
    scene.agent.wait_log(r"event=\+mended key=larder:{n1}" + suffix)
    scene.wait_mended()
    scene.assert_works()


@pytest.mark.parametrize(
    "name, kinds, complaint",
    [
        ("nodes", ("string", "hash", "stream"), "the set of nodes cannot be read"),
        ("pins", ("string", "set", "zset"), "the pins cannot be read"),
        ("policy", ("list", "hash"), None),
        ("log", ("string", "hash"), None),
    ],
)
def test_key_of_the_cluster_has_the_wrong_type(scene, name, kinds, complaint):
    """No cycle acts on what it cannot read; without the junk all goes on."""
    key = f"larder:{name}"
    for kind in kinds:
        overwrite(scene.db, key, kind)
        scene.db.publish("larder:changed", "pins")
        scene.look_at_everything()
        result = scene.cycle()
        assert result.get("stopped") == complaint, result
        assert result["issued"] == 0
        scene.beats()
        scene.assert_untouched()
    events = {"nodes": "-nodes", "pins": "-pins", "policy": "-policy"}
    if name in events:
        scene.agent.wait_log(f"event={events[name]} .*WRONGTYPE")
    if name == "log":
        # The deletion is not lost with its entry: the log has it.
        row = scene.cluster.order(scene.victim)
        scene.coordinator.wait_log(rf"event=\+evicted .* id={row['id']}")
        scene.coordinator.wait_log("event=-trail .*WRONGTYPE")
        scene.models.remove(scene.victim)
    scene.db.delete(key)
    scene.db.publish("larder:changed", "pins")
    if name == "log":
        assert scene.cluster.evict(scene.spare)["outcome"] == "deleted"
        return
    scene.assert_works()
    if name == "policy":
        scene.cycle()
        wait_until(lambda: scene.db.type(key) == "string", what="the policy stands there again")


@pytest.mark.parametrize("name", ["leader", "epoch"])
def test_key_of_the_leadership_has_the_wrong_type(scene, name):
    """Nobody leads, and the log says so now and then: not a line for each look at the clock."""
    for kind in ("list", "zset"):
        overwrite(scene.db, f"larder:{name}", kind)
        if name == "epoch":
            scene.db.delete("larder:leader")
        scene.coordinator.wait_log("event=-elect .*WRONGTYPE")
        scene.look_at_everything()
        wait_until(lambda: not scene.coordinator.leads, what="its lease ends")
        assert scene.coordinator.http.post("/v1/evictions", {"models": [scene.victim]}).status == 503
    assert not scene.coordinator.log_contains("event=-elect", times=40)
    scene.db.delete(f"larder:{name}")
    scene.assert_works()


@pytest.mark.parametrize("epoch", ["junk", "-1", "1e300", "nan", "9223372036854775807", "9" * 400])
def test_epoch_is_none(scene, epoch):
    """Whatever stands there, the next leader gets an epoch that agents obey."""
    scene.assert_works()
    scene.db.set("larder:epoch", epoch)
    scene.db.delete("larder:leader")
    scene.coordinator.wait_leads()
    wait_until(lambda: scene.coordinator.status()["observing"] is False, what="it acts")
    receipt = scene.cluster.evict(scene.victim)
    assert receipt["outcome"] == "deleted", receipt
    assert scene.coordinator.status()["leader"]["epoch"] <= scene.now_ms()


# ---- registrations ----

HUGE = str(2**63 - 1)
FAKES = ("hf:fake/old@aaaaaaaaaaaa", "../../../etc/passwd", "hf:*@*", "", "x" * MB, "a\0b", "\x1b[31m")

REGISTRATIONS = {
    "another agent's": lambda s: s.db.hset(s.key(), "inc", "deadbeef"),
    "one without an end": lambda s: s.db.hset(s.key(), "loading", "1"),
    "lost": lambda s: s.db.delete(s.key()),
    "all lost": lambda s: s.db.flushall(),
    "models that are not there": lambda s: s.db.zadd(s.key(":lru"), {m: 0 for m in FAKES}),
    "sizes without models": lambda s: s.db.hset(s.key(":size"), mapping={m: "1 a" for m in FAKES}),
    "no models": lambda s: s.db.delete(s.key(":lru"), s.key(":size")),
    "one model less": lambda s: s.db.zrem(s.key(":lru"), s.victim),
}


@pytest.mark.parametrize("what", REGISTRATIONS)
def test_registration_is_forged(scene, what):
    REGISTRATIONS[what](scene)
    scene.look_at_everything()
    scene.cycle()
    scene.db.publish(scene.key(":wake"), "1")
    scene.wait_mended()
    scene.assert_works()


@pytest.mark.parametrize("score", ["0", "-1", "1.5", "-inf", "+inf", "1e300", "-1e300", HUGE])
def test_last_use_is_forged(scene, score):
    """A model looks older than any other: the coordinator may ask for it, the agent refuses."""
    scene.db.zadd(scene.key(":lru"), {scene.victim: score})
    scene.look_at_everything()
    result = scene.cycle()
    assert result["evicted_count"] == 0
    if score == "0":
        receipt = scene.cluster.wait_receipt(scene.victim, "refused")
        assert receipt["why"].startswith("used"), receipt
    elif score != "1.5":
        scene.coordinator.wait_log("event=-models-ignored")
    scene.assert_works()


@pytest.mark.parametrize("size", ["", "junk", "-1 abc", "1e9 abc", "5 ../..", HUGE + " abc", "9" * 40 + " 1"])
def test_size_is_forged(scene, size):
    """With it goes the generation, without which there is no command."""
    scene.db.hset(scene.key(":size"), scene.victim, size)
    scene.look_at_everything()
    row = scene.cluster.order(scene.victim)
    if row["outcome"] == "issued":
        receipt = scene.cluster.receipt(row["id"])
        assert receipt["outcome"] == "refused" and receipt["why"].startswith("replaced"), receipt
    else:
        assert row["outcome"] == "gone", row
    scene.assert_works()


def test_holds_and_states_are_forged(scene):
    scene.db.zadd(scene.key(":hold"), {m: score for m in FAKES for score in ("inf", "-inf", 0)})
    scene.db.hset(scene.key(":state"), mapping={m: "ERROR \xff\x1b[31m" + "x" * 5000 for m in FAKES})
    scene.db.hset(scene.key(":state"), b"hf:fake/error@aaaaaaaaaaaa", b"ERROR \xff\xfe\n")
    scene.look_at_everything()
    listed = {m["model"] for m in scene.coordinator.http.get_json("/v1/models")["models"]}
    assert listed == scene.models | {FAKES[0], "hf:fake/error@aaaaaaaaaaaa"}
    for model in ("hf:fake/error@aaaaaaaaaaaa", FAKES[0]):
        row = scene.cluster.order(model)
        assert scene.cluster.receipt(row["id"])["outcome"] == "gone"
    scene.assert_works()


NUMBERS = (HUGE, f"-{HUGE}", "9" * 30, "-" + "9" * 30, "1e308", "nan", "", "junk", "\0", "0x10", "-1")
ROOT_LINES = (
    "layout=huggingface disk=1 total_bytes={n} available_bytes={n} leftover_bytes={n} mode=delete",
    "disk=1 total_bytes=1000 available_bytes={n} mode=delete note=\x1b[31m\xff" + "x" * 5000,
    "total_bytes={n} mode=delete",
    "mode=delete mode=report mode=delete total_bytes={n} total_bytes={n}",
    "{n}",
    "={n}",
    "disk=" + "d" * 5000 + " mode=delete total_bytes={n}",
    "a=b " * 500 + "total_bytes={n}",
)


def test_nodes_with_absurd_numbers(scene):
    """Nodes that are made up: no sum of theirs wraps around, and the true one is served as before."""
    names = []
    for index, number in enumerate(NUMBERS):
        for line, root in enumerate(ROOT_LINES):
            names.append(f"fake-{index}-{line}")
            key = scene.key(node=names[-1])
            counters = ("bytes", "deleted", "freed", "refused", "failed", "downloading", "error", "n")
            fields = {name: number for name in (*counters, "since", "inv", "want", "attention")}
            fields |= {"inc": "abcd", "hb": scene.now_ms(), "version": "\xff" * 300}
            fields |= {f"root:{name}": root.format(n=number) for name in ("default", "r2", "../x", "")}
            scene.db.hset(key, mapping=fields)
            old = {f"hf:fake/m{i}@aaaaaaaaaaaa": i for i in range(3)}
            scene.db.zadd(f"{key}:lru", old)
            scene.db.hset(f"{key}:size", mapping={m: f"{number} abc" for m in old})
    for number in NUMBERS:
        names.append(f"beats-{len(names)}")
        scene.db.hset(scene.key(node=names[-1]), mapping={"inc": "abcd", "hb": number})
    scene.db.sadd("larder:nodes", *names)
    scene.look_at_everything()
    policy = {"min_free_space_bytes": 1 << 59, "max_models": 1}
    scene.coordinator.reload(dry_run=True, policy=policy)
    scene.cycle()
    scene.look_at_everything()
    plan = scene.coordinator.plan()
    assert plan["nodes"] == len(names) + 1
    assert plan["victim_bytes"] >= 0
    stats = scene.coordinator.http.get_json("/v1/stats")
    assert min(v for v in stats.values() if isinstance(v, int)) >= 0, stats
    scene.db.srem("larder:nodes", *names)
    scene.coordinator.reload(dry_run=False, policy=dict.fromkeys(policy))
    scene.assert_works()


HOSTILE_NODES = (
    "", ".", "..", "/", "../n1", "n1/..", "n1}", "{n1}", "n1 ", " n1", "n1\n", "n1\0", "n1\0x", "n*",
    "*", "?1", "[n]1", "n1\x1b[31m", "n\u0661", b"\xff\xfe", "n" * 300, "n" * MB, "n1:lru", "%6e1",
)  # fmt: skip


def test_hostile_names_of_nodes(scene):
    scene.db.sadd("larder:nodes", *HOSTILE_NODES, "ghost")
    scene.look_at_everything()
    nodes = scene.coordinator.http.get_json("/v1/nodes")["nodes"]
    assert [n["node"] for n in nodes] == ["ghost", "n1"]
    assert not nodes[0]["live"]
    assert scene.cycle()["nodes"] == 2
    assert scene.coordinator.log_contains("event=-node-ignored", times=len(HOSTILE_NODES))
    assert "\x1b" not in scene.coordinator.process.log()
    scene.assert_works()


# ---- channels, receipts, pins, the policy ----


def test_junk_on_the_channels(scene):
    payloads = [*HOSTILE_NODES, "n1", "ghost", "policy", "pins", "x" * MB, os.urandom(100)]
    for channel in ("larder:pressure", "larder:done", "larder:changed", "larder:{n1}:wake"):
        for payload in payloads:
            scene.db.publish(channel, payload)
    pipe = scene.db.pipeline(transaction=False)
    for number in range(20000):
        pipe.publish("larder:pressure", f"ghost-{number}")
    pipe.execute()
    scene.look_at_everything()
    scene.cycle()
    scene.beats()
    scene.assert_works()


def test_receipts_that_nobody_wrote(scene):
    junk = ("", "x" * MB, os.urandom(50), "\0", "../..", HUGE, f"-{HUGE}", "\x1b[31m")
    stream = scene.key(":receipts")
    for value in junk:
        scene.db.xadd(stream, {"junk": value})
        scene.db.xadd(stream, {value or "?": "junk"})
        fields = ("id", "model", "outcome", "bytes", "why", "reason", "epoch", "last_used_ms", "took_ms")
        scene.db.xadd(stream, {field: value for field in fields})
    for outcome in ("deleted", "refused", "gone", "failed"):
        forged = {"id": f"forged-{outcome}", "model": scene.victim, "outcome": outcome, "bytes": HUGE}
        scene.db.xadd(stream, forged)
    scene.db.publish("larder:done", "n1")
    wait_until(lambda: scene.db.xlen(stream) == 0, what="they are taken out")
    scene.look_at_everything()
    scene.cycle()
    assert "\x1b" not in scene.coordinator.process.log()
    scene.assert_works()


def test_receipts_of_open_commands_are_forged(scene):
    """Somebody says that it is done, and how much that freed; the sums do not wrap around."""
    scene.agent.process.signal(signal.SIGSTOP)
    try:
        for model in scene.models:
            scene.db.zadd(scene.key(":lru"), {model: 1000})
        result = {"ended": False}
        assert scene.coordinator.http.post("/v1/cycles").status == 202
        commands = wait_until(
            lambda: (found := scene.db.hgetall(scene.key(":cmd"))) and len(found) == 3 and found,
            what="all three are asked for",
        )
        for model, text in commands.items():
            receipt = {"id": text.split()[0], "model": model, "outcome": "deleted", "bytes": HUGE}
            scene.db.xadd(scene.key(":receipts"), receipt)
        scene.db.publish("larder:done", "n1")

        def ended():
            nonlocal result
            result = scene.coordinator.status()["cycles"][0]
            return result["evicted_count"] == 3

        wait_until(ended, what="the cycle believes it")
        assert result["bytes_freed"] == int(HUGE)
    finally:
        scene.agent.process.signal(signal.SIGCONT)
    for model in scene.models:
        receipt = scene.cluster.wait_receipt(model, "refused")
        assert receipt["why"].startswith("used"), receipt
    scene.assert_works()


def test_pins_that_cannot_be_read(scene):
    values = ("", "junk", "{}", "[]", '{"until_ms": -1}', '{"until_ms": "x"}', '{"until_ms": 1e300}')
    values += ('{"until_ms": 1, "until_ms": 2}', "\xff", "\0", '{"a":' * 5000, "x" * MB)
    globs = ("", "\0", "hf:{acme,x}/*", "[a]*", "\x1b[31m", "x" * MB, b"\xff", "hf:* ", "\n")
    for number, value in enumerate(values):
        scene.db.hset("larder:pins", f"hf:pinned/m{number}@*", value)
    for glob in globs:
        scene.db.hset("larder:pins", glob, '{"until_ms": 0}')
    scene.db.hset("larder:pins", scene.kept, "junk")
    scene.db.publish("larder:changed", "pins")
    scene.agent.wait_log("event=-pin ")
    scene.look_at_everything()
    pins = scene.coordinator.http.get_json("/v1/pins")["pins"]
    assert len(pins) == len(values) + len(globs) + 1
    assert all("problem" in pin for pin in pins), "each says what is wrong with it"
    # What is not understood keeps what it names.
    assert scene.cluster.order(scene.kept)["outcome"] == "pinned"
    expect_receipt(scene, scene.command(scene.kept), "refused", "pinned", model=scene.kept)
    scene.assert_works()


def test_policies_that_cannot_be_read(scene):
    """The agents keep the one that they have."""
    policies = ("", "junk", "{}", "[]", '{"policy": {"unused_threshold": -1}}', "\0", '{"a":' * 9999)
    policies += ('{"policy": {"min_free_space_bytes": 1e99}}', '{"policy": {"type": "fifo"}}', "x" * MB)
    policies += ('{"policy": {}, "overrides": [{"nodes": "*", "policy": {"max_models": 0}}]}',)
    for number, policy in enumerate(policies, 1):
        scene.db.set("larder:policy", policy)
        scene.db.publish("larder:changed", "policy")
        wait_until(
            lambda n=number: scene.agent.log_contains("event=-policy", times=n),
            what=repr(policy)[:60],
        )
    scene.assert_works()
