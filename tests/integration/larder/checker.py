"""
What is on the disks, what the agent says of it and what Redis holds, compared: written from the
layouts' and the keys' descriptions, not from what Larder's programs do.
"""

import os
import pathlib

from larder import trees
from larder.caches import model_name, orphans

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}


def hub_models(root, root_name=None):
    """{name: bytes that deleting it would free} of a Hugging Face cache without a shared store."""
    found = {}
    for repo in pathlib.Path(root).glob("*--*"):
        kind, repo_id = repo.name.split("--", 1)
        users = {}  # blob: commits that link to it
        commits = {}
        for snapshot in repo.glob("snapshots/*"):
            own = commits.setdefault(snapshot.name, set())
            for path in snapshot.rglob("*"):
                if path.is_symlink():
                    blob = os.path.basename(os.readlink(path))
                    own.add(blob)
                    users.setdefault(blob, set()).add(snapshot.name)
        for commit, blobs in commits.items():
            name = model_name(repo_id.replace("--", "/"), commit, KINDS[kind], root_name)
            alone = [repo / "blobs" / b for b in blobs if users[b] == {commit}]
            found[name] = trees.allocated_bytes(*alone)
    return found


def engine_models(root, root_name):
    """The same of a root of plain directories."""
    found = {}
    for folder in pathlib.Path(root).iterdir():
        if folder.name.startswith("."):
            continue
        files = [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]
        found[f"dir+{root_name}:{folder.name}@-"] = trees.allocated_bytes(*files)
    return found


def model_folders(hub, engines):
    """Where models are: found without reading a link, which would count as a use."""
    found = list(pathlib.Path(hub).glob("*--*/snapshots/*"))
    return found + [p for p in pathlib.Path(engines).iterdir() if not p.name.startswith(".")]


def redis_models(db, node):
    """{name: bytes} as Redis has it; both of its keys must name the same models."""
    key = f"larder:{{{node}}}"
    sizes = {m: int(text.split()[0]) for m, text in db.hgetall(f"{key}:size").items()}
    candidates = set(db.zrange(f"{key}:lru", 0, -1))
    return sizes if candidates == set(sizes) else {"lru": candidates, "size": set(sizes)}


def agent_models(agent):
    return {m: row["exclusive_bytes"] for m, row in agent.models().items()}


def idle(db, node, agent):
    """Nothing is under way: no command, no removal, nothing that is not DOWNLOADED."""
    key = f"larder:{{{node}}}"
    return (
        db.hlen(f"{key}:cmd") == 0
        and agent.status()["removals"] == 0
        and db.hlen(f"{key}:state") == 0
        and all(row["status"] == "DOWNLOADED" for row in agent.models().values())
    )


def left_over(*roots):
    """Everything that no removal may leave behind."""
    found = []
    for root in roots:
        found += [f"dangling: {link}" for link in trees.dangling(root)]
        found += [f"trash: {path}" for path in trees.left_by_larder(root)]
        found += [f"orphan: {blob}" for blob in orphans(root)]
    return found
