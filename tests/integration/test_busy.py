"""Models in use are refused, with the reason, and stay whole."""

import fcntl
import threading

import pytest

from larder.caches import A, B, Cache, model_name, orphans
from larder.clients import KINDS
from larder.cluster import assert_clean
from larder.openers import map_quietly, open_quietly
from larder.removals import MANY_CASES
from larder.trees import tree
from larder.wait import stays, wait_until

REPO = "acme/llama"
# Models are older by days; two looks at one age differ by what the machine is slow.
HOUR_MS = 3600_000


def weights_of(root):
    """The file itself. Ask before an agent looks: reading the link is a use."""
    blob = (Cache(root).snapshot(REPO, A) / "model.safetensors").resolve()
    Cache(root).make_old(REPO)
    return blob


@pytest.fixture
def busy(cluster, root):
    """(agent, name of the model, its weights)"""
    name = Cache(root).model(REPO)
    weights = weights_of(root)
    agent, _ = cluster.pair(root)
    agent.wait_model(name)
    return agent, name, weights


def assert_refused(cluster, name, word, root, before):
    receipt = cluster.evict(name)
    assert receipt["outcome"] == "refused", receipt
    assert receipt["why"].startswith(word), receipt
    assert receipt["bytes"] == 0
    assert tree(root) == before
    assert_clean(root)


def test_open_file_is_refused(cluster, root, busy):
    _, name, path = busy
    before = tree(root)
    with open_quietly(path):
        assert_refused(cluster, name, "busy", root, before)


def test_mapped_file_is_refused_though_its_descriptor_is_closed(cluster, root, busy):
    _, name, path = busy
    before = tree(root)
    with map_quietly(path):
        assert_refused(cluster, name, "busy", root, before)


def test_busy_model_is_held_so_that_others_go_first(cluster, root, busy):
    _, name, path = busy
    with open_quietly(path):
        assert cluster.evict(name)["why"].startswith("busy")
    wait_until(lambda: cluster.db.zscore("larder:{n1}:hold", name), what="the hold is told")
    assert cluster.order(name)["outcome"] == "held"


def test_force_does_not_delete_an_open_file(cluster, root, busy):
    _, name, path = busy
    before = tree(root)
    with open_quietly(path):
        receipt = cluster.evict(name, force=True)
    assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "busy")
    assert tree(root) == before


def test_open_file_that_another_revision_shares_is_refused_too(cluster, root):
    """The file would stay, but whoever has it open may be loading the revision that goes."""
    cache = Cache(root)
    one, two = cache.model(REPO, A, seed="same"), cache.model(REPO, B, refs=(), seed="same")
    weights = weights_of(root)
    agent, _ = cluster.pair(root)
    agent.wait_model(one)
    agent.wait_model(two)
    before = tree(root)
    with open_quietly(weights):
        assert_refused(cluster, one, "busy", root, before)


def test_lock_of_a_client_is_refused(cluster, root, busy):
    _, name, path = busy
    folder = root / ".locks" / "models--acme--llama"
    folder.mkdir(parents=True)
    before = tree(root)
    with open(folder / f"{path.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        receipt = cluster.evict(name)
        assert receipt["outcome"] == "refused", receipt
    assert tree(root) == before


@pytest.mark.parametrize("kind", KINDS)
def test_repository_into_which_a_client_downloads_is_left_alone(cluster, hub, root, kind):
    """A slow download of a second revision protects the first: it may take its files from it."""
    client = cluster.client(kind)
    client.hub = hub.url
    repo, first, second = "acme/llama-8b", "1" * 40, "2" * 40
    client.download(root, repo, first)
    agent, _ = cluster.pair(root)
    name = model_name(repo, first)
    agent.wait_model(name)
    hub.set(f"{repo}/model-00001-of-00002.safetensors", hold_after=65536)
    download = client.background("download", cache=root, repo=repo, revision=second)
    hub.wait_held()
    wait_until(lambda: cluster.db.hget("larder:{n1}:state", name), what="Redis is told")
    row = cluster.coordinators[0].http.post("/v1/evictions", {"models": [name]})
    assert row.json["commands"][0]["outcome"] != "issued", row
    hub.set(f"{repo}/model-00001-of-00002.safetensors")
    download.result()
    agent.wait_model(name)
    agent.wait_model(model_name(repo, second))
    cluster.wait_lru(name)
    assert cluster.evict(name)["outcome"] == "deleted"
    assert_clean(root)


def test_download_that_begins_after_the_decision_is_refused(cluster, hub, root):
    """The command is under way when a client begins to download: the agent's own look decides."""
    client = cluster.client("python-new")
    client.hub = hub.url
    repo, first, second = "acme/llama-8b", "1" * 40, "2" * 40
    client.download(root, repo, first)
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-check").shut()
    agent.start(**gate.env).wait_ready()
    cluster.coordinator().wait_sees("n1")
    name = model_name(repo, first)
    agent.wait_model(name)
    row = cluster.order(name)
    gate.reached()
    hub.set(f"{repo}/model-00001-of-00002.safetensors", hold_after=65536)
    download = client.background("download", cache=root, repo=repo, revision=second)
    hub.wait_held()
    gate.open()
    receipt = cluster.receipt(row["id"])
    assert receipt["outcome"] == "refused", receipt
    hub.set(f"{repo}/model-00001-of-00002.safetensors")
    download.result()
    assert client.offline(root, repo, first).is_dir()


# ---- between the check and the end ----


@pytest.fixture
def paused(cluster, root):
    """A removal of REPO that has come to removal-moved: (agent, name, gate, id, tree before)"""

    def pause(point="removal-moved"):
        name = Cache(root).model(REPO, refs=("main", "v1"))
        before = tree(root)  # reading the links counts as a use: it must come before the decision
        agent = cluster.agent(root, start=False)
        gate = agent.pause(point).shut()
        agent.start(**gate.env).wait_ready()
        cluster.coordinator().wait_sees("n1")
        agent.wait_model(name)
        row = cluster.order(name)
        assert row["outcome"] == "issued", row
        gate.reached()
        return agent, name, gate, row["id"], before

    return pause


def open_in_background(path):
    """An open that waits for the lease, as any client's would."""
    files = []

    def run():
        try:
            files.append(open(path, "rb"))
        except FileNotFoundError as error:
            files.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, files


def test_opened_between_check_and_rename_is_rolled_back(cluster, root, paused):
    blob = None
    agent, name, gate, command, before = paused()
    blob = next(p for p in (root / "models--acme--llama/blobs").iterdir() if len(p.name) == 64)
    thread, files = open_in_background(blob)
    wait_until(lambda: waits_for_a_lease(thread), what="the open waits for the lease")
    gate.open()
    receipt = cluster.receipt(command)
    assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "busy"), receipt
    thread.join(60)
    files[0].close()
    assert tree(root) == before
    assert_clean(root)


