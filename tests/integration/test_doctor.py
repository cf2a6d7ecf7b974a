"""larderctl doctor: a good deployment, and broken ones, each with its cause named."""

import json
import socket

import pytest

from larder.caches import Cache
from larder.ctl import Ctl
from larder.redis_server import free_port
from larder.sentinels import MASTER, Sentinels
from larder.wait import wait_until

# As docs/redis.conf has it, and a limit.
GOOD_REDIS = ["--appendonly", "yes", "--maxmemory", "1gb"]
BAD = 1
CHECKS = """configuration redis redis-version redis-mode redis-role redis-policy redis-rights
    redis-scripts redis-persistence redis-memory redis-clients redis-clock leader coordinator
    coordinator-redis leader-address eviction nodes node node-clock node-version root disk""".split()


class Patient:
    """A deployment, and the doctor who reads the coordinator's configuration."""

    def __init__(self, cluster, root, extra=(), **options):
        self.cluster, self.root = cluster, root
        cluster._redis = cluster.redis_server(extra=[*GOOD_REDIS, *extra])
        self.url = options.get("url") or cluster.redis.tcp_url
        Cache(root).model("acme/llama")

    def start(self, *roots, agent=None, **config):
        self.coordinator = self.cluster.coordinator(url=self.url, **config)
        self.agent = self.cluster.agent(*(roots or [self.root]), url=self.url, **(agent or {}))
        self.agent.wait_ready()
        self.coordinator.wait_sees("n1")
        wait_until(self.observes_no_more, what="the coordinator acts")
        return self

    def observes_no_more(self):
        return not self.coordinator.status()["observing"]

    def configuration(self, **changes):
        path = self.cluster.directory / "doctor.json"
        path.write_text(json.dumps({"redis": {"url": self.url, "connect_timeout": "2s"} | changes}))
        return path

    def examine(self, env=None, coordinator=True, **changes):
        """The findings by check, those that are not good; and the whole as a table."""
        ctl = Ctl(self.cluster.directory, self.coordinator if coordinator else None)
        if not coordinator:
            env = {**(env or {}), "LARDER_SERVER": f"http://127.0.0.1:{free_port()}"}
        argv = ("doctor", "--config", self.configuration(**changes))
        result = ctl(*argv, "-o", "json", env=env)
        assert result.err == "", result
        findings = result.json["findings"]
        bad = [f for f in findings if f["state"] == "bad"]
        assert result.json["healthy"] is (not bad) and result.code == (BAD if bad else 0), result
        assert all(f["to_change"] for f in bad), bad
        self.all = [f["check"] for f in findings]
        return {f["check"]: f for f in findings if f["state"] != "good"}

    def assert_finds(self, check, text, state="bad", change="", only=True, **options):
        found = self.examine(**options)
        assert check in found, found
        assert found[check]["state"] == state and text in found[check]["found"], found
        assert change in found[check]["to_change"], found
        if only:
            assert set(found) == {check}, found
        return found


@pytest.fixture
def patient(cluster, root):
    return Patient(cluster, root)


# ---- a good one ----


def test_a_good_deployment(patient):
    patient.start()
    assert patient.examine() == {}
    assert sorted(patient.all) == sorted(CHECKS)


def test_as_a_table(patient):
    patient.start()
    ctl = Ctl(patient.cluster.directory, patient.coordinator)
    result = ctl.good("doctor", "--config", patient.configuration())
    rows = {row["CHECK"]: row for row in result.rows}
    assert sorted(rows) == sorted(CHECKS)
    assert {row["STATE"] for row in rows.values()} == {"good"}


def test_it_changes_nothing(patient):
    patient.start()
    patient.agent.stop()
    patient.coordinator.stop()
    before = sorted(patient.cluster.db.keys("*"))
    patient.examine(coordinator=False)
    assert sorted(patient.cluster.db.keys("*")) == before


def test_without_a_configuration_the_coordinator_tells(patient):
    patient.start()
    result = Ctl(patient.cluster.directory, patient.coordinator).good("doctor", "-o", "json")
    found = {f["check"]: f for f in result.json["findings"]}
    assert found["configuration"]["state"] == "not checked"
    assert "redis" not in found and found["coordinator-redis"]["state"] == "good"


def test_two_coordinators(patient):
    patient.start()
    second = patient.cluster.coordinator("c2", url=patient.url, start=False).start()
    wait_until(lambda: second.status()["leader"]["id"], what="it knows the leader")
    patient.coordinator, first = second, patient.coordinator
    wait_until(lambda: patient.observes_no_more(), what="it has looked long enough")
    assert patient.examine() == {}
    assert first.leads


