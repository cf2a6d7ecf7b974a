"""The cluster of which README and the pages speak: nodes and models have the names used there."""

import os
import shutil

from larder.caches import A, Cache, age_everything
from larder.daemons import TOKEN, binary
from larder.wait import wait_until

GPT2 = "607a30d783dfa663caf39e06633721c8d4cfcd7e"
LLAMA = "0e9e39f249a16976918f6564b8830bc894c89659"
DAY_S = 86400


def fill_hub(path):
    """gpt2 and Llama, ten days old, and a model of a day ago."""
    cache = Cache(path)
    cache.model("gpt2", GPT2)
    cache.model("meta-llama/Llama-3.1-8B-Instruct", LLAMA)
    cache.model("acme/tiny")
    cache.make_old("acme/tiny", age=DAY_S)
    return cache


class DocsCluster:
    """gpu-a1 and gpu-a2 with the hub cache, gpu-a1 with a directory of engines too."""

    def __init__(self, cluster, directory):
        self.cluster = cluster
        self.directory = directory
        self.agent = None

    def start(self):
        hub, engines = self.directory / "hub", self.directory / "engines"
        fill_hub(hub)
        fill_hub(self.directory / "hub2")
        (engines / "llama-tp2").mkdir(parents=True)
        (engines / "llama-tp2" / "rank0.engine").write_bytes(b"e" * 70000)
        age_everything(engines, 10 * DAY_S)
        # Between what is free and what the disk has: a floor that cannot be reached.
        disk = shutil.disk_usage(self.directory)
        floor = disk.free + (disk.used // 2)
        policy = {"unused_threshold": "7d", "min_free_space_bytes": floor, "min_age": None}
        self.coordinator = self.cluster.coordinator(policy=policy, dry_run=True)
        roots = [hub, {"name": "engines", "path": str(engines), "layout": "directory"}]
        self.agent = self.cluster.agent(*roots, name="gpu-a1").wait_ready()
        second = self.cluster.agent(self.directory / "hub2", name="gpu-a2").wait_ready()
        self.coordinator.wait_sees("gpu-a1", "gpu-a2")
        for agent in (self.agent, second):
            agent.wait_model(f"hf:gpt2@{GPT2[:12]}")
            agent.wait_model(f"hf:acme/tiny@{A[:12]}")
        wait_until(lambda: len(self.cluster.lru("gpu-a1")) == 4, what="all models are in Redis")

    def processes(self):
        return self.cluster.processes()

    def env(self):
        """What a reader has set who looks at this cluster: programs, server, token."""
        tools = self.directory / "bin"
        if not tools.exists():
            tools.mkdir()
            for program in ("larderctl", "larder-agent", "larder-coordinator"):
                (tools / program).symlink_to(binary(program))
            redis_cli = tools / "redis-cli"
            redis_cli.write_text(
                f"#!/bin/sh\nexec {shutil.which('redis-cli')} -p {self.cluster.redis.port} \"$@\"\n"
            )
            redis_cli.chmod(0o755)
        return {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "LARDER_SERVER": f"http://127.0.0.1:{self.coordinator.port}",
            "LARDER_TOKEN": TOKEN,
        }
