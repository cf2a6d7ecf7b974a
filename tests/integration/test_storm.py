"""
Many readers, loaders, touches and real clients against a coordinator that evicts as fast as it can.

LARDER_LONG=1 makes them last for minutes. What is counted is printed (pytest -s).
"""

import collections
import os

import pytest

from larder import checker, engines
from larder.catalog import Engine, Repository
from larder.claimants import Holder, Server
from larder.clients import KINDS
from larder.storm import (
    Downloader,
    Evictor,
    Filler,
    Killer,
    ReaderProcess,
    Stopper,
    Storm,
    Toucher,
)
from larder.wait import wait_until

LONG = bool(os.environ.get("LARDER_LONG"))
SECONDS = 150 if LONG else 20
ENDING_S = 120
# What is not used for this long may go, and nothing else.
QUIET_S = 2.0
NODE = "n1"
SERVERS = 4
# Much longer than an engine of the storm is out of order, on a busy machine too.
PROBES = {"probe_interval": "200ms", "claim_ttl": "30s"}

SIZES = {
    "config.json": 700,
    "model-00001-of-00004.safetensors": 60000,
    "model-00002-of-00004.safetensors": 60000,
    "model-00003-of-00004.safetensors": 60000,
    "model-00004-of-00004.safetensors": 40000,
    "tokenizer/vocab.json": 9000,
}
MANY = {f"model-{n:05}-of-00016.safetensors": 20000 for n in range(1, 17)}


def pair(number):
    """A repository whose two revisions have files in common."""
    own = [
        {
            "commit": f"{number:02}{letter}" + "0" * 37,
            "refs": [ref],
            "files": {
                "config.json": {"text": '{"model_type": "pair"}'},
                "model.safetensors": {"bytes": 70000, "seed": f"{number}{letter}"},
                "original/shared.safetensors": {"bytes": 50000, "seed": f"{number}"},
            },
        }
        for letter, ref in (("a", "v1"), ("b", "main"))
    ]
    return {"id": f"acme/pair{number}", "type": "dataset" if number % 4 == 3 else "model"} | {
        "revisions": own
    }


PAIRS = [pair(number) for number in range(12)]
# Of clients that write to one file while they download, without a lock, only one does so at a time.
DOWNLOADS = {"python-new": PAIRS, "python-old": PAIRS[:6], "npm": PAIRS[6:]}


def eager(seconds):
    """A policy that evicts what is not used for so long."""
    return {"unused_threshold": f"{seconds:.0f}s", "min_age": f"{seconds:.0f}s"}


def revisions(repos):
    """(repository, revision, type) of all of them"""
    return [(p["id"], r["refs"][0], p["type"]) for p in repos for r in p["revisions"]]


