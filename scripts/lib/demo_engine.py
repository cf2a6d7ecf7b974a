"""
An engine of the demonstration: a stand-in that says over HTTP what a vLLM server says that serves
REPOSITORY, with the bodies of tests/data/engines. It never touches a model's files, just as an engine
does not once it has loaded them.

    demo_engine.py REPOSITORY
"""

import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/integration"))

from larder import engines  # noqa: E402  (found by the path above)

print(engines.Vllm(sys.argv[1]).url, flush=True)
signal.pause()
