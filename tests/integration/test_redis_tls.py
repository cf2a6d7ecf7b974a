"""TLS to Redis: who it is is checked, by chain and by name, and it may ask for a certificate of ours."""

import pytest

from larder.caches import Cache
from larder.certificates import Authority

NAME = "redis.larder.test"
MUTUAL = ["--tls-auth-clients", "yes"]


@pytest.fixture
def authority(directory):
    return Authority(directory)


def redis_with(cluster, authority, *names, extra=()):
    """A server with a certificate for these names; the settings that it takes."""
    server = cluster.redis_server(tls=(*authority.issue(*names), authority.ca), extra=extra)
    return {"url": server.tcp_url, "ca_file": authority.ca}


def start(cluster, root, settings):
    """(agent, coordinator), which may not get through"""
    coordinator = cluster.coordinator(start=False, redis=settings).start()
    return cluster.agent(root, redis=settings), coordinator


def assert_works(cluster, root, settings):
    name = Cache(root).model("acme/llama")
    agent, coordinator = start(cluster, root, settings)
    agent.wait_ready()
    coordinator.wait_leads().wait_sees(agent.name)
    agent.wait_model(name)
    cluster.wait_lru(name)
    assert cluster.evict(name)["outcome"] == "deleted"


def assert_not_connected(cluster, root, settings, reason):
    """Both daemons say why, and nothing of theirs is in Redis."""
    for daemon in start(cluster, root, settings):
        daemon.wait_log(f'event=-redis-link .*reason="{reason}')
        assert daemon.http.get("/readyz").status == 503
    assert cluster.db.keys() == []


def test_address_in_the_certificate(cluster, root, authority):
    assert_works(cluster, root, redis_with(cluster, authority, "IP:127.0.0.1"))


def test_name_in_the_certificate(cluster, root, authority):
    settings = redis_with(cluster, authority, f"DNS:{NAME}") | {"server_name": NAME}
    assert_works(cluster, root, settings)


def test_certificate_of_our_own(cluster, root, authority):
    settings = redis_with(cluster, authority, "IP:127.0.0.1", extra=MUTUAL)
    cert, key = authority.issue(file="larder")
    assert_works(cluster, root, settings | {"cert_file": cert, "key_file": key})


@pytest.mark.parametrize(
    ("names", "server_name"),
    [
        ([f"DNS:{NAME}"], None),
        (["IP:127.0.0.2"], None),
        (["IP:127.0.0.1"], NAME),
        ([f"DNS:other.{NAME}", "DNS:*.test"], NAME),
        ([], None),
    ],
)
def test_another_name(cluster, root, authority, names, server_name):
    settings = redis_with(cluster, authority, *names) | {"server_name": server_name}
    what = "hostname" if server_name else "IP address"
    assert_not_connected(cluster, root, settings, f"TLS: {what} mismatch")


def test_another_authority(cluster, root, directory, authority):
    settings = redis_with(cluster, authority, "IP:127.0.0.1")
    settings["ca_file"] = Authority(directory, "other").ca
    assert_not_connected(cluster, root, settings, "TLS: self.signed certificate in")


def test_redis_without_tls(cluster, root, authority):
    url = cluster.redis.tcp_url.replace("redis:", "rediss:")
    settings = {"url": url, "ca_file": authority.ca, "connect_timeout": "500ms"}
    assert_not_connected(cluster, root, settings, "Redis did not answer in time")


@pytest.mark.parametrize("which", ["none", "another authority's"])
def test_redis_wants_another_certificate(cluster, root, directory, authority, which):
    settings = redis_with(cluster, authority, "IP:127.0.0.1", extra=MUTUAL)
    if which != "none":
        cert, key = Authority(directory, "other").issue(file="larder")
        settings |= {"cert_file": cert, "key_file": key}
    # The alert of Redis, or that it hangs up, whichever comes first.
    assert_not_connected(cluster, root, settings, "TLS: [a-zA-Z]")
