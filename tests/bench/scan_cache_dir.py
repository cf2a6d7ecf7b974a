"""Times huggingface_hub.scan_cache_dir: scan_cache_dir.py CACHE ROUNDS.

One line per round: milliseconds, repositories, files.
"""

import sys
import time

from huggingface_hub import scan_cache_dir


def main() -> None:
    cache, rounds = sys.argv[1], int(sys.argv[2])
    for _ in range(rounds):
        began = time.perf_counter()
        info = scan_cache_dir(cache)
        took_ms = (time.perf_counter() - began) * 1000
        files = sum(revision.nb_files for repo in info.repos for revision in repo.revisions)
        if info.warnings:
            sys.exit(f"scan_cache_dir warns: {info.warnings[0]}")
        print(took_ms, len(info.repos), files, flush=True)


if __name__ == "__main__":
    main()
