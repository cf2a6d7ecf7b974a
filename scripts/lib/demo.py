"""Runs the demonstration of scripts/demo: starts a small cluster, shows it, checks it, stops it."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import traceback

import demo_caches as caches
from demo_caches import MIB, NODES, human
from demo_cluster import BadArgument, Cluster, Failed, Interrupted, heading, interrupts, say, wait_until

POLICY = {"type": "lru", "unused_threshold": "7d"}
# How often the floor is set anew when others move the free space of the disk meanwhile.
AIM_TRIES = 20
AIM_AGAIN_S = 4
FIRST_SCAN_S = 3600
RECENTLY_MS = 3600 * 1000
# The models of node-c have 64 units each: with half of one to spare, two have to go.
SIZE, SPARE_ROOM = 64, 32
SPACE_VICTIMS = ["llama-70b", "mixtral"]
# node-d keeps what is in use, and nothing else; its agent asks the engine there.
NODE_D = {"unused_threshold": "0s"}
PROBES = {"probe_interval": "500ms", "claim_ttl": "3s"}


# ---- the demonstration ----

def settings(floor_bytes=None, dry_run=False, check_interval="2s"):
    # min_age: should others fill this disk meanwhile, its youngest model stays nevertheless.
    node_c = {"min_age": "3d"}
    if floor_bytes is not None:
        node_c["min_free_space_bytes"] = floor_bytes
    return {"enabled": True, "policy": POLICY, "check_interval": check_interval, "dry_run": dry_run,
            "overrides": [
                {"nodes": "node-b", "policy": {"max_models": 2, "min_copies": 1}},
                {"nodes": "node-c", "policy": node_c},
                {"nodes": "node-d", "policy": NODE_D}]}


def registered(cluster):
    nodes = cluster.get("/v1/nodes")["nodes"]
    return len(nodes) == len(NODES) and all(
        node["live"] and node["models"] == len(NODES[node["node"]]) for node in nodes)


def row_of(cluster, node, model):
    return cluster.get(f"/v1/models?node={node}&model=hf:acme/{model}@*")["models"][0]


def name_of(cluster, node, model):
    return row_of(cluster, node, model)["model"]


def set_up(cluster, unit):
    heading("1. a Redis, a stand-in for the hub, and four caches filled by the real client")
    cluster.start_redis()
    caches.start_hub(cluster, unit)
    caches.fill(cluster, unit)
    caches.age(cluster)
    heading("2. some are used: one is read now, one is held open, one is served, one is pinned")
    caches.use(cluster, "node-a", "phi-3")
    say("node-a: phi-3 was last used 8 days ago, and is read now through its snapshot")
    caches.open_model(cluster, "node-a", "gemma-2b")
    say("node-a: gemma-2b was last used 11 days ago; a process has one of its files open")
    engine = caches.serve(cluster, "yi-34b")
    say("node-d: yi-34b was last used 20 days ago; an engine serves it from memory, and has none of its")
    say(f"files open (a stand-in that answers on {engine} as vLLM does)")
    for node in NODES:
        path = str(caches.hub_dir(cluster, node))
        more = {"engines": [{"engine": "vllm", "url": engine}], **PROBES} if node == "node-d" else {}
        cluster.start_agent(node, [{"path": path, "layout": "huggingface", "settle_time": "1s"}], **more)
    cluster.start_coordinator(settings(dry_run=True))
    wait_until(lambda: registered(cluster), 60, "all models are registered")
    cluster.show("pin", "hf:acme/mistral-7b@*", "--for", "30d", "--why", "launch next week")
    say("node-a: mistral-7b was last used 10 days ago, and is pinned")


def look(cluster):
    heading("3. what Redis holds: the least recently used models of node-a first")
    cluster.show_redis("ZRANGE", "larder:{node-a}:lru", "0", "2", "WITHSCORES")
    cluster.show("nodes")
    say("and what is known of their use: yi-34b by the engine, gemma-2b because it was found open")
    for node, model in (("node-d", "yi-34b"), ("node-a", "gemma-2b")):
        wait_until(lambda n=node, m=model: row_of(cluster, n, m)["held"], 30, f"{model} is held")
    for node in ("node-d", "node-a"):
        cluster.show("models", "--why", "--node", node)


def aim(cluster, unit, dry_run):
    """Asks for so much more space on node-c than there is now that what is left of the two goes."""
    left = [m for m in SPACE_VICTIMS if m in caches.models_on_disk(cluster, "node-c")]
    more = (len(left) * SIZE - SPARE_ROOM) * unit
    cluster.reload_coordinator(settings(caches.available(cluster) + more, dry_run))
    return more


def planned(cluster):
    """The models of the plan by node, oldest first."""
    victims = {node: [] for node in NODES}
    for victim in cluster.get("/v1/plan")["victims"]:
        victims[victim["node"]].append(victim["model"].partition("/")[2].partition("@")[0])
    return victims


def plan(cluster, unit):
    wanted = {"node-a": ["qwen-7b", "llama-8b"], "node-b": ["t5-base", "olmo-1b"],
              "node-c": SPACE_VICTIMS, "node-d": ["opt-6b"]}
    heading("4. the plan: nothing is deleted yet (dry_run)")
    for _ in range(AIM_TRIES):
        more = aim(cluster, unit, dry_run=True)
        found = planned(cluster)
        if found == wanted:
            break
        time.sleep(0.5)  # a heartbeat with what is free now
    else:
        raise Failed(f"the plan is {found}, not {wanted}; or somebody else moves much of the free "
                     f"space of {cluster.caches}")
    say("node-a: unused for longer than 7d; node-b: at most 2 models, and never the last copy;")
    say(f"node-c: {human(more)} more than are available now; node-d: what nobody uses right now")
    cluster.show("plan")


def evicted(cluster):
    on_disk = {node: caches.models_on_disk(cluster, node) for node in NODES}
    return (on_disk["node-a"] == {"mistral-7b", "gemma-2b", "phi-3", "olmo-1b"}
            and on_disk["node-b"] == {"bert-large", "gpt2-xl"}
            and not on_disk["node-c"] & set(SPACE_VICTIMS) and on_disk["node-d"] == {"yi-34b"})


def receipts(cluster, outcome):
    rows = cluster.get("/v1/evictions?limit=1000")["evictions"]
    return [row for row in rows if row["outcome"] == outcome]


def evict(cluster, unit):
    heading("5. dry_run off: the coordinator publishes, the agents check and delete")
    for _ in range(AIM_TRIES):
        aim(cluster, unit, dry_run=False)
        try:
            wait_until(lambda: evicted(cluster), AIM_AGAIN_S, "the right models are gone")
            break
        except Failed:
            continue  # others have freed space meanwhile, so that less had to go
    else:
        raise Failed("the right models are not gone")
    # What others do to this disk from now on is not to be answered.
    cluster.reload_coordinator(settings(check_interval="1h"))
    wait_until(lambda: len(receipts(cluster, "deleted")) >= 7, 30, "the receipts")
    cluster.show("history", "--limit", "12")
    cluster.show_redis("XREVRANGE", "larder:log", "+", "-", "COUNT", "2")


def engine_ends(cluster):
    heading("6. an engine serves one of the coldest models, without touching its files: it stays")
    served = name_of(cluster, "node-d", "yi-34b")
    cluster.show("models", "--why", "--node", "node-d")
    cluster.show("plan", "--node", "node-d")
    refuse(cluster, "a served model", served, "--node", "node-d", "--wait")
    cluster.kill("engine")
    say(f"the engine has ended: what it said last counts for {PROBES['claim_ttl']}, then nobody uses yi-34b")
    # Of the other nodes nothing goes by this policy, unless others fill this disk.
    cluster.reload_coordinator(settings(check_interval="1s"))
    wait_until(lambda: not caches.models_on_disk(cluster, "node-d"), 30, "yi-34b goes")
    wait_until(lambda: len(receipts(cluster, "deleted")) >= 8, 30, "the receipt")
    cluster.reload_coordinator(settings(check_interval="1h"))
    cluster.show("history", "--node", "node-d", "--limit", "1")


def refuse(cluster, what, *arguments):
    if cluster.larderctl("evict", *arguments) != 1:
        raise Failed(f"{what} was not refused")


def by_hand(cluster):
    heading("7. by hand: a job holds a model, and lets it go")
    held = name_of(cluster, "node-c", "t5-base")
    agent = ("--agent", cluster.agents["node-c"])
    cluster.show("hold", held, "--who", "train-7", "--id", "train-7", *agent)
    refuse(cluster, "a held model", held, "--node", "node-c", "--wait")
    cluster.show("release", "train-7", *agent)
    say("another is evicted at once, and the receipt waited for:")
    cluster.show("evict", name_of(cluster, "node-b", "gpt2-xl"), "--node", "node-b", "--wait")
    say("and a model that somebody has open is never touched, not even by force:")
    busy = name_of(cluster, "node-a", "gemma-2b")
    refuse(cluster, "an open model", busy, "--node", "node-a", "--force", "--wait")


def judge(cluster):
    heading("8. the real client judges what is left")
    whole = {"node-a": {"mistral-7b", "gemma-2b", "phi-3", "olmo-1b"}, "node-b": {"bert-large"},
             "node-c": {"falcon", "t5-base"}, "node-d": set()}
    for node, names in whole.items():
        left = caches.models_of(cluster, node)
        # falcon goes too when others have filled this disk in the very moment.
        if left not in (names, names - {"falcon"}):
            raise Failed(f"{node} has {left}, not {names}")
        for name in sorted(left):
            caches.use(cluster, node, name)
        say(f"{node}: no warning, {len(left)} models whole{': ' * bool(left)}{', '.join(sorted(left))}")
    caches.download(cluster, "node-a", "qwen-7b")
    caches.use(cluster, "node-a", "qwen-7b")
    say("node-a: qwen-7b, evicted a moment ago, was downloaded again and is whole")


def summary(cluster):
    done = receipts(cluster, "deleted")
    reasons = {}
    for eviction in done:
        reasons[eviction["reason"]] = reasons.get(eviction["reason"], 0) + 1
    wanted = {"time_threshold": 4, "count_limit": 2, "disk_space": 2, "manual": 1}
    if reasons not in (wanted, {**wanted, "disk_space": 3}):
        raise Failed(f"evicted by reason: {reasons}")
    freed = sum(eviction["bytes"] for eviction in done)
    counts = " ".join(f"{reason}={count}" for reason, count in sorted(reasons.items()))
    return (f"demo: ok evicted {counts}; freed {human(freed)}; spared: phi-3 (used now), "
            "gemma-2b (open), mistral-7b (pinned), bert-large (last copy), "
            "yi-34b (served, until its engine ended)")


def all_heard(cluster):
    """Has Redis heard of what the last step has used, and downloaded again?"""
    rows = cluster.get("/v1/models?limit=1000")["models"]
    return (any("qwen-7b" in row["model"] for row in rows)
            and all(row["status"] == "DOWNLOADED" and row["idle_ms"] < RECENTLY_MS for row in rows))


def print_how_to(cluster):
    wait_until(lambda: all_heard(cluster), 30, "the last uses are in Redis")
    cluster.write_tools()
    touched = name_of(cluster, "node-a", "phi-3")
    heading("it goes on running")
    say(f". {cluster.dir}/env    # larderctl and redis-cli are this cluster's then")
    say("larderctl plan -o json")
    say(f"larderctl evict {name_of(cluster, 'node-c', 't5-base')} --wait")
    say(f"larderctl touch --agent {cluster.agents['node-a']} {touched}")
    say("redis-cli ZRANGE 'larder:{node-a}:lru' 0 9 WITHSCORES    # docs/redis.md has more")
    say(f"sh {cluster.dir}/stop    # ends it and removes its files")


def run_demo(cluster, unit, keep):
    set_up(cluster, unit)
    look(cluster)
    plan(cluster, unit)
    evict(cluster, unit)
    engine_ends(cluster)
    by_hand(cluster)
    judge(cluster)
    line = summary(cluster)
    if keep:
        print_how_to(cluster)
    return line


# ---- somebody's own cache ----

def names_in(root):
    """The folders of a directory, without leaving a trace in its access time where that can be."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    try:
        fd = os.open(root, flags | os.O_NOATIME)
    except PermissionError:
        fd = os.open(root, flags)
    try:
        with os.scandir(fd) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    finally:
        os.close(fd)


