"""Two models and the daemons around them: for tests in which somebody writes nonsense into Redis."""

import time

from larder import trees
from larder.caches import A, Cache, comparable, folder_of
from larder.cluster import assert_clean
from larder.wait import wait_until

VICTIM, SPARE, KEPT = "acme/victim", "acme/spare", "acme/kept"
SIZE = 65536


class Scene:
    """An agent n1 and a coordinator c1; nothing that is forged may change what is on the disk."""

    def __init__(self, cluster, root):
        self.cluster, self.root = cluster, root
        cache = Cache(root)
        self.victim, self.spare, self.kept = (
            cache.model(repo, A, SIZE) for repo in (VICTIM, SPARE, KEPT)
        )
        self.before = comparable(trees.tree(root))
        # The digests were read: that is over before the agent looks.
        cache.make_old(VICTIM)
        cache.make_old(SPARE)
        cache.make_old(KEPT)
        # Unused for ten days, and kept for twenty: what looks older than it is would be evicted.
        self.coordinator = cluster.coordinator(policy={"unused_threshold": "20d"})
        # An agent that has registered waits for this long and a second before it does again.
        self.agent = cluster.agent(root, redis={"command_timeout": "200ms"}).wait_ready()
        self.coordinator.wait_sees("n1")
        self.models = {self.victim, self.spare, self.kept}
        for model in self.models:
            cluster.wait_lru(model)
        self.db = cluster.redis.client()

    # ---- forging ----

    def key(self, suffix="", node="n1"):
        return f"larder:{{{node}}}{suffix}"

    def now_ms(self):
        seconds, micros = self.db.time()
        return seconds * 1000 + micros // 1000

    def command(self, model=None, **changes):
        """The text of a command as the leader would write it, but for `changes`."""
        model = model or self.victim
        parts = {
            "id": f"forged-{time.monotonic_ns():x}",
            "used": f"{self.db.zscore(self.key(':lru'), model):.0f}",
            "generation": self.db.hget(self.key(":size"), model).split()[1],
            "deadline": str(self.now_ms() + 60000),
            "epoch": self.db.get("larder:epoch"),
            "reason": "manual",
        }
        parts |= {name: str(value) for name, value in changes.items()}
        return " ".join(value for value in parts.values() if value != "")

    def order(self, text, model=None):
        """Puts a command where the agent finds it, and tells him."""
        self.db.hset(self.key(":cmd"), self.victim if model is None else model, text)
        self.db.publish(self.key(":wake"), "1")

    # ---- judging ----

    def wait_ignored(self, count, what):
        """So many commands were taken for none, each with a line in the log."""
        log = self.agent.process.log
        wait_until(lambda: log().count("event=-command-ignored") >= count, what=what)

    def beats(self, count=2):
        """Waits until the agent has spoken so many times more."""
        for _ in range(count):
            before = self.db.hget(self.key(), "hb")
            wait_until(lambda b=before: self.db.hget(self.key(), "hb") != b, what="a beat")

    def wait_mended(self):
        """The agent has put right what was forged about him."""

        def right():
            return (
                [self.db.type(self.key(k)) for k in ("", ":lru", ":size")] == ["hash", "zset", "hash"]
                and set(self.cluster.lru()) == self.models == set(self.db.hkeys(self.key(":size")))
                and self.agent.http.get("/readyz").status == 200
            )

        wait_until(right, what="the registration is right again")

    def look_at_everything(self):
        """Whatever stands in Redis, each answer of the coordinator is one, and JSON."""
        for path in ("stats", "nodes", "models", "plan", "pins", "evictions", "status"):
            answer = self.coordinator.http.get(f"/v1/{path}")
            assert answer.status in (200, 503), answer
            assert answer.status == 200 or answer.json["error"], answer

    def cycle(self):
        """A whole cycle, which may find that it cannot be done."""
        before = [c["id"] for c in self.coordinator.status()["cycles"]]
        assert self.coordinator.http.post("/v1/cycles").status in (202, 503)

        def ended():
            cycles = self.coordinator.status()["cycles"]
            return [c for c in cycles if c["id"] not in before and c["ended"]]

        return wait_until(ended, 90, "a cycle ends")[0]

    def assert_untouched(self):
        assert self.agent.process.running and self.coordinator.process.running
        assert trees.left_by_larder(self.root) == []
        assert set(self.agent.models()) == self.models
        for repo in (VICTIM, SPARE, KEPT):
            assert (self.root / folder_of(repo) / "snapshots" / A / "config.json").is_symlink()

    def assert_works(self):
        """All is as before, and one legitimate eviction removes one model and nothing else."""
        self.coordinator.wait_leads()
        self.agent.wait_ready()
        self.coordinator.wait_sees("n1")
        wait_until(lambda: self.spare in self.cluster.lru(), what="the models stand in Redis")
        self.assert_untouched()
        receipt = self.cluster.evict(self.spare)
        assert receipt["outcome"] == "deleted", receipt
        assert_clean(self.root)
        folder = folder_of(SPARE)
        left = {p: w for p, w in self.before.items() if p != folder and not p.startswith(folder + "/")}
        assert comparable(trees.tree(self.root)) == left
