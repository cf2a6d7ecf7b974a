"""Runs one benchmark at its small size: smoke.py PROGRAM. Its figures must be figures."""

import json
import math
import os
import subprocess
import sys

ALONE = {"bench", "metric", "unit", "larder"}
COMPARED = ALONE | {"other", "ratio"}
LIMIT_S = 120


def check(line: str, name: str) -> str:
    """The metric of a line that is as scripts/bench promises."""
    figure = json.loads(line)
    assert set(figure) in (ALONE, COMPARED), figure
    assert figure["bench"] == name and figure["metric"] and figure["unit"], figure
    for key in figure.keys() & {"larder", "other", "ratio"}:
        assert math.isfinite(figure[key]), figure
    return figure["metric"]


def main() -> None:
    program = sys.argv[1]
    name = os.path.basename(program).removeprefix("bench_")
    run = subprocess.run(
        [program, "--small"], stdout=subprocess.PIPE, text=True, timeout=LIMIT_S, check=False
    )
    metrics = [check(line, name) for line in run.stdout.splitlines()]
    assert run.returncode == 0, f"{program} ended with {run.returncode}"
    assert metrics and len(metrics) == len(set(metrics)), metrics


if __name__ == "__main__":
    main()
