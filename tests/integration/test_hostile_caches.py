"""
Caches as somebody could make them to have something else deleted, or to break the agent. Whatever
is done in them, nothing outside of the model changes, and the agent goes on.
"""

import os
import pathlib
import socket
import stat
import tempfile
import time

import pytest

from larder import trees
from larder.caches import A, Cache, age_everything, folder_of
from larder.hostile import Exchange, Outside, as_nobody, in_mount_namespace, remove_tree
from larder.removals import CASES, REPO
from larder.rights import as_root
from larder.wait import wait_until

LAYOUTS = ("huggingface", "directory")


class Place:
    """
    One model, `self.name`, of one layout; `self.folder` is the folder of its files. Beside it stands
    another one, which is evicted at the end to show that all goes on.
    """

    def __init__(self, cluster, directory, root, layout):
        self.cluster, self.root, self.layout = cluster, root, layout
        self.outside = Outside(directory)
        self.agent = None
        if layout == "directory":
            for name in ("engine", "other"):
                (root / name / "sub").mkdir(parents=True)
                (root / name / "config.json").write_text("{}")
                (root / name / "sub/weights.bin").write_bytes(os.urandom(65536))
            self.name, self.other = "dir:engine@-", "dir:other@-"
            self.folder, self.other_folder = root / "engine", root / "other"
        else:
            cache = Cache(root)
            self.name, self.other = cache.model(REPO), cache.model("acme/other")
            self.folder, self.other_folder = (
                cache.snapshot(repo, A) for repo in (REPO, "acme/other")
            )
        self.sub = self.folder / "sub"
        self.sub.mkdir(exist_ok=True)

    def file(self, path, data):
        """A file of the model's own."""
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def start(self, prepare=None, **env):
        age_everything(self.root, 86400 * 10)
        self.agent = self.cluster.agent({"path": str(self.root), "layout": self.layout}, start=False)
        if prepare is not None:
            prepare(self.agent)
        self.agent.start(**env).wait_ready()
        self.cluster.coordinator().wait_sees("n1")
        return self

    def evict(self, force=True):
        return self.cluster.evict(self.name, force=force)

    def assert_status(self, status, *words):
        row = self.agent.wait_model(self.name, status)
        assert row["why"].startswith(words or ("",)), row

    def assert_refused(self, *words):
        receipt = self.evict()
        assert receipt["outcome"] in ("refused", "failed"), receipt
        assert receipt["why"].startswith(words), receipt
        assert receipt["bytes"] == 0
        assert self.folder.is_dir()
        assert trees.left_by_larder(self.root) == []

    def assert_deleted(self, bytes_freed=None):
        receipt = self.evict()
        assert receipt["outcome"] == "deleted" and receipt["why"] == "", receipt
        assert bytes_freed in (None, receipt["bytes"]), receipt
        assert not os.path.lexists(self.folder)
        wait_until(lambda: trees.left_by_larder(self.root) == [], what="the trash is emptied")
        assert trees.left_by_larder(self.root) == []

    def assert_works(self):
        self.outside.assert_untouched()
        assert self.agent.process.running
        assert self.agent.http.get("/readyz").status == 200
        receipt = self.cluster.evict(self.other, force=True)
        assert receipt["outcome"] == "deleted", receipt
        assert not os.path.lexists(self.other_folder)
        self.outside.assert_untouched()


@pytest.fixture(params=LAYOUTS)
def place(cluster, directory, root, request):
    return Place(cluster, directory, root, request.param)