def test_behind_sentinels(cluster, root):
    sentinels = Sentinels(cluster)
    patient = Patient(cluster, root, url=sentinels.url()).start()
    found = patient.examine()
    # The servers of that fixture have neither.
    assert set(found) == {"redis-persistence", "redis-memory"}
    assert {f["state"] for f in found.values()} == {"warning"}
    assert "redis-replicas" in patient.all


# ---- Redis cannot be reached, or not be used ----


def test_redis_that_is_down(patient):
    patient.start()
    patient.cluster.redis.kill9()
    found = patient.assert_finds("redis", "refused", change="start Redis", only=False)
    assert "coordinator-redis" in found


def test_wrong_password(cluster, root):
    patient = Patient(cluster, root, ["--requirepass", "right"])
    env = {"LARDER_REDIS_PASSWORD": "wrong-1"}
    patient.assert_finds(
        "redis", "WRONGPASS", change="redis.password_file", only=False, env=env, coordinator=False
    )
    found = patient.examine(coordinator=False)
    assert "NOAUTH" in found["redis"]["found"]
    assert "asks for a password" in found["redis"]["to_change"]


def test_secret_that_cannot_be_read(patient):
    patient.start()
    found = patient.assert_finds("redis", "/nowhere", password_file="/nowhere")
    assert "may read" in found["redis"]["to_change"]


def test_redis_that_hangs(patient):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        patient.start()
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        patient.assert_finds(
            "redis",
            "did not answer in time",
            change="firewall",
            url=url,
            connect_timeout="300ms",
            command_timeout="300ms",
        )


def test_unknown_name_of_the_master(cluster, root):
    sentinels = Sentinels(cluster, count=1)
    patient = Patient(cluster, root, url=sentinels.url("nobody"))
    patient.assert_finds(
        "redis",
        'no master is called "nobody"',
        change="SENTINEL MASTERS",
        only=False,
        coordinator=False,
        connect_timeout="500ms",
        command_timeout="500ms",
    )


def test_wrong_password_of_the_sentinels(cluster, root):
    sentinels = Sentinels(cluster, count=1, password="right")
    patient = Patient(cluster, root, url=sentinels.url(MASTER))
    patient.assert_finds(
        "redis",
        "NOAUTH",
        change="redis.sentinel.password_file",
        only=False,
        coordinator=False,
        connect_timeout="500ms",
        command_timeout="500ms",
    )


def test_memory_policy(cluster, root):
    patient = Patient(cluster, root, ["--maxmemory-policy", "allkeys-lru"]).start()
    patient.assert_finds("redis-policy", "allkeys-lru, by which Redis may", change="noeviction")


def test_memory_that_is_full(cluster, root):
    patient = Patient(cluster, root).start()
    patient.cluster.db.config_set("maxmemory", "1kb")
    patient.assert_finds("redis-memory", "1.0 KiB are used", change="maxmemory", only=False)


def test_cluster_mode(cluster, root):
    patient = Patient(cluster, root, ["--cluster-enabled", "yes"])
    patient.assert_finds(
        "redis-mode",
        "Redis Cluster is not supported",
        change="one master",
        only=False,
        coordinator=False,
    )


def test_replica(patient):
    patient.start()
    replica = patient.cluster.redis_server(extra=GOOD_REDIS)
    replica.client().replicaof("127.0.0.1", patient.cluster.redis.port)
    wait_until(
        lambda: replica.client().info("replication")["master_link_status"] == "up",
        what="it is a replica",
    )
    patient.assert_finds("redis-role", "this Redis is a replica", url=replica.tcp_url)


def test_rights(patient):
    patient.start()
    patient.cluster.db.acl_setuser(
        "half", enabled=True, nopass=True, categories=["+@all"], keys=["*"], channels=["*"]
    )
    for lacks, check, text in (
        ("-set", "redis-rights", "SET larder:policy x"),
        ("-script|load", "redis-scripts", "NOPERM"),
    ):
        patient.cluster.db.execute_command("ACL", "SETUSER", "half", lacks)
        env = {"LARDER_REDIS_PASSWORD": "any"}
        patient.assert_finds(check, text, only=False, user="half", env=env)


def test_version(patient):
    patient.start()
    version = patient.cluster.db.info("server")["redis_version"]
    proxy = patient.cluster.proxy()
    proxy.replaced = (f"redis_version:{version}".encode(), f"redis_version:6{version[1:]}".encode())
    patient.assert_finds("redis-version", "is too old", url=proxy.url)


