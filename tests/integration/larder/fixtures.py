"""Fixtures of all tests that start the programs: directories, clusters, disks, and the logs of a failure."""

import contextlib
import pathlib
import shutil
import tempfile

import pytest

from larder.cluster import Cluster
from larder.disks import Disk
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


@pytest.fixture
def root(directory):
    """An empty cache directory."""
    path = directory / "hub"
    path.mkdir()
    return path


@pytest.fixture
def make_disk(directory):
    """Makes small disks: make_disk(kind="tmpfs", mib=16). Ask for it before `cluster`."""
    with contextlib.ExitStack() as stack:

        def make(*args, **kwargs):
            disk = Disk(tempfile.mkdtemp(dir=directory), *args, **kwargs)
            return stack.enter_context(contextlib.closing(disk))

        yield make


@pytest.fixture
def disk(make_disk):
    return make_disk()


@pytest.fixture
def make_engine():
    """Starts stand-ins for inference engines; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(kind, *names, **options):
            engine = kind(*names, **options)
            stack.callback(engine.stop)
            return engine

        yield start


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the logs of all processes of the fixtures that have some."""
    outcome = yield
    report = outcome.get_result()
    if report.passed:
        return
    for fixture in getattr(item, "funcargs", {}).values():
        for process in getattr(fixture, "processes", list)():
            lines = process.log(whole=True).splitlines()
            report.sections.append((f"log of {process.name}", "\n".join(lines[-LOG_LINES:])))
