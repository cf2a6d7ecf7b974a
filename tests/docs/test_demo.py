"""
The demonstration: it ends well, beside another one; --keep leaves a cluster on which docs/redis.md
can be followed; --root leaves no trace; and however it ends, nothing runs on.
"""

import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time

import pytest

from larder.caches import B, Cache, age_everything
from larder.daemons import binary
from larder.wait import wait_until
from markdown import CHECKOUT, DOCS, blocks
from session import Session, Terminal

DAY_S = 86400
SETTLE_S = 31  # beyond settle_time, within which a change means that a download goes on
OK = re.compile(
    r"demo: ok evicted count_limit=2 disk_space=[23] manual=1 time_threshold=4; freed [\d.]+ \w+; "
    r"spared: phi-3 \(used now\), gemma-2b \(open\), mistral-7b \(pinned\), "
    r"bert-large \(last copy\), yi-34b \(served, until its engine ended\)"
)
STRANGER = 12345  # a user that nobody is


class Demo:
    """One run of scripts/demo with the programs that are there, and a place for its files."""

    def __init__(self, base, *arguments, prefix=()):
        self.directory = pathlib.Path(tempfile.mkdtemp(dir=base))
        self.mark = os.urandom(8).hex()
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("LARDER_", "HF_"))}
        self.env = {
            **clean,
            "LARDER_BUILD": str(binary("larderctl").parent),
            "TMPDIR": str(self.directory),
            "HOME": str(self.directory),
            "DEMO_TEST_MARK": self.mark,
        }
        self.log = self.directory.with_suffix(".log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [*prefix, CHECKOUT / "scripts/demo", *arguments],
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def said(self):
        return self.log.read_text(errors="replace")

    def wait(self):
        """Its exit status and its last line."""
        status = self.process.wait(timeout=150)
        return status, self.said.rstrip().splitlines()[-1]

    def running(self):
        """Command lines of what it has started and what runs still."""
        found = []
        for environment in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"DEMO_TEST_MARK={self.mark}".encode() in environment.read_bytes():
                    found.append((environment.parent / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue  # it has ended
        return found

    def assert_nothing_left(self):
        wait_until(lambda: not self.running(), 30, f"nothing runs on: {self.running()}")
        assert list(self.directory.glob("larder-demo-*")) == []


# ---- caches for --root, made first so that they have settled when they are needed ----


def make_hub(path, of_a_stranger=False):
    cache = Cache(path)
    cache.model("acme/old")
    cache.model("acme/old", B, refs=(), seed="another")
    cache.model("acme/new")
    cache.tree_listing("acme/new", "a" * 40)
    cache.absent("acme/new", "a" * 40, "no.txt")
    if of_a_stranger:
        hand_over(path)
    age_everything(path, 10 * DAY_S)
    age_everything(path / "models--acme--new", DAY_S)


def hand_over(path):
    """What lies there can only be read from now on: it is another's, or else not writable."""
    for entry in [path, *path.rglob("*")]:
        if os.geteuid() == 0:
            os.chown(entry, STRANGER, STRANGER, follow_symlinks=False)
        elif not entry.is_symlink():
            entry.chmod(0o555 if entry.is_dir() else 0o444)


@pytest.fixture(scope="module", autouse=True)
def caches(base):
    """Two hub caches, one of them of another user; and when they were made."""
    own, strangers = base / "own", base / "strangers"
    make_hub(own)
    make_hub(strangers, of_a_stranger=True)
    yield {"own": own, "strangers": strangers, "made": time.monotonic()}
    for path in [strangers, *strangers.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)


def record(path, access_times=True):
    """Everything about a tree, read without leaving a trace in it."""
    st = os.lstat(path)
    what = [st.st_mode, st.st_uid, st.st_ino, st.st_nlink, st.st_size, st.st_mtime_ns]
    if access_times:
        what.append(st.st_atime_ns)
    found = {str(path): what}
    if stat.S_ISDIR(st.st_mode):
        fd = os.open(path, os.O_RDONLY | (os.O_NOATIME if os.geteuid() in (0, st.st_uid) else 0))
        for name in os.listdir(fd):
            found |= record(path / name, access_times)
        os.close(fd)
    return found


# ---- with a cluster that goes on ----


@pytest.fixture(scope="module")
def kept(base, caches):
    """A demonstration with --keep, while another one goes on beside it."""
    other = Demo(base)
    demo = Demo(base, "--keep")
    status, line = demo.wait()
    try:
        assert status == 0, demo.said
        assert OK.fullmatch(line), demo.said
        status, line = other.wait()
        assert (status, bool(OK.fullmatch(line))) == (0, True), other.said
        other.assert_nothing_left()
        yield demo
    finally:
        other.process.kill()
        stop = subprocess.run(["sh", *demo.directory.glob("larder-demo-*/stop")], check=False)
    assert stop.returncode == 0
    demo.assert_nothing_left()


def how_to(demo):
    """The lines to be copied, without their remarks: the first sets up, the last stops it."""
    text = demo.said.partition("== it goes on running\n")[2].partition("\n\n")[0]
    return [re.sub(r"\s+# .*", "", line) for line in text.splitlines()]


@pytest.fixture
def reader(kept):
    """A terminal, and what it has in its environment after the first line was copied into it."""
    set_up = how_to(kept)[0]
    told = subprocess.run(
        ["bash", "-c", f"{set_up}; env -0"],
        env=kept.env,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split("=", 1) for line in told.stdout.split("\0") if line)


def blocked_clients(env):
    told = subprocess.run(
        ["redis-cli", "INFO", "clients"], env=env, capture_output=True, text=True, check=True
    )
    return int(re.search(r"blocked_clients:(\d+)", told.stdout).group(1))


def test_session_of_the_redis_page(kept, reader):
    """Comes first: the page shows the cluster as the demonstration leaves it."""
    session = Session(kept.directory, reader, settled=lambda: blocked_clients(reader) > 0)
    wrong = []
    try:
        for block in blocks(DOCS / "redis.md", "console"):
            wrong += session.play(block)
        wrong += session.finish()
    finally:
        session.close()
    assert wrong == [], "\n\n".join(wrong)


def test_kept_cluster_can_be_reached_as_printed(kept):
    lines = how_to(kept)
    assert re.fullmatch(r"\. .*/env", lines[0]) and re.fullmatch(r"sh .*/stop", lines[-1])
    terminal = Terminal(kept.directory, kept.env)
    try:
        for line in lines[:-1]:
            status, came = terminal.run(line)
            if "refused" in came and "used: " in came:
                # The demonstration has read it just now; the agent has learnt of it by this.
                status, came = terminal.run(line)
            assert status == 0, (line, came)
    finally:
        terminal.close()
    words = {line.split()[0] for line in lines[1:-1]}
    assert words == {"larderctl", "redis-cli"}


# ---- ends ----


def test_interrupted_it_leaves_nothing(base):
    """One is interrupted in the middle, one at its begin; and a second run works, as above."""
    demos = {signal.SIGINT: (Demo(base), "== 3."), signal.SIGTERM: (Demo(base), "node-a: 6 models")}
    for number, (demo, far_enough) in demos.items():
        wait_until(lambda d=demo, t=far_enough: t in d.said, 60, f"it comes to {far_enough}")
        assert len(demo.running()) > 2
        demo.process.send_signal(number)
    for number, (demo, _) in demos.items():
        assert demo.wait() == (128 + number, "demo: interrupted")
        demo.assert_nothing_left()


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["--root"], 64, "--root needs a value"),
        (["--wrong"], 64, "unknown argument --wrong"),
        (["--keep", "--root", "/"], 64, "exclude each other"),
        (["--layout", "huggingface"], 64, "--layout is for --root"),
        (["--root", "/no/such/place"], 66, "is no directory"),
        (["--root", "/proc/self", "--policy", "{"], 64, "--policy"),
        (
            ["--root", "/proc/self", "--policy", '{"type": "lru"}'],
            64,
            "unused_threshold is missing",
        ),
    ],
)
def test_bad_arguments(base, arguments, status, sentence):
    demo = Demo(base, *arguments)
    assert demo.wait()[0] == status, demo.said
    assert sentence in demo.said
    demo.assert_nothing_left()


