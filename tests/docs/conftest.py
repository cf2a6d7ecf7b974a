"""Fixtures: directories, a cluster as the pages name it, and the logs of a test that failed."""

import os
import pathlib
import shutil
import tempfile

import pytest

from larder.cluster import Cluster
from larder.daemons import binary
from larder.places import working_directory
from markdown import CHECKOUT
from worlds import DocsCluster

LOG_LINES = 60


@pytest.fixture(scope="session")
def base():
    path = pathlib.Path(tempfile.mkdtemp(prefix="larder-docs-", dir=working_directory()))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def directory(base):
    path = pathlib.Path(tempfile.mkdtemp(dir=base))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def build():
    """The directory with the programs."""
    return binary("larderctl").parent


@pytest.fixture
def cluster(directory):
    cluster = Cluster(directory)
    yield cluster
    cluster.close()


@pytest.fixture
def root(directory):
    """An empty cache directory."""
    path = directory / "hub"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def docs_cluster(base):
    """The cluster of which README and docs speak; one for each module."""
    directory = pathlib.Path(tempfile.mkdtemp(dir=base))
    docs = DocsCluster(Cluster(directory), directory)
    try:
        docs.start()
        yield docs
    finally:
        docs.cluster.close()


@pytest.fixture
def plain_env(directory):
    """An environment in which nothing of the caller's Larder or Hugging Face is set."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("LARDER_", "HF_"))}
    temporary = directory / "tmp"
    temporary.mkdir()
    return {
        **clean,
        "HOME": str(directory),
        "TMPDIR": str(temporary),
        "LARDER_CHECKOUT": str(CHECKOUT),
    }


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.passed:
        return
    found = [item.funcargs.get(name) for name in ("cluster", "docs_cluster")]
    for cluster in [getattr(f, "cluster", f) for f in found if f is not None]:
        for process in cluster.processes():
            lines = process.log(whole=True).splitlines()[-LOG_LINES:]
            report.sections.append((f"log of {process.name}", "\n".join(lines)))
