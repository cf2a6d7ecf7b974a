"""Hugging Face caches: made without a client, and judged by the rules that clients live by."""

import hashlib
import json
import os
import pathlib
import re
import time

A, B, C = "a" * 40, "b" * 40, "c" * 40
DAY = 86400


def folder_of(repo, kind="model"):
    return f"{kind}s--" + repo.replace("/", "--")


def model_name(repo, commit, kind="model", root=None):
    layout = {"model": "hf", "dataset": "hf.d", "space": "hf.s", "kernel": "hf.k"}[kind]
    return f"{layout}{'+' + root if root else ''}:{repo}@{commit[:12]}"


def git_oid(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class Cache:
    """Builds a cache as clients leave it. Everything in it is `age` seconds old."""

    def __init__(self, root, age=10 * DAY):
        self.root = pathlib.Path(root)
        self.root.mkdir(parents=True, exist_ok=True)
        self.age = age

    def repo(self, repo, kind="model"):
        return self.root / folder_of(repo, kind)

    def snapshot(self, repo, commit, kind="model"):
        return self.repo(repo, kind) / "snapshots" / commit

    def blob(self, repo, data, kind="model"):
        etag = hashlib.sha256(data).hexdigest() if len(data) > 100 else git_oid(data)
        path = self.repo(repo, kind) / "blobs" / etag
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(data)
        return path

    def put(self, repo, commit, path, data, kind="model"):
        """One file of a revision: a link to its blob."""
        blob = self.blob(repo, data, kind)
        link = self.snapshot(repo, commit, kind) / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
        return link

    def ref(self, repo, name, commit, kind="model"):
        path = self.repo(repo, kind) / "refs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commit)

    def share(self, xet_hash, path, *repos):
        """Moves a file that revision A of these repositories has into the cache-wide store."""
        folder = self.root / "blobs" / xet_hash[:2]
        folder.mkdir(parents=True, exist_ok=True)
        (self.root / "blobs/.huggingface-shared-blobs").write_text("1\n")
        payload = folder / xet_hash
        (folder / f"{xet_hash}.lock").touch()
        for repo in repos:
            blob = (self.snapshot(repo, A) / path).resolve()
            with open(folder / f"{xet_hash}.refs", "a") as manifest:
                manifest.write(f"{folder_of(repo)}/blobs/{blob.name}\n")
            blob.rename(payload)
            blob.symlink_to(f"../../blobs/{xet_hash[:2]}/{xet_hash}")
        return payload

    def tree_listing(self, repo, commit, kind="model"):
        files = {}
        snapshot = self.snapshot(repo, commit, kind)
        for link in sorted(p for p in snapshot.rglob("*") if p.is_symlink()):
            entry = {"size": link.stat().st_size, "blob_id": link.resolve().name}
            files[str(link.relative_to(snapshot))] = entry
        path = self.repo(repo, kind) / "trees" / f"{commit}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"format_version": 1, "files": files}))

    def absent(self, repo, commit, path, kind="model"):
        note = self.repo(repo, kind) / ".no_exist" / commit / path
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()

    def model(self, repo, commit=A, size=65536, refs=("main",), seed=None, kind="model"):
        """A small complete revision; returns its name as Larder spells it."""
        seed = seed if seed is not None else f"{repo}{commit}"
        weights = hashlib.shake_256(seed.encode()).digest(size)
        self.put(repo, commit, "config.json", b'{"model_type": "llama"}', kind)
        self.put(repo, commit, "model.safetensors", weights, kind)
        for name in refs:
            self.ref(repo, name, commit, kind)
        self.make_old(repo, kind)
        return model_name(repo, commit, kind)

    def make_old(self, repo, kind="model", age=None):
        age_everything(self.repo(repo, kind), self.age if age is None else age)


def age_everything(path, age):
    """Sets all times of an entry and of what is below it back by `age` seconds."""
    at = time.time() - age
    path = pathlib.Path(path)
    for entry in [path, *path.rglob("*")]:
        os.utime(entry, (at, at), follow_symlinks=False)


# ---- what an eviction must leave, computed from what was there ----


def _links(tree, prefix):
    """Blob names that links below `prefix` lead to."""
    return {
        pathlib.PurePosixPath(what[1]).name
        for path, what in tree.items()
        if path.startswith(prefix) and what[0] == "link"
    }


def _drop_below(tree, prefix):
    for path in [p for p in tree if p == prefix or p.startswith(prefix + "/")]:
        del tree[path]


def _drop_empty_folders(tree, top):
    """Folders below `top` with nothing in them; `top` itself stays."""
    for path in sorted((p for p in tree if p.startswith(top + "/")), reverse=True):
        if tree[path] == ("folder",) and not any(p.startswith(path + "/") for p in tree):
            del tree[path]


def expected_after(tree, folder, commit):
    """
    The tree (without the store) that must remain after one revision was evicted: computed from the
    layout's description, not from what Larder does.
    """
    left = dict(tree)
    mine = _links(left, f"{folder}/snapshots/{commit}/")
    _drop_below(left, f"{folder}/snapshots/{commit}")
    others = _links(left, f"{folder}/snapshots/")
    for blob in mine - others:
        left.pop(f"{folder}/blobs/{blob}", None)
    said = hashlib.sha256(commit.encode()).hexdigest()
    for path, what in list(left.items()):
        if path.startswith(f"{folder}/refs/") and what == ("file", len(commit), said):
            del left[path]
    _drop_empty_folders(left, f"{folder}/refs")
    left.pop(f"{folder}/trees/{commit}.json", None)
    _drop_below(left, f"{folder}/.no_exist/{commit}")
    if not any(p.startswith(f"{folder}/snapshots/") for p in left):
        _drop_below(left, folder)
    return left


def comparable(tree):
    """Without the store's files (judged apart) and without folders that may be empty or not there."""
    optional = re.compile(r"[^/]+/(trees|\.no_exist)$")
    return {
        path: what
        for path, what in tree.items()
        if not path.startswith("blobs/") and not optional.match(path)
    }


def orphans(root):
    """Blobs of a cache that no snapshot refers to, and partial downloads."""
    found = []
    for repo in pathlib.Path(root).glob("*--*"):
        linked = {
            os.path.basename(os.readlink(p)) for p in repo.glob("snapshots/**/*") if p.is_symlink()
        }
        found += [str(b) for b in repo.glob("blobs/*") if b.name not in linked]
    return found
