"""Engines that are asked what they serve: what they say protects models, and failing never does harm."""

import pytest

from larder import engines
from larder.caches import A, B, Cache
from larder.wait import stays, wait_until

REPO, OTHER = "acme/llama", "acme/cold"
FAST = {"probe_interval": "200ms", "claim_ttl": "1m"}
SHORT = {"probe_interval": "200ms", "claim_ttl": "2s"}


@pytest.fixture
def make(request):
    """Starts stand-ins; they end with the test."""

    def start(kind, *names, **options):
        engine = kind(*names, **options)
        request.addfinalizer(engine.stop)
        return engine

    return start


@pytest.fixture
def cache(root):
    return Cache(root)


class Node:
    """One agent with engines, and a coordinator."""

    def __init__(self, cluster, root, *targets, policy=None, **config):
        self.cluster = cluster
        self.coordinator = cluster.coordinator(**({"policy": policy} if policy else {}))
        self.agent = cluster.agent(root, engines=list(targets), **config).wait_ready()
        self.coordinator.wait_sees(self.agent.name)

    def engine(self, number=0):
        return self.agent.http.get_json("/v1/sources")["probe"]["engines"][number]

    def wait_state(self, state, number=0):
        def there():
            engine = self.engine(number)
            return engine if engine["state"] == state else None

        return wait_until(there, what=f"engine {number} is {state}")

    def wait_held(self, model, by="vllm"):
        def held():
            row = self.agent.models().get(model)
            return row if row and row["held_ms"] > 0 and by in row["held_by"] else None

        return wait_until(held, what=f"{model} is held by {by}")

    def wait_free(self, model):
        wait_until(lambda: self.agent.models()[model]["held_ms"] == 0, what=f"{model} is free")

    def held(self, model):
        return self.agent.models()[model]["held_ms"] > 0

    def assert_kept(self, model):
        """No eviction by hand takes it."""
        row = self.cluster.order(model)
        if row["outcome"] == "issued":
            receipt = self.cluster.receipt(row["id"])
            assert receipt["outcome"] == "refused", receipt
            assert receipt["why"].startswith("held"), receipt
        else:
            assert row["outcome"] == "held", row


@pytest.fixture
def node(cluster, root):
    return lambda *targets, **config: Node(cluster, root, *targets, **({**FAST, **config}))


def test_served_model_is_held(cache, make, node):
    model, cold = cache.model(REPO), cache.model(OTHER)
    vllm = make(engines.Vllm, REPO)
    n = node(vllm.config())
    row = n.wait_held(model)
    assert row["held_source"] == "probe" and row["source"] == "probe"
    assert row["held_by"] == f"vllm {vllm.url}"
    assert n.engine()["state"] == "fresh"
    n.assert_kept(model)
    assert n.cluster.evict(cold)["outcome"] == "deleted"
    assert cache.snapshot(REPO, A).exists()