@pytest.fixture
def memory():
    """A directory where a hundred thousand folders are made and removed in a moment."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    path = pathlib.Path(tempfile.mkdtemp(prefix="larder-test-", dir=base))
    yield path
    remove_tree(path)


@pytest.fixture
def hub(cluster, directory, root):
    return Place(cluster, directory, root, "huggingface")


# ---- links ----


def test_links_to_everywhere(place):
    """A link goes with its folder, what it leads to does not; a Hugging Face model is none then."""
    links = {
        "absolute": place.outside.path / "passwd",
        "out": os.path.relpath(place.outside.path / "sub/weights.bin", place.sub),
        "folder": place.outside.path / "sub",
        "dangling": "no/such/file",
        "itself": "itself",
        "up": "..",
        "loop": "../sub/loop",
        "root": "/",
        "proc": "/proc/self/fd",
        "long": "x/" * 2000 + "x",
        "name\n\x1b[31m": "target\n\x1b[31m",
    }
    for name, target in links.items():
        (place.sub / name).symlink_to(target)
    place.start()
    if place.layout == "huggingface":
        place.assert_status("ERROR", "a link leads out")
    else:
        place.assert_status("DOWNLOADED")
    place.assert_deleted()
    place.assert_works()


@pytest.mark.parametrize(
    "target",
    ["absolute", "../../../../outside/passwd", "../../blobs/../../../outside/passwd", "missing"],
)
def test_snapshot_link_that_leads_elsewhere(hub, target):
    link = hub.folder / "model.safetensors"
    link.unlink()
    if target == "absolute":
        target = str(hub.outside.path / "passwd")
    elif target == "missing":
        target = "../../blobs/" + "0" * 64
    link.symlink_to(target)
    hub.start()
    hub.assert_status("ERROR")
    hub.assert_deleted()
    hub.assert_works()


@pytest.mark.parametrize(
    "target", ["absolute", "../../../outside/passwd", "../../blobs/aa/../../../outside/passwd", "loop"]
)
def test_blob_that_is_a_link_elsewhere(hub, target):
    """Only links into the shared store are followed, by their names; this one is not."""
    blob = hub.folder / "model.safetensors"
    blob = (blob.parent / os.readlink(blob)).resolve()
    blob.unlink()
    if target == "absolute":
        target = str(hub.outside.path / "passwd")
    blob.symlink_to(blob.name if target == "loop" else target)
    hub.start()
    hub.assert_status("ERROR", "a blob is neither")
    hub.assert_deleted()
    hub.assert_works()


@pytest.mark.parametrize("what", ["payload", "prefix", "store", "manifest", "marker"])
def test_shared_store_with_links(hub, what):
    """The store's own parts lead elsewhere."""
    cache = Cache(hub.root)
    xet = "ab" + "c" * 62
    payload = cache.share(xet, "model.safetensors", REPO)
    target = {
        "payload": payload,
        "prefix": payload.parent,
        "store": payload.parent.parent,
        "manifest": payload.parent / f"{xet}.refs",
        "marker": payload.parent.parent / ".huggingface-shared-blobs",
    }[what]
    moved = hub.outside.path / "moved"
    target.rename(moved)
    target.symlink_to(moved)
    age_everything(hub.outside.path, 86400 * 10)
    hub.outside.before = hub.outside.state()
    hub.start()
    hub.assert_deleted()
    hub.assert_works()


@pytest.mark.parametrize(
    "line",
    [
        "{other}",
        "./{other}",
        "models--acme--other//blobs/{etag}",
        "models--acme--other/./blobs/{etag}",
        "{other}/",
        "x\n\0\n{other}",
        "x\f{other}",
        "\xff\n{other}",
        "",
    ],
)
@pytest.mark.parametrize("link", ["relative", "absolute", "by a detour"])
def test_manifest_of_the_store_names_others_oddly(hub, line, link):
    """A payload that a client could still take for another one's stays."""
    cache = Cache(hub.root)
    xet = "ab" + "c" * 62
    payload = cache.share(xet, "model.safetensors", REPO)
    blob = cache.repo("acme/other") / "blobs" / ("e" * 64)
    target = {
        "relative": f"../../blobs/ab/{xet}",
        "absolute": str(payload),
        "by a detour": f"../../blobs/../blobs/ab/{xet}",
    }[link]
    blob.symlink_to(target)
    name = f"models--acme--other/blobs/{blob.name}"
    text = line.format(other=name, etag=blob.name) + "\n"
    with open(f"{payload}.refs", "a", encoding="latin-1") as manifest:
        manifest.write(text)
    hub.start()
    hub.assert_deleted()
    assert payload.exists() == (line != ""), "nobody else refers to it"
    hub.outside.assert_untouched()


@pytest.mark.parametrize("name", ["", "snapshots", "blobs", "refs", ".no_exist", "trees"])
def test_folder_of_a_repository_is_a_link(hub, name):
    repo = hub.root / folder_of(REPO)
    folder = repo / name if name else repo
    if not folder.exists():
        folder.mkdir()
        (folder / A).mkdir()
        (folder / f"{A}.json").write_text("{}")
    moved = hub.outside.path / "moved"
    folder.rename(moved)
    folder.symlink_to(moved)
    age_everything(hub.outside.path, 86400 * 10)
    hub.outside.before = hub.outside.state()
    hub.start()
    if name in ("", "snapshots", "blobs"):
        hub.agent.wait_log(r"event=-repo folder=models--acme--llama .*is a link")
        assert hub.name not in hub.agent.models()
    elif name == "refs":
        # Whether a ref names this revision cannot be seen.
        hub.assert_refused("cannot be moved")
    else:
        hub.assert_deleted()
    hub.assert_works()


