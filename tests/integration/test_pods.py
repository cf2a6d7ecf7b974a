"""Pods of the node keep the models that they mention; their annotations name engines to ask."""

import contextlib
import pathlib

import pytest

from larder.caches import Cache
from larder.certificates import Authority
from larder.engines import Vllm
from larder.kube import Kube
from larder.wait import stays, wait_until

REPO = "acme/llama"
ARGS = {"containers": [{"name": "vllm", "args": ["--model", REPO, "--port", "8000"]}]}


@pytest.fixture
def kube():
    kube = Kube()
    yield kube
    kube.close()


@pytest.fixture
def watched(cluster, root, kube, directory):
    """(cluster, agent, name of a model): the agent watches the pods of n1."""
    name = Cache(root).model(REPO)
    token = directory / "sa-token"
    token.write_text(kube.token + "\n")
    coordinator = cluster.coordinator()
    agent = cluster.agent(
        root,
        start=False,
        claim_ttl="60s",
        kubernetes={
            "enabled": True,
            "api_url": kube.url,
            "token_file": str(token),
            "ca_file": None,
            "claim_ttl": "60s",
        },
    )
    agent.token_path = token
    agent.start().wait_ready()
    coordinator.wait_sees("n1")
    agent.wait_model(name)
    wait_until(lambda: kube.count("watch") > 0, what="the agent watches")
    return cluster, agent, name


def held_by(agent, name):
    return agent.models()[name]["held_by"]


def wait_held(agent, name, who="pod default/llm"):
    wait_until(lambda: held_by(agent, name) == who, what=f"{name} is held by {who}")


def wait_free(agent, name):
    wait_until(lambda: held_by(agent, name) == "", what=f"{name} is free")


def problem(agent):
    """Why the API does not tell, or an empty text."""
    return agent.http.get_json("/v1/sources")["pods"]["problem"]


def test_a_pod_keeps_its_model_until_it_is_deleted(watched, kube):
    cluster, agent, name = watched
    kube.add("llm", phase="Pending", ip="", spec=ARGS)
    wait_held(agent, name)
    assert agent.models()[name]["source"] == "pod"
    wait_until(lambda: cluster.db.zscore("larder:{n1}:hold", name), what="Redis knows")
    assert cluster.order(name)["outcome"] == "held"
    # Crashing or running, it stays: it will load the model again.
    kube.change("llm", phase="Running", podIP="127.0.0.1")
    kube.change("llm", phase="Unknown")
    kube.add("later", annotations={"larder/models": name})
    wait_until(lambda: "1 more" in held_by(agent, name), what="all of it was read")
    kube.delete("later")
    wait_held(agent, name)
    kube.delete("llm")
    wait_free(agent, name)
    wait_until(lambda: not cluster.db.zscore("larder:{n1}:hold", name), what="Redis knows")
    assert cluster.evict(name)["outcome"] == "deleted"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_keeps_nothing(watched, kube, phase):
    _, agent, name = watched
    kube.add("llm", spec=ARGS)
    wait_held(agent, name)
    kube.change("llm", phase=phase)
    wait_free(agent, name)


def test_pods_of_other_nodes_do_not_count(watched, kube):
    _, agent, name = watched
    kube.add("llm", node="n2", spec=ARGS)
    kube.add("other", spec={"containers": [{"args": ["--model", "acme/other"]}]})
    # Pods are told in their order: once a later one of ours is known, so are those before it.
    kube.add("ours", annotations={"larder/models": name})
    wait_held(agent, name, "pod default/ours")
    kube.delete("ours")
    wait_free(agent, name)


def test_annotations_and_volumes(watched, kube, root):
    _, agent, name = watched
    kube.add("llm", annotations={"larder/models": f"x/y, {name}"})
    wait_held(agent, name)
    kube.delete("llm")
    wait_free(agent, name)
    volume = {"name": "m", "hostPath": {"path": str(root / "models--acme--llama")}}
    kube.add("llm", spec={"volumes": [volume], "containers": [{"volumeMounts": [
        {"name": "m", "mountPath": "/m"}]}]})
    wait_held(agent, name)


def test_a_pod_from_before_the_start(watched, kube):
    _, agent, name = watched
    agent.stop()
    kube.add("llm", spec=ARGS)
    agent.start().wait_ready()
    wait_held(agent, name)


def test_many_pods_come_in_pages(watched, kube):
    _, agent, name = watched
    agent.stop()
    kube.page_size_max = 7
    for i in range(40):
        kube.add(f"a{i:02}")
    kube.add("llm", spec=ARGS)
    lists = kube.count("list")
    agent.start().wait_ready()
    wait_held(agent, name)
    assert kube.count("list") - lists == 6


def test_a_watch_goes_on_where_it_was_cut(watched, kube):
    _, agent, name = watched
    lists = kube.count("list")
    kube.cut()
    kube.add("llm", spec=ARGS)
    wait_held(agent, name)
    kube.cut()
    kube.delete("llm")
    wait_free(agent, name)
    assert kube.count("list") == lists, "it had no need to list again"


