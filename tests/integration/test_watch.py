"""
Opened files are seen as they are opened, whoever opens them, and the agent's own are not. Most of
it on a file system without access times: there nothing else tells of a use that has ended.
"""

import os
import subprocess
import sys
import time

import pytest

from larder.caches import A, B, Cache, age_everything, model_name
from larder.mounts import in_another_mount_namespace
from larder.openers import look, look_often
from larder.paused import EARLY, Paused
from larder.removals import CASES, DAY, REPO, SIZE, Case
from larder.rights import with_capability
from larder.wait import stays, wait_until

pytestmark = pytest.mark.mounts

FORK = "fork/llama"
OLD_MS = 9 * DAY * 1000


@pytest.fixture
def blind(make_disk):
    """An empty cache directory whose file system has no access times."""
    return make_disk(mib=64, options="noatime").root()


@pytest.fixture
def watched(blind, cluster):
    """watched(root, **settings): an agent that has found all there is. Unmounted after it has ended."""

    def start(*roots, **settings):
        return cluster.agent(*(roots or [blind]), **settings).wait_ready()

    return start


def sources(agent):
    return agent.http.get_json("/v1/sources")["watch"]


def idle_ms(agent, name):
    return agent.models()[name]["idle_ms"]


def assert_idle(agent, *names):
    for name in names:
        assert idle_ms(agent, name) > OLD_MS, name


def wait_used(agent, name, since):
    """Waits until the agent knows of a use at or after `since` (time.time()), and who saw it."""

    def seen():
        row = agent.models()[name]
        return row if time.time() - row["idle_ms"] / 1000 >= since else None

    row = wait_until(seen, what=f"a use of {name} is known")
    assert row["source"] == "watch", row
    return row


def assert_use(agent, path, used, idle=()):
    """A look at the file is a use of these models, and none of those."""
    since = time.time()
    look(path)
    for name in used:
        wait_used(agent, name, since)
    assert_idle(agent, *idle)


# ---- what is a use, and of what ----


@pytest.mark.parametrize("kind", CASES)
def test_each_file_by_its_path(watched, blind, kind):
    """By way of the snapshot's link, as all clients do it."""
    case = CASES[kind](blind)
    agent = watched(case.config)
    agent.wait_model(case.name)
    others = [name for name in agent.models() if name != case.name]
    for path in case.links:
        assert_idle(agent, *(others if path == case.links[0] else []))
        since = time.time()
        look(path)
        wait_used(agent, case.name, since)


def test_closing_is_a_use_too(watched, blind):
    """Who has had a file open or mapped for long has used it until he closes it."""
    name = Cache(blind).model(REPO)
    with open(Cache(blind).snapshot(REPO, A) / "model.safetensors", "rb"):
        agent = watched()
        agent.wait_model(name)
        assert_idle(agent, name)
        since = time.time()
    wait_used(agent, name, since)


def test_looking_at_folders_and_links_is_no_use(watched, blind):
    cache = Cache(blind)
    name, other = cache.model(REPO), cache.model(FORK)
    agent = watched()
    agent.wait_model(other)
    for path in blind.rglob("*"):
        os.lstat(path)
        if path.is_symlink():
            os.readlink(path)
            os.stat(path)
    # what came before is known by then
    assert_use(agent, cache.snapshot(FORK, A) / "model.safetensors", [other], [name])


def test_revisions_are_told_apart_by_their_blobs(watched, blind):
    cache = Cache(blind)
    one, two = cache.model(REPO, A), cache.model(REPO, B, refs=("v2",))
    agent = watched()
    agent.wait_model(one)
    agent.wait_model(two)
    assert_use(agent, cache.snapshot(REPO, A) / "model.safetensors", [one], [two])
    assert_use(agent, cache.snapshot(REPO, B) / "model.safetensors", [two])


def test_blob_of_two_revisions_is_a_use_of_both(watched, blind):
    cache = Cache(blind)
    one = cache.model(REPO, A, seed="same")
    two = cache.model(REPO, B, seed="same", refs=("v2",))
    other = cache.model(FORK, A, seed="same")
    agent = watched()
    for name in (one, two, other):
        agent.wait_model(name)
    assert_use(agent, cache.snapshot(REPO, A) / "model.safetensors", [one, two], [other])