def test_top_folder_of_a_model_is_a_link(cluster, directory, root):
    place = Place(cluster, directory, root, "directory")
    (root / "linked").symlink_to(place.outside.path)
    (root / "loop").symlink_to("loop")
    place.start()
    place.agent.wait_model(place.name)
    assert set(place.agent.models()) == {place.name, place.other}
    place.assert_deleted()
    place.assert_works()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_from_the_future(cluster, directory, root, layout):
    """Some tool has set their time years ahead: that does not make them a download for years."""
    place = Place(cluster, directory, root, layout)
    place.start()
    place.agent.wait_model(place.name)
    at = time.time()
    for path in place.folder.rglob("*.*"):
        os.utime(path, (at - 11 * 365 * 86400, at + 10 * 365 * 86400))
    place.assert_deleted()
    place.assert_works()


def test_leftovers_in_a_root_where_nothing_is_deleted(cluster, root):
    """Looked at with each scan, and kept in memory once (the sanitizer tells)."""
    (root / "engine").mkdir()
    (root / "engine" / "weights.bin").write_bytes(b"x")
    (root / (".larder-trash-" + "a" * 16 + ".gone")).mkdir()
    config = {"path": str(root), "layout": "directory", "report_only": True}
    agent = cluster.agent(config).wait_ready()
    for _ in range(3):
        agent.scan()
    agent.wait_model("dir:engine@-")
    agent.stop()


# ---- swapped meanwhile ----


@pytest.mark.parametrize("where", ["model", "sub", "above"])
def test_folders_swapped_with_links_while_it_is_deleted(place, where):
    """Hundreds of thousands of swaps; what the link leads to never loses a file."""
    swapped = {
        "model": place.folder,
        "sub": place.sub,
        "above": place.folder.parent if place.layout == "huggingface" else place.folder,
    }[where]
    place.file("sub/more.bin", b"x" * 10000)
    link = place.root.parent / "swap"
    # It has what the model has: whoever follows it finds what he looks for.
    for name in ("config.json", "weights.bin", "model.safetensors"):
        (place.outside.path / "sub" / name).write_bytes(b"precious")
    age_everything(place.outside.path, 86400 * 10)
    place.outside.before = place.outside.state()
    link.symlink_to(place.outside.path / "sub")
    place.start()
    place.agent.wait_model(place.name)
    outcomes = []
    with Exchange(swapped, link) as exchange:
        wait_until(lambda: exchange.count > 100, what="they are swapped")
        for _ in range(25):
            place.agent.scan()
            answer = place.cluster.coordinators[0].http.post(
                "/v1/evictions", {"models": [place.name], "force": True}
            )
            if answer.status == 404 or answer.json["commands"][0]["outcome"] != "issued":
                continue
            receipt = place.cluster.receipt(answer.json["commands"][0]["id"])
            outcomes.append(receipt["outcome"])
            place.outside.assert_untouched()
            if receipt["outcome"] == "deleted":
                break
    if os.path.islink(swapped):
        exchange.swap()  # what could not be put back meanwhile can now
    assert set(outcomes) <= {"deleted", "refused", "failed", "gone"}, outcomes
    wait_until(lambda: trees.left_by_larder(place.root) == [], what="the trash is emptied")
    place.assert_works()


@pytest.mark.parametrize("kind", ["classic", "directory"])
def test_folder_in_the_trash_is_swapped_with_a_link(cluster, directory, root, kind):
    """After the commit somebody who stands in the folder makes a link of what is to be emptied."""
    case = CASES[kind](root)
    outside = Outside(directory)
    folder = case.links[0].parent
    (folder / "parts").mkdir()
    for number in range(3):
        (folder / f"parts/{number}.bin").write_bytes(b"x" * 4096)
    age_everything(root, 86400 * 10)
    agent = cluster.agent(case.config, start=False)
    gate = agent.pause("removal-clean").shut()
    agent.start(**gate.env).wait_ready()
    cluster.coordinator().wait_sees("n1")
    cluster.wait_lru(case.name)
    stands = os.open(folder, os.O_RDONLY)
    command = cluster.order(case.name)["id"]
    gate.reached()
    os.rename("parts", "parts.was", src_dir_fd=stands, dst_dir_fd=stands)
    os.symlink(outside.path, "parts", dir_fd=stands)
    os.symlink("/", "root", dir_fd=stands)
    os.mkfifo("fifo", dir_fd=stands)
    os.mkdir("late", dir_fd=stands)
    os.close(os.open("late/file", os.O_CREAT | os.O_WRONLY, dir_fd=stands))
    os.close(stands)
    gate.open()
    receipt = cluster.receipt(command)
    assert receipt["outcome"] == "deleted" and receipt["why"] == "", receipt
    wait_until(lambda: trees.left_by_larder(root) == [], what="the trash is emptied")
    outside.assert_untouched()


