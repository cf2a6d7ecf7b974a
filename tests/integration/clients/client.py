#!/usr/bin/env python3
"""Drives huggingface_hub for the tests: reads one JSON request a line, answers with one a line.

Runs in the virtual environment of the release that it is to speak for.
"""

import json
import mmap
import os
import pathlib
import sys

import huggingface_hub
from huggingface_hub import constants, file_download


def version(_):
    return huggingface_hub.__version__


def download(request):
    options = {k: request[k] for k in ("allow_patterns", "local_files_only") if k in request}
    return huggingface_hub.snapshot_download(
        request["repo"],
        repo_type=request.get("type"),
        revision=request.get("revision"),
        cache_dir=request["cache"],
        endpoint=request.get("hub"),
        max_workers=2,
        **options,
    )


def download_file(request):
    return huggingface_hub.hf_hub_download(
        request["repo"],
        request["path"],
        repo_type=request.get("type"),
        revision=request.get("revision"),
        cache_dir=request["cache"],
        endpoint=request.get("hub"),
    )


def probe_missing(request):
    """Asks for a file that is not there, which leaves a note in .no_exist."""
    try:
        download_file(request)
    except huggingface_hub.errors.EntryNotFoundError:
        return True
    return False


def try_load(request):
    found = huggingface_hub.try_to_load_from_cache(
        request["repo"],
        request["path"],
        cache_dir=request["cache"],
        revision=request.get("revision"),
        repo_type=request.get("type"),
    )
    return found if found is None or isinstance(found, str) else "no_exist"


def scan(request):
    info = huggingface_hub.scan_cache_dir(request["cache"])
    repos = {}
    for repo in info.repos:
        revisions = {
            rev.commit_hash: {
                "refs": sorted(rev.refs),
                "files": {
                    str(f.file_path.relative_to(rev.snapshot_path)): f.size_on_disk
                    for f in rev.files
                },
            }
            for rev in repo.revisions
        }
        repos[f"{repo.repo_type}/{repo.repo_id}"] = {
            "size": repo.size_on_disk,
            "revisions": revisions,
        }
    return {"warnings": sorted(str(w) for w in info.warnings), "repos": repos}


def share(request):
    """Turns a blob into one of the cache-wide store, as the library does after a Xet download."""
    from huggingface_hub.utils import _shared_blobs

    blob = pathlib.Path(request["blob"])
    return _shared_blobs.publish_blob_to_shared_store(
        blob_path=str(blob),
        xet_hash=request["xet_hash"],
        cache_dir=request["cache"],
        expected_size=blob.stat().st_size,
    )


def unreferenced(request):
    """Payloads of the store to which nothing refers, as the library itself finds them."""
    from huggingface_hub.utils import _shared_blobs

    return sorted(str(p) for p in _shared_blobs.unreferenced_shared_blobs(request["cache"]))


def fail(error):
    raise error


def read(request):
    """Reads every file of a folder through a mapping, as an engine does; how many bytes there are."""
    total = 0
    walk = os.walk(request["folder"], onerror=fail)
    for path in [os.path.join(folder, name) for folder, _, names in walk for name in names]:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size == 0:
                continue
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                total += len(mapped[:])
    return total


def load(request):
    """Downloads and reads."""
    return read({"folder": download(request)})


def chain(error):
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


OPERATIONS = {
    f.__name__: f
    for f in (version, download, download_file, probe_missing, try_load, scan, share)
    + (unreferenced, read, load)
}


def answer(request):
    try:
        return {"result": OPERATIONS[request["op"]](request)}
    except Exception as error:  # whatever it is, the test judges it
        errors = chain(error)
        return {
            "error": type(error).__name__,
            "message": str(error)[:2000],
            "enoent": any(isinstance(e, FileNotFoundError) for e in errors),
        }


def without_symlinks():
    """Old releases have no switch for it: they try, and find that the disk has none."""
    if not hasattr(constants, "HF_HUB_DISABLE_SYMLINKS"):
        file_download.are_symlinks_supported = lambda cache_dir=None: False


def main():
    constants.HF_HUB_DISABLE_PROGRESS_BARS = True
    if os.environ.get("HF_HUB_DISABLE_SYMLINKS"):
        without_symlinks()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever the library prints goes to the log
    for line in sys.stdin:
        out.write(json.dumps(answer(json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
