"""Redis behind Sentinels: fail-overs, wrong credentials and names, and what Sentinels know no more."""

import datetime
import re
import signal

import pytest

from larder.caches import Cache
from larder.certificates import Authority
from larder.sentinels import MASTER, Sentinels
from larder.wait import wait_until

PASSWORD = "sentinel-5772156649"
# The product's own figure (first successful beat after the master is gone) is measured by a
# benchmark; this one only says that it comes by itself, on a machine that does much else.
BOUND_S = 60
HOLD_OFF_S = 3


@pytest.fixture
def sentinels(cluster):
    return Sentinels(cluster)


def beats(server):
    """The last heartbeat that stands in this server."""
    return int(server.client().hget("larder:{n1}", "hb") or 0)


def wait_beat(server):
    """Until the agent is connected there and beats; what is replicated is not enough."""
    db = server.client()

    def connected():
        return [c for c in db.client_list() if c["name"] == "larder-agent-n1"]

    wait_until(connected, BOUND_S, "the agent finds the master")
    before = beats(server)
    wait_until(lambda: connected() and beats(server) > before, BOUND_S, "it beats there")


def start(cluster, sentinels, root, **config):
    coordinator = cluster.coordinator(url=sentinels.url(), **config)
    agent = cluster.agent(root, url=sentinels.url()).wait_ready()
    coordinator.wait_sees("n1")
    return coordinator, agent


def fail_over(sentinels, how):
    """Returns the server that is the master from now on."""
    old, new = sentinels.master, sentinels.replica
    if how == "command":
        assert sentinels.fail_over() is new
    elif how == "kill":
        old.kill9()
    else:
        old.process.signal(signal.SIGSTOP)
    return new


@pytest.mark.parametrize("how", ["command", "kill", "freeze"])
def test_a_fail_over_is_followed(cluster, sentinels, root, how):
    """When the old master hangs, only +switch-master tells."""
    name = Cache(root).model("acme/llama")
    coordinator, agent = start(cluster, sentinels, root)
    agent.wait_model(name)
    old = sentinels.master
    new = fail_over(sentinels, how)
    wait_beat(new)
    if how == "freeze":
        old.process.signal(signal.SIGCONT)
    coordinator.wait_leads(BOUND_S).wait_sees("n1")
    wait_until(
        lambda: new.client().hget("larder:leader", "address") == f"127.0.0.1:{coordinator.port}",
        what="the coordinator leads in the new master",
    )
    for daemon in (agent, coordinator):
        daemon.wait_log(rf"event=\+redis-master master={MASTER} .*port={new.port}")
    # And all of it works there.
    answer = coordinator.http.post("/v1/evictions", {"models": [name], "force": True})
    row = answer.json["commands"][0]
    assert cluster.receipt(row["id"])["outcome"] == "deleted"


def test_back_again(cluster, sentinels, root):
    """Each becomes the master once; nobody has to be restarted."""
    coordinator, agent = start(cluster, sentinels, root)
    for _ in range(2):
        new = fail_over(sentinels, "command")
        wait_beat(new)
        wait_until(lambda n=new: sentinels.master is n, what="the other one is a replica")
        sentinels.wait_in_sync()
    assert agent.process.running and coordinator.process.running


def test_a_master_that_became_a_replica_is_left(cluster, sentinels, root):
    """READONLY says it, though the connections last and no Sentinel tells."""
    start(cluster, sentinels, root)
    old, new = sentinels.master, sentinels.replica
    # Not by a Sentinel, which would close the clients' connections.
    new.client().replicaof("NO", "ONE")
    old.client().replicaof("127.0.0.1", new.port)
    for index in range(len(sentinels.list)):
        sentinels.client(index).sentinel_remove(MASTER)
        sentinels.client(index).sentinel_monitor(MASTER, "127.0.0.1", new.port, 2)
    wait_beat(new)


def test_a_server_that_is_no_master_is_not_used(cluster, sentinels, root):
    """What Sentinels tell is a hint; ROLE decides."""
    replica = sentinels.replica
    for index in range(len(sentinels.list)):
        sentinels.client(index).sentinel_remove(MASTER)
        sentinels.client(index).sentinel_monitor("other", "127.0.0.1", replica.port, 2)
    agent = cluster.agent(root, url=sentinels.url("other"), start=False).start()
    wait_until(lambda: agent.log_contains("event=-redis-link .*not a master"), what="it is said")
    assert beats(sentinels.master) == 0


def stamp(line):
    return datetime.datetime.fromisoformat(re.match(r"time=(\S+)", line).group(1))


def last(lines, pattern):
    return [i for i, line in enumerate(lines) if re.search(pattern, line)][-1]