def test_blobs_are_out_of_reach_after_the_commit(cluster, directory, root):
    """What they are cannot be seen any more: they stay, and nothing else of the removal does."""
    case = CASES["classic"](root)
    outside = Outside(directory)
    agent = cluster.agent(case.config, start=False)
    gate = agent.pause("removal-clean").shut()
    agent.start(**gate.env).wait_ready()
    cluster.coordinator().wait_sees("n1")
    cluster.wait_lru(case.name)
    command = cluster.order(case.name)["id"]
    gate.reached()
    blobs = root / folder_of(REPO) / "blobs"
    blobs.rename(directory / "blobs")
    blobs.symlink_to(outside.path)
    gate.open()
    receipt = cluster.receipt(command)
    assert receipt["outcome"] == "deleted" and receipt["bytes"] == 0, receipt
    assert trees.left_by_larder(root) == []
    outside.assert_untouched()
    blobs.unlink()
    (directory / "blobs").rename(blobs)
    agent.scan()
    wait_until(
        lambda: agent.status()["roots"][0]["leftover_bytes"] == case.bytes, what="they are leftovers"
    )


@pytest.mark.parametrize("point", ["removal-check", "removal-claim", "removal-moved"])
def test_hard_link_appears_meanwhile(cluster, directory, root, point):
    """Data that has another name stays whole under it, and does not count as freed."""
    case = CASES["directory"](root)
    big = root / "engine/rank0/big.bin"
    big.write_bytes(b"b" * (80 << 20))
    age_everything(root, 86400 * 10)
    agent = cluster.agent(case.config, start=False)
    gate = agent.pause(point).shut()
    agent.start(**gate.env).wait_ready()
    cluster.coordinator().wait_sees("n1")
    cluster.wait_lru(case.name)
    stands = os.open(big.parent, os.O_RDONLY)
    command = cluster.order(case.name, force=True)["id"]
    gate.reached()
    kept = directory / "kept.bin"
    os.link("big.bin", kept, src_dir_fd=stands)
    os.close(stands)
    gate.open()
    receipt = cluster.receipt(command)
    assert receipt["outcome"] == "deleted", receipt
    assert receipt["bytes"] == case.bytes
    assert kept.read_bytes() == b"b" * (80 << 20)


# ---- what cannot be removed, or is no file ----


MOUNTS = {
    "bind": "mount --bind {outside} {at}",
    "tmpfs": "mount -t tmpfs none {at} && echo precious > {at}/file",
    "file": "mount --bind {outside}/passwd {file}",
    "bind of itself": "mount --bind {at} {at}",
}


@pytest.mark.mounts
@pytest.mark.parametrize("how", MOUNTS)
def test_mount_inside_a_model(place, how):
    """Another file system, or a part of the same one, lies in it: not to be touched."""
    file = place.file("sub/file.bin", b"x" * 1000)
    names = {"outside": place.outside.path, "at": place.sub, "file": file}
    script = MOUNTS[how].format(**{k: f"'{v}'" for k, v in names.items()})
    place.start(prepare=lambda agent: in_mount_namespace(agent, script))
    place.assert_status("ERROR", "another file system")
    receipt = place.evict()
    assert receipt["outcome"] == "refused", receipt
    assert "another file system" in receipt["why"], receipt
    assert file.read_bytes() == b"x" * 1000
    place.assert_works()


# A repository without its blobs or snapshots is none; what is no model's stays where it is.
MOUNTS_IN_A_REPOSITORY = {
    "blobs": None,
    "snapshots": None,
    "refs": ("failed", "cannot be moved"),
    ".no_exist": ("deleted", ""),
    "trees": ("deleted", ""),
}


