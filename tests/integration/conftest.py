"""Fixtures, the directory in which tests work, and the logs of a test that failed."""

import pathlib
import shutil
import tempfile

import pytest

from larder.cluster import Cluster
from larder.disks import Disk
from larder.hub import Hub
from larder.judges import Judges
from larder.places import working_directory

LOG_LINES = 150


@pytest.fixture(scope="session")
def base():
    path = pathlib.Path(tempfile.mkdtemp(prefix="larder-test-", dir=working_directory()))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def directory(base):
    """A directory of the test's own; its name is short, and gone when the test has passed."""
    path = pathlib.Path(tempfile.mkdtemp(dir=base))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def cluster(directory):
    cluster = Cluster(directory)
    yield cluster
    cluster.close()


class Clusters:
    """Clusters that the tests of one module share: for what changes nothing, or little."""

    def __init__(self, base):
        self.base = base
        self.list = []

    def make(self):
        self.list.append(Cluster(pathlib.Path(tempfile.mkdtemp(dir=self.base))))
        return self.list[-1]

    def close(self):
        for cluster in self.list:
            cluster.close()
            shutil.rmtree(cluster.directory, ignore_errors=True)


@pytest.fixture(scope="module")
def clusters(base):
    clusters = Clusters(base)
    yield clusters
    clusters.close()


@pytest.fixture
def root(directory):
    """An empty cache directory."""
    path = directory / "hub"
    path.mkdir()
    return path


@pytest.fixture
def make_disk(directory):
    """Makes small disks: make_disk(kind="tmpfs", mib=16). Ask for it before `cluster`."""
    disks = []

    def make(*args, **kwargs):
        disks.append(Disk(directory / f"disk{len(disks)}", *args, **kwargs))
        return disks[-1]

    yield make
    for disk in disks:
        disk.close()


@pytest.fixture
def disk(make_disk):
    return make_disk()


@pytest.fixture(scope="session")
def session_hub():
    hub = Hub()
    yield hub
    hub.close()


@pytest.fixture
def hub(session_hub):
    """The stand-in hub, with nothing in its log and no rules."""
    session_hub.clear_log()
    session_hub.state.rules.clear()
    return session_hub


@pytest.fixture(scope="session")
def judges(session_hub, base):
    judges = Judges(session_hub, base / "home")
    yield judges
    judges.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.passed or not hasattr(item, "funcargs"):
        return
    shown = [item.funcargs["cluster"]] if "cluster" in item.funcargs else []
    shown += item.funcargs["clusters"].list if "clusters" in item.funcargs else []
    for process in [process for cluster in shown for process in cluster.processes()]:
        lines = process.log(whole=True).splitlines()
        report.sections.append((f"log of {process.name}", "\n".join(lines[-LOG_LINES:])))
