"""Stand-ins for inference engines: they answer with the bodies in tests/data/engines."""

import http.server
import json
import pathlib
import ssl
import threading
import urllib.parse

DATA = pathlib.Path(__file__).parents[2] / "data" / "engines"


def data(name):
    """A body: text, or what its JSON holds."""
    text = (DATA / name).read_text()
    return json.loads(text) if name.endswith(".json") else text


class Reply:
    """
    What a request is answered. `body` is text, or something for JSON. `pause` seconds pass before
    anything is said, `delay` before each byte of the body; `cut` bytes of it are promised and never
    sent.
    """

    def __init__(self, body="", status=200, headers=None, pause=0, delay=0, cut=0):
        self.data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.status = status
        self.headers = headers or {}
        self.pause = pause
        self.delay = delay
        self.cut = cut


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError, ssl.SSLError):
            self.close_connection = True

    def _answer(self):
        engine = self.server.engine
        path = urllib.parse.urlsplit(self.path).path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with engine.lock:
            engine.log.append((self.command, self.path, dict(self.headers), body.decode()))
            reply = engine.routes.get((self.command, path), Reply("no such path", 404))
        if engine.token and self.headers.get("Authorization") != f"Bearer {engine.token}":
            reply = Reply({"error": {"code": 401, "message": "Invalid API Key"}}, 401)
        engine.wait(reply.pause)
        self.send_response(reply.status)
        for key, value in reply.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(reply.data) + reply.cut))
        self.end_headers()
        if not reply.delay:
            self.wfile.write(reply.data)
        for i in range(len(reply.data) if reply.delay else 0):
            if engine.closing.is_set():
                break
            self.wfile.write(reply.data[i : i + 1])
            engine.closing.wait(reply.delay)
        self.close_connection = bool(reply.cut) or engine.closing.is_set()

    do_GET = do_POST = _answer


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class Engine:
    """
    One stand-in on loopback; it keeps its port when it stops and starts. Its `routes` are
    (method, path): Reply; `log` has what it was asked.
    """

    kind = None

    def __init__(self, *names, port=0, tls=None):
        self.routes = {}
        self.log = []
        self.lock = threading.Lock()
        self.token = None
        self.closing = threading.Event()
        self.port = port
        self.tls = tls  # the files of a certificate and its key
        self.server = None
        self.serve(*names)
        self.start()

    # ---- life ----

    def start(self):
        self.closing.clear()
        self.server = Server(("127.0.0.1", self.port), Handler)
        self.server.engine = self
        if self.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.tls)
            self.server.socket = context.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        if self.server is None:
            return
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.server = None

    def wait(self, seconds):
        """Before each answer; a test may look here how many wait at once."""
        if seconds:
            self.closing.wait(seconds)

    # ---- what it says ----

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def config(self, **more):
        return {"engine": self.kind, "url": self.url} | more

    def serve(self, *names):
        """From now on it serves these: repositories, paths, names."""
        raise NotImplementedError

    def say(self, path, body="", method="GET", **more):
        with self.lock:
            self.routes[method, path] = Reply(body, **more)

    def everything(self, body="", **more):
        """Whatever it is asked, this is what it says."""
        with self.lock:
            for key in self.routes:
                self.routes[key] = Reply(body, **more)

    def asked(self, path=None):
        with self.lock:
            return [entry for entry in self.log if path is None or entry[1] == path]


class Vllm(Engine):
    kind = "vllm"

    def serve(self, *names, served="chat", adapters=(), count=7.0, start=1.79549e9, asleep=False):
        template = data("vllm-models.json")["data"]
        cards = [template[0] | {"id": served, "root": name} for name in names]
        cards += [
            template[2] | {"id": f"lora-{i}", "root": path, "parent": served}
            for i, path in enumerate(adapters)
        ]
        self.say("/v1/models", {"object": "list", "data": cards})
        self.metrics(count, start, asleep)

    def metrics(self, count, start=1.79549e9, asleep=False):
        text = data("vllm-metrics.txt")
        text = text.replace('finished_reason="stop",model_name="chat"} 5.0',
                            f'finished_reason="stop",model_name="chat"}} {count}')
        text = text.replace("_seconds 1.79549e+09", f"_seconds {start}")
        text = text.replace('requests_running{engine="0",model_name="chat"} 2.0',
                            'requests_running{engine="0",model_name="chat"} 0.0')
        text = text.replace('requests_waiting{engine="0",model_name="chat"} 1.0',
                            'requests_waiting{engine="0",model_name="chat"} 0.0')
        if asleep:
            text = text.replace('"awake"} 1.0', '"awake"} 0.0')
            text = text.replace('"discard_all"} 0.0', '"discard_all"} 1.0')
        self.say("/metrics", text)


class Sglang(Engine):
    kind = "sglang"

    def serve(self, name, revision=None):
        info = data("sglang-model-info.json") | {"model_path": name}
        server = data("sglang-server-info.json")
        server |= {"model_path": name, "revision": revision, "lora_paths": None}
        self.say("/get_model_info", info)
        self.say("/get_server_info", server)
        self.say("/metrics", data("sglang-metrics.txt"))


class Tgi(Engine):
    kind = "tgi"

    def serve(self, name, sha=None):
        self.say("/info", data("tgi-info.json") | {"model_id": name, "model_sha": sha})
        self.say("/metrics", data("tgi-metrics.txt"))


class Triton(Engine):
    kind = "triton"

    def serve(self, *names, state="READY"):
        index = [{"name": name, "version": "1", "state": state} for name in names]
        self.say("/v2/repository/index", index, method="POST")
        self.say("/v2/models/stats", data("triton-stats.json"))


class Ollama(Engine):
    kind = "ollama"

    def serve(self, *names):
        template = data("ollama-ps.json")["models"][0]
        models = [template | {"name": name, "model": name} for name in names]
        self.say("/api/ps", {"models": models})


class Llamacpp(Engine):
    kind = "llamacpp"

    def serve(self, path, asleep=False):
        self.say("/models", data("llamacpp-models.json"))
        self.say("/props", data("llamacpp-props.json") | {"model_path": path, "is_sleeping": asleep})
        self.say("/metrics", data("llamacpp-metrics.txt"))


class Nim(Engine):
    kind = "nim"

    def serve(self, name):
        card = data("nim-models.json")["data"][0] | {"id": name, "root": name}
        self.say("/v1/models", {"object": "list", "data": [card]})
        self.say("/v1/metrics", data("vllm-metrics.txt"))