def find_layout(root):
    hub = ("models--", "datasets--", "spaces--", "kernels--")
    return "huggingface" if any(name.startswith(hub) for name in names_in(root)) else "directory"


def counted(cluster):
    """Do the node's counters and its models in Redis agree? They come one after the other."""
    nodes = cluster.get("/v1/nodes")["nodes"]
    if not nodes or not nodes[0]["registered"]:
        return False
    told = nodes[0]["models"] + nodes[0]["downloading"] + nodes[0]["error"]
    return cluster.get("/v1/models?limit=1")["total"] == told


def run_root(cluster, root, layout, policy):
    root = pathlib.Path(root).resolve()
    layout = layout or find_layout(root)
    cluster.start_redis()
    cluster.start_agent("this-node", [{"path": str(root), "layout": layout, "report_only": True,
                                       "leftover_max_age": None}], FIRST_SCAN_S)
    cluster.start_coordinator({"enabled": True, "policy": policy, "check_interval": "1h",
                               "dry_run": True})
    wait_until(lambda: counted(cluster), 60, "the models are in Redis")
    heading(f"{root} as Larder sees it (layout {layout}); nothing is written or deleted")
    cluster.show("nodes")
    cluster.show("models", "--limit", "1000")
    heading(f"what it would evict with {json.dumps(policy)}, and why")
    cluster.show("plan", "--as-if-deleting")
    stats = cluster.get("/v1/stats")
    victims = cluster.get("/v1/plan?as_if_deleting=true")
    return (f"demo: ok {stats['total_models']} models, {human(stats['model_bytes'])} seen; would evict "
            f"{victims['victim_count']}, {human(victims['victim_bytes'])}; nothing was changed")


