"""What both programs say of a Redis that is not as they need it."""

import pytest

from larder.wait import wait_until

CHECK = r"event=-redis-check check="


def both(cluster, root, url):
    coordinator = cluster.coordinator(url=url, start=False).start()
    return coordinator, cluster.agent(root, url=url, start=False).start()


def assert_said(coordinator, agent, check, text, level="error"):
    for daemon in (coordinator, agent):
        daemon.wait_log(rf"level={level} .*{CHECK}{check} reason=.*{text}")
    wait_until(
        lambda: any(text in p for p in coordinator.status()["redis"]["problems"]),
        what="its status shows it",
    )


def test_nothing_is_said_of_a_good_one(cluster, root):
    agent, coordinator = cluster.pair(root)
    # The rights are asked for before anything else.
    assert coordinator.status()["redis"]["problems"] == []
    assert not any(d.log_contains(CHECK) for d in (agent, coordinator))


def test_policy(cluster, root):
    options = ["--maxmemory", "1gb", "--maxmemory-policy", "allkeys-lru"]
    server = cluster.redis_server(extra=options)
    daemons = both(cluster, root, server.unix_url)
    assert_said(*daemons, "policy", "maxmemory-policy is allkeys-lru, by which Redis may evict")


def test_policy_without_a_limit(cluster, root):
    server = cluster.redis_server(extra=["--maxmemory-policy", "volatile-ttl"])
    daemons = both(cluster, root, server.unix_url)
    assert_said(*daemons, "policy", "should maxmemory ever be set", level="warn")


def test_cluster_mode(cluster, root):
    server = cluster.redis_server(extra=["--cluster-enabled", "yes"])
    assert_said(*both(cluster, root, server.unix_url), "mode", "Redis Cluster is not supported")


def test_replica(cluster, root):
    master, replica = cluster.redis_server(), cluster.redis_server()
    replica.client().replicaof("127.0.0.1", master.port)
    wait_until(
        lambda: replica.client().info("replication")["master_link_status"] == "up",
        what="it is a replica",
    )
    assert_said(*both(cluster, root, replica.unix_url), "role", "this Redis is a replica")


@pytest.mark.parametrize(
    ("lacks", "text"),
    [
        ("-hset", "HSET larder:{"),
        ("-subscribe", "SUBSCRIBE larder:"),
        ("resetchannels &larder:changed", "PUBLISH larder:"),
        ("resetkeys ~other:*", "GET larder:policy"),
        ("-evalsha", "scripts"),
        ("-script|load", "SCRIPT LOAD x"),
    ],
)
def test_rights(cluster, root, lacks, text):
    """Whatever is missing is named."""
    cluster.db.acl_setuser(
        "larder", enabled=True, nopass=True, commands=["+@all"], keys=["*"], channels=["*"]
    )
    cluster.db.execute_command("ACL", "SETUSER", "larder", *lacks.split())
    config = {"redis": {"user": "larder"}}
    coordinator = cluster.coordinator(start=False, **config)
    agent = cluster.agent(root, start=False, **config)
    for daemon in (coordinator, agent):
        daemon.start(LARDER_REDIS_PASSWORD="any")
        daemon.wait_log(CHECK + "rights reason=.*")
        (line,) = [
            line for line in daemon.process.log().splitlines() if "check=rights" in line
        ][:1]
        assert text in line, line


def test_too_old(cluster, root):
    """By a stand-in that says so of itself: nobody has a Redis 6 any more."""
    version = cluster.db.info("server")["redis_version"]
    proxy = cluster.proxy()
    proxy.replaced = (f"redis_version:{version}".encode(), f"redis_version:6{version[1:]}".encode())
    assert_said(*both(cluster, root, proxy.url), "version", "is too old")
