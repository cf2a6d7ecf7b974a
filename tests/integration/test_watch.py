"""Opened files are seen as they are opened, whoever opens them, and the agent's own are not."""

import pytest

from larder.caches import Cache
from larder.wait import wait_until

REPO = "acme/llama"


def test_opened_file_is_a_use(cluster, root):
    name = Cache(root).model(REPO)
    agent = cluster.agent(root).wait_ready()
    before = agent.wait_model(name)
    print(before, agent.http.get_json("/v1/sources"))
    blob = next((root / "models--acme--llama/blobs").iterdir())
    open(blob, "rb").close()
    wait_until(lambda: agent.models()[name]["idle_ms"] < 1000)
    print(agent.models()[name], agent.http.get_json("/v1/sources"))
    assert agent.models()[name]["source"] == "watch"