def check_policy(cluster, text):
    """The policy of the command line, or an end with the coordinator's own words."""
    path = cluster.dir / "policy.json"
    path.write_text(f'{{"enabled": true, "policy": {text}, "check_interval": "1h"}}')
    done = subprocess.run([cluster.build / "larder-coordinator", "--config", path, "--check"],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BadArgument(f"--policy: {done.stderr.strip().replace(str(path), 'JSON')}")
    return json.loads(path.read_text())["policy"]


# ---- the whole ----

def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--root")
    parser.add_argument("--layout", choices=["huggingface", "directory"])
    parser.add_argument("--policy", default=json.dumps(POLICY))
    return parser.parse_args()


def run(arguments, started):
    """What the demonstration says at its end; `started` gets the cluster, however it ends."""
    place, unit = (None, MIB) if arguments.root else caches.choose_disk()
    with interrupts.shield():
        cluster = Cluster(arguments.build, place)
        started.append(cluster)
    if arguments.root:
        policy = check_policy(cluster, arguments.policy)
        return run_root(cluster, arguments.root, arguments.layout, policy)
    return run_demo(cluster, unit, arguments.keep)


def attempt(arguments, started):
    """Runs it; returns the last line to be said, and the exit status."""
    try:
        line = run(arguments, started)
        interrupts.ignore()
        return line, 0
    except Interrupted:
        return "demo: interrupted", 128 + interrupts.number
    except BadArgument as error:
        return f"demo: {error}", error.status
    except Exception as error:  # whatever it is, what was started must end
        interrupts.ignore()
        if not isinstance(error, Failed):
            traceback.print_exc()
        for cluster in started:
            cluster.show_logs()
        return f"demo: FAILED {error}", Failed.status


def main():
    arguments = parse()
    started, line, status = [], "demo: FAILED", 1
    # Everything is on this machine.
    os.environ.update(no_proxy="127.0.0.1", NO_PROXY="127.0.0.1")
    interrupts.install()
    try:
        line, status = attempt(arguments, started)
    finally:
        interrupts.ignore()
        if not (arguments.keep and status == 0):
            for complaint in [c for cluster in started for c in cluster.stop()]:
                line, status = f"demo: FAILED {complaint}", 1
        say(f"\n{line}")
    return status


if __name__ == "__main__":
    sys.exit(main())