class World:
    """Two roots with models for each kind of user, an agent and a coordinator."""

    def __init__(self, cluster, directory, judges):
        self.cluster, self.judges = cluster, judges
        self.servers = []
        self.hub, self.engines = directory / "hub", directory / "engines"
        self.staging = directory / "staging"
        for folder in (self.hub, self.engines, self.staging):
            folder.mkdir()
        cluster.hub.add(*PAIRS)
        self.used = self.models("used", 12)
        self.touched = self.models("touched", 6)
        self.many = self.models("many", 2, MANY)
        self.held = self.models("held", 1)
        self.ordered = self.models("ordered", 2)
        self.claimed = self.models("claimed", 3)
        self.served = [self.models(f"served{n}-", 1) for n in range(SERVERS)]
        self.idle = self.models("idle", 3 * SECONDS)
        self.lasting = self.used + self.touched + self.many + self.held + self.ordered
        self.lasting += self.claimed + sum(self.served, [])
        # The newest client makes a file that old ones warn of.
        judges["python-new"].download(self.hub, "acme/tiny", "main")
        self.clean = self.warnings()

    def models(self, label, count, sizes=SIZES):
        """`count` of them in each root."""
        hubs = [Repository(self.hub, self.staging, f"{label}{n}", sizes) for n in range(count)]
        args = (self.engines, self.staging)
        engines = [Engine(*args, f"{label}{n}", sizes, "engines") for n in range(count)]
        return hubs + engines

    def begin(self, policy):
        self.servers = [engines.Vllm() for _ in range(SERVERS)]
        self.coordinator = self.cluster.coordinator(check_interval="1s", policy=policy)
        self.agent = self.cluster.agent(
            {"path": str(self.hub), "settle_time": "1s"},
            {"path": str(self.engines), "settle_time": "1s", "name": "engines"}
            | {"layout": "directory"},
            name=NODE,
            start=False,
            engines=[engine.config() for engine in self.servers],
            **PROBES,
        )
        self.agent.env = self.agent.pause("none").env
        self.agent.start().wait_ready()

    def fill(self):
        for model in self.lasting:
            model.make()

    def readers(self, directory, kills):
        """All kinds of readers; those who hold for long keep a model of their own busy."""
        quiet = QUIET_S
        # An agent that is dead sees nothing: only what the disk tells of is known after its start.
        common = {"quiet_s": quiet, "sees_opens": not kills, "restart_s": 30 * kills}
        short = {**common, "hold": [0, 0.4 * quiet], "pause": [0, 0.5 * quiet], "threads": 4}
        held = {**common, "hold": [1.2 * quiet, 2 * quiet], "pause": [0, quiet], "threads": 1}
        gaps = {**common, "gap": [0, 0.3 * quiet], "pause": [0, 0.5 * quiet], "threads": 10}
        few = {**gaps, "gap": [0, 0.1 * quiet], "pause": [0, 4 * quiet], "threads": 2}
        users = self.used + self.touched + self.ordered
        return [
            ReaderProcess(directory, "keep", users, 1, **short),
            ReaderProcess(directory, "map", users, 2, **short),
            ReaderProcess(directory, "keep", self.held, 3, **held),
            ReaderProcess(directory, "map", self.held, 4, **held),
            ReaderProcess(directory, "seq", self.used, 5, **gaps),
            ReaderProcess(directory, "seq", self.many, 6, **few),
        ]

    def claimants(self, kills):
        """Those who open nothing."""
        restart_s = 30 * kills
        times = [1.2 * QUIET_S, 2.5 * QUIET_S]
        holders = [Holder(50 + n, self.agent, self.claimed, times, restart_s) for n in range(3)]
        # Out of order for longer than the quiet time: only the claim keeps what they serve.
        flaps = {"flap_s": [0.5 * QUIET_S, 1.5 * QUIET_S], "idle_s": [0, 2 * QUIET_S]}
        return holders + [
            Server(60 + n, self.agent, engine, models, restart_s=restart_s, **flaps)
            for n, (engine, models) in enumerate(zip(self.servers, self.served, strict=True))
        ]

    def clients(self, every_s):
        """Real ones."""
        return [
            Downloader(kind, self.cluster.client(kind), self.hub, list(self.sized(kind)), every_s)
            for kind in KINDS
        ]

    def sized(self, kind):
        """What a client of this kind downloads, with how many bytes that are."""
        for repo, revision, what in revisions(DOWNLOADS[kind]):
            files = self.cluster.hub.revision(repo, revision, what)["files"].values()
            yield repo, revision, what, sum(content.size for content in files)

    def end_servers(self):
        for engine in self.servers:
            engine.stop()

    def warnings(self):
        """What the clients say of the cache."""
        return {kind: said["warnings"] for kind, said in self.judges.scan(self.hub).items()}

    def receipts(self):
        """How the commands ended."""
        rows = self.cluster.db.xrange("larder:log")
        rows = [row for _, row in rows if row["event"] == "eviction"]
        return collections.Counter(f"{r['outcome']} {r['why'].split(':')[0]}".strip() for r in rows)

    # ---- the end ----

    def settle(self):
        """No more evictions of its own accord; what is under way comes to its end."""
        for partial in self.hub.glob("*/blobs/*.incomplete"):
            partial.unlink()  # an old client gave it up, and found the file made by another one
        self.coordinator.reload(policy={"unused_threshold": "36500d"})
        db = self.cluster.db
        wait_until(
            lambda: checker.idle(db, NODE, self.agent), ENDING_S, "nothing is under way any more"
        )
        wait_until(
            lambda: not checker.left_over(self.hub, self.engines),
            ENDING_S,
            "nothing is left over",
            describe=lambda: checker.left_over(self.hub, self.engines),
        )

    def assert_right(self):
        """The disks are tidy, everybody agrees on what is there, and the clients see no harm."""
        self.settle()
        self.assert_agreed()
        assert self.warnings() == self.clean

    def on_disk(self):
        return checker.hub_models(self.hub) | checker.engine_models(self.engines, "engines")

    def assert_agreed(self):
        """Redis, the agent and the disks say the same."""
        self.agent.scan()
        disk = self.on_disk()

        def agreed():
            redis = checker.redis_models(self.cluster.db, NODE)
            return checker.agent_models(self.agent) == redis == disk

        try:
            wait_until(agreed, ENDING_S, "Redis and the agent agree with the disks")
        except AssertionError:
            assert checker.agent_models(self.agent) == disk
            assert checker.redis_models(self.cluster.db, NODE) == disk
            raise

    def assert_all_goes(self):
        """Nobody uses anything any more: nothing stays. What was found open is held for a while."""
        self.end_servers()
        self.coordinator.reload(policy=eager(1))

        def gone():
            for model in self.cluster.db.zrange(f"larder:{{{NODE}}}:hold", 0, -1):
                self.coordinator.http.post("/v1/evictions", {"models": [model], "force": True})
            try:
                return not checker.model_folders(self.hub, self.engines)
            except FileNotFoundError:
                return False  # one of them went while it was looked at

        wait_until(gone, ENDING_S, "everything idle goes", every=0.5)
        self.assert_right()
        assert {p.name for p in self.hub.iterdir()} <= {".locks", "CACHEDIR.TAG"}
        assert list(self.engines.iterdir()) == []


