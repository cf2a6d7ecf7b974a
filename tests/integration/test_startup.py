"""Secrets, what keeps a daemon from starting, and how its log looks."""

import json
import socket

import pytest

from larder.models import fill
from larder.process import Process
from larder.programs import CANNOT_START, GOOD, USAGE, Program
from larder.wait import wait_until

AGENT = {"roots": [{"path": "/nvme0/hub", "layout": "huggingface"}]}


@pytest.fixture
def coordinator(directory):
    return Program("larder-coordinator", directory)


@pytest.fixture
def agent(directory):
    return Program("larder-agent", directory).write(AGENT)


# ---- secrets ----

PASSWORD, SECRET_TOKEN = "pass-3141592653", "token-2718281828"


@pytest.mark.parametrize(
    "config", [{"redis": {"password": PASSWORD}}, {"http": {"token": PASSWORD}}]
)
def test_secrets_do_not_stand_in_the_file(coordinator, config):
    said = coordinator.write(config).refused()
    assert "unknown key" in said and PASSWORD not in said


def test_password_does_not_stand_in_the_address(coordinator):
    for url in (f"redis://me:{PASSWORD}@h", f"redis://:{PASSWORD}@h:1/2", f"me:{PASSWORD}@h"):
        said = coordinator.write({"redis": {"url": url}}).refused()
        assert "redis.password_file or LARDER_REDIS_PASSWORD" in said and PASSWORD not in said


def test_secrets_are_no_flags(coordinator, agent):
    for program in (coordinator, agent):
        for key in ("redis-password", "redis-sentinel-password", "http-token"):
            flag = f"--{key}={PASSWORD}"
            code, out, err = program.run(flag)
            assert (code, out) == (USAGE, "") and "unknown argument" in err
            assert PASSWORD not in err


def test_secrets_are_not_printed(coordinator):
    env = {"LARDER_REDIS_PASSWORD": PASSWORD, "LARDER_HTTP_TOKEN": SECRET_TOKEN}
    for argv in (["--print-config"], ["--check"], ["--help"], ["--print-reference"]):
        code, out, err = coordinator.run(*argv, env=env)
        assert code == GOOD
        assert PASSWORD not in out + err and SECRET_TOKEN not in out + err
    said = coordinator.write({"redis": {"password_file": "/x"}}).refused(env=env)
    assert "LARDER_REDIS_PASSWORD and redis.password_file are both set" in said


def test_what_the_sentinels_ask_for(coordinator):
    url = "redis+sentinel://a,b:7/main"
    env = {"LARDER_REDIS_SENTINEL_PASSWORD": PASSWORD}
    said = coordinator.write({"redis": {"url": "redis://a"}}).refused(env=env)
    assert "redis.url is no redis+sentinel://" in said and PASSWORD not in said
    said = coordinator.write({"redis": {"url": url, "sentinel": {"user": "u"}}}).refused()
    assert "redis.sentinel.user is set, and no password for it" in said
    both = {"redis": {"url": url, "sentinel": {"password_file": "/x"}}}
    said = coordinator.write(both).refused(env=env)
    assert "LARDER_REDIS_SENTINEL_PASSWORD and redis.sentinel.password_file are both set" in said
    coordinator.write({"redis": {"url": url, "sentinel": {"user": "u"}}})
    code, out, err = coordinator.run("--print-config", env=env)
    assert code == GOOD and url in out and PASSWORD not in out + err