def test_nothing_is_evicted_until_the_view_is_whole(cluster, sentinels, root):
    """A model is to be evicted from when the master is dead: first all is told again."""
    name = Cache(root).model("acme/old")
    coordinator, agent = start(
        cluster, sentinels, root, check_interval="1s", hold_off=f"{HOLD_OFF_S}s"
    )
    agent.wait_model(name)
    new = sentinels.replica
    sentinels.master.kill9()
    wait_until(lambda: coordinator.log_contains("event=-redis-link"), what="the loss is noticed")
    coordinator.reload(policy={"unused_threshold": "7d"})
    wait_until(lambda: coordinator.log_contains(r"event=\+evict-sent"), BOUND_S, "it is evicted")
    agent.wait_gone(name)
    lines = coordinator.process.log().splitlines()
    sent = last(lines, r"event=\+evict-sent")
    link = last(lines[:sent], rf"event=\+redis-link name=larder-coor\S+ address=\S+:{new.port} version=\d")
    assert stamp(lines[sent]) - stamp(lines[link]) >= datetime.timedelta(seconds=HOLD_OFF_S - 0.1)
    told = agent.process.log().splitlines()
    registered = last(told, r"event=\+registered")
    assert stamp(told[registered]) < stamp(lines[sent])


# ---- what goes wrong ----


def test_password_of_the_sentinels(cluster, root, directory):
    """Their own, not Redis'."""
    sentinels = Sentinels(cluster, password=PASSWORD)
    file = directory / "sentinel-password"
    file.write_text(PASSWORD + "\n")
    config = {"redis": {"sentinel": {"password_file": str(file)}}}
    agent = cluster.agent(root, url=sentinels.url(), start=False, **config)
    agent.start().wait_ready()
    coordinator = cluster.coordinator(url=sentinels.url(), start=False)
    coordinator.start(LARDER_REDIS_SENTINEL_PASSWORD=PASSWORD).wait_leads()
    for daemon in (agent, coordinator):
        assert PASSWORD not in daemon.process.log()


@pytest.mark.parametrize(("wrong", "said"), [("wrong-1", "WRONGPASS"), (None, "NOAUTH")])
def test_wrong_password_of_the_sentinels(cluster, root, wrong, said):
    sentinels = Sentinels(cluster, count=1, password=PASSWORD)
    coordinator = cluster.coordinator(
        url=sentinels.url(), start=False, redis={"connect_timeout": "500ms"}
    )
    coordinator.start(**({"LARDER_REDIS_SENTINEL_PASSWORD": wrong} if wrong else {}))
    agent = cluster.agent(
        root, url=sentinels.url(), start=False, redis={"connect_timeout": "500ms"}
    )
    agent.start(**({"LARDER_REDIS_SENTINEL_PASSWORD": wrong} if wrong else {}))
    for daemon in (coordinator, agent):
        daemon.wait_log(rf'event=-redis-link .*reason="no Sentinel tells of the master .*{said}')
        assert "wrong-1" not in daemon.process.log()
    assert coordinator.http.get("/readyz").status == 503


# ---- TLS, on both sides and with all ----


@pytest.fixture
def authority(directory):
    return Authority(directory)


def tls_config(authority, ca=None, client=True):
    cert, key = authority.issue(file="larder")
    config = {"ca_file": str((ca or authority).ca), "connect_timeout": "2s"}
    if client:
        config |= {"cert_file": str(cert), "key_file": str(key)}
    return {"redis": config}


def test_fail_over_with_tls(cluster, root, authority):
    sentinels = Sentinels(cluster, tls=authority)
    config = tls_config(authority)
    coordinator = cluster.coordinator(url=sentinels.url(), **config)
    cluster.agent(root, url=sentinels.url(), **config).wait_ready()
    coordinator.wait_sees("n1")
    wait_beat(fail_over(sentinels, "kill"))
    coordinator.wait_leads(BOUND_S)


@pytest.mark.parametrize("lacks", ["our certificate", "their authority"])
def test_tls_that_is_refused(cluster, root, authority, directory, lacks):
    sentinels = Sentinels(cluster, count=1, tls=authority)
    if lacks == "our certificate":
        config = tls_config(authority, client=False)
    else:
        config = tls_config(authority, ca=Authority(directory, "other"))
    agent = cluster.agent(root, url=sentinels.url(), start=False, **config).start()
    agent.wait_log(r"event=-redis-link .*no Sentinel tells of the master .*(TLS|closed)")


# ---- names ----


def test_unknown_name_of_the_master(cluster, sentinels, root):
    url = sentinels.url("nobody")
    config = {"redis": {"connect_timeout": "500ms"}}
    coordinator = cluster.coordinator(url=url, start=False, **config).start()
    agent = cluster.agent(root, url=url, start=False, **config).start()
    for daemon in (coordinator, agent):
        daemon.wait_log(r"event=-redis-link .*no master is called .*nobody.* here")


def test_sentinels_that_are_away(cluster, sentinels, root):
    """Two of three are: the third is found. All of them: what is connected stays so."""
    for sentinel in sentinels.list[:2]:
        sentinel.process.stop()
    start(cluster, sentinels, root)
    sentinels.list[2].process.stop()
    wait_beat(sentinels.master)


def test_something_else_than_a_sentinel(cluster, root):
    url = f"redis+sentinel://127.0.0.1:{cluster.redis.port}/{MASTER}"
    agent = cluster.agent(root, url=url, start=False, redis={"connect_timeout": "500ms"}).start()
    agent.wait_log("event=-redis-link .*unknown command")