@pytest.mark.mounts
@pytest.mark.parametrize("folder", MOUNTS_IN_A_REPOSITORY)
def test_mount_inside_a_repository(hub, folder):
    at = hub.root / folder_of(REPO) / folder
    at.mkdir(exist_ok=True)
    (hub.outside.path / "a" / A).mkdir(parents=True)
    (hub.outside.path / "a" / f"{A}.json").write_text("precious")
    (hub.outside.path / "a/main").write_text(A)
    age_everything(hub.outside.path, 86400 * 10)
    hub.outside.before = hub.outside.state()
    script = f"mount --bind '{hub.outside.path}/a' '{at}'"
    hub.start(prepare=lambda agent: in_mount_namespace(agent, script))
    hub.agent.wait_model(hub.other)
    if MOUNTS_IN_A_REPOSITORY[folder] is not None:
        receipt = hub.evict()
        outcome, why = MOUNTS_IN_A_REPOSITORY[folder]
        assert receipt["outcome"] == outcome and receipt["why"].startswith(why), receipt
    else:
        assert hub.name not in hub.agent.models()
        hub.agent.wait_log("event=-repo folder=models--acme--llama")
    hub.assert_works()


@pytest.mark.mounts
@pytest.mark.parametrize("what", ["file", "folder", "model", "above", "append"])
def test_immutable(place, what):
    """What chattr keeps is found before anything is moved."""
    file = place.file("sub/file.bin", b"x" * 1000)
    target = {
        "file": file,
        "append": file,
        "folder": place.sub,
        "model": place.folder,
        "above": place.folder.parent,
    }[what]
    age_everything(place.root, 86400 * 10)
    flag = "a" if what == "append" else "i"
    as_root("chattr", f"+{flag}", target)
    try:
        place.agent = place.cluster.agent(
            {"path": str(place.root), "layout": place.layout}, start=False
        ).start().wait_ready()
        place.cluster.coordinator().wait_sees("n1")
        place.agent.wait_model(place.name)
        if what == "above" and place.layout == "directory":
            # The root itself: not even the self-test's file can be made there.
            assert place.agent.status()["roots"][0]["mode"] == "report"
        else:
            place.assert_refused("immutable")
    finally:
        as_root("chattr", f"-{flag}", target)
    if what == "above" and place.layout == "directory":
        return
    place.agent.scan()
    place.assert_deleted()
    place.assert_works()


def test_unreadable_folders(place):
    """An agent without rights: what cannot be read is not gone, and not for deleting."""
    place.file("sub/file.bin", b"x" * 1000)
    place.start(prepare=lambda agent: as_nobody(agent, place.cluster.redis, place.root))
    place.agent.wait_model(place.name)
    place.sub.chmod(0)
    try:
        place.agent.scan()
        if place.layout == "directory":
            place.assert_status("ERROR", "unreadable")
            state = "larder:{n1}:state"
            wait_until(lambda: place.cluster.db.hget(state, place.name), what="Redis knows")
        else:
            place.agent.wait_log(r"event=-repo folder=models--acme--llama .*Permission denied")
            assert place.name in place.agent.models()
        receipt = place.evict()
        assert receipt["outcome"] == "failed" and receipt["why"].startswith("unreadable"), receipt
        place.assert_works()
    finally:
        place.sub.chmod(0o700)
    place.agent.scan()
    place.agent.wait_model(place.name)
    place.cluster.wait_lru(place.name)
    place.assert_deleted()


def test_folders_that_others_may_not_write(place):
    """The agent may look, and not delete: nothing is half done."""
    place.file("sub/file.bin", b"x" * 1000)
    place.start(prepare=lambda agent: as_nobody(agent, place.cluster.redis, place.root))
    place.agent.wait_model(place.name)
    parent = place.folder.parent
    parent.chmod(0o500)
    try:
        receipt = place.evict()
        assert receipt["outcome"] == "failed", receipt
        assert receipt["why"].startswith("cannot be moved"), receipt
        assert (place.sub / "file.bin").read_bytes() == b"x" * 1000
        assert trees.left_by_larder(place.root) == []
    finally:
        parent.chmod(0o700)
    place.assert_deleted()
    place.assert_works()


def test_files_of_others_whose_access_times_cannot_be_set(place):
    """The next read of them leaves no trace: access times do not tell of all uses."""
    files = [p.resolve() for p in place.folder.rglob("*") if p.is_file()]
    weights = max(files, key=lambda p: p.stat().st_size)

    def prepare(agent):
        as_nobody(agent, place.cluster.redis, place.root)
        as_root("chown", "0:0", weights)
        as_root("chmod", "644", weights)
        weights.read_bytes()

    place.start(prepare=prepare)
    place.agent.wait_log(r"event=\+root .*access_times=no note=.*access times of other users")
    assert place.agent.status()["roots"][0]["access_times"] is False
    assert place.agent.wait_model(place.name)["idle_ms"] < 86400 * 1000, "what they tell counts"
    # Another directory comes to stand there, with the same files. They are tried anew.
    copy = place.outside.path.parent / "copy"
    as_root("cp", "-a", place.root, copy)
    (copy / weights.relative_to(place.root.resolve())).read_bytes()
    place.root.rename(place.outside.path.parent / "was-the-root")
    copy.rename(place.root)
    place.agent.scan()
    told = r"(?s)event=-root .*was replaced.*event=\+root .*access_times=no note=.*other users"
    place.agent.wait_log(told)
    assert place.agent.status()["roots"][0]["access_times"] is False