def test_payload_of_the_store_is_a_use_of_all_that_have_it(watched, blind):
    cache = Cache(blind)
    one, two = cache.model(REPO, seed="same"), cache.model(FORK, seed="same")
    other = cache.model("acme/other")
    cache.share("cd" + "1" * 62, "model.safetensors", REPO, FORK)
    cache.share("cd" + "2" * 62, "model.safetensors", "acme/other")
    age_everything(blind, 10 * DAY)
    agent = watched()
    for name in (one, two, other):
        agent.wait_model(name)
    assert_use(agent, cache.snapshot(FORK, A) / "model.safetensors", [one, two], [other])


def test_files_in_the_snapshot_itself(watched, blind):
    """As clients without symbolic links leave them."""
    cache = Cache(blind)
    for commit in (A, B):
        snapshot = cache.snapshot(REPO, commit)
        (snapshot / "sub").mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        (snapshot / "sub/model.safetensors").write_bytes(b"w" * 5000)
    cache.make_old(REPO)
    one, two = model_name(REPO, A), model_name(REPO, B)
    agent = watched()
    agent.wait_model(one)
    agent.wait_model(two)
    assert_use(agent, cache.snapshot(REPO, A) / "sub/model.safetensors", [one], [two])


def test_opened_in_another_mount_namespace(watched, blind):
    """As a container does it, to which the cache is mounted read-only at another path."""
    name = Cache(blind).model(REPO)
    agent = watched()
    agent.wait_model(name)
    since = time.time()
    path = f"/mnt/models--acme--llama/snapshots/{A}/model.safetensors"
    in_another_mount_namespace(blind, f"mount -o remount,bind,ro /mnt && cat {path} > /dev/null")
    wait_used(agent, name, since)


def test_without_a_watch_nobody_sees_it(watched, blind):
    name = Cache(blind).model(REPO)
    agent = watched(blind, watch="off")
    agent.wait_model(name)
    assert "watch" not in agent.http.get_json("/v1/sources")
    look(Cache(blind).snapshot(REPO, A) / "model.safetensors")
    stays(lambda: idle_ms(agent, name) > OLD_MS, 0.5)


# ---- the cache changes ----


def test_new_model_and_new_file(watched, blind):
    agent = watched()
    folder = blind / "models--acme--llama"
    name = Cache(blind).model(REPO)
    agent.wait_model(name)
    assert_use(agent, next((folder / "blobs").iterdir()), [name])
    other = Cache(blind).model(REPO, B, refs=("v2",))
    agent.wait_model(other)
    assert_use(agent, Cache(blind).snapshot(REPO, B) / "model.safetensors", [other])


def test_folder_is_replaced(watched, blind):
    """Another directory under the same name is watched from the next scan on."""
    agent = watched({"path": str(blind), "layout": "directory"})
    name, generation = "dir:engine@-", None
    for part in ("first", "second"):
        (blind / "engine").mkdir()
        (blind / "engine" / f"{part}.bin").write_bytes(b"w" * 5000)
        age_everything(blind, 10 * DAY)
        generation = wait_until(
            lambda g=generation: (agent.wait_model(name)["generation"] != g)
            and agent.models()[name]["generation"],
            what="it is found",
        )
        assert sources(agent)["directories"] == 1
        since = time.time()
        look(blind / "engine" / f"{part}.bin")
        wait_used(agent, name, since)
        (blind / "engine").rename(blind.parent / f"was-{part}")


def test_root_is_replaced(watched, blind):
    name = Cache(blind).model(REPO)
    agent = watched()
    agent.wait_model(name)
    blind.rename(blind.parent / "elsewhere")
    other = Cache(blind).model(FORK)
    agent.wait_model(other)
    agent.wait_gone(name)
    assert sources(agent)["directories"] == 1
    assert_use(agent, Cache(blind).snapshot(FORK, A) / "model.safetensors", [other])


# ---- the agent's own ----


class Sharded(Case):
    """A model with an index, which the agent reads, and with two links to one file."""

    def build(self):
        cache = Cache(self.root)
        shard = "model-00001-of-00001.safetensors"
        cache.put(REPO, A, "model.safetensors.index.json", b'{"weight_map": {"a": "%s"}}' % shard.encode())
        cache.put(REPO, A, "again.bin", b"s" * SIZE)
        cache.put(REPO, A, shard, b"s" * SIZE)
        name = cache.model(REPO, A, SIZE)
        cache.model(REPO, B, SIZE, refs=("v2",))
        snapshot = cache.snapshot(REPO, A)
        self.links = sorted(snapshot.iterdir())
        self.private = [snapshot / shard]
        return name


