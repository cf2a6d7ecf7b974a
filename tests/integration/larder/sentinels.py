"""Redis with a replica, and three Sentinels that look after them: processes on loopback."""

import contextlib
import pathlib

import redis

from larder.process import Process
from larder.redis_server import PROGRAM, RedisServer, free_port
from larder.wait import wait_until

MASTER = "larder-main"
DOWN_AFTER_MS = 500
QUORUM = 2


# Both sides show a certificate.
MUTUAL = ["tls-auth-clients yes", "tls-replication yes"]


class Sentinel:
    def __init__(self, name, directory, master, lines, tls=False):
        self.port = free_port()
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir()
        config = self.directory / "sentinel.conf"  # which Sentinel rewrites
        config.write_text(
            "\n".join(
                [
                    f"port 0\ntls-port {self.port}" if tls else f"port {self.port}",
                    *("bind 127.0.0.1", f"dir {self.directory}"),
                    f"sentinel monitor {MASTER} 127.0.0.1 {master.port} {QUORUM}",
                    f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
                    f"sentinel failover-timeout {MASTER} 2000",
                    *lines,
                    "",
                ]
            )
        )
        self.process = Process(name, [PROGRAM, config, "--sentinel"], directory)

    def start(self):
        self.process.start()
        self.process.wait_log("Sentinel ID is")
        return self

    def client(self, **options):
        return redis.Redis("127.0.0.1", self.port, decode_responses=True, **options)


class Sentinels:
    """
    `password`: of the Sentinels. `lines`: more for their configuration, `extra`: options for the
    servers. `tls`: an Authority, for all. `cluster` stops all that is made here.
    """

    def __init__(self, cluster, count=3, password=None, lines=(), extra=(), tls=None):
        self.cluster = cluster
        self.password = password
        self.tls = tls
        files, lines = None, list(lines)
        # Else each synchronization waits five seconds for other replicas.
        extra = [*extra, "--repl-diskless-sync-delay", "0"]
        if tls:
            files = (*tls.issue("IP:127.0.0.1"), tls.ca)
            extra = [*extra, *(word for line in MUTUAL for word in f"--{line}".split())]
            names = ("tls-cert-file", "tls-key-file", "tls-ca-cert-file")
            lines += [*(f"{name} {file}" for name, file in zip(names, files)), *MUTUAL]
        self.servers = [cluster.redis_server(extra=extra, tls=files) for _ in range(2)]
        self.servers[1].client().replicaof("127.0.0.1", self.servers[0].port)
        # What a test reads in Redis, it reads in the present master.
        self.wait_in_sync()
        if password:
            lines += [f"requirepass {password}", f"sentinel sentinel-pass {password}"]
        self.list = [
            Sentinel(f"sentinel{i}", cluster.directory, self.servers[0], lines, bool(tls))
            for i in range(count)
        ]
        cluster.sentinels += [s.start() for s in self.list]
        wait_until(self.all_agree, what="the Sentinels know each other and the replica")

    def client(self, index=0):
        options = {}
        if self.tls:
            cert, key = self.tls.issue(file="test")
            options = {
                "ssl": True,
                "ssl_ca_certs": self.tls.ca,
                "ssl_certfile": str(cert),
                "ssl_keyfile": str(key),
            }
        return self.list[index].client(password=self.password, **options)

    def all_agree(self):
        def knows(index):
            master = self.client(index).sentinel_master(MASTER)
            return (
                master["num-other-sentinels"] == len(self.list) - 1 and master["num-slaves"] == 1
            )

        return all(knows(i) for i in range(len(self.list)))

    def wait_in_sync(self):
        def synced():
            info = self.master.client().info("replication")
            return info["connected_slaves"] == 1 and info["slave0"]["state"] == "online"

        wait_until(synced, what="the replica is in sync")

    @property
    def master(self):
        """The server that says it is one; the first of them when both do."""
        for server in self.servers:
            with contextlib.suppress(redis.ConnectionError):
                if server.process.running and server.client().role()[0] == "master":
                    return server
        raise AssertionError("no master")

    @property
    def replica(self):
        (other,) = [s for s in self.servers if s is not self.master]
        return other

    def url(self, master=MASTER):
        places = ",".join(f"127.0.0.1:{s.port}" for s in self.list)
        return f"redis{'s' if self.tls else ''}+sentinel://{places}/{master}"

    def fail_over(self):
        """By command. Returns the new master."""
        old = self.master
        wait_until(lambda: self._accepted(), what="the Sentinel takes the command")
        wait_until(lambda: self.told() != old.port, what="the Sentinels have agreed")
        return self.by_port(self.told())

    def _accepted(self):
        try:
            return self.client().execute_command("SENTINEL FAILOVER", MASTER)
        except redis.ResponseError as error:  # not a good replica yet, or one is under way
            assert any(w in str(error) for w in ("NOGOODSLAVE", "INPROG")), error
            return False

    def told(self):
        """The port of the master, as the first Sentinel tells it."""
        return int(self.client().sentinel_get_master_addr_by_name(MASTER)[1])

    def by_port(self, port):
        return next(s for s in self.servers if s.port == port)