def special(place, kind):
    path = place.sub / "special"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        as_root("mknod", path, "c", "1", "3")
    else:
        with socket.socket(socket.AF_UNIX) as sock:
            here = os.open(place.sub, os.O_PATH)
            sock.bind(f"/proc/self/fd/{here}/special")
            os.close(here)
    return path


@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_special_files(place, kind):
    """Never opened: that could wait for ever, or do something."""
    path = special(place, kind)
    place.start()
    place.assert_status("ERROR", "neither a file, a folder nor a link")
    receipt = place.evict()
    assert receipt["outcome"] == "refused" and "neither" in receipt["why"], receipt
    assert not stat.S_ISREG(os.lstat(path).st_mode)
    place.assert_works()


@pytest.mark.parametrize("name", ["x.incomplete", "refs/main", "trees", "blob", "lock"])
def test_special_files_where_clients_have_files(hub, name):
    """In a repository's own folders: a pipe, a folder and a link each."""
    repo = hub.root / folder_of(REPO)
    locks = hub.root / ".locks" / folder_of(REPO)
    locks.mkdir(parents=True)
    blob = os.path.basename(os.readlink(hub.folder / "model.safetensors"))
    if name == "x.incomplete":
        os.mkfifo(repo / "blobs/a.incomplete")
        (repo / "blobs/b.incomplete").symlink_to(hub.outside.path)
        (repo / "blobs/c.incomplete/deep").mkdir(parents=True)
        (repo / "blobs/d.incomplete").symlink_to("d.incomplete")
    elif name == "refs/main":
        (repo / "refs/main").unlink()
        os.mkfifo(repo / "refs/main")
        (repo / "refs/link").symlink_to(hub.outside.path / "passwd")
    elif name == "trees":
        (repo / f"trees/{A}.json").mkdir(parents=True)
        (repo / ".no_exist").mkdir()
        os.mkfifo(repo / f".no_exist/{A}")
    elif name == "blob":
        (repo / f"blobs/{blob}").unlink()
        os.mkfifo(repo / f"blobs/{blob}")
    else:
        os.mkfifo(locks / f"{blob}.lock")
        (locks / "other.lock").symlink_to(hub.outside.path / "passwd")
        (locks / "loop.lock").symlink_to("loop.lock")
    hub.start()
    hub.agent.wait_model(hub.name, "ERROR" if name == "blob" else "DOWNLOADED")
    if name == "lock":
        # Whether a client holds it cannot be told.
        hub.assert_refused("unknown: cannot lock")
        (locks / f"{blob}.lock").unlink()
    hub.assert_deleted()
    hub.assert_works()


# ---- size, depth and names ----


