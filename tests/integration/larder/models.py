"""Caches full of small models, each idle for so long."""

import contextlib
import os
from concurrent.futures import ThreadPoolExecutor

from larder.caches import A, DAY, Cache
from larder.disks import MIB

# What deleting one of them frees: its weights, and a block for the rest.
MODEL_BYTES = MIB + 4096


def fill(root, ages, size=MIB):
    """
    One model "acme/KEY" of `size` bytes of weights for each key of `ages`, unused for so many days.
    Returns {key: its name as Larder spells it}.
    """
    names = {}
    cache = Cache(root)
    for key, days in ages.items():
        names[key] = cache.model(f"acme/{key}", A, size)
        cache.make_old(f"acme/{key}", age=days * DAY)
    return names


def on_disk(root, names):
    """The keys of those models of `names` that are there. Follows no link: that would be a use."""
    cache = Cache(root)
    return {k for k in names if os.path.lexists(cache.snapshot(f"acme/{k}", A) / "config.json")}


def weights(root, key):
    """The file with a model's weights. Found without a look at the link to it: that would be a use."""
    blobs = Cache(root).repo(f"acme/{key}") / "blobs"
    return max(blobs.iterdir(), key=lambda path: path.lstat().st_size)


def keys_of(rows, names):
    """The keys under which the models of an answer's rows stand in `names`."""
    keys = {name: key for key, name in names.items()}
    return {keys[row["model"]] for row in rows}


def spared(plan):
    """{model: (rule that wanted it, what spared it)}"""
    return {row["model"]: (row["rule"], row["why"]) for row in plan["spared"]}


def evicted(cluster):
    """{model: reason} of all that was deleted."""
    rows = cluster.coordinators[0].evictions(limit=1000)
    return {row["model"]: row["reason"] for row in rows if row["outcome"] == "deleted"}


@contextlib.contextmanager
def opened_in_a_cycle(coordinator, gate, path):
    """
    Opens `path` when the removals of a cycle on demand have come to `gate`, an agent's that is shut.
    Gives the cycle's result, and keeps the file open meanwhile.
    """
    with ThreadPoolExecutor(1) as pool:
        cycle = pool.submit(coordinator.demand_cycle)
        gate.reached()
        with open(path, "rb"):
            gate.open()
            yield cycle.result()