class Linked(Case):
    """A directory with two names of one file."""

    layout = "directory"

    def build(self):
        folder = self.root / "engine"
        folder.mkdir()
        (folder / "weights.bin").write_bytes(os.urandom(SIZE))
        (folder / "again.bin").hardlink_to(folder / "weights.bin")
        self.links = self.private = sorted(folder.iterdir())
        return "dir:engine@-"

    def expected(self):
        return {}


KINDS = {**CASES, "sharded": Sharded, "linked": Linked}


class Removal(Paused):
    """On a disk without access times, of all kinds of models."""

    def __init__(self, cluster, root, kind, point, **settings):
        super().__init__(cluster, root, kind, point, cases=KINDS, **settings)


@pytest.fixture
def removal(blind, cluster):
    return lambda kind, point, **settings: Removal(cluster, blind, kind, point, **settings)


def pin(cluster, glob):
    body = {"glob": glob, "by": "tests", "why": "needed"}
    assert cluster.coordinators[0].http.post("/v1/pins", body).status == 200


def unpin(cluster, glob):
    assert cluster.coordinators[0].http.delete("/v1/pins", glob=glob).status == 200


@pytest.mark.parametrize("watch", ["inotify", "fanotify"])
@pytest.mark.parametrize("kind", KINDS)
def test_removal_that_is_undone_is_no_use(removal, kind, watch):
    """Checked, leased, moved and put back: nobody but the agent has opened anything."""
    r = removal(kind, "removal-moved", watch=watch)
    pin(r.cluster, r.case.name)
    r.agent.wait_log("event=.removal-vetoed")
    r.assert_refused("used:")
    assert sources(r.agent)["uses"] == 0, sources(r.agent)
    assert_idle(r.agent, r.case.name)
    unpin(r.cluster, r.case.name)
    r.order()
    assert r.go_on()["outcome"] == "deleted"
    if r.case.layout != "directory":  # there the reaper opens what is still watched
        assert sources(r.agent)["uses"] == 0, sources(r.agent)
    r.case.assert_removed()


def test_scans_are_no_use(watched, blind):
    """Of a repository that changes all the time, so that it is read again each time."""
    case = Sharded(blind)
    agent = watched()
    agent.wait_model(case.name)
    for i in range(10):
        (blind / "models--acme--llama/blobs" / f"{i:064x}").write_bytes(b"nobody's")
        before = agent.status()["roots"][0]["leftover_bytes"]
        wait_until(
            lambda b=before: agent.status()["roots"][0]["leftover_bytes"] != b,
            what="the repository was read again",
        )
    assert_idle(agent, case.name)


@pytest.mark.parametrize("point", EARLY)
@pytest.mark.parametrize("kind", KINDS)
def test_opened_and_closed_while_a_removal_is_under_way(removal, kind, point):
    """Nothing is open any more when the leases are taken, and no access time tells."""
    r = removal(kind, point)
    r.agent.pause("removal-moved").shut()  # an agent that came so far would never end
    look(r.case.links[0])
    since = time.time() - 10
    r.assert_refused("used:")
    wait_used(r.agent, r.case.name, since)


@pytest.mark.parametrize("point", ["removal-commit", "removal-clean"])
def test_opened_for_another_model_while_a_removal_ends(removal, point):
    r = removal("classic", point)
    since = time.time()
    look(Cache(r.case.root).snapshot(REPO, B) / "config.json")
    wait_used(r.agent, model_name(REPO, B), since)
    assert r.go_on()["outcome"] == "deleted"


def test_opened_while_it_waits_behind_another(removal, cluster):
    """It has been judged, but the disk is busy with another removal."""
    r = removal("directory", "removal-check")
    other = "dir:other@-"
    waiting = cluster.order(other)
    assert waiting["outcome"] == "issued", waiting
    wait_until(lambda: r.agent.models()[other]["removing"], what="it was judged")
    look(r.case.root / "other/config.json")
    assert r.go_on()["outcome"] == "deleted"
    receipt = cluster.receipt(waiting["id"])
    assert (receipt["outcome"], receipt["why"][:5]) == ("refused", "used:"), receipt
    assert (r.case.root / "other/rank0/weights.bin").exists()


# ---- the quiet time ----


def test_just_started_agent_does_not_know_of_gaps(watched, blind, cluster):
    """Without access times nobody knows what was used a moment before the agent started."""
    name = Cache(blind).model(REPO)
    agent = watched()
    policy = {"type": "lru", "unused_threshold": "1d", "min_age": "1h"}
    cluster.coordinator(policy=policy).wait_sees(agent.name)
    cluster.wait_lru(name)
    cluster.coordinators[0].demand_cycle()
    receipt = cluster.wait_receipt(name, "refused")
    assert receipt["why"] == "too_young", receipt