def dig(folder, levels):
    """A folder in a folder, so many times; deeper than any path may be long."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_nested_20000_deep(cluster, memory, layout):
    """In a model: refused, with the reason."""
    (memory / "hub").mkdir()
    place = Place(cluster, memory, memory / "hub", layout)
    dig(place.sub, 20000)
    place.agent = cluster.agent({"path": str(place.root), "layout": layout}).wait_ready()
    cluster.coordinator().wait_sees("n1")
    place.assert_status("ERROR", "folders are nested too deeply")
    receipt = place.evict()
    assert receipt["outcome"] == "refused" and "nested" in receipt["why"], receipt
    place.assert_works()


def test_folders_nested_20000_deep_go_with_the_model(cluster, memory):
    """They come after the commit, or stand where only notes are kept: all are emptied."""
    root = memory / "hub"
    case = CASES["classic"](root)
    repo = root / folder_of(REPO)
    dig(repo / ".no_exist" / A, 20000)
    dig(repo / "refs", 20000)
    agent = cluster.agent(case.config, start=False)
    gate = agent.pause("removal-clean").shut()
    agent.start(**gate.env).wait_ready()
    cluster.coordinator().wait_sees("n1")
    cluster.wait_lru(case.name)
    stands = os.open(case.links[0].parent, os.O_RDONLY)
    command = cluster.order(case.name, force=True)["id"]
    gate.reached()
    os.mkdir("late", dir_fd=stands)
    late = os.open("late", os.O_RDONLY, dir_fd=stands)
    dig(f"/proc/self/fd/{late}", 20000)
    os.close(late)
    os.close(stands)
    gate.open()
    receipt = cluster.receipt(command, 90)
    assert receipt["outcome"] == "deleted" and receipt["why"] == "", receipt
    assert not (repo / ".no_exist" / A).exists()
    assert [n for n in os.listdir(repo) if n.startswith(".larder-")] == []
    assert (repo / "refs/d").is_dir(), "too deep to hold refs: left alone"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hundred_thousand_files(cluster, directory, memory, layout):
    """It goes, and meanwhile the agent does all that it does."""
    here = directory if layout == "directory" else memory
    (here / "hub").mkdir()
    place = Place(cluster, here, here / "hub", layout)
    for number in range(100):
        folder = place.folder / f"many/{number:02}"
        folder.mkdir(parents=True)
        at = os.open(folder, os.O_RDONLY)
        for file in range(1000):
            os.close(os.open(f"{file}", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        os.close(at)
    place.agent = cluster.agent(
        {"path": str(place.root), "layout": layout}, scan_interval="10m", start=False
    )
    gate = place.agent.pause("reap").shut()
    place.agent.start(**gate.env).wait_ready()
    cluster.coordinator().wait_sees("n1")
    place.agent.wait_model(place.name)
    beats = set()
    row = cluster.order(place.name, force=True)
    assert row["outcome"] == "issued", row
    gate.reached()

    def beaten():
        beats.add(cluster.db.hget("larder:{n1}", "hb"))
        assert place.agent.http.get("/livez").status == 200
        return len(beats) > 5

    wait_until(beaten, what="it beats as ever")
    gate.open()
    receipt = cluster.receipt(row["id"], 100)
    assert receipt["outcome"] == "deleted" and receipt["why"] == "", receipt
    assert not os.path.lexists(place.folder)
    place.assert_works()


def test_index_that_asks_for_more_than_there_is_time_for(cluster, memory):
    """A file of 10 MB names two of 20,000 files again and again: that costs a moment, not hours."""
    (memory / "hub").mkdir()
    place = Place(cluster, memory, memory / "hub", "huggingface")
    for number in range(20000):
        (place.folder / f"{number}.bin").touch()
    entries = ",".join(f'"{i}": "{19998 + i % 2}.bin"' for i in range(400000))
    place.file("model.safetensors.index.json", f'{{"weight_map": {{{entries}}}}}'.encode())
    parts = 20000
    for number in range(1, parts + 1):
        (place.folder / f"q-{number:05}-of-{parts:05}.gguf").touch()
    place.start()
    place.assert_status("ERROR", "broken: ")  # weights without a byte
    place.assert_works()


def test_hard_links_and_sparse_files(place):
    """What has a name elsewhere stays and frees nothing; holes free nothing either."""
    kept = place.outside.path / "kept.bin"
    kept.write_bytes(b"k" * 500000)
    os.link(kept, place.sub / "linked.bin")
    own = place.file("sub/own.bin", b"o" * 300000)
    sparse = place.file("sub/sparse.bin", b"s" * 4096)
    os.truncate(sparse, 1 << 40)
    age_everything(place.outside.path, 86400 * 10)
    digest = trees.digest(kept)
    place.start()
    row = place.agent.wait_model(place.name)
    frees = [own, sparse, *place.folder.rglob("config.json"), *place.folder.rglob("*weights.bin")]
    if place.layout == "huggingface":
        frees += [p.resolve() for p in place.folder.iterdir() if p.is_symlink()]
        frees = [p for p in dict.fromkeys(frees) if not p.is_symlink()]
    expected = trees.allocated_bytes(*frees)
    assert row["exclusive_bytes"] == expected
    assert row["logical_bytes"] > 1 << 40
    place.assert_deleted(bytes_freed=expected)
    assert trees.digest(kept) == digest and kept.stat().st_nlink == 1
    place.outside.before = place.outside.state()
    place.assert_works()


def test_two_links_to_one_file(place):
    """One file under two names of a model: nobody else has it, and it frees its bytes once."""
    if place.layout == "huggingface":
        cache = Cache(place.root)
        data = b"x" * 70000
        for name in ("one.safetensors", "sub/two.safetensors", "three.safetensors"):
            cache.put(REPO, A, name, data)
    own = place.file("sub/own.bin", b"o" * 9000)
    os.link(own, place.folder / "own-again.bin")
    place.start()
    place.agent.wait_model(place.name)
    place.assert_deleted()
    place.assert_works()


NAMES = [
    "new\nline",
    "tab\tand\rreturn",
    "\x1b[31mred\x1b[0m",
    "quote\"'`$(touch pwned);&|<>",
    "%2e%2e%2f",
    "*?[a]{b,c}",
    " spaces ",
    "-rf",
    "--",
    "\u202egnp.exe",
    "x" * 200,
    b"\xff\xfe\x80",
    b"cut\xc3",
    ".larder-trash-0123456789abcdef.x",
    ".larder-done-0123456789abcdef",
    ".larder-ref-0123456789abcdef.%2E%2E%2Fx",
]


def test_names_of_files(place):
    """Any bytes: in files, folders and links. All of it goes, and every answer stays readable."""
    for index, name in enumerate(map(os.fsencode, NAMES)):
        folder = os.fsencode(place.sub) + b"/%d" % index
        os.mkdir(folder)
        with open(folder + b"/" + name, "wb") as file:
            file.write(b"x")
        os.symlink(name, folder + b"/link-" + name[:100])
        os.mkdir(folder + b"/folder-" + name[:100])
    place.start()
    if place.layout == "huggingface":
        place.assert_status("ERROR", "a link leads out")
    else:
        place.assert_status("DOWNLOADED")
    place.assert_deleted()
    assert "\x1b" not in place.agent.process.log()
    place.assert_works()


def test_names_of_models(place):
    """Folders with any names are models with names of their own, in one spelling each."""
    names = [n for n in NAMES if not (isinstance(n, str) and n.startswith((".larder", "-")))]
    top = os.fsencode(place.root)
    for index, name in enumerate(map(os.fsencode, names)):
        if place.layout == "directory":
            os.mkdir(top + b"/" + name)
            path = top + b"/" + name + b"/weights.bin"
        else:
            commit = name.replace(b"/", b"")[:60] if index % 2 else A.encode()
            repo = top + b"/models--x--" + name[:180]
            os.makedirs(repo + b"/snapshots/" + commit)
            path = repo + b"/snapshots/" + commit + b"/model.safetensors"
        with open(path, "wb") as file:
            file.write(b"x" * 5000)
    place.start()
    expected = len(names) + 2
    wait_until(lambda: len(place.agent.models()) == expected, what="all are found")
    listed = place.cluster.coordinators[0].http.get_json("/v1/models")["models"]
    assert {m["model"] for m in listed} == set(place.agent.models())
    for model in set(place.agent.models()) - {place.name, place.other}:
        assert all("!" <= c <= "~" for c in model), model
        receipt = place.cluster.evict(model, force=True)
        assert receipt["outcome"] == "deleted", (model, receipt)
    wait_until(
        lambda: set(place.agent.models()) == {place.name, place.other}, what="the others are left"
    )
    wait_until(lambda: trees.left_by_larder(place.root) == [], what="the trash is emptied")
    place.assert_works()


def test_names_that_larder_gives(place):
    """What looks like Larder's own and is not: a removal that never was leads nowhere."""
    fakes = [
        ".larder-trash-0123456789abcdef...",
        ".larder-trash-0123456789abcdef.%2E%2E",
        ".larder-trash-0123456789abcdef.%2Fetc",
        ".larder-ref-0123456789abcdef.%2E%2E%2F%2E%2E%2Fx",
        ".larder-ref-0123456789abcdef...%2Fx",
        ".larder-done-../../outside",
        ".larder-done-0123456789ABCDEF",
        ".larder-trash-0123456789abcdef.",
        ".larder-",
    ]
    tops = [place.root]
    if place.layout == "huggingface":
        tops += [place.root / folder_of(REPO), place.root / ".locks"]
    for top in tops:
        top.mkdir(exist_ok=True)
        for name in fakes:
            if "/" not in name:
                (top / name).mkdir()
                (top / name / "file").write_text("kept")
        (top / ".larder-done-00112233aabbccdd").symlink_to(place.outside.path)
        (top / ".larder-trash-00112233aabbccde.linked").symlink_to(place.outside.path)
    place.start()
    place.agent.wait_model(place.name)
    receipt = place.evict()
    assert receipt["outcome"] == "deleted", receipt
    for top in tops:
        for name in fakes:
            assert "/" in name or (top / name / "file").read_text() == "kept", name
    place.assert_works()