# ---- somebody's own cache ----


def see(base, root, caches, *arguments, prefix=()):
    settled = lambda: time.monotonic() - caches["made"] > SETTLE_S  # noqa: E731
    wait_until(settled, 2 * SETTLE_S, "the cache has settled", every=0.2)
    demo = Demo(base, "--root", root, *arguments, prefix=prefix)
    status, line = demo.wait()
    assert status == 0, demo.said
    demo.assert_nothing_left()
    return demo.said, line


def assert_seen(said, line):
    for name in ("acme/old@aaaaaaaaaaaa", "acme/old@bbbbbbbbbbbb", "acme/new@aaaaaaaaaaaa"):
        assert re.search(rf"hf:{name} +DOWNLOADED", said), said
    plan = said.partition("Victims: 2,")[2]
    assert len(re.findall(r"hf:acme/old@\w+ .*time_threshold", plan)) == 2, said
    assert line.startswith("demo: ok 3 models, ") and line.endswith("; nothing was changed")


def test_root_leaves_no_trace(base, caches):
    before = record(caches["own"])
    assert_seen(*see(base, caches["own"], caches))
    assert record(caches["own"]) == before


def test_root_of_a_cache_that_can_only_be_read(base, caches):
    """Access times of another's folders cannot be kept; all else is as it was."""
    # Root can be kept from writing to the files of others by taking away what makes it root.
    prefix = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    before = record(caches["strangers"], access_times=False)
    assert_seen(*see(base, caches["strangers"], caches, prefix=prefix))
    assert record(caches["strangers"], access_times=False) == before


def test_root_with_plain_directories_and_another_policy(base, caches, directory):
    (directory / "engines/one").mkdir(parents=True)
    (directory / "engines/one/rank0.engine").write_bytes(b"e" * 70000)
    policy = '{"type": "lru", "unused_threshold": "7d", "max_models": 1}'
    said, line = see(base, directory / "engines", caches, "--policy", policy)
    assert "layout directory" in said and "dir:one@-" in said
    assert line.startswith("demo: ok 1 models, ")


def test_root_in_the_home_directory_as_readme_shows(base, caches):
    """The path of README, ~/.cache/huggingface/hub, spelled from another working directory."""
    home = base / "home"
    shutil.copytree(caches["own"], home / ".cache/huggingface/hub", symlinks=True)
    command = f"cd {home} && exec {CHECKOUT}/scripts/demo --root .cache/huggingface/hub"
    demo = Demo(base, prefix=["bash", "-c", command])
    status, line = demo.wait()
    assert status == 0, demo.said
    assert line.startswith("demo: ok 3 models, ")
    demo.assert_nothing_left()
