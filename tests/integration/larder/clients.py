"""Real clients of the Hugging Face cache, each a process that is told what to do."""

import json
import os
import pathlib
import subprocess
import threading

CLIENTS = pathlib.Path(__file__).parent.parent / "clients"
CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
CACHE = pathlib.Path(os.environ.get("LARDER_TEST_CACHE", CHECKOUT / ".cache"))
KINDS = ("python-new", "python-old", "npm")
QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_SYMLINKS_WARNING": "1",
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
}


class ClientError(Exception):
    def __init__(self, kind, answer):
        super().__init__(f"{kind}: {answer['error']}: {answer['message']}")
        self.name = answer["error"]
        self.message = answer["message"]
        self.enoent = answer["enoent"]


def command(kind):
    if kind == "npm":
        return ["node", CLIENTS / "client.mjs"]
    python = CACHE / f"venv-{kind}" / "bin" / "python"
    return [python, CLIENTS / "client.py"]


class Client:
    """One client process; `hub` is the address of the stand-in, `home` an empty directory."""

    def __init__(self, kind, hub, home, **env):
        self.kind = kind
        self.hub = hub
        self.home = pathlib.Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        names = {"HOME": self.home, "HF_HOME": self.home / "hf", "HF_ENDPOINT": hub}
        names["LARDER_NODE_MODULES"] = CACHE / "node"
        self.log_path = self.home / f"{kind}-{os.urandom(3).hex()}.log"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
        with open(self.log_path, "wb") as log:
            self.popen = subprocess.Popen(
                [str(a) for a in command(kind)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=clean | QUIET | {k: str(v) for k, v in names.items()} | env,
                text=True,
            )
        self.lock = threading.Lock()

    def ask(self, op, **request):
        """The answer as it came: {"result"} or {"error", "message", "enoent"}."""
        request |= {"op": op, "hub": self.hub}
        with self.lock:
            self.popen.stdin.write(json.dumps(request, default=str) + "\n")
            self.popen.stdin.flush()
            line = self.popen.stdout.readline()
        if not line:
            log = self.log_path.read_text(errors="replace")
            raise AssertionError(f"the client {self.kind} has ended:\n{log}")
        return json.loads(line)

    def call(self, op, **request):
        answer = self.ask(op, **request)
        if "error" in answer:
            raise ClientError(self.kind, answer)
        return answer["result"]

    # ---- what clients do ----

    def download(self, cache, repo, revision=None, **more):
        return pathlib.Path(
            self.call("download", cache=cache, repo=repo, revision=revision, **more)
        )

    def offline(self, cache, repo, revision=None, **more):
        return self.download(cache, repo, revision, local_files_only=True, **more)

    def scan(self, cache):
        return self.call("scan", cache=cache)

    def try_load(self, cache, repo, path, revision, **more):
        return self.call("try_load", cache=cache, repo=repo, path=path, revision=revision, **more)

    def background(self, op, **request):
        return Background(self, op, request)

    def close(self):
        self.popen.stdin.close()
        try:
            self.popen.wait(10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        self.popen.stdout.close()


class Background:
    """A call that is under way."""

    def __init__(self, client, op, request):
        self.answer = None
        self.error = None
        self.thread = threading.Thread(target=self._run, args=(client, op, request), daemon=True)
        self.thread.start()

    def _run(self, client, op, request):
        try:
            self.answer = client.ask(op, **request)
        except Exception as error:  # told to whoever waits for the result
            self.error = error

    @property
    def running(self):
        return self.thread.is_alive()

    def result(self, timeout=60):
        self.thread.join(timeout)
        assert not self.running, "the client does not come to an end"
        if self.error is not None:
            raise self.error
        if "error" in self.answer:
            raise ClientError("background", self.answer)
        return self.answer["result"]
