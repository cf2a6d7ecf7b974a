"""An agent that may only read a cache: reading links moves their access times, which is no use."""

import os
import time

import pytest

from larder.caches import A, DAY, Cache, age_everything
from larder.wait import wait_until

STRANGER = 12345
# Root without what makes it root; as another user one has none of it.
WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


@pytest.fixture
def strangers(root):
    """A cache of somebody else (when the tests run as root), ten days old."""
    cache = Cache(root)
    cache.model("acme/old")
    if os.geteuid() == 0:
        for entry in [root, *root.rglob("*")]:
            os.chown(entry, STRANGER, STRANGER, follow_symlinks=False)
    age_everything(root, 10 * DAY)
    return cache


def test_own_reading_is_no_use(cluster, root, strangers):
    agent = cluster.agent({"path": str(root), "report_only": True}, start=False)
    if os.geteuid() == 0:
        agent.process.argv = WITHOUT_RIGHTS + agent.process.argv
    agent.start().wait_ready()
    name = "hf:acme/old@" + A[:12]
    agent.wait_model(name)
    # Once a later model is found, the first has been looked at again.
    other = strangers.model("acme/other")
    agent.wait_model(other)
    assert agent.models()[name]["idle_ms"] > 9 * DAY * 1000
    # A use by somebody else is one nevertheless.
    now = time.time()
    link = strangers.snapshot("acme/old", A) / "model.safetensors"
    os.utime(link, (now, now - 10 * DAY), follow_symlinks=False)
    wait_until(lambda: agent.models()[name]["idle_ms"] < DAY * 1000, what="the use is seen")
