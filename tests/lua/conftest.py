"""One Redis per worker, emptied for each test; nothing is left of it."""

import pathlib
import shutil
import tempfile

import pytest

from calls import Cluster, Listener, Node, load
from larder.redis_server import RedisServer

LOG_LINES = 50


@pytest.fixture(scope="session")
def server():
    path = pathlib.Path(tempfile.mkdtemp(prefix="larder-lua-"))
    server = RedisServer(path).start()
    load(server.client())
    yield server
    server.close()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def db(server):
    db = server.client()
    db.flushall()
    db.config_set("maxmemory", 0)
    yield db
    db.close()


@pytest.fixture
def node(db):
    """A node that nobody has registered."""
    return Node(db)


@pytest.fixture
def cluster(db):
    return Cluster(db)


@pytest.fixture
def listener(db):
    """Hears every message on Larder's channels."""
    with Listener(db) as listener:
        yield listener


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and server is not None:
        lines = server.process.log().splitlines()
        report.sections.append(("log of redis", "\n".join(lines[-LOG_LINES:])))