@pytest.fixture
def make_world(cluster, judges):
    """Its engines end with the test."""
    worlds = []

    def make(directory):
        worlds.append(World(cluster, directory, judges))
        return worlds[-1]

    yield make
    for world in worlds:
        world.end_servers()


@pytest.fixture
def blind(make_disk):
    """A file system without access times. Ask for it before `make_world`."""
    return make_disk(mib=256, options="noatime").path


def rage(world, directory, trouble):
    """Fills the world, lets all its users loose, and judges what they saw and what is left."""
    world.fill()
    world.begin(eager(QUIET_S))
    kills = trouble == "kills"
    storm = Storm()
    storm.add(Filler(10, world.lasting, world.idle))
    storm.add(*world.readers(directory, kills), *world.clients(0.3), *world.claimants(kills))
    storm.add(Toucher(30, world.agent, world.touched, 0.9 * QUIET_S, 30 * kills))
    storm.add(Evictor(31, world.coordinator, [m.name for m in world.ordered]))
    claimed = [m.name for m in world.claimed + sum(world.served, [])]
    storm.add(Evictor(32, world.coordinator, claimed, forced=0))
    if kills:
        storm.add(Killer(40, world.agent))
    if trouble == "stops":
        storm.add(Stopper(41, world.agent))
    storm.run(SECONDS)
    print(storm.summary(), world.receipts(), storm.errors)
    assert storm.broken == []
    world.assert_right()
    for reader in storm.of(ReaderProcess):
        assert reader.counts["whole"] > 0, reader.role
    assert storm.counts(ReaderProcess, "whole") > SECONDS
    assert storm.counts(Downloader, "loaded") > SECONDS
    assert storm.counts(Filler, "made") > SECONDS / 2, "hardly anything was evicted"
    assert storm.counts(Toucher, "kept") > 0
    for evictor in storm.of(Evictor):
        assert evictor.counts["issued"] > 0, evictor.models
    assert storm.counts(Killer, "kills") > 0 or trouble != "kills"
    assert storm.counts(Stopper, True) > 0 or trouble != "stops"
    assert storm.counts(Holder, "kept") > 0 and storm.counts(Server, "kept") > 0
    world.assert_all_goes()


@pytest.mark.stress
@pytest.mark.timeout(SECONDS + 4 * ENDING_S)
@pytest.mark.parametrize("trouble", ["none", "stops", "kills"])
def test_storm(make_world, directory, trouble):
    """
    No reader loses what he had opened or was told is kept, no caller what he holds, no engine what
    it serves, though it flaps; no loader with gaps shorter than the quiet time sees half of a model,
    and nothing idle stays; also when the agent is stopped at its steps, or killed.
    """
    rage(make_world(directory), directory, trouble)


@pytest.mark.stress
@pytest.mark.mounts
@pytest.mark.timeout(SECONDS + 4 * ENDING_S)
def test_storm_without_access_times(blind, make_world, directory):
    """The same where only the watch tells of a loader between two files."""
    rage(make_world(blind), directory, "none")


@pytest.mark.stress
@pytest.mark.timeout(SECONDS + 4 * ENDING_S)
def test_deletes_against_downloads(cluster, make_world, directory):
    """
    Whatever clients download is deleted at once, again and again. What fails for them goes well
    when it is done again, and nothing is left that no model needs.
    """
    world = make_world(directory)
    world.begin({})
    storm = Storm()
    storm.add(*world.clients(0.0))
    clients = {worker.client.kind: worker.client for worker in storm.workers}
    storm.add(Evictor(31, world.coordinator, ["hf:acme/*", "hf.d:acme/*"]))
    storm.run(SECONDS)
    print(storm.summary(), world.receipts(), storm.errors)
    assert storm.broken == []
    world.assert_right()
    assert world.receipts()["deleted"] > SECONDS
    assert storm.counts(Downloader, "loaded") > SECONDS
    for kind in KINDS:
        for repo, revision, what in revisions(DOWNLOADS[kind]):
            folder = clients[kind].download(world.hub, repo, revision, type=what)
            for path, content in cluster.hub.revision(repo, revision, what)["files"].items():
                assert (folder / path).read_bytes() == content.read(0, content.size)
    world.assert_right()