def waits_for_a_lease(thread):
    """True once the kernel has told the holder of a lease to give it up."""
    with open("/proc/locks") as locks:
        return any("LEASE" in line and "BREAKING" in line for line in locks) and thread.is_alive()


def test_touch_during_a_removal_vetoes_it(cluster, root, paused):
    agent, name, gate, command, before = paused()
    assert agent.touch(name).status == 200
    gate.open()
    receipt = cluster.receipt(command)
    assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "used"), receipt
    assert tree(root) == before
    assert_clean(root)


def test_touch_after_the_commit_says_that_it_is_too_late(cluster, root, paused):
    agent, name, gate, command, _ = paused("removal-commit")
    assert agent.touch(name).status == 409
    gate.open()
    assert cluster.receipt(command)["outcome"] == "deleted"
    assert_clean(root)


def test_pin_during_a_removal_vetoes_it(cluster, root, paused):
    agent, name, gate, command, before = paused()
    pin = {"glob": name, "by": "tests", "why": "needed"}
    assert cluster.coordinators[0].http.post("/v1/pins", pin).status == 200
    agent.wait_log("event=.removal-vetoed")
    gate.open()
    receipt = cluster.receipt(command)
    assert receipt["outcome"] == "refused", receipt
    assert tree(root) == before


@pytest.mark.parametrize("kind", KINDS)
def test_same_model_put_back_by_a_client_in_the_middle(cluster, hub, root, kind):
    """
    A client downloads the model anew while its removal has not ended: the new one stays. Clients
    that take locks wait for the agent's, npm's goes through in the middle.
    """
    client = cluster.client(kind)
    client.hub = hub.url
    repo, commit = "acme/tiny", "3" * 40
    client.download(root, repo, "main")
    agent = cluster.agent(root, start=False)
    gate = agent.pause("removal-clean").shut()
    agent.start(**gate.env).wait_ready()
    cluster.coordinator().wait_sees("n1")
    name = model_name(repo, commit)
    agent.wait_model(name)
    row = cluster.order(name)
    gate.reached()
    download = client.background("download", cache=root, repo=repo, revision="main")
    if kind == "npm":
        download.result()
    else:
        wait_until((root / "models--acme--tiny/refs/main").exists, what="the client has begun")
    gate.open()
    assert cluster.receipt(row["id"])["outcome"] == "deleted"
    download.result()
    assert client.download(root, repo, "main").is_dir()
    assert_clean(root)
    assert orphans(root) == []
    agent.wait_model(name)


def test_used_since_the_decision_is_refused(cluster, root, paused):
    agent, name, gate, command, before = paused("removal-check")
    for path in root.rglob("model.safetensors"):
        path.read_bytes()
    gate.open()
    receipt = cluster.receipt(command)
    assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "used"), receipt


def test_agent_does_not_make_a_model_look_used(cluster, root, busy):
    """Scans read links and folders: none of that may count as a use."""
    agent, name, _ = busy
    before = agent.last_use_ms(name)
    for _ in range(5):
        scans = agent.status()["roots"][0]
        agent.scan()
        stays(lambda: agent.last_use_ms(name) < before + HOUR_MS, 0.3, "last use")
        assert scans["mode"] == "delete"


def many(cluster, root, kind):
    case = MANY_CASES[kind](root)
    agent = cluster.agent(case.config)
    agent.wait_ready()
    cluster.coordinator().wait_sees(agent.name)
    cluster.wait_lru(case.name)
    return case


@pytest.mark.parametrize("kind", MANY_CASES)
def test_model_with_more_files_than_leases_goes(cluster, root, kind):
    case = many(cluster, root, kind)
    receipt = cluster.evict(case.name)
    assert receipt["outcome"] == "deleted", receipt
    case.assert_removed()


@pytest.mark.parametrize("kind", MANY_CASES)
def test_any_open_file_of_many_is_seen(cluster, root, kind):
    """Whether its lease would have been held or only tested."""
    case = many(cluster, root, kind)
    for path in (case.files[2], case.files[len(case.files) // 2], case.files[-1]):
        with open_quietly(path):
            receipt = cluster.evict(case.name, force=True)
        assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "busy")
    case.assert_untouched()
