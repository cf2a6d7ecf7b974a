"""The stand-in hub as tests use it."""

import http.client
import json
import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "hub"))

import hub as standin  # noqa: E402  (found by the path above)

from larder.wait import wait_until  # noqa: E402

DOCUMENT = json.loads((pathlib.Path(standin.__file__).with_name("repos.json")).read_text())


class Hub:
    """A hub of a test's own, in this process."""

    def __init__(self, document=DOCUMENT):
        self.server = standin.serve(0, document)
        self.state = self.server.RequestHandlerClass.state
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def _send(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=30)
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def add(self, *repos):
        self._send("POST", "/_repos", {"repos": list(repos)})

    def set(self, match, **rule):
        self._send("POST", "/_set", {"match": match, **rule})

    def clear_log(self):
        self._send("DELETE", "/_log")

    def log(self):
        return self._send("GET", "/_log")

    def wait_held(self, count=1):
        wait_until(lambda: self.log()["held"] >= count, what="a transfer is held")

    def fetched(self):
        """Paths whose bytes were sent since the log was cleared; npm's first looks do not count."""
        return {
            (r["repo"], r["path"])
            for r in self.log()["requests"]
            if r["method"] == "GET" and r["range"] != "bytes=0-0"
        }

    def revision(self, repo_id, revision, kind="model"):
        return self.state.repos.find(kind, repo_id, revision)

    def content(self, repo_id, revision, path, kind="model"):
        return self.revision(repo_id, revision, kind)["files"][path]

    def close(self):
        with self.state.changed:
            self.state.rules.clear()
            self.state.changed.notify_all()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