@pytest.mark.parametrize("inline", [True, False], ids=["in the watch", "as an answer"])
def test_a_version_that_is_forgotten(watched, kube, inline):
    _, agent, name = watched
    kube.inline_410 = inline
    kube.add("llm", spec=ARGS)
    kube.add("gone", annotations={"larder/models": name})
    wait_until(lambda: "1 more" in held_by(agent, name), what="both hold it")
    lists = kube.count("list")
    kube.delete("gone", told=False)
    kube.forget()
    # Only a new list shows that it is gone.
    wait_held(agent, name)
    assert kube.count("list") > lists


@pytest.mark.parametrize("inline", [True, False], ids=["in the watch", "as an answer"])
def test_watches_that_break_again_and_again(watched, kube, inline):
    """Then only lists show what has come: a command waits for the next."""
    cluster, agent, name = watched
    kube.inline_410, kube.breaks = inline, True
    watches = kube.count("watch")
    kube.cut()
    wait_until(lambda: kube.count("watch") >= watches + 3, what="three have broken")
    wait_until(lambda: "break" in problem(agent), what="the problem is shown")
    assert 'larder_source_degraded{source="pods"} 1' in agent.http.get("/metrics").body
    kube.add("llm", spec=ARGS)
    row = cluster.order(name)
    if row["outcome"] == "issued":  # and not held already
        receipt = cluster.receipt(row["id"])
        assert receipt["outcome"] == "refused", receipt
        assert receipt["why"].startswith("held: pod"), receipt
    wait_held(agent, name)
    assert "break" in problem(agent), "a list alone mends nothing"
    kube.breaks = False
    wait_until(lambda: problem(agent) == "", what="a watch has lasted")
    # Nothing waits any more.
    kube.delete("llm")
    wait_until(lambda: not cluster.db.zscore("larder:{n1}:hold", name), what="Redis knows")
    assert cluster.evict(name)["outcome"] == "deleted"


def test_lists_keep_what_pods_mention_while_watches_break(watched, kube):
    _, agent, name = watched
    agent.stop()
    agent.write_config(kubernetes={"claim_ttl": "2s"})
    kube.add("llm", spec=ARGS)
    agent.start().wait_ready()
    wait_held(agent, name)
    kube.breaks = True
    kube.forget()
    wait_until(lambda: "break" in problem(agent), what="the problem is shown")
    stays(lambda: held_by(agent, name) == "pod default/llm", 4)


@pytest.mark.parametrize("status", [401, 403, 500, 503, 404, 302])
def test_an_api_that_refuses_keeps_what_was_known(watched, kube, status):
    _, agent, name = watched
    kube.add("llm", spec=ARGS)
    wait_held(agent, name)
    kube.answer = status
    kube.cut()
    wait_until(lambda: str(status) in problem(agent), what="the problem is shown")
    assert held_by(agent, name) == "pod default/llm"
    degraded = agent.http.get("/metrics").body
    assert 'larder_source_degraded{source="pods"} 1' in degraded
    assert agent.log_contains("event=-pods")
    kube.answer = None
    wait_until(lambda: problem(agent) == "", 60, what="it has recovered")
    assert held_by(agent, name) == "pod default/llm"
    kube.delete("llm")
    wait_free(agent, name)


def test_an_agent_that_is_refused_starts(cluster, root, kube):
    name = Cache(root).model(REPO)
    kube.add("llm", spec=ARGS)
    settings = {"enabled": True, "api_url": kube.url, "token_file": None, "ca_file": None}
    agent = cluster.agent(root, kubernetes=settings)
    wait_until(lambda: "401" in problem(agent), what="it is refused")
    agent.wait_ready().wait_model(name)
    assert held_by(agent, name) == ""


def test_the_last_claim_lasts_for_its_time(watched, kube):
    _, agent, name = watched
    agent.stop()
    agent.write_config(kubernetes={"claim_ttl": "3s"})
    kube.add("llm", spec=ARGS)
    agent.start().wait_ready()
    wait_held(agent, name)
    kube.answer = 503
    kube.cut()
    wait_until(lambda: problem(agent) != "", what="the problem is shown")
    wait_free(agent, name)
    wait_until(lambda: agent.models()[name]["source"] == "pod", what="it was in use until then")


def test_claims_survive_a_restart_without_the_api(watched, kube):
    cluster, agent, name = watched
    kube.add("llm", spec=ARGS)
    wait_held(agent, name)
    kube.answer = 503
    agent.kill9()
    agent.start().wait_ready()
    wait_until(lambda: held_by(agent, name) == "pod default/llm", what="the claim is back")
    wait_until(lambda: cluster.order(name)["outcome"] == "held", what="Redis knows")
    # The pod has gone meanwhile: the first list says so.
    kube.delete("llm", told=False)
    kube.answer = None
    wait_until(lambda: held_by(agent, name) == "", 60, what="the list frees it")


