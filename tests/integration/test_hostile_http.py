"""
Both daemons' HTTP ports against whatever a client can send: each request is answered or ended, none
is executed that was not meant, and the daemon goes on serving.
"""

import contextlib
import json
import os
import resource
import signal
import socket
import threading

import pytest

from larder.caches import Cache
from larder.daemons import TOKEN
from larder.wait import wait_until

KB = 1 << 10
MB = 1 << 20
REPO = "acme/llama"
CHANGES = {
    "agent": [
        ("POST", "/v1/touch"),
        ("POST", "/v1/scan"),
        ("POST", "/v1/holds"),
        ("DELETE", "/v1/holds?model=hf:acme/llama@aaaaaaaaaaaa&id=x"),
        ("POST", "/v1/inuse"),
    ],
    "coordinator": [
        ("POST", "/v1/cycles"),
        ("POST", "/v1/evictions"),
        ("POST", "/v1/pins"),
        ("DELETE", "/v1/pins?glob=hf:acme/*"),
    ],
}


WITH_BODY = {"agent": "/v1/touch", "coordinator": "/v1/pins"}


class Target:
    """One daemon, and connections to it that are no client's."""

    def __init__(self, cluster, root, program):
        self.cluster, self.program = cluster, program
        self.model = Cache(root).model(REPO)
        coordinator = cluster.coordinator()
        agent = cluster.agent(root, start=False)
        agent.write_config(http={"token_file": str(agent.token_path)})
        agent.start().wait_ready().wait_model(self.model)
        coordinator.wait_sees(agent.name)
        self.daemon = agent if program == "agent" else coordinator
        self.http = self.daemon.http

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.daemon.port), timeout=30)

    def send(self, data):
        """The status of each answer to these bytes; [] when there is none."""
        with self.connect() as sock:
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # ended before it had all of it
            return statuses(read_all(sock))

    def request(self, start, headers=(), body=b"", length=True):
        """The bytes of a request with a token; `length` adds Content-Length."""
        lines = [start, "Host: localhost", f"Authorization: Bearer {TOKEN}", *headers]
        if length and body:
            lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    def assert_works(self):
        assert self.daemon.process.running
        assert self.http.get("/livez").status == 200
        assert self.http.get("/readyz").status == 200
        assert self.http.get_json("/v1/status")["version"]
        assert self.cluster.agents[0].models()[self.model]["status"] == "DOWNLOADED"
        assert self.cluster.coordinators[0].evictions() == []
        assert self.cluster.db.hlen("larder:pins") == 0


def read_all(sock):
    data = b""
    try:
        while chunk := sock.recv(65536):
            data += chunk
    except ConnectionError:
        pass
    return data


