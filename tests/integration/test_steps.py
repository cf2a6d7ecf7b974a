"""A reader, or somebody who says that he needs the model, at every step of its removal."""

import hashlib
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from larder.caches import A, B, Cache, age_everything
from larder.openers import map_quietly, open_quietly
from larder.paused import COMMITTED, EARLY, Paused, waits_for_a_lease
from larder.removals import CASES, FORK, REPO
from larder.wait import wait_until

# Holds each of the files as it is told, says so, and prints their digests once it is asked to.
PROCESS = """
import hashlib, sys
from larder.openers import map_quietly, open_quietly
hold = {"open": open_quietly, "mapped": map_quietly}[sys.argv[1]]
held = [hold(path) for path in sys.argv[2:]]
print("holds", flush=True)
sys.stdin.readline()
for one in held:
    print(hashlib.sha256(one.read()).hexdigest())
"""


class Opened:
    """All files of a model; nothing but the open files tells of it, and nothing is read before the end."""

    sign = "busy"
    hold = staticmethod(open_quietly)

    def __init__(self, case):
        self.held = [self.hold(file) for file in case.files]

    def digests(self):
        return [hashlib.sha256(one.read()).hexdigest() for one in self.held]

    def close(self):
        for one in self.held:
            one.close()


class Mapped(Opened):
    """Mapped, and the descriptors are closed again, as engines do it."""

    hold = staticmethod(map_quietly)


class Process:
    """Another process does it."""

    sign = "busy"
    how = "open"

    def __init__(self, case):
        argv = [sys.executable, "-c", PROCESS, self.how, *map(str, case.files)]
        pipe = subprocess.PIPE
        env = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parent)}
        self.popen = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=env)
        assert self.popen.stdout.readline() == "holds\n"

    def digests(self):
        out, _ = self.popen.communicate("go\n", timeout=60)
        return out.split()

    def close(self):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
        self.popen.stdout.close()


class MappedProcess(Process):
    how = "mapped"


class Closed:
    """
    Read by their paths and closed, one after the other: a loader that has not come to its end yet.
    Access times tell of it.
    """

    sign = "used"

    def __init__(self, case, most=None):
        self.read = read(case.links[:most])

    def digests(self):
        return self.read

    def close(self):
        pass


class ClosedFirst(Closed):
    """Only the first of the files so far."""

    def __init__(self, case):
        super().__init__(case, 1)


def read(paths):
    return [hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest() for path in paths]


READERS = {
    "open": Opened,
    "mapped": Mapped,
    "process": Process,
    "mapped-process": MappedProcess,
    "closed": Closed,
    "closed-first": ClosedFirst,
}


@pytest.fixture
def paused(cluster, root):
    return lambda kind, point, **settings: Paused(cluster, root, kind, point, **settings)


def assert_clean_enoent(paths):
    """Not one of the files is there any more: nobody sees half of a model."""
    for path in paths:
        with pytest.raises(FileNotFoundError):
            open(path, "rb").close()


# ---- readers ----


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize("point", EARLY)
@pytest.mark.parametrize("kind", CASES)
def test_reader_that_comes_before_the_rename(paused, kind, point, how):
    """
    He has all that he opened, and finds the rest: the model does not even go for a moment. Without a
    watch, which would see each of them.
    """
    removal = paused(kind, point, watch="off")
    removal.agent.pause("removal-moved").shut()  # an agent that came so far would never end
    reader = READERS[how](removal.case)
    try:
        removal.assert_refused(reader.sign)
        digests = reader.digests()
    finally:
        reader.close()
    assert digests == removal.case.digests[: len(digests)]
    assert read(removal.case.links) == removal.case.digests
    removal.case.assert_untouched()


@pytest.mark.parametrize("point", ("removal-moved", *COMMITTED))
@pytest.mark.parametrize("kind", CASES)
def test_reader_that_comes_after_the_rename(paused, kind, point):
    """He finds nothing at all, and knows where he is."""
    removal = paused(kind, point)
    assert_clean_enoent(removal.case.links)
    assert removal.go_on()["outcome"] == "deleted"
    assert_clean_enoent(removal.case.links)
    removal.case.assert_removed()