LOADER = """
import os, sys, time
gap, most, paths = float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
late = False
for path in paths:
    began = time.monotonic()
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        # At its first file there is just no model; later only who was too slow may lose it.
        sys.exit(0 if path == paths[0] or late else 3)
    os.read(fd, 100)
    os.close(fd)
    time.sleep(gap)
    late = time.monotonic() - began > most
"""


def test_loader_that_closes_each_file_before_the_next(watched, blind, cluster):
    """
    Against a coordinator that evicts as fast as it can: no part of a model goes while its loader is
    between two files, as long as its gaps are shorter than the quiet time. And it does go then.
    """
    agent = watched({"path": str(blind), "layout": "directory"})
    policy = {"type": "lru", "unused_threshold": "1s", "min_age": "1s"}
    cluster.coordinator(policy=policy, check_interval="1s").wait_sees(agent.name)
    folder = blind / "engine"
    paths = [folder / f"model-{i}.safetensors" for i in range(6)]
    loader = [sys.executable, "-c", LOADER, "0.3", "0.9", *map(str, paths)]
    for times in (1, 2):
        folder.mkdir()
        for path in paths:
            path.write_bytes(b"w" * 5000)
        age_everything(blind, 10 * DAY)
        while folder.exists():
            assert subprocess.run(loader).returncode == 0, "half a model was taken from a loader"
            # Now and then nobody loads for longer than the quiet time.
            quiet_until = time.monotonic() + 1.5
            while folder.exists() and time.monotonic() < quiet_until:
                time.sleep(0.02)
        cluster.wait_receipt("dir:engine@-", "deleted", times=times)


# ---- when it does not work ----