@pytest.mark.parametrize("how", ["variable", "file"])
def test_secrets_work_and_are_not_logged(cluster, root, directory, how):
    """Good ones and bad ones, at the level that tells most."""
    redis = cluster.redis_server(extra=["--requirepass", PASSWORD])
    config = {"log": {"level": "debug"}}
    env = {}
    if how == "file":
        (directory / "password").write_text(f"{PASSWORD}\n")
        config["redis"] = {"password_file": str(directory / "password")}
    else:
        env["LARDER_REDIS_PASSWORD"] = PASSWORD
    env["LARDER_HTTP_TOKEN"] = SECRET_TOKEN
    coordinator = cluster.coordinator(
        url=redis.unix_url, start=False, http={"token_file": None}, **config
    )
    agent = cluster.agent(root, url=redis.unix_url, start=False, **config)
    coordinator.start(**env).wait_leads()
    agent.start(**env).wait_ready()
    headers = {"Authorization": f"Bearer {SECRET_TOKEN}"}
    asked = coordinator.http.post("/v1/cycles", token=False, headers=headers)
    assert asked.status == 202
    coordinator.hup()
    shown = coordinator.http.get("/v1/status").body + agent.http.get("/v1/status").body
    for process in (coordinator.process, agent.process):
        shown += process.log(whole=True)
        with open(f"/proc/{process.pid}/cmdline") as file:
            shown += file.read()
    assert PASSWORD not in shown and SECRET_TOKEN not in shown


def test_wrong_password_is_said_and_not_shown(cluster, root):
    redis = cluster.redis_server(extra=["--requirepass", PASSWORD])
    agent = cluster.agent(root, url=redis.unix_url, start=False)
    agent.start(LARDER_REDIS_PASSWORD="wrong-1618033988")
    agent.wait_log("event=-redis-link .*(WRONGPASS|invalid)")
    assert "wrong-1618033988" not in agent.process.log()


# ---- when it cannot start ----


def assert_cannot_start(daemon, reason):
    daemon.process.start()
    daemon.process.expected_dead = True
    assert daemon.process.wait() == CANNOT_START
    assert reason in daemon.process.log() and "event=-start" in daemon.process.log()


def test_port_that_is_taken(cluster):
    here = f"127.0.0.1:{cluster.coordinator().port}"
    other = cluster.coordinator("c2", start=False, http={"listen": here})
    assert_cannot_start(other, f"cannot listen on {here}")


def test_two_agents_with_one_state_directory(cluster, root):
    agent = cluster.agent(root).wait_ready()
    other = cluster.agent(root, name="n2", start=False, state_dir=agent.config["state_dir"])
    assert_cannot_start(other, "another agent uses this state directory")


def test_secret_that_cannot_be_read(cluster, directory):
    missing = str(directory / "missing")
    for key, name in (("redis", "password_file"), ("http", "token_file")):
        other = cluster.coordinator(f"c-{key}", start=False, **{key: {name: missing}})
        assert_cannot_start(other, f"cannot open {missing}")


def test_redis_that_is_not_there_is_waited_for(cluster, root):
    """No reason to end: it may come."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{nobody.getsockname()[1]}"
        agent = cluster.agent(root, url=url)
        assert agent.http.get("/livez").status == 200
        wait_until(lambda: agent.log_contains("event=-redis-link", 2), what="it tries again")


# ---- the log ----


def test_log_in_json(cluster, root):
    names = fill(root, {"a": 8})
    agent = cluster.agent(root, log={"format": "json", "level": "debug"}, start=False)
    # The first lines of start() are looked for in logfmt.
    agent.process.env = {}
    agent.process.start()
    agent.process.wait_log(r'"event":"\+registered"')
    lines = [json.loads(line) for line in agent.process.log().splitlines()]
    for line in lines:
        assert {"time", "level", "program", "event"} <= set(line)
    (model,) = [line for line in lines if line["event"] == "+model"]
    assert model["model"] == names["a"] and model["status"] == "DOWNLOADED"


def test_level_of_the_log(cluster, root):
    process = Process(
        "quiet",
        [*cluster.agent(root, start=False).process.argv, "--log-level=error"],
        cluster.directory,
    )
    process.start()
    wait_until(lambda: cluster.db.exists("larder:{n1}"), what="it registers")
    process.stop()
    assert process.log() == ""
