"""An agent that is killed at any point of a removal, and started again."""

import pytest

from larder.caches import A, Cache, comparable, folder_of
from larder.removals import CASES, REPO, SIZE, Classic
from larder.trees import left_by_larder, tree
from larder.wait import wait_until

BEFORE_THE_COMMIT = ("check", "intent", "claim", "moved", "undo")
POINTS = [f"removal-{p}" for p in BEFORE_THE_COMMIT]
POINTS += ["removal-commit", "removal-clean", "removal-cleaned", "reap", "removal-finish"]


def killed_at(cluster, case, point):
    """An agent that has died at `point` of a removal, which is told to Redis."""
    agent = cluster.agent(case.config, start=False)
    gate = agent.pause("removal-moved")
    if point == "removal-undo":
        gate.shut()  # something must speak against it, for it to be undone
    agent.start(**gate.env, LARDER_HOOK_KILL=point).wait_ready()
    cluster.coordinator().wait_sees(agent.name)
    cluster.wait_lru(case.name)
    row = cluster.order(case.name)
    assert row["outcome"] == "issued", row
    if point == "removal-undo":
        gate.reached()
        before = cluster.lru()[case.name]
        assert agent.touch(case.name).status == 200
        wait_until(lambda: cluster.lru()[case.name] > before, what="Redis is told of the use")
        gate.open()
    agent.process.killed_itself()
    assert case.whole() or case.gone(), "a client sees half of a model"
    return agent, row["id"]


def restart(cluster, agent):
    agent.start().wait_ready()
    cluster.coordinators[0].wait_sees(agent.name)


def wait_recovered(agent):
    wait_until(lambda: agent.status()["removals"] == 0, what="nothing is under way")


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", CASES)
def test_killed_and_the_command_still_stands(cluster, root, kind, point):
    """The restart brings it to its end, once, and one receipt says so."""
    case = CASES[kind](root)
    agent, command = killed_at(cluster, case, point)
    assert cluster.db.hget("larder:{n1}:cmd", case.name), "only a receipt ends a command"
    restart(cluster, agent)
    receipt = cluster.receipt(command)
    if point == "removal-undo":
        # The use that undid it outlives the agent.
        assert receipt["why"].startswith("used"), receipt
        case.assert_untouched()
        return
    assert receipt["outcome"] == "deleted", receipt
    # What was freed before the crash is counted by nobody: it died with the agent.
    assert receipt["bytes"] == (0 if point == "removal-finish" else case.bytes)
    wait_until(lambda: case.name not in cluster.lru(), what="Redis forgets the model")
    assert cluster.db.hgetall("larder:{n1}:cmd") == {}
    rows = cluster.coordinators[0].evictions(id=command)
    assert [row["outcome"] for row in rows] == ["deleted"]
    case.assert_removed()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("kind", ["classic", "shared", "directory"])
def test_killed_and_the_command_was_withdrawn(cluster, root, kind, point):
    """Before the commit everything is put back; after it, it is finished."""
    case = CASES[kind](root)
    agent, _ = killed_at(cluster, case, point)
    cluster.db.delete("larder:{n1}:cmd")
    restart(cluster, agent)
    wait_recovered(agent)
    if point in POINTS[: len(BEFORE_THE_COMMIT)] + ["removal-commit"]:
        agent.wait_model(case.name)
        cluster.wait_lru(case.name)
        case.assert_untouched()
    else:
        assert case.gone()
        agent.wait_gone(case.name)
        case.assert_removed()


def test_killed_again_and_again_while_the_trash_is_emptied(cluster, root):
    """Each start goes on where the last one was killed, wherever that was."""
    case = Classic(root)
    folder = case.links[0].parent / "parts"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number}.bin").write_bytes(b"x" * 4096)
    agent = cluster.agent(case.config, start=False)
    gate = agent.pause("reap").shut()
    agent.start(**gate.env).wait_ready()
    cluster.coordinator().wait_sees(agent.name)
    cluster.wait_lru(case.name)
    command = cluster.order(case.name)["id"]
    for _ in range(4):
        gate.reached()
        gate.open()
        agent.kill9()
        assert case.gone()
        gate.shut()
        agent.start(**gate.env)
    gate.open()
    receipt = cluster.receipt(command)
    assert receipt["outcome"] == "deleted", receipt
    assert 0 <= receipt["bytes"] <= case.bytes + 300 * 4096
    case.assert_removed()


def test_journal_lost_in_the_crash(cluster, root):
    """The names on the disk alone tell what is to be done."""
    case = Classic(root)
    agent, _ = killed_at(cluster, case, "removal-moved")
    assert case.gone()
    cluster.db.delete("larder:{n1}:cmd")
    for file in (agent.directory / "state").iterdir():
        file.unlink()
    restart(cluster, agent)
    agent.wait_model(case.name)
    case.assert_untouched()


def test_journal_lost_after_the_commit(cluster, root):
    case = Classic(root)
    agent, _ = killed_at(cluster, case, "removal-clean")
    cluster.db.delete("larder:{n1}:cmd")
    for file in (agent.directory / "state").iterdir():
        file.unlink()
    restart(cluster, agent)
    agent.wait_log("event=.removal-recovered")
    wait_until(lambda: left_by_larder(root) == [], what="the trash is emptied")
    # Whose notes these are stood in the journal alone: two small files stay.
    notes = (f"trees/{A}.json", f".no_exist/{A}", f".no_exist/{A}/adapter_config.json")
    kept = {f"{folder_of(REPO)}/{note}" for note in notes}
    assert {p for p in comparable(tree(root)) if p not in kept} == set(comparable(case.after))
    assert case.name not in agent.models()


def test_model_downloaded_again_while_the_agent_was_dead(cluster, root):
    """Its place is taken when the restart wants to put it back: the new one stays, untouched."""
    case = Classic(root)
    agent, _ = killed_at(cluster, case, "removal-moved")
    cluster.db.delete("larder:{n1}:cmd")
    Cache(root).model(REPO, A, SIZE, refs=("main", "refs/pr/1"))
    restart(cluster, agent)
    wait_recovered(agent)
    agent.wait_model(case.name)
    wait_until(lambda: left_by_larder(root) == [], what="the old one goes")
    case.assert_untouched()


@pytest.mark.parametrize("kind", ["classic", "directory"])
def test_touch_outlives_the_agent(cluster, root, kind):
    """Nobody but the agent knows of it when it is killed; who was told yes can rely on it."""
    case = CASES[kind](root)
    agent = cluster.agent(case.config, beat_interval="1m").wait_ready()
    cluster.coordinator(node_timeout="5m").wait_sees(agent.name)
    cluster.wait_lru(case.name)
    score = cluster.lru()[case.name]
    assert agent.touch(case.name).status == 200
    agent.kill9()
    assert cluster.lru()[case.name] == score, "the touch has been told already"
    row = cluster.order(case.name)
    assert row["outcome"] == "issued", row
    restart(cluster, agent)
    receipt = cluster.receipt(row["id"])
    assert (receipt["outcome"], receipt["why"][:4]) == ("refused", "used"), receipt
    wait_until(lambda: cluster.lru()[case.name] > score, what="Redis is told of the use")
    case.assert_untouched()