def test_no_persistence(patient):
    patient.start()
    patient.cluster.db.config_set("appendonly", "no")
    patient.assert_finds("redis-persistence", "appendonly is no", state="warning")


# ---- the coordinator ----


def test_no_coordinator(patient):
    patient.start()
    patient.coordinator.stop()
    found = patient.assert_finds("leader", "nobody leads in larder:", only=False)
    assert found["coordinator"]["state"] == "bad" and found["nodes"]["state"] == "not checked"


def test_coordinator_of_another_redis(patient):
    patient.start()
    other = patient.cluster.coordinator("c2", url=patient.cluster.redis_server().tcp_url)
    patient.coordinator = other
    found = patient.assert_finds("coordinator-redis", "as the leader", change="redis.url", only=False)
    assert "no agent has registered" in found["nodes"]["found"]


def test_leader_that_calls_itself_by_an_address_that_nobody_reaches(patient):
    patient.start(advertise=f"127.0.0.1:{free_port()}")
    second = patient.cluster.coordinator("c2", url=patient.url, start=False).start()
    wait_until(lambda: second.status()["leader"]["id"], what="it knows the leader")
    patient.coordinator = second
    wait_until(patient.observes_no_more, what="it has looked long enough")
    patient.assert_finds("leader-address", "does not answer at 127.0.0.1", change="advertise")


@pytest.mark.parametrize(
    ("config", "text"),
    [({"enabled": False}, "disabled"), ({"dry_run": True}, "dry_run")],
)
def test_eviction_that_is_off(patient, config, text):
    patient.start(**config)
    patient.assert_finds("eviction", text, state="warning")


# ---- the nodes ----


def test_no_agents(patient):
    patient.coordinator = patient.cluster.coordinator(url=patient.url)
    patient.assert_finds("nodes", "no agent has registered", only=False)


def test_agent_that_died(patient):
    patient.start(node_timeout="1s")
    patient.agent.kill9()
    wait_until(lambda: not patient.coordinator.node("n1")["live"], what="that is noticed")
    found = patient.assert_finds("node", "not alive", change="larder-agent")
    assert found["node"]["of"] == "n1"


def test_root_that_only_reports(patient, directory):
    other = directory / "other"
    Cache(other)
    patient.start(patient.root, {"path": str(other), "name": "other", "report_only": True})
    found = patient.assert_finds("root", "nothing is deleted there", state="warning")
    assert found["root"]["of"] == "n1 other"


def test_root_that_is_not_there(patient, directory):
    patient.start(patient.root, {"path": str(directory / "missing"), "name": "gone"})
    found = patient.assert_finds("root", "it is not there")
    assert found["root"]["of"] == "n1 gone"


def test_disk_under_its_floor(patient):
    """The policy wants more than there is, and all models are pinned."""
    patient.start()
    assert patient.coordinator.http.post("/v1/pins", {"glob": "hf:*", "by": "x"}).status == 200
    patient.coordinator.reload(policy={"min_free_space_bytes": 1 << 50})
    wait_until(lambda: patient.coordinator.node("n1")["wanted_bytes"] > 0, what="it is missing")
    patient.assert_finds("disk", "are missing to the free space", change="larderctl plan")


def test_clock_and_version_of_a_node(patient):
    """Of a node that is nothing but what it has told."""
    patient.start()
    seconds, _ = patient.cluster.db.time()
    patient.cluster.db.sadd("larder:nodes", "odd")
    fields = {"inc": "0" * 8, "hb": seconds * 1000, "version": "0.0.1", "clock": -90000, "n": 0}
    patient.cluster.db.hset("larder:{odd}", mapping=fields)
    found = patient.examine()
    assert found["node-clock"]["of"] == found["node-version"]["of"] == "odd"
    assert found["node-clock"]["found"] == "1m30s behind Redis'"
    assert found["node-version"]["found"].startswith("0.0.1, and the coordinator ")


def test_many_nodes_that_died(patient):
    """Not a page of them."""
    patient.start()
    for index in range(50):
        patient.cluster.db.sadd("larder:nodes", f"dead-{index}")
        patient.cluster.db.hset(f"larder:{{dead-{index}}}", mapping={"inc": "0" * 8, "hb": 1})
    patient.examine()
    assert patient.all.count("node") == 21


# ---- usage ----


def test_configuration_that_is_bad(patient):
    patient.start()
    path = patient.cluster.directory / "bad.json"
    path.write_text('{"redis": {"url": "http://x"}}')
    result = Ctl(patient.cluster.directory, patient.coordinator)("doctor", "--config", path)
    assert result.code == BAD and "redis.url" in result.out
