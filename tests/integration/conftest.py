"""Fixtures of these tests alone: shared clusters, the stand-in hub, and what real clients say."""

import pathlib
import shutil
import tempfile

import pytest

from larder.cluster import Cluster
from larder.hub import Hub
from larder.judges import Judges

pytest_plugins = ["larder.fixtures"]


class Clusters:
    """Clusters that the tests of one module share: for what changes nothing, or little."""

    def __init__(self, base):
        self.base = base
        self.list = []

    def make(self):
        self.list.append(Cluster(pathlib.Path(tempfile.mkdtemp(dir=self.base))))
        return self.list[-1]

    def processes(self):
        return [process for cluster in self.list for process in cluster.processes()]

    def close(self):
        for cluster in self.list:
            cluster.close()
            shutil.rmtree(cluster.directory, ignore_errors=True)


@pytest.fixture(scope="module")
def clusters(base):
    clusters = Clusters(base)
    yield clusters
    clusters.close()


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
