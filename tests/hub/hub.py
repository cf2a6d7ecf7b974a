#!/usr/bin/env python3
"""A stand-in for the Hugging Face Hub on loopback: enough of it for real clients to fill a cache.

    hub.py [--port PORT] [--repos FILE]

Prints its address (http://127.0.0.1:PORT) as its first line and serves until it is stopped. Python
clients find it by HF_ENDPOINT, npm clients by hubUrl. Port 0, the default, takes any free port.
FILE (JSON) describes what it serves; without one it serves repos.json beside this file:

    {"repos": [{"id": "acme/tiny", "type": "model", "revisions": [
        {"commit": "1111...(40 hex)", "refs": ["main", "refs/pr/1"], "files": {
            "config.json": {"text": "{}"},
            "model.safetensors": {"bytes": 1048576, "seed": "a"}}}]}]}

type is model (the default), dataset, space or kernel. The bytes of a file depend on its size and
seed alone, so that revisions which name the same seed and size share the file. Weights and large
files are LFS files, named by SHA-256; the others are git's, named by their SHA-1.

For tests and demonstrations:

    GET    /_log      {"requests": [{"method", "repo", "commit", "path", "range", "bytes"}...],
                       "held": transfers that are held right now}
    DELETE /_log      forgets the requests
    POST   /_repos    adds or replaces repositories; the body is as FILE
    POST   /_set      {"match": GLOB over "<repo>/<path>", and one or more of
                       "hold_after": BYTES     hold the transfer there until the rule is removed
                       "break_after": BYTES    close the connection there
                       "delay_ms": MS          wait before every 64 KiB
                       "times": N              use the rule N times only}
                      replaces the rule of the same GLOB; with nothing but "match" it is removed
"""

import argparse
import fnmatch
import hashlib
import json
import pathlib
import signal
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNK = 65536
LFS_FROM_BYTES = 100_000
WEIGHTS = (".safetensors", ".gguf", ".bin", ".parquet")
DATE = "2026-01-01T00:00:00.000Z"
PREFIXES = {"model": "", "dataset": "datasets/", "space": "spaces/", "kernel": "kernels/"}


class Content:
    """The bytes of one file, made when they are asked for: files may be larger than the memory."""

    def __init__(self, path, spec):
        self.text = spec["text"].encode() if "text" in spec else None
        self.size = len(self.text) if self.text is not None else int(spec["bytes"])
        self.seed = str(spec.get("seed", path))
        self.lfs = spec.get("lfs", self.size >= LFS_FROM_BYTES or path.endswith(WEIGHTS))
        self._block = None
        self._oids = None

    def read(self, start, length):
        length = max(0, min(length, self.size - start))
        if self.text is not None:
            return self.text[start : start + length]
        if self._block is None:
            seed = hashlib.sha256(self.seed.encode()).digest()
            self._block = hashlib.shake_256(seed).digest(CHUNK)
        parts, done = [], 0
        while done < length:
            offset = (start + done) % CHUNK
            take = min(CHUNK - offset, length - done)
            parts.append(self._block[offset : offset + take])
            done += take
        return b"".join(parts)

    @property
    def oids(self):
        """(git SHA-1, SHA-256)"""
        if self._oids is None:
            git = hashlib.sha1(f"blob {self.size}\0".encode())
            sha = hashlib.sha256()
            for start in range(0, self.size, CHUNK):
                data = self.read(start, CHUNK)
                git.update(data)
                sha.update(data)
            self._oids = git.hexdigest(), sha.hexdigest()
        return self._oids

    @property
    def etag(self):
        return self.oids[1] if self.lfs else self.oids[0]