@pytest.mark.parametrize("kind", CASES)
def test_reader_that_comes_while_it_is_put_back(paused, kind):
    removal = paused(kind, "removal-moved")
    undo = removal.agent.pause("removal-undo").shut()
    assert removal.agent.touch(removal.case.name).status == 200
    removal.gate.open()
    undo.reached()
    assert_clean_enoent(removal.case.links)
    undo.open()
    removal.assert_refused("used")
    assert read(removal.case.links) == removal.case.digests
    removal.case.assert_untouched()


@pytest.mark.parametrize("point", (*EARLY, "removal-moved", *COMMITTED))
@pytest.mark.parametrize("kind", ["classic", "shared"])
def test_reader_of_another_model_that_shares_a_file(paused, kind, point):
    """The file stays where his links lead, whatever becomes of the other model."""
    removal = paused(kind, point)
    cache = Cache(removal.case.root)
    snapshot = cache.snapshot(REPO, B) if kind == "classic" else cache.snapshot(FORK, A)
    path = snapshot / ("config.json" if kind == "classic" else "model.safetensors")
    names = [link.name for link in removal.case.links]
    expected = removal.case.digests[names.index(path.name)]
    found = []
    thread = threading.Thread(target=lambda: found.extend(read([path])), daemon=True)
    thread.start()
    # He may have to wait until the agent gives its lease up.
    wait_until(lambda: found or waits_for_a_lease(path), what="he reads, or waits for a lease")
    words = ("deleted",) if point in COMMITTED else ("deleted", "refused")
    assert removal.go_on()["outcome"] in words
    thread.join(60)
    assert found == [expected]
    assert read([path]) == [expected]
    removal.assert_tidy()


# ---- touches ----


@pytest.mark.parametrize("kind", CASES)
def test_touched_while_it_is_put_back(paused, kind):
    removal = paused(kind, "removal-moved")
    undo = removal.agent.pause("removal-undo").shut()
    assert removal.agent.touch(removal.case.name).status == 200
    removal.gate.open()
    undo.reached()
    assert removal.agent.touch(removal.case.name).status == 200
    undo.open()
    removal.assert_refused("used")
    removal.case.assert_untouched()


@pytest.mark.parametrize("point", COMMITTED)
@pytest.mark.parametrize("kind", CASES)
def test_touched_after_the_commit(paused, kind, point):
    """Who asks too late is told so, by name and by path, until the model has ended."""
    removal = paused(kind, point)
    agent, case = removal.agent, removal.case
    assert agent.touch(case.name).status == 409
    answer = agent.http.post("/v1/touch", {"path": str(case.links[0])})
    assert answer.status == 409, answer
    assert "being deleted" in answer.json["error"]
    assert removal.go_on()["outcome"] == "deleted"
    agent.wait_gone(case.name)
    assert agent.touch(case.name).status == 404
    case.assert_removed()


@pytest.mark.parametrize("kind", ["classic", "directory"])
def test_touch_that_redis_has_not_heard_of_counts(cluster, root, kind):
    """Redis lets the command pass; the agent knows better."""
    case = CASES[kind](root)
    agent = cluster.agent(case.config, beat_interval="1m").wait_ready()
    cluster.coordinator(node_timeout="5m").wait_sees(agent.name)
    cluster.wait_lru(case.name)
    score = cluster.lru()[case.name]
    assert agent.touch(case.name).status == 200
    assert cluster.lru()[case.name] == score, "the touch has been told already"
    row = cluster.order(case.name)
    assert row["outcome"] == "issued", row
    receipt = cluster.receipt(row["id"])
    assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "used"), receipt
    wait_until(lambda: cluster.lru()[case.name] > score, what="Redis is told of the use")
    case.assert_untouched()