def test_commands_wait_for_the_first_list(cluster, root, kube, directory):
    name = Cache(root).model(REPO)
    token = directory / "sa-token"
    token.write_text(kube.token)
    kube.hang = True
    kube.add("llm", spec=ARGS)
    coordinator = cluster.coordinator()
    agent = cluster.agent(
        root,
        kubernetes={
            "enabled": True,
            "api_url": kube.url,
            "token_file": str(token),
            "ca_file": None,
        },
    ).wait_ready()
    coordinator.wait_sees("n1")
    agent.wait_model(name)
    row = cluster.order(name)
    assert row["outcome"] == "issued", row
    stays(lambda: name in agent.models(), 0.5)
    with kube.lock:
        kube.hang = False
        kube.lock.notify_all()
    receipt = cluster.receipt(row["id"])
    assert receipt["outcome"] == "refused" and receipt["why"].startswith("held: pod"), receipt


def test_a_token_that_was_replaced_is_read_anew(watched, kube):
    _, agent, name = watched
    kube.token = "another"
    kube.cut()
    wait_until(lambda: "401" in problem(agent), what="the old token is refused")
    agent.token_path.write_text("another")
    kube.add("llm", spec=ARGS)
    wait_until(lambda: problem(agent) == "", 60, what="the new one is taken")
    wait_held(agent, name)


def test_the_api_is_who_its_certificate_says(cluster, root, directory):
    """The CA's file is replaced now and then, as the token's is; neither needs a restart."""
    name = Cache(root).model(REPO)
    ours, other = Authority(directory), Authority(directory, "other")
    ca, token = directory / "ca.crt", directory / "sa-token"
    ca.write_text(pathlib.Path(other.ca).read_text())
    with contextlib.closing(Kube(tls=ours.issue("IP:127.0.0.1"))) as kube:
        token.write_text(kube.token)
        kube.add("llm", spec=ARGS)
        settings = {"api_url": kube.url, "token_file": str(token), "ca_file": str(ca)}
        agent = cluster.agent(root, kubernetes={"enabled": True, **settings})
        wait_until(lambda: "certificate" in problem(agent), what="it is not trusted")
        assert kube.requests == [], "nobody else gets the token"
        ca.write_text(pathlib.Path(ours.ca).read_text())
        agent.wait_model(name)
        wait_held(agent, name)
        assert problem(agent) == ""


def test_the_api_has_the_name_of_another(cluster, root, directory):
    Cache(root).model(REPO)
    authority = Authority(directory)
    token = directory / "sa-token"
    with contextlib.closing(Kube(tls=authority.issue("IP:127.0.0.2", "DNS:kube.test"))) as kube:
        token.write_text(kube.token)
        settings = {"api_url": kube.url, "token_file": str(token), "ca_file": authority.ca}
        agent = cluster.agent(root, kubernetes={"enabled": True, **settings})
        wait_until(lambda: "127.0.0.1" in problem(agent), what="it is not trusted")
        assert kube.requests == []


def test_annotations_name_an_engine(watched, kube, make_engine):
    """Nothing in the pod's spec mentions the model: the engine itself says what it serves."""
    _, agent, name = watched
    vllm = make_engine(Vllm, REPO)
    kube.add("llm", annotations={"larder/engine": "vllm", "larder/port": str(vllm.port)})
    wait_until(lambda: "vllm" in held_by(agent, name), what="the engine is asked")
    assert agent.models()[name]["source"] == "probe"
    # The pod is gone, and with it the engine: known to have ended, not only silent.
    kube.delete("llm")
    wait_free(agent, name)


@pytest.mark.parametrize(
    "annotations",
    [
        {"larder/engine": "vllm", "larder/port": "http://evil"},
        {"larder/engine": "vllm", "larder/port": "0"},
        {"larder/engine": "vllm", "larder/port": "80@evil"},
        {"larder/engine": "no such engine", "larder/port": "80"},
    ],
)
def test_bad_annotations_ask_nobody(watched, kube, annotations):
    _, agent, name = watched
    kube.add("llm", annotations={**annotations, "larder/models": name})
    wait_held(agent, name)
    assert agent.http.get_json("/v1/sources")["probe"]["engines"] == []
    assert agent.log_contains("event=-pod ")


def test_an_address_that_is_none_is_not_asked(watched, kube):
    _, agent, name = watched
    kube.add("llm", ip="evil.example/x?", annotations={"larder/engine": "vllm"}, spec=ARGS)
    wait_held(agent, name)
    assert agent.http.get_json("/v1/sources")["probe"]["engines"] == []


def test_a_pod_of_the_same_name_takes_the_engine_over(watched, kube, make_engine):
    _, agent, name = watched
    vllm = make_engine(Vllm, REPO)
    engine = {"larder/engine": "vllm", "larder/port": str(vllm.port)}
    kube.add("llm-0", annotations=engine)
    wait_until(lambda: "vllm" in held_by(agent, name), what="the engine is asked")
    # Its end is not heard of: the list shows the new pod before the old one is forgotten.
    kube.delete("llm-0", told=False)
    kube.add("llm-0", annotations=engine)
    lists = kube.count("list")
    kube.forget()
    wait_until(lambda: kube.count("list") > lists, what="the pods are listed anew")
    stays(lambda: "vllm" in held_by(agent, name), 1)
    assert len(agent.http.get_json("/v1/sources")["probe"]["engines"]) == 1
