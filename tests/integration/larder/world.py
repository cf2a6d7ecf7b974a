"""A cluster with a bit of everything, for tests that only look."""

from larder.caches import Cache
from larder.models import fill, weights
from larder.wait import wait_until


class World:
    """
    Two nodes. n1: six models in one root, one of them broken, one downloading, one held; and an
    empty root that is only reported, on the same disk. n2: three models. n1 has no watch, which could see
    before the command that the held one is opened.
    """

    def __init__(self, cluster):
        self.cluster = cluster
        one, two, empty = (cluster.directory / name for name in ("one", "two", "empty"))
        self.names = fill(one, {"a": 60, "b": 50}, 1 << 20)
        self.names |= fill(one, {"c": 40, "d": 30}, 2 << 20)
        self.names |= fill(one, {"broken": 20, "loading": 20})
        weights(one, "broken").write_bytes(b"")
        (Cache(one).repo("acme/loading") / "blobs/0123.incomplete").write_bytes(b"half")
        fill(two, {"a": 5, "e": 4, "f": 3}, 3 << 20)
        Cache(empty)
        reported = {"path": str(empty), "name": "empty", "report_only": True}
        self.coordinator = cluster.coordinator(dry_run=True)
        self.agents = [
            cluster.agent(one, reported, name="n1", watch="off").wait_ready(),
            cluster.agent(two, name="n2").wait_ready(),
        ]
        self.http = self.coordinator.http
        self.coordinator.wait_models(9)
        pin = {"glob": "hf:acme/b@*", "by": "ann", "why": "launch"}
        assert self.http.post("/v1/pins", pin).status == 200
        with open(weights(one, "d"), "rb"):
            receipt = cluster.receipt(cluster.order(self.names["d"])["id"])
        assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "busy"), receipt
        key = "larder:{n1}:hold"
        wait_until(lambda: cluster.db.zcard(key) == 1, what="the hold is told")
        self.coordinator.demand_cycle()

    def models(self, **params):
        return self.http.get_json("/v1/models", **params)

    def keys(self, **params):
        """Short names of the models of an answer, with a stroke for those of n2."""
        rows = self.models(**params)["models"]
        return [r["model"][8:].split("@")[0] + ("'" if r["node"] == "n2" else "") for r in rows]
