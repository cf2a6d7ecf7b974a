"""A real engine: llama.cpp's server from a Python package, with a tiny model that it made itself."""

import http.client
import json
import os
import pathlib
import subprocess

from larder.clients import CACHE, CHECKOUT
from larder.redis_server import free_port
from larder.wait import wait_until

PYTHON = CACHE / "venv-engine" / "bin" / "python"
PROGRAM = CHECKOUT / "tests" / "engine" / "llamacpp.py"


def make_model(directory):
    """The bytes of a GGUF file that can be served."""
    path = pathlib.Path(directory) / "tiny.gguf"
    subprocess.run([PYTHON, PROGRAM, "make", path], check=True, timeout=120)
    return path.read_bytes()


class RealLlamacpp:
    def __init__(self, path, directory, alias="tiny", sleep_s=0):
        self.port = free_port()
        self.log_path = pathlib.Path(directory) / f"llamacpp-{self.port}.log"
        argv = [PYTHON, PROGRAM, "serve", path, str(self.port), alias, str(sleep_s)]
        with open(self.log_path, "wb") as log:
            self.popen = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={k: v for k, v in os.environ.items() if "proxy" not in k.lower()},
            )
        wait_until(self._serves, 60, "llama.cpp serves")

    def _serves(self):
        log = self.log_path.read_text(errors="replace")
        assert self.popen.poll() is None, f"llama.cpp has ended:\n{log}"
        return "serving http" in log

    def config(self, **more):
        return {"engine": "llamacpp", "url": f"http://127.0.0.1:{self.port}"} | more

    def complete(self, prompt):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            body = json.dumps({"prompt": prompt, "max_tokens": 3})
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/v1/completions", body, headers)
            reply = connection.getresponse()
            assert reply.status == 200, reply.read()
            return json.loads(reply.read())
        finally:
            connection.close()

    def stop(self):
        """As a crash ends it."""
        self.popen.kill()
        self.popen.wait()
        self.popen.stdin.close()