class Repos:
    """What is served: repositories by type and id, their revisions by commit and by ref."""

    def __init__(self):
        self.repos = {}
        self.contents = {}
        self.lock = threading.Lock()

    def add(self, document):
        with self.lock:
            for repo in document["repos"]:
                kind = repo.get("type", "model")
                self.repos[kind, repo["id"]] = [self._revision(r) for r in repo["revisions"]]

    def _revision(self, spec):
        files = {path: self._content(path, file) for path, file in spec["files"].items()}
        return {"commit": spec["commit"], "refs": spec.get("refs", []), "files": files}

    def _content(self, path, spec):
        fresh = Content(path, spec)
        key = fresh.text, fresh.size, fresh.seed, fresh.lfs
        return self.contents.setdefault(key, fresh)

    def find(self, kind, repo_id, revision):
        """The revision, None when there is no such repository, or False when it has no such."""
        with self.lock:
            revisions = self.repos.get((kind, repo_id))
        if revisions is None:
            return None
        for rev in revisions:
            if revision == rev["commit"] or revision in rev["refs"]:
                return rev
        return False


class State:
    """What the handlers share."""

    def __init__(self):
        self.repos = Repos()
        self.requests = []
        self.rules = {}
        self.held = 0
        self.changed = threading.Condition()

    def log(self, entry):
        with self.changed:
            self.requests.append(entry)

    def rule(self, name):
        with self.changed:
            for glob, rule in self.rules.items():
                if fnmatch.fnmatchcase(name, glob) and rule.get("times", 1) > 0:
                    if "times" in rule:
                        rule["times"] -= 1
                    return rule
        return {}

    def set_rule(self, rule):
        with self.changed:
            glob = rule.pop("match")
            self.rules.pop(glob, None)
            if rule:
                self.rules[glob] = rule
            self.changed.notify_all()

    def hold(self, rule):
        with self.changed:
            self.held += 1
            self.changed.wait_for(lambda: all(r is not rule for r in self.rules.values()))
            self.held -= 1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def log_message(self, *args):
        pass

    # ---- answers ----

    def reply(self, code, body, headers=None):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def missing(self, what, commit=None):
        headers = {"X-Error-Code": what, "X-Error-Message": what}
        if commit:
            headers["X-Repo-Commit"] = commit
        self.reply(404, {"error": what}, headers)

    # ---- requests ----

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path == "/_log":
            with self.state.changed:
                log = {"requests": list(self.state.requests), "held": self.state.held}
            return self.reply(200, log)
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            return self.api(parts[1:])
        return self.resolve(parts)

    def do_DELETE(self):
        if self.path != "/_log":
            return self.missing("NoSuchPath")
        with self.state.changed:
            self.state.requests.clear()
        return self.reply(200, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/_set":
            self.state.set_rule(json.loads(body))
            return self.reply(200, {})
        if self.path == "/_repos":
            self.state.repos.add(json.loads(body))
            return self.reply(200, {})
        parts = urllib.parse.urlsplit(self.path).path.strip("/").split("/")
        if parts[0] == "api" and "paths-info" in parts:
            return self.api(parts[1:], body)
        return self.missing("NoSuchPath")

    def api(self, parts, body=None):
        kind = parts[0].removesuffix("s")
        verbs = [i for i, p in enumerate(parts) if p in ("revision", "tree", "paths-info")]
        end = verbs[0] if verbs else len(parts)
        repo_id = "/".join(parts[1:end])
        revision = urllib.parse.unquote(parts[end + 1]) if len(parts) > end + 1 else "main"
        found = self.state.repos.find(kind, repo_id, revision)
        if not found:
            return self.missing("RepoNotFound" if found is None else "RevisionNotFound")
        verb = parts[end] if verbs else "revision"
        if verb == "tree":
            return self.reply(200, tree(found))
        if verb == "paths-info":
            wanted = wanted_paths(body)
            return self.reply(200, [e for e in tree(found) if e["path"] in wanted])
        return self.reply(200, info(repo_id, found))

    def resolve(self, parts):
        kind = "model"
        for name, prefix in PREFIXES.items():
            if prefix and parts[0] + "/" == prefix:
                kind, parts = name, parts[1:]
        if "resolve" not in parts:
            return self.missing("NoSuchPath")
        at = parts.index("resolve")
        repo_id = "/".join(parts[:at])
        revision = urllib.parse.unquote(parts[at + 1])
        path = urllib.parse.unquote("/".join(parts[at + 2 :]))
        found = self.state.repos.find(kind, repo_id, revision)
        if not found:
            return self.missing("RepoNotFound" if found is None else "RevisionNotFound")
        if path not in found["files"]:
            return self.missing("EntryNotFound", found["commit"])
        return self.send_file(repo_id, found, path)

    # ---- files ----

    def send_file(self, repo_id, revision, path):
        content = revision["files"][path]
        start, end, partial = self.wanted_range(content.size)
        self.send_response(206 if partial else 200)
        self.send_header("ETag", f'"{content.etag}"')
        self.send_header("X-Repo-Commit", revision["commit"])
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Type", "application/octet-stream")
        if content.lfs:
            self.send_header("X-Linked-Etag", f'"{content.etag}"')
            self.send_header("X-Linked-Size", str(content.size))
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{content.size}")
        self.send_header("Content-Length", str(end - start))
        self.end_headers()
        entry = {"method": self.command, "repo": repo_id, "commit": revision["commit"]}
        entry |= {"path": path, "range": self.headers.get("Range"), "bytes": 0}
        self.state.log(entry)
        if self.command == "GET":
            rule = {} if end - start <= 1 else self.state.rule(f"{repo_id}/{path}")
            self.send_bytes(content, start, end, rule, entry)

    def wanted_range(self, size):
        text = self.headers.get("Range", "")
        if not text.startswith("bytes="):
            return 0, size, False
        first, _, last = text.removeprefix("bytes=").partition("-")
        start = int(first or 0)
        end = min(int(last) + 1, size) if last else size
        return start, max(start, end), True

    def send_bytes(self, content, start, end, rule, entry):
        held = False
        while start + entry["bytes"] < end:
            sent = entry["bytes"]
            room = min(CHUNK, end - start - sent)
            if sent < rule.get("break_after", 0):
                room = min(room, rule["break_after"] - sent)
            elif "break_after" in rule:
                self.close_connection = True
                return
            if not held and "hold_after" in rule:
                room = min(room, rule["hold_after"] - sent)
                if room == 0:
                    held = True
                    self.wfile.flush()
                    self.state.hold(rule)
                    continue
            if "delay_ms" in rule:
                time.sleep(rule["delay_ms"] / 1000)
            self.wfile.write(content.read(start + sent, room))
            entry["bytes"] += room

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass  # the client has gone


def tree(revision):
    folders, entries = set(), []
    commit = {"id": revision["commit"], "title": "made for tests", "date": DATE}
    for path, content in sorted(revision["files"].items()):
        for parent in pathlib.PurePosixPath(path).parents:
            if str(parent) not in (".", *folders):
                folders.add(str(parent))
                entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": str(parent)})
        entry = {"type": "file", "oid": content.oids[0], "size": content.size, "path": path}
        if content.lfs:
            entry["lfs"] = {"oid": content.oids[1], "size": content.size, "pointerSize": 134}
        entries.append({**entry, "lastCommit": commit})
    return entries


def wanted_paths(body):
    """npm sends JSON, the Python client a form."""
    try:
        return json.loads(body)["paths"]
    except ValueError:
        return urllib.parse.parse_qs(body.decode()).get("paths", [])


def info(repo_id, revision):
    siblings = [{"rfilename": path} for path in revision["files"]]
    return {
        "_id": hashlib.sha1(repo_id.encode()).hexdigest()[:24],
        "id": repo_id,
        "modelId": repo_id,
        "author": repo_id.split("/")[0],
        "sha": revision["commit"],
        "private": False,
        "gated": False,
        "disabled": False,
        "likes": 0,
        "downloads": 0,
        "tags": [],
        "createdAt": DATE,
        "lastModified": DATE,
        "siblings": siblings,
    }


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(port=0, document=None):
    """A server that is ready to serve_forever()."""
    state = State()
    state.repos.add(document or {"repos": []})
    handler = type("BoundHandler", (Handler,), {"state": state})
    return Server(("127.0.0.1", port), handler)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    default = pathlib.Path(__file__).with_name("repos.json")
    parser.add_argument("--repos", type=pathlib.Path, default=default)
    args = parser.parse_args()
    server = serve(args.port, json.loads(args.repos.read_text()))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