def lose_events(agent, gate, *paths):
    """The thread that reads the events stands still while more come than the kernel keeps."""
    with open("/proc/sys/fs/inotify/max_queued_events") as limit:
        most = int(limit.read())
    gate.shut()
    look(paths[0])  # it looks once more, and stops
    gate.reached()
    look_often(most // 2 + 1000, *paths)
    gate.open()
    wait_until(lambda: sources(agent)["overflows"] > 0, what="events were lost")


def test_lost_events_without_access_times(blind, cluster):
    """Whatever was not seen may have been a use of any model."""
    cache = Cache(blind)
    one, two = cache.model(REPO), cache.model(FORK)
    # A scan of what has just changed would read the events.
    agent = cluster.agent(blind, start=False, scan_interval="1h")
    gate = agent.pause("watch-read")
    agent.start(**gate.env).wait_ready()
    agent.wait_model(one)
    since = time.time()
    lose_events(agent, gate, *(blind / "models--acme--llama/blobs").iterdir())
    wait_used(agent, one, since)
    wait_used(agent, two, since)
    agent.wait_log("event=-watch-overflow")


def test_lost_events_with_access_times(cluster, root):
    """A scan finds what was read."""
    cache = Cache(root)
    one, two, three = (cache.model(repo) for repo in (REPO, FORK, "acme/other"))
    agent = cluster.agent(root, start=False, scan_interval="1h")
    gate = agent.pause("watch-read")
    agent.start(**gate.env).wait_ready()
    agent.wait_model(three)
    since = time.time()
    (cache.snapshot(FORK, A) / "model.safetensors").read_bytes()
    lose_events(agent, gate, *(root / "models--acme--llama/blobs").iterdir())
    wait_until(lambda: time.time() - idle_ms(agent, two) / 1000 >= since, what="a scan")
    assert_idle(agent, three)


def test_lost_events_during_a_removal(removal):
    r = removal("directory", "removal-check")
    other = r.case.root / "other"
    lose_events(r.agent, r.agent.pause("watch-read"), other / "config.json", other / "link")
    r.assert_refused("used:")


def test_no_more_than_the_settings_allow(watched, blind, cluster):
    """Of two models one is watched; when it has gone, the other is."""
    cache = Cache(blind)
    models = {cache.model(repo): repo for repo in (REPO, FORK)}
    agent = watched(blind, watch_max_directories=1)
    agent.wait_log("event=-watch root=default .*watch_max_directories.* unwatched=1")
    state = sources(agent)
    assert (state["directories"], state["roots"][0]["unwatched"]) == (1, 1), state
    for repo in models.values():
        look(cache.snapshot(repo, A) / "model.safetensors")
    wait_until(lambda: any(idle_ms(agent, n) < OLD_MS for n in models), what="one is seen")
    seen, unseen = sorted(models, key=lambda name: idle_ms(agent, name))
    assert_idle(agent, unseen)
    cluster.coordinator().wait_sees(agent.name)
    cluster.wait_lru(seen)
    assert cluster.evict(seen)["outcome"] == "deleted"
    agent.wait_log(r"event=\+watch root=default")
    assert_use(agent, cache.snapshot(models[unseen], A) / "model.safetensors", [unseen])


def test_partly_watched_model_is_not_removed_automatically(watched, blind, cluster):
    """Without access times nobody would see its other files being opened."""
    folder = blind / "engine"
    (folder / "more").mkdir(parents=True)
    for path in ("weights.bin", "more/weights.bin"):
        (folder / path).write_bytes(b"weights" * 1000)
    age_everything(blind, 10 * DAY)
    agent = watched({"path": str(blind), "layout": "directory"}, watch_max_directories=1)
    policy = {"type": "lru", "unused_threshold": "1d", "min_age": "0s"}
    cluster.coordinator(policy=policy).wait_sees(agent.name)
    cluster.wait_lru("dir:engine@-")
    cluster.coordinators[0].demand_cycle()
    receipt = cluster.wait_receipt("dir:engine@-", "refused")
    assert receipt["why"].startswith("unknown: it is not watched"), receipt
    assert cluster.evict("dir:engine@-")["outcome"] == "deleted", "by hand it goes"


def with_user_limit(agent, name, value):
    """The agent runs in a user name space of its own, with a limit of its own."""
    script = f'echo {value} > /proc/sys/user/{name} && exec "$@"'
    agent.process.argv = ["unshare", "--user", "--map-root-user", "sh", "-ec", script, "sh"] + (
        agent.process.argv
    )


@pytest.mark.parametrize(
    "limit, value, reason",
    [
        ("max_inotify_watches", 1, "fs.inotify.max_user_watches"),
        ("max_inotify_instances", 0, "max_user_instances"),
    ],
)
def test_kernel_allows_no_more(blind, cluster, limit, value, reason):
    """It says so, and all else works as before."""
    cache = Cache(blind)
    names = [cache.model(REPO), cache.model(FORK)]
    agent = cluster.agent(blind, start=False)
    with_user_limit(agent, limit, value)
    agent.start().wait_ready()
    agent.wait_log(f"event=-watch root=default .*{reason}")
    state = sources(agent)
    assert state["directories"] == value, state
    assert state["works"] == (value > 0)
    assert state["roots"][0]["unwatched"] == 2 - value
    cluster.coordinator().wait_sees(agent.name)
    for name in names:
        cluster.wait_lru(name)
        assert cluster.evict(name)["outcome"] == "deleted"
    agent.wait_log(r"event=\+watch root=default")


# ---- fanotify ----


def test_fanotify(blind, cluster):
    case = CASES["classic"](blind)
    agent = cluster.agent(case.config, start=False, watch="fanotify")
    agent.process.argv = with_capability("sys_admin", agent.process.argv)
    agent.start().wait_ready()
    agent.wait_model(case.name)
    assert sources(agent)["by"] == "fanotify"
    assert_use(agent, case.links[-1], [case.name])


def test_fanotify_without_the_right_to_it(blind, cluster):
    """It says so and takes inotify."""
    name = Cache(blind).model(REPO)
    agent = cluster.agent(blind, start=False, watch="fanotify")
    if os.geteuid() == 0:
        agent.process.argv = ["capsh", "--drop=cap_sys_admin", "--", "-c", 'exec "$@"', "sh"] + (
            agent.process.argv
        )
    agent.start().wait_ready()
    agent.wait_log("event=-watch by=fanotify .*instead=inotify")
    assert sources(agent)["by"] == "inotify"
    agent.wait_model(name)
    assert_use(agent, Cache(blind).snapshot(REPO, A) / "model.safetensors", [name])


def test_agent_that_ends_lets_the_disk_go(disk, cluster):
    """Handles of directories must not keep a disk from being unmounted."""
    root = disk.root()
    name = Cache(root).model(REPO)
    agent = cluster.agent(root).wait_ready()
    agent.wait_model(name)
    agent.stop()
    disk.close()
    assert not os.path.ismount(disk.path)
