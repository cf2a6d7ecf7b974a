"""Runs the demonstration of scripts/demo: starts a small cluster, shows it, checks it, stops it."""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
MIB = 1 << 20
DAY_S = 86400
# Beyond the space that the demonstration asks for on node-c, so that two models of 64 MiB have to go.
FLOOR_ABOVE_AVAILABLE = 96 * MIB


class Failed(Exception):
    """Something is not as it should be."""


def say(text=""):
    print(text, flush=True)


def heading(text):
    say(f"\n== {text}")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def wait_until(condition, timeout_s, what):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    raise Failed(f"timed out: {what}")


class Cluster:
    """Redis, a coordinator and agents, each a process of its own below one temporary directory."""

    def __init__(self, build):
        self.build = pathlib.Path(build)
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="larder-demo-"))
        self.processes = {}
        self.redis_port = free_port()
        self.api = f"http://127.0.0.1:{free_port()}"
        self.agent_ports = {}

    def start(self, name, command, env=None):
        log = open(self.dir / f"{name}.log", "ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                   env={**os.environ, **(env or {})}, start_new_session=True)
        log.close()
        self.processes[name] = process
        return process

    def start_redis(self):
        settings = [line.split(None, 1) for line in (TOP / "docs/redis.conf").read_text().splitlines()
                    if line and not line.startswith(("#", "append", "maxclients"))]
        command = ["redis-server", "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "",
                   "--dir", str(self.dir)]
        for key, value in settings:
            command += [f"--{key}", value]
        self.start("redis", command)
        wait_until(lambda: self.redis("PING", check=False) == "PONG", 10, "Redis answers")

    def redis(self, *arguments, check=True):
        done = subprocess.run(["redis-cli", "-p", str(self.redis_port), *arguments],
                              capture_output=True, text=True, check=check)
        return done.stdout.strip()

    def config(self, name, content):
        path = self.dir / f"{name}.json"
        path.write_text(json.dumps(content, indent=1))
        return path

    def start_agent(self, node, roots):
        port = free_port()
        self.agent_ports[node] = port
        path = self.config(node, {
            "node_name": node, "state_dir": str(self.dir / f"state-{node}"), "roots": roots,
            "beat_interval": "500ms", "scan_interval": "1s",
            "redis": {"url": f"redis://127.0.0.1:{self.redis_port}"},
            "http": {"listen": f"127.0.0.1:{port}"}})
        self.start(node, [self.build / "larder-agent", "--config", path])

    def coordinator_config(self, content):
        token = self.dir / "token"
        if not token.exists():
            token.write_text(os.urandom(16).hex() + "\n")
            token.chmod(0o600)
        return self.config("coordinator", {
            **content, "hold_off": "1s", "redis": {"url": f"redis://127.0.0.1:{self.redis_port}"},
            "http": {"listen": self.api.removeprefix("http://"), "token_file": str(token)}})

    def start_coordinator(self, content):
        path = self.coordinator_config(content)
        self.start("coordinator", [self.build / "larder-coordinator", "--config", path])
        wait_until(lambda: self.leads(), 20, "a coordinator leads")

    def leads(self):
        try:
            return self.get("/v1/status")["leader"]["here"]
        except OSError:
            return False

    def get(self, path):
        with urllib.request.urlopen(self.api + path, timeout=10) as reply:
            return json.load(reply)

    def larderctl(self, *arguments):
        """Runs larderctl as the reader would, and shows what it prints."""
        say(f"$ larderctl {' '.join(arguments)}")
        done = subprocess.run([self.build / "larderctl", *arguments], text=True, env=self.env(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        say(done.stdout.rstrip())
        return done.returncode

    def env(self):
        return {**os.environ, "LARDER_SERVER": self.api, "LARDER_TOKEN_FILE": str(self.dir / "token")}

    def stop(self):
        for name in ["coordinator", *self.agent_ports]:
            if name in self.processes:
                self.processes[name].send_signal(signal.SIGTERM)
        for name in ["coordinator", *self.agent_ports]:
            if name in self.processes and self.processes[name].wait(20) != 0:
                say(f"{name} ended with status {self.processes[name].returncode}")
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def show_logs(self):
        for log in sorted(self.dir.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-15:]
            say(f"--- {log.name}")
            say("\n".join(lines))


# ---- the caches ----

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


# Which node has which model, its size and how many days ago it was used last.
NODES = {
    "node-a": {"llama-8b": (8 * MIB, 9), "qwen-7b": (8 * MIB, 12), "mistral-7b": (8 * MIB, 10),
               "gemma-2b": (8 * MIB, 11), "phi-3": (8 * MIB, 8), "olmo-1b": (8 * MIB, 1)},
    "node-b": {"bert-large": (4 * MIB, 6), "t5-base": (4 * MIB, 5), "olmo-1b": (8 * MIB, 4),
               "gpt2-xl": (4 * MIB, 3)},
    "node-c": {"llama-70b": (64 * MIB, 6), "mixtral": (64 * MIB, 5), "falcon": (64 * MIB, 4),
               "t5-base": (4 * MIB, 2)},
}


def start_hub(cluster):
    sizes = {name: size for models in NODES.values() for name, (size, _) in models.items()}
    repos = cluster.dir / "repos.json"
    repos.write_text(json.dumps({"repos": [repository(name, number, size) for number, (name, size)
                                           in enumerate(sorted(sizes.items()), start=1)]}))
    cluster.start("hub", [sys.executable, "-B", TOP / "tests/hub/hub.py", "--repos", repos])
    log = cluster.dir / "hub.log"
    wait_until(lambda: log.exists() and "http://" in log.read_text(), 10, "the hub serves")
    address = log.read_text().split()[0]
    os.environ.update(HF_ENDPOINT=address, HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1",
                      HF_HUB_DISABLE_XET="1", HF_HOME=str(cluster.dir / "hf-home"))


def hub_dir(cluster, node):
    return cluster.dir / node / "hub"


def fill(cluster):
    from huggingface_hub import snapshot_download  # after HF_ENDPOINT is set

    for node, models in NODES.items():
        for name in models:
            snapshot_download(f"acme/{name}", cache_dir=hub_dir(cluster, node))
        total = sum(size for size, _ in models.values())
        say(f"{node}: {len(models)} models, {total // MIB} MiB, downloaded by huggingface_hub")


def age(cluster):
    """Sets the times of files and links back, as if the models had lain there for days."""
    for node, models in NODES.items():
        for name, (_, days) in models.items():
            then = time.time() - days * DAY_S
            for path in (hub_dir(cluster, node) / f"models--acme--{name}").rglob("*"):
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
    code = "import sys, time; held = open(sys.argv[1], 'rb'); time.sleep(3600)"
    cluster.start("engine", [sys.executable, "-c", code, largest])


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


# ---- the demonstration ----

POLICY = {"type": "lru", "unused_threshold": "7d"}


def settings(floor_bytes, dry_run):
    return {"enabled": True, "policy": POLICY, "check_interval": "2s", "dry_run": dry_run,
            "overrides": [
                {"nodes": "node-b", "policy": {"max_models": 2, "min_copies": 1}},
                {"nodes": "node-c", "policy": {"min_free_space_bytes": floor_bytes}}]}


def available(path):
    vfs = os.statvfs(path)
    return vfs.f_bavail * vfs.f_frsize


def registered(cluster):
    nodes = cluster.get("/v1/nodes")["nodes"]
    return len(nodes) == len(NODES) and all(
        node["live"] and node["models"] == len(NODES[node["node"]]) for node in nodes)


def name_of(cluster, node, model):
    rows = cluster.get(f"/v1/models?node={node}&model=hf:acme/{model}@*")["models"]
    return rows[0]["model"]


def expected(node):
    """What must be left, and why the rest went."""
    return {"node-a": {"mistral-7b", "gemma-2b", "phi-3", "olmo-1b"},
            "node-b": {"bert-large", "gpt2-xl"},
            "node-c": {"falcon", "t5-base"}}[node]


def set_up(cluster):
    heading("1. a Redis, a stand-in for the hub, and three caches filled by the real client")
    cluster.start_redis()
    start_hub(cluster)
    fill(cluster)
    age(cluster)
    heading("2. some are used: one is read now, one is held open, one is pinned")
    use(cluster, "node-a", "phi-3")
    say("node-a: phi-3 was last used 8 days ago, and is read now through its snapshot")
    open_model(cluster, "node-a", "gemma-2b")
    say("node-a: gemma-2b was last used 11 days ago; a process has one of its files open")
    for node in NODES:
        cluster.start_agent(node, [{"path": str(hub_dir(cluster, node)), "layout": "huggingface",
                                    "settle_time": "1s"}])
    cluster.start_coordinator(settings(0, dry_run=True))
    wait_until(lambda: registered(cluster), 30, "all models are registered")
    cluster.larderctl("pin", "hf:acme/mistral-7b@*", "--for", "30d", "--why", "launch next week")
    say("node-a: mistral-7b was last used 10 days ago, and is pinned")


def look(cluster):
    heading("3. what Redis holds: the least recently used models of node-a first")
    say("$ redis-cli ZRANGE 'larder:{node-a}:lru' 0 2 WITHSCORES")
    say(cluster.redis("ZRANGE", "larder:{node-a}:lru", "0", "2", "WITHSCORES"))
    cluster.larderctl("nodes")


def plan(cluster):
    floor = available(cluster.dir) + FLOOR_ABOVE_AVAILABLE
    path = cluster.coordinator_config(settings(floor, dry_run=True))
    cluster.processes["coordinator"].send_signal(signal.SIGHUP)
    wait_until(lambda: cluster.redis("GET", "larder:policy").find(str(floor)) > 0, 10,
               "the policy is published")
    heading("4. the plan: nothing is deleted yet (dry_run)")
    say("node-a: unused for longer than 7d; node-b: at most 2 models, and never the last copy;")
    say(f"node-c: {FLOOR_ABOVE_AVAILABLE // MIB} MiB more than are available now")
    wait_until(lambda: len(cluster.get("/v1/plan")["victims"]) >= 6, 15, "the plan is complete")
    cluster.larderctl("plan")
    return floor, path


def evict(cluster, floor):
    heading("5. dry_run off: the coordinator publishes, the agents check and delete")
    cluster.coordinator_config(settings(floor, dry_run=False))
    cluster.processes["coordinator"].send_signal(signal.SIGHUP)
    wait_until(lambda: all(models_on_disk(cluster, node) == expected(node) for node in NODES), 40,
               "the right models are gone")
    wait_until(lambda: len(evictions(cluster, "refused")) > 0, 20, "the busy model's receipt")
    cluster.larderctl("history", "--limit", "12")
    say("$ redis-cli XREVRANGE larder:log + - COUNT 1")
    say(cluster.redis("XREVRANGE", "larder:log", "+", "-", "COUNT", "1"))


def by_hand(cluster):
    heading("6. by hand: evicted at once, and the receipt waited for")
    model = name_of(cluster, "node-b", "gpt2-xl")
    if cluster.larderctl("evict", model, "--node", "node-b", "--wait") != 0:
        raise Failed("the eviction by hand failed")
    say("and a model that somebody has open is never touched, not even by force:")
    busy = name_of(cluster, "node-a", "gemma-2b")
    if cluster.larderctl("evict", busy, "--node", "node-a", "--force", "--wait") == 0:
        raise Failed("an open model was evicted")


def evictions(cluster, outcome):
    return [e for e in cluster.get("/v1/evictions?limit=1000")["evictions"] if e["outcome"] == outcome]


def judge(cluster):
    from huggingface_hub import snapshot_download

    heading("7. the real client judges what is left")
    for node in NODES:
        left = expected(node) - ({"gpt2-xl"} if node == "node-b" else set())
        if models_of(cluster, node) != left:
            raise Failed(f"{node} has {models_of(cluster, node)}, not {left}")
        for name in left:
            use(cluster, node, name)
        say(f"{node}: no warning, {len(left)} models whole: {', '.join(sorted(left))}")
    snapshot_download("acme/qwen-7b", cache_dir=hub_dir(cluster, "node-a"))
    use(cluster, "node-a", "qwen-7b")
    say("node-a: qwen-7b, evicted a moment ago, was downloaded again and is whole")


def summary(cluster):
    done = evictions(cluster, "deleted")
    reasons = {}
    for eviction in done:
        reasons[eviction["reason"]] = reasons.get(eviction["reason"], 0) + 1
    if reasons != {"time_threshold": 2, "count_limit": 2, "disk_space": 2, "manual": 1}:
        raise Failed(f"evicted by reason: {reasons}")
    freed = sum(eviction["bytes"] for eviction in done)
    counts = " ".join(f"{reason}={count}" for reason, count in sorted(reasons.items()))
    return (f"demo: ok evicted {counts}; freed {freed / MIB:.1f} MiB; spared: phi-3 (used now), "
            "gemma-2b (open), mistral-7b (pinned), bert-large (last copy)")


def print_how_to(cluster):
    pids = " ".join(str(process.pid) for process in cluster.processes.values())
    (cluster.dir / "stop").write_text(f"#!/bin/sh\nkill {pids}\nsleep 3\nrm -rf '{cluster.dir}'\n")
    (cluster.dir / "stop").chmod(0o755)
    (cluster.dir / "env").write_text(
        f"export LARDER_SERVER={cluster.api} LARDER_TOKEN_FILE={cluster.dir}/token\n"
        f"export PATH={cluster.build}:$PATH\n"
        f"alias redis-cli='redis-cli -p {cluster.redis_port}'\n")
    heading("it goes on running")
    say(f". {cluster.dir}/env          # larderctl and redis-cli of this cluster")
    say(f"redis-cli -p {cluster.redis_port}         # or like this")
    say(f"{cluster.dir}/stop           # ends it and removes its files")


def run_demo(cluster, keep):
    set_up(cluster)
    look(cluster)
    floor, _ = plan(cluster)
    evict(cluster, floor)
    by_hand(cluster)
    judge(cluster)
    line = summary(cluster)
    if keep:
        print_how_to(cluster)
    say()
    say(line)


# ---- somebody's own cache ----

def find_layout(root):
    names = [entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
    hub = any(name.startswith(("models--", "datasets--", "spaces--")) for name in names)
    return "huggingface" if hub else "directory"


def run_root(cluster, root, layout, policy):
    root = pathlib.Path(root).resolve()
    layout = layout or find_layout(root)
    cluster.start_redis()
    cluster.start_agent("this-node", [{"path": str(root), "layout": layout, "report_only": True,
                                       "leftover_max_age": None}])
    cluster.start_coordinator({"enabled": True, "policy": policy, "check_interval": "1h",
                               "dry_run": True})
    wait_until(lambda: any(n["live"] for n in cluster.get("/v1/nodes")["nodes"]), 600, "the scan")
    heading(f"{root} as Larder sees it (layout {layout}); nothing is written or deleted")
    cluster.larderctl("models", "--limit", "1000")
    heading(f"what it would evict with {json.dumps(policy)}, and why")
    cluster.larderctl("plan", "--as-if-deleting")
    stats = cluster.get("/v1/stats")
    say()
    say(f"demo: ok {stats['total_models']} models, {stats['model_bytes'] / MIB:.1f} MiB seen; "
        "nothing was changed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--root")
    parser.add_argument("--layout", choices=["huggingface", "directory"])
    parser.add_argument("--policy", default=json.dumps(POLICY))
    arguments = parser.parse_args()
    cluster = Cluster(arguments.build)
    kept = False
    try:
        if arguments.root:
            run_root(cluster, arguments.root, arguments.layout, json.loads(arguments.policy))
        else:
            run_demo(cluster, arguments.keep)
            kept = arguments.keep
    except (Failed, OSError, subprocess.SubprocessError, ValueError) as error:
        cluster.show_logs()
        say(f"demo: FAILED {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if not kept:
            cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