@pytest.mark.parametrize("kind", ["classic", "directory"])
def test_read_that_no_scan_has_seen_counts(cluster, root, kind):
    """Neither Redis nor the agent's inventory knows of it: the look at the disk does."""
    case = CASES[kind](root)
    agent = cluster.agent(case.config, scan_interval="1d", beat_interval="1m", watch="off")
    agent.wait_ready()
    cluster.coordinator(node_timeout="5m").wait_sees(agent.name)
    cluster.wait_lru(case.name)
    reader = ClosedFirst(case)
    row = cluster.order(case.name)
    assert row["outcome"] == "issued", row
    receipt = cluster.receipt(row["id"])
    assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "used"), receipt
    assert reader.digests() == case.digests[:1]
    case.assert_untouched()


class Shards:
    """A model of many files of one size, which a loader reads one after the other."""

    COUNT = 14

    def __init__(self, root, layout):
        self.config = {"path": str(root), "layout": layout}
        names = [f"part-{n:05}-of-{self.COUNT:05}.bin" for n in range(self.COUNT)]
        files = {name: os.urandom(20000) for name in names}
        if layout == "directory":
            self.name, folder = "dir:engine@-", root / "engine"
            folder.mkdir()
            for name, data in files.items():
                (folder / name).write_bytes(data)
            age_everything(folder, 864000)
        else:
            cache = Cache(root)
            for name, data in files.items():
                cache.put(REPO, A, name, data)
            self.name, folder = cache.model(REPO, A), cache.snapshot(REPO, A)
        self.paths = [folder / name for name in files]


@pytest.mark.parametrize("layout", ["huggingface", "directory"])
def test_each_file_tells_of_its_use_again_and_again(cluster, root, layout):
    """relatime leaves a trace of one read a day; the agent sees to it that each leaves one."""
    shards = Shards(root, layout)
    agent = cluster.agent(shards.config, watch="off").wait_ready()
    agent.wait_model(shards.name)
    for _ in range(2):
        for path in shards.paths:
            # A file's times are those of the last tick, some milliseconds ago.
            before = time.time() * 1000 - 20
            path.read_bytes()
            wait_until(
                lambda b=before: agent.last_use_ms(shards.name) >= b,
                what=f"the agent sees that {path.name} is read",
            )
            assert agent.models()[shards.name]["source"] == "atime"


def test_touch_while_the_pins_are_read(cluster, root):
    """Between hearing a command and judging it: Redis is frozen at that moment."""
    case = CASES["classic"](root)
    proxy = cluster.proxy()
    agent = cluster.agent(case.config, url=proxy.url).wait_ready()
    cluster.coordinator().wait_sees(agent.name)
    cluster.wait_lru(case.name)
    with proxy.answers_held(b"larder:pins"):
        row = cluster.order(case.name)
        assert row["outcome"] == "issued", row
        agent.wait_log("event=.command-heard")
        proxy.wait_held()
        assert agent.touch(case.name).status == 200
    receipt = cluster.receipt(row["id"])
    assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "used"), receipt
    case.assert_untouched()


@pytest.mark.parametrize("forget", ["lru", "all"])
def test_use_that_redis_hears_of_late_and_then_loses(cluster, root, forget):
    """
    A message that was long on its way makes a use look younger in Redis. Told anew it is older
    again: nothing was used since, and the model can go.
    """
    case = CASES["classic"](root)
    proxy = cluster.proxy()
    agent = cluster.agent(case.config, url=proxy.url).wait_ready()
    cluster.coordinator().wait_sees(agent.name)
    cluster.wait_lru(case.name)
    before = cluster.lru()[case.name]
    with proxy.requests_held(case.name.encode()):
        assert agent.touch(case.name).status == 200
        proxy.wait_held()
        touched = cluster.db.time()
        wait_until(lambda: cluster.db.time()[0] > touched[0] + 1, what="a second passes")
    wait_until(lambda: cluster.lru()[case.name] > before, what="Redis is told of the use")
    late = cluster.lru()[case.name]
    assert late > (touched[0] + 1) * 1000
    cluster.db.delete("larder:{n1}:lru", *(["larder:{n1}"] if forget == "all" else []))
    wait_until(lambda: cluster.lru().get(case.name, late) < late, what="Redis is told anew")
    cluster.coordinators[0].wait_sees(agent.name)
    receipt = cluster.evict(case.name)
    assert receipt["outcome"] == "deleted", receipt
    case.assert_removed()
