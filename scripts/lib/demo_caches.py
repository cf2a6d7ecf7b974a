"""The caches of the demonstration: what is downloaded to which node, aged, used and looked at."""

import json
import os
import pathlib
import shutil
import sys
import time

from demo_cluster import TOP, Failed, say

sys.path.insert(0, str(TOP / "tests/integration"))

from larder import places  # noqa: E402  (found by the path above)

MIB = 1 << 20
DAY_S = 86400
# Of a disk with little room a small part is used.
UNITS = ((MIB, 700 * MIB), (MIB // 8, 100 * MIB))

# Which node has which model, its size in units and how many days ago it was used last.
NODES = {
    "node-a": {"llama-8b": (8, 9), "qwen-7b": (8, 12), "mistral-7b": (8, 10), "gemma-2b": (8, 11),
               "phi-3": (8, 8), "olmo-1b": (8, 1)},
    "node-b": {"bert-large": (4, 6), "t5-base": (4, 5), "olmo-1b": (8, 4), "gpt2-xl": (4, 3)},
    "node-c": {"llama-70b": (64, 6), "mixtral": (64, 5), "falcon": (64, 4), "t5-base": (4, 2)},
    "node-d": {"yi-34b": (8, 20), "opt-6b": (8, 10)},
}


def choose_disk():
    """A directory on a disk that can tell what is open, with room; and the unit of sizes on it."""
    for unit, room in UNITS:
        place = places.find(room)
        if place is not None:
            return place, unit
    tried = ", ".join(str(place) for place in places.candidates())
    raise Failed(f"no directory with {UNITS[-1][1] // MIB} MiB on a file system that can tell what "
                 f"is open (tried: {tried}); set TMPDIR to one on ext4, XFS, btrfs or tmpfs")


def human(count):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count} B"
        count /= 1024
    return f"{count:.1f} TiB"


# ---- the stand-in for the hub ----

def repository(name, number, weight_bytes):
    """A model of the stand-in hub: two shards with an index, a configuration."""
    shards = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    index = {"weight_map": {f"layer.{i}": shard for i, shard in enumerate(shards)}}
    files = {"config.json": {"text": json.dumps({"model_type": "demo", "name": name})},
             "model.safetensors.index.json": {"text": json.dumps(index)}}
    for shard in shards:
        files[shard] = {"bytes": weight_bytes // 2, "seed": f"{name}-{shard}"}
    return {"id": f"acme/{name}",
            "revisions": [{"commit": f"{number:02x}" * 20, "refs": ["main"], "files": files}]}


def start_hub(cluster, unit):
    sizes = {name: size for models in NODES.values() for name, (size, _) in models.items()}
    repos = cluster.dir / "repos.json"
    repos.write_text(json.dumps({"repos": [repository(name, number, size * unit)
                                           for number, (name, size)
                                           in enumerate(sorted(sizes.items()), start=1)]}))
    cluster.start("hub", [sys.executable, "-B", TOP / "tests/hub/hub.py", "--repos", repos])
    address = cluster.wait_log("hub", r"http://\S+").group(0)
    os.environ.update(HF_ENDPOINT=address, HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1",
                      HF_HUB_DISABLE_XET="1", HF_HOME=str(cluster.dir / "hf-home"))
    os.environ.pop("HF_HUB_OFFLINE", None)


# ---- the caches ----

def hub_dir(cluster, node):
    return cluster.caches / node / "hub"


def download(cluster, node, name):
    from huggingface_hub import snapshot_download  # after HF_ENDPOINT is set

    snapshot_download(f"acme/{name}", cache_dir=hub_dir(cluster, node))


def fill(cluster, unit):
    for node, models in NODES.items():
        for name in models:
            download(cluster, node, name)
        total = sum(size for size, _ in models.values()) * unit
        say(f"{node}: {len(models)} models, {human(total)}, downloaded by huggingface_hub")


def age(cluster):
    """Sets the times of files and links back, as if the models had lain there for days."""
    for node, models in NODES.items():
        for name, (_, days) in models.items():
            then = time.time() - days * DAY_S
            # All are found first: finding may follow links, which is an access to them.
            for path in list((hub_dir(cluster, node) / f"models--acme--{name}").rglob("*")):
                if path.is_symlink() or path.is_file():
                    os.utime(path, (then, then), follow_symlinks=False)


def use(cluster, node, name):
    """Reads a model as an engine does that loads it."""
    from huggingface_hub import snapshot_download

    path = pathlib.Path(snapshot_download(f"acme/{name}", cache_dir=hub_dir(cluster, node),
                                          local_files_only=True))
    for file in path.iterdir():
        file.read_bytes()


def open_model(cluster, node, name):
    """A process that has had a weight file open since long ago: no access time tells of it."""
    blobs = hub_dir(cluster, node) / f"models--acme--{name}" / "blobs"
    largest = max(blobs.iterdir(), key=lambda blob: blob.stat().st_size)
    code = ("import signal, sys; held = open(sys.argv[1], 'rb'); print('open', flush=True);"
            "signal.pause()")
    cluster.start("reader", [sys.executable, "-c", code, largest])
    cluster.wait_log("reader", "open")


def serve(cluster, name):
    """An engine that serves a model which it has loaded long ago; returns its address."""
    cluster.start("engine", [sys.executable, "-B", TOP / "scripts/lib/demo_engine.py", f"acme/{name}"])
    return cluster.wait_log("engine", r"http://\S+").group(0)


def models_on_disk(cluster, node):
    """Without reading a link: that would count as a use."""
    return {folder.name.removeprefix("models--acme--") for folder in hub_dir(cluster, node).iterdir()
            if (folder / "snapshots").is_dir() and any((folder / "snapshots").iterdir())}


def models_of(cluster, node):
    """What the client sees; scanning reads every link."""
    from huggingface_hub import scan_cache_dir

    info = scan_cache_dir(hub_dir(cluster, node))
    if info.warnings:
        raise Failed(f"huggingface_hub warns about {node}: {info.warnings}")
    return {repo.repo_id.removeprefix("acme/") for repo in info.repos}


def available(cluster):
    return shutil.disk_usage(cluster.caches).free
