"""
A stand-in for the part of the Kubernetes API that the agent uses: list in pages, watch with
bookmarks, versions that are forgotten (410), connections that break. As the API's concepts page
"Efficient detection of changes" and the reference of core/v1 Pod describe it.
"""

import base64
import http.server
import json
import ssl
import threading
import urllib.parse
import uuid

HISTORY = 1000


class Kube:
    """`tls`: the files of a certificate and its key, and it speaks HTTPS."""

    def __init__(self, token="kube-token", tls=None):
        self.token = token
        self.lock = threading.Condition()
        self.version = 100
        self.oldest = 100  # versions before this are forgotten
        self.pods = {}
        self.events = []  # (version, type, object)
        self.requests = []
        self.answer = None  # a status that every request gets
        self.hang = False  # requests are accepted and not answered
        self.cuts = 0  # a watch ends when this changes
        self.inline_410 = True  # how a watch learns that its version is too old
        self.breaks = False  # every watch learns so, whatever its version
        self.page_size_max = 250
        kube = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except ssl.SSLError:  # it does not trust us
                    self.close_connection = True

            def do_GET(self):
                kube.handle(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self):
        self.cut()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    # ---- what a test does ----

    def _event(self, kind, pod):
        self.version += 1
        pod["metadata"]["resourceVersion"] = str(self.version)
        self.events.append((self.version, kind, json.loads(json.dumps(pod))))
        self.events = self.events[-HISTORY:]
        self.lock.notify_all()

    def add(self, name, node="n1", phase="Running", ip="127.0.0.1", **rest):
        pod = {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": name,
                "namespace": "default",
                "uid": str(uuid.uuid4()),
                "annotations": rest.get("annotations", {}),
            },
            "spec": {"nodeName": node, **rest.get("spec", {})},
            "status": {"phase": phase, "podIP": ip},
        }
        with self.lock:
            self.pods[name] = pod
            self._event("ADDED", pod)
        return pod

    def change(self, name, **status):
        with self.lock:
            self.pods[name]["status"] |= status
            self._event("MODIFIED", self.pods[name])

    def delete(self, name, told=True):
        """`told`: watchers hear of it; otherwise only the next list shows it."""
        with self.lock:
            pod = self.pods.pop(name)
            if told:
                self._event("DELETED", pod)
            else:
                self.version += 1

    def bookmark(self):
        with self.lock:
            self.version += 1
            version = str(self.version)
            pod = {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": version}}
            self.events.append((self.version, "BOOKMARK", pod))
            self.lock.notify_all()

    def cut(self):
        with self.lock:
            self.cuts += 1
            self.lock.notify_all()

    def forget(self):
        """Compaction: a watch that was cut off cannot go on from its version."""
        with self.lock:
            self.version += 10
            self.oldest = self.version
            self.events = []
            self.cuts += 1
            self.lock.notify_all()

    def count(self, kind):
        with self.lock:
            return sum(1 for r in self.requests if ("watch" in r) == (kind == "watch"))

    # ---- requests ----

    def handle(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        with self.lock:
            self.requests.append(query)
            status, hang = self.answer, self.hang
        if hang:
            with self.lock:
                self.lock.wait_for(lambda: not self.hang, 60)
            handler.close_connection = True
            return
        if status is None and handler.headers["Authorization"] != f"Bearer {self.token}":
            status = 401
        if status is None and url.path != "/api/v1/pods":
            status = 404
        if status is not None:
            self.reply(handler, status, {"kind": "Status", "status": "Failure", "code": status})
        elif query.get("watch") in ("1", "true"):
            self.watch(handler, query)
        else:
            self.list(handler, query)

    @staticmethod
    def reply(handler, status, body):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    @staticmethod
    def selected(query, pod):
        selector = query.get("fieldSelector", "")
        assert selector.startswith("spec.nodeName="), selector
        return pod["spec"]["nodeName"] == selector.removeprefix("spec.nodeName=")

    def list(self, handler, query):
        with self.lock:
            version = self.version
            pods = [p for _, p in sorted(self.pods.items()) if self.selected(query, p)]
            pods = json.loads(json.dumps(pods))
        start = 0
        if "continue" in query:
            start = int(base64.b64decode(query["continue"]).decode())
        limit = min(int(query.get("limit", 0)) or len(pods), self.page_size_max)
        metadata = {"resourceVersion": str(version)}
        if start + limit < len(pods):
            metadata["continue"] = base64.b64encode(str(start + limit).encode()).decode()
        body = {"kind": "PodList", "metadata": metadata, "items": pods[start : start + limit]}
        self.reply(handler, 200, body)

    def watch(self, handler, query):
        since = int(query["resourceVersion"])
        with self.lock:
            cuts, too_old = self.cuts, self.breaks or since < self.oldest
        if too_old and not self.inline_410:
            self.reply(handler, 410, {"kind": "Status", "code": 410, "reason": "Expired"})
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

        def send(kind, pod):
            line = json.dumps({"type": kind, "object": pod}).encode() + b"\n"
            # In two pieces: lines and packets are not the same.
            for part in (line[: len(line) // 2], line[len(line) // 2 :]):
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                handler.wfile.flush()

        try:
            if too_old:
                send("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
                return
            while True:
                with self.lock:
                    self.lock.wait_for(
                        lambda: self.cuts != cuts or any(v > since for v, _, _ in self.events), 30
                    )
                    fresh = [e for e in self.events if e[0] > since]
                    cut = self.cuts != cuts
                for version, kind, pod in fresh:
                    if kind == "BOOKMARK" or self.selected(query, pod):
                        send(kind, pod)
                    since = version
                if cut:
                    return
        except OSError:
            pass
        finally:
            handler.close_connection = True