def statuses(data):
    """The status codes in what came back; each answer must be well-formed."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        assert lines[0].startswith("HTTP/1."), lines[0][:100]
        found.append(int(lines[0].split()[1]))
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        assert headers.get("connection") == "close", headers
        length = int(headers.get("content-length", len(rest)))
        body, data = rest[:length], rest[length:]
        assert len(body) == length
        if headers["content-type"] == "application/json" and found[-1] >= 400:
            assert json.loads(body)["error"]
    return found


@pytest.fixture(params=CHANGES)
def target(cluster, root, request):
    target = Target(cluster, root, request.param)
    yield target
    target.assert_works()


def refused(target, data, *codes):
    """Answered with one error, or ended; which of them, libevent decides for some."""
    found = target.send(data)
    allowed = codes or (400, 404, 405, 411, 413, 414, 415, 417, 431, 501, 505)
    assert found == [] or (len(found) == 1 and found[0] in allowed), (data[:200], found)


# ---- sizes ----


def test_headers_without_measure(target):
    refused(target, target.request(f"GET /livez?{'x' * 20 * KB} HTTP/1.1"))
    refused(target, target.request(f"GET /{'x' * 5000 * KB} HTTP/1.1"))
    refused(target, target.request("GET /livez HTTP/1.1", ["X-Long: " + "x" * 20 * KB]))
    refused(target, target.request("GET /livez HTTP/1.1", [f"X-{i}: y" for i in range(10000)]))
    refused(target, target.request("GET /livez HTTP/1.1", ["X" * 20 * KB + ": y"]))
    refused(target, b"G" * 1000 * KB)
    refused(target, b"\r\n" * 1000 * KB)
    assert target.send(target.request("GET /livez HTTP/1.1", ["X-Long: " + "x" * 10 * KB])) == [200]


def test_bodies_without_measure(target):
    start = f"POST {WITH_BODY[target.program]} HTTP/1.1"
    big = b'{"x": "' + b"x" * 70 * KB + b'"}'
    refused(target, target.request(start, body=big), 413)
    for length in ("10000000000", "9223372036854775807", "99999999999999999999", "-1", "0x10", "1e3"):
        refused(target, target.request(start, [f"Content-Length: {length}"], b"{}", length=False))
    chunked = ["Transfer-Encoding: chunked", "Content-Type: application/json"]
    chunks = b"".join(b"8000\r\n" + b" " * 0x8000 + b"\r\n" for _ in range(4)) + b"0\r\n\r\n"
    refused(target, target.request(start, chunked, chunks, length=False), 413)
    for size in (b"ffffffffffffffff", b"-1", b"zz", b"", b"7fffffff", b"1;" + b"x" * 20 * KB):
        chunk = size + b"\r\n{}\r\n0\r\n\r\n"
        refused(target, target.request(start, chunked, chunk, length=False))
    trailers = b"2\r\n{}\r\n0\r\n" + b"Authorization: x\r\n" * 5000 + b"\r\n"
    refused(target, target.request(start, chunked, trailers, length=False))
    tiny = b"".join(b"1\r\n \r\n" for _ in range(40000)) + b"0\r\n\r\n"
    refused(target, target.request(start, chunked, tiny, length=False))


# ---- what is no request ----


MALFORMED = [
    b"",
    b"\0",
    b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(200),
    b"GET\r\n\r\n",
    b"GET /livez\r\n\r\n",
    b"GET  HTTP/1.1\r\n\r\n",
    b"GET /livez HTTP/9.9\r\n\r\n",
    b"GET /livez HTTP/1.1 x\r\n\r\n",
    b"GET /livez HTTX/1.1\r\n\r\n",
    b"GET /livez HTTP/-1.1\r\n\r\n",
    b"GET /li\0vez HTTP/1.1\r\n\r\n",
    b"GET /livez\xff HTTP/1.1\r\n\r\n",
    b"GET /livez\x1b[31m HTTP/1.1\r\n\r\n",
    b"GET livez HTTP/1.1\r\n\r\n",
    b"GET * HTTP/1.1\r\n\r\n",
    b"GET http://other/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET //livez HTTP/1.1\r\n\r\n",
    b"GET /./livez HTTP/1.1\r\n\r\n",
    b"GET /v1/../livez HTTP/1.1\r\n\r\n",
    b"GET /%6civez HTTP/1.1\r\n\r\n",
    b"GET /livez/ HTTP/1.1\r\n\r\n",
    b"GET /LIVEZ HTTP/1.1\r\n\r\n",
    b"GET /v1/status%00 HTTP/1.1\r\n\r\n",
    b"GET /../../../../etc/passwd HTTP/1.1\r\n\r\n",
    b"GET /v1/models?limit=%zz HTTP/1.1\r\nno colon here\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n: no name\r\n\r\n",
    b"GET /livez HTTP/1.1\r\n folded: from the start\r\n\r\n",
    b"CONNECT localhost:80 HTTP/1.1\r\n\r\n",
    os.urandom(5000),
]


def test_malformed(target):
    for data in MALFORMED:
        refused(target, data)


def test_method_that_is_not_known(target):
    for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "BREW", "get", "G\0T", "X" * 9000):
        for path in ("/livez", "/v1/status", CHANGES[target.program][0][1]):
            request = target.request(f"{method} {path} HTTP/1.1", body=b"{}")
            refused(target, request, 400, 405, 501)


def test_head_has_no_body(target):
    with target.connect() as sock:
        sock.sendall(target.request("HEAD /v1/status HTTP/1.1"))
        head, _, body = read_all(sock).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and body == b""
    assert b"Content-Length: " in head and b"Content-Length: 0" not in head


def test_method_that_a_path_has_not(target):
    for method, path in (*CHANGES[target.program], ("GET", "/v1/status"), ("GET", "/livez")):
        for other in {"GET", "POST", "DELETE"} - {method}:
            if (other, path.split("?")[0]) in {(m, p.split("?")[0]) for m, p in CHANGES[target.program]}:
                continue
            if other == "GET" and path.startswith(("/v1/pins", "/v1/evictions", "/v1/holds")):
                continue
            assert target.send(target.request(f"{other} {path} HTTP/1.1", body=b"{}")) == [405]


# ---- one request only ----


def test_length_given_twice(target):
    """What a proxy in front may read otherwise is not read at all."""
    start = f"POST {WITH_BODY[target.program]} HTTP/1.1"
    json_type = "Content-Type: application/json"
    chunk = b"2\r\n{}\r\n0\r\n\r\n"
    for headers, body in (
        (["Content-Length: 2", "Content-Length: 3"], b"{} "),
        (["Content-Length: 2", "Content-Length: 2"], b"{}"),
        (["Content-Length: 2, 2"], b"{}"),
        (["Content-Length: 2", "Transfer-Encoding: chunked"], chunk),
        (["Transfer-Encoding: chunked", "Content-Length: 2"], chunk),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], chunk),
        (["Transfer-Encoding: gzip, chunked"], chunk),
        (["Transfer-Encoding: xchunked"], chunk),
        (["Transfer-Encoding : chunked"], chunk),
        (["Content-Length : 2"], b"{}"),
        (["X: a\0b", "Content-Length: 2"], b"{}"),
        (["X: a\r\n folded", "Content-Length: 2"], b"{}"),
    ):
        refused(target, target.request(start, [json_type, *headers], body, length=False))


def test_second_request_in_the_same_bytes(target):
    """One request a connection: what follows is not executed, however it was smuggled in."""
    if target.program == "agent":
        change = target.request("POST /v1/touch HTTP/1.1", body=json.dumps({"model": target.model}).encode())
    else:
        change = target.request("POST /v1/pins HTTP/1.1", body=b'{"glob": "hf:acme/*"}')
    before = target.cluster.agents[0].last_use_ms(target.model)
    first = target.request("GET /livez HTTP/1.1")
    assert target.send(first + change) == [200]
    assert target.send(first + first * 1000) == [200]
    hidden = ["Content-Length: 0", "Transfer-Encoding: chunked"]
    refused(target, target.request("GET /livez HTTP/1.1", hidden) + b"0\r\n\r\n" + change)
    assert target.send(target.request("GET /livez HTTP/1.1", [f"Content-Length: {len(change)}"]) + change) == [200]
    assert target.cluster.agents[0].last_use_ms(target.model) < before + 5000
    # assert_works sees that nothing is pinned.


# ---- who may ----


WRONG_TOKENS = [
    [],
    ["Authorization: Bearer"],
    ["Authorization: Bearer "],
    ["Authorization: Bearer wrong"],
    [f"Authorization: Bearer {TOKEN[:-1]}"],
    [f"Authorization: Bearer {TOKEN}x"],
    [f"Authorization: Bearer  {TOKEN}"],
    [f"Authorization: Bearer {TOKEN.upper()}"],
    [f"Authorization: Bearer {TOKEN},{TOKEN}"],
    [f"Authorization: Bearer {'x' * 10 * KB}"],
    [f"Authorization: Basic {TOKEN}"],
    [f"Authorization: {TOKEN}"],
    [f"Authorization:Bearer\t{TOKEN}"],
    [f"X-Authorization: Bearer {TOKEN}"],
    [f"Cookie: token={TOKEN}"],
    ["Authorization: Bearer wrong", f"Authorization: Bearer {TOKEN}"],
]


def test_without_the_token(target):
    before = target.cluster.agents[0].last_use_ms(target.model)
    body = json.dumps({"model": target.model, "glob": "hf:acme/*", "models": [target.model]}).encode()
    for method, path in CHANGES[target.program]:
        for headers in WRONG_TOKENS:
            lines = [f"{method} {path} HTTP/1.1", *headers, "Content-Type: application/json"]
            lines += [f"Content-Length: {len(body)}", "", ""]
            assert target.send("\r\n".join(lines).encode() + body) == [401], headers
    assert target.cluster.agents[0].last_use_ms(target.model) < before + 5000
    assert target.http.request("GET", "/v1/status", token=False).status == 200


# ---- bodies ----


def bodies():
    yield from ("", " ", "x", "null", "true", "1", '"text"', "[]", "[{}]", "{", "}", "{}{}", "{} x")
    yield from ("{'model': 1}", '{"a": 1,}', '{"a" 1}', '{a: 1}', '{"a": 01}', '{"a": .5}', '{"a": +1}')
    yield from ('{"a": NaN}', '{"a": Infinity}', '{"a": 1e}', '{"a": "\n"}', '{"a": "\\x"}', '{"a": "\\u12"}')
    yield from ('{"a": 1, "a": 2}', '{"a": "\\u0000"}', '{"a\\u0000b": 1}', "\ufeff{}", "{}\0", "\0{}")
    yield from (b"\xff\xfe{}", '{"a": 1}'.encode("utf-16"), b'{"a": "\xff"}', b'{"a": "\xed\xa0\x80"}')
    yield from ("[" * 30000, '{"a":' * 10000, "[" * 30000 + "]" * 30000, '{"a":' * 5000 + "1" + "}" * 5000)
    yield "{" + ",".join(f'"k{i}": 1' for i in range(5000)) + "}"
    yield '{"a": ' + "9" * 60000 + "}"
    yield '{"a": "' + "x" * 60000 + '"}'
    for key in ("model", "path", "models", "nodes", "glob", "ttl", "by", "why", "force"):
        for value in ("null", "1", "true", "[]", "{}", "[[]]", '""', '"\\ud800"', "-1", "1e999", '["", 1]'):
            yield json.dumps({key: 0}).replace(": 0", f": {value}")


def test_bodies_that_are_none(target):
    for method, path in CHANGES[target.program]:
        if method != "POST" or path in ("/v1/scan", "/v1/cycles"):
            continue
        for body in bodies():
            data = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
            answer = target.http.request("POST", path, data)
            assert answer.status in (400, 404), (path, data[:100], answer)
            assert answer.json["error"]
        for kind in ("", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
            answer = target.http.request("POST", path, b"{}", headers={"Content-Type": kind})
            assert answer.status == 415, (kind, answer)


def test_names_in_bodies(target):
    """No text of a client is a path, or another spelling of a model."""
    good = target.model
    names = ["..", "/", "/etc/passwd", "../" * 1000, good + " ", good + "\n", " " + good, good.upper()]
    names += [good.replace("/", "//"), good.replace("l", "%6C"), good.replace("/", "%2F"), "x" * 50000]
    names += [good.replace("llama", "{llama}"), good.replace("ll", "[l]l"), "*", "**", "?" * 28]
    names += ["hf:acme/llama", "acme/llama", "hf+default:acme/llama@aaaaaaaaaaaa", "\x7f\x1b[31m", "\u202e"]
    root = str(target.cluster.agents[0].roots[0]["path"])
    paths = ["", "/", root, root + "/", root + "/..", root + "/models--acme--llama/../../etc", "x" * 50000]
    paths += [root + "x/models--acme--llama", root[1:], root + "/models--acme", "/proc/self/root" + root]
    for name in names:
        if target.program == "agent":
            assert target.http.post("/v1/touch", {"model": name}).status == 404, name
        else:
            assert target.http.post("/v1/evictions", {"models": [name]}).status in (400, 404), name
    if target.program == "agent":
        for path in paths:
            climbs = ".." in path
            status = target.http.post("/v1/touch", {"path": path}).status
            assert status == (400 if climbs else 404), path


def test_queries(target):
    if target.program == "agent":
        assert target.http.get("/v1/status?x=%00&&&=&%").status in (200, 400)
        return
    bad = ["", "-1", "1.5", "1e3", "x", "99999999999", "9" * 5000, "%00", "%0a", "+1", "0x1"]
    for path in ("/v1/models", "/v1/evictions"):
        for value in bad:
            assert target.http.get(f"{path}?limit={value}").status == 400, value
    for value in ("", "%5B", "%7Ba,b%7D", "%00", "%1b", "%ff", "x" * 5000):
        for path in ("/v1/models?model=", "/v1/nodes?node=", "/v1/stats?node=", "/v1/plan?node="):
            assert target.http.get(path + value).status == 400, (path, value)
    for query in ("?sort=x", "?order=x", "?offset=100001", "?sort=last_used%00&order=x"):
        assert target.http.get("/v1/models" + query).status == 400, query
    for query in ("?", "?&", "?=", "?%", "?x", "?limit", "?" + "a=b&" * 3000, "?limit=1&limit=x"):
        assert target.http.get("/v1/models" + query).status in (200, 400), query
    assert target.http.delete("/v1/pins").status == 400
    assert target.http.delete("/v1/pins", glob="").status == 400
    assert target.http.delete("/v1/pins", glob="\x1b[31m" * 100).status == 404


# ---- time and number ----


def dribble(sock, data, taken):
    """Sends a byte now and then until the other side ends it; `taken` gets what it waited for."""
    sock.settimeout(0.1)
    for index in range(len(data)):
        try:
            sock.sendall(data[index : index + 1])
            if not sock.recv(1000):
                return
        except TimeoutError:
            continue
        except OSError:
            return
    taken.append(data)


def test_slow_clients(target):
    """A whole request has ten seconds, however often a byte of it comes."""
    start = f"POST {WITH_BODY[target.program]} HTTP/1.1"
    chunks = b"1\r\n \r\n" * 500
    slow = [
        target.request("GET /livez HTTP/1.1", ["X: " + "y" * 1000]),
        target.request(start, body=b" " * 2000),
        target.request(start, ["Transfer-Encoding: chunked"], chunks, length=False),
    ]
    taken, threads = [], []
    silent = [target.connect() for _ in range(2)]
    silent[1].sendall(b"GET /livez HTTP/1.1\r\n")
    socks = [target.connect() for _ in slow]
    for sock, data in zip(socks, slow):
        sock.sendall(data[:-900])
        threads.append(threading.Thread(target=dribble, args=(sock, data[-900:], taken)))
        threads[-1].start()
    # Meanwhile everybody else is served.
    target.assert_works()
    for thread in threads:
        thread.join(60)
    for sock in silent + socks:
        sock.settimeout(30)
        assert read_all(sock) == b"", "it is ended without an answer"
        sock.close()
    assert taken == [], "the daemon waited for all of it"


def open_descriptors(process):
    return len(os.listdir(f"/proc/{process.pid}/fd"))


def test_readers_that_do_not_read(cluster):
    """An answer that nobody takes is not kept for ever."""
    coordinator = cluster.coordinator()
    cluster.db.hset("larder:pins", "x" * 16 * MB, "{}")
    before = open_descriptors(coordinator.process)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(60)
        sock.connect(("127.0.0.1", coordinator.port))
        sock.sendall(b"GET /v1/pins HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(10), "it answers"
        wait_until(
            lambda: open_descriptors(coordinator.process) <= before, 60, "it gives up on him"
        )
        assert len(read_all(sock)) < 16 * MB
    assert len(coordinator.http.get("/v1/pins").body) > 16 * MB
    cluster.db.delete("larder:pins")


def test_more_connections_than_allowed(target):
    """Those beyond the cap are ended, none of them harms the rest, and none is left open."""
    before = open_descriptors(target.daemon.process)
    limit = before + 600
    resource.prlimit(target.daemon.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
    socks = []
    for number in range(1200):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", target.daemon.port))
        socks.append(sock)
        if number % 200 == 0:
            assert target.http.get("/livez").status == 200
    assert target.http.get("/livez").status == 200
    for sock in socks[:300]:
        sock.close()
    target.assert_works()
    for sock in socks[300:]:
        sock.close()
    wait_until(
        lambda: open_descriptors(target.daemon.process) <= before + 5, what="all of them are closed"
    )
    assert "accept" not in target.daemon.process.log()


def test_clients_that_go_while_redis_is_asked(cluster, root):
    """Nobody waits for these answers any more; and who waits gets his."""
    Cache(root).model(REPO)
    agent, coordinator = cluster.pair(root, redis={"command_timeout": "1m"})
    redis = cluster.redis.process
    redis.signal(signal.SIGSTOP)
    try:
        data = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"
        waiting = []
        for number in range(150):
            sock = socket.create_connection(("127.0.0.1", coordinator.port), timeout=30)
            sock.sendall(data)
            waiting.append(sock)
        refused = sum(statuses(read_all(sock)) == [503] for sock in waiting[70:])
        assert refused == 80, "too many wait"
        for sock in waiting[:40]:
            sock.close()
        assert coordinator.http.get("/livez").status == 200
    finally:
        redis.signal(signal.SIGCONT)
    assert [statuses(read_all(sock)) for sock in waiting[40:60]] == [[200]] * 20
    for sock in waiting:
        sock.close()
    wait_until(lambda: coordinator.http.get("/v1/models").status == 200, what="it goes on")
    assert agent.process.running


def test_stops_while_clients_wait(cluster):
    coordinator = cluster.coordinator()
    cluster.redis.process.signal(signal.SIGSTOP)
    try:
        with contextlib.ExitStack() as stack:
            for data in (b"", b"GET /v1/mod", b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n"):
                sock = socket.create_connection(("127.0.0.1", coordinator.port), timeout=30)
                stack.enter_context(sock).sendall(data)
            assert coordinator.http.get("/livez").status == 200
            coordinator.process.signal(signal.SIGTERM)
            assert coordinator.process.wait(30) == 0
    finally:
        cluster.redis.process.signal(signal.SIGCONT)
