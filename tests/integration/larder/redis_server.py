"""A private redis-server: unix socket and TCP, nothing on disk, in a directory of its own."""

import os
import pathlib
import shutil
import socket
import tempfile

import redis

from larder.process import Process
from larder.wait import wait_until

TRIES = 5
# redis-server, or what is to be tested in its place, such as valkey-server.
PROGRAM = os.environ.get("LARDER_REDIS_SERVER", "redis-server")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RedisServer:
    """
    Keeps its port and socket over restarts; comes back empty. `tls`: (certificate, key, CA), and its TCP
    port speaks TLS; who connects needs no certificate unless `extra` says so.
    """

    def __init__(self, directory, name="redis", extra=(), tls=None, env=None):
        self.directory = pathlib.Path(directory)
        # A unix socket's path holds at most 107 bytes, which a test's directory may exceed.
        self.short = pathlib.Path(tempfile.mkdtemp(prefix="larder-redis-"))
        self.socket = self.short / "redis.sock"
        self.port = None
        self.tls = tls
        self.name = name
        self.extra = list(extra)
        self.env = env
        self.process = None

    def start(self):
        for _ in range(TRIES):
            port = self.port or free_port()
            self.process = Process(self.name, self._argv(port), self.directory, self.env)
            self.process.start()
            if self._came_up():
                self.port = port
                return self
            self.process.expected_dead = True
            self.process.wait()
        raise AssertionError(f"redis-server does not start:\n{self.process.log()}")

    def _argv(self, port):
        ports = ["--port", port]
        if self.tls:
            cert, key, ca = self.tls
            ports = ["--tls-port", port, "--port", 0, "--tls-auth-clients", "no"]
            ports += ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca]
        return [
            *(PROGRAM, "--bind", "127.0.0.1", *ports, "--unixsocket", self.socket),
            *("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"),
            *("--dir", self.short, "--loglevel", "notice", *self.extra),
        ]

    def _came_up(self):
        def settled():
            return not self.process.running or "eady to accept" in self.process.log()

        wait_until(settled, what="redis-server is ready")
        return self.process.running

    def stop(self):
        if self.process is not None:
            self.process.stop()

    def kill9(self):
        self.process.kill9()
        self.process.popen = None
        if self.socket.exists():
            os.unlink(self.socket)

    def close(self):
        self.stop()
        shutil.rmtree(self.short, ignore_errors=True)

    @property
    def unix_url(self):
        return f"unix://{self.socket}"

    @property
    def tcp_url(self):
        return f"redis{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def client(self, **options):
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True, **options)
