"""Real clients fill a cache, Larder evicts, and the same clients and the others judge."""

import pytest

from larder.caches import comparable, expected_after, folder_of, model_name
from larder.clients import KINDS, ClientError
from larder.cluster import assert_clean
from larder.judges import assert_only_gone
from larder.trees import tree

LLAMA, V1, MAIN = "acme/llama-8b", "1" * 40, "2" * 40
TINY, TINY_MAIN = "acme/tiny", "3" * 40
GGUF = "acme/split-gguf"
GPT2 = "gpt2"
WORDS, BOARD, DATA_MAIN = "acme/words", "acme/board", "6" * 40


def fill(client, cache):
    """Two revisions that share files, and other repositories of all kinds."""
    client.download(cache, LLAMA, "v1.0")
    client.download(cache, LLAMA, "main")
    client.download(cache, TINY, "main")
    client.download(cache, GGUF, "main")
    client.download(cache, GPT2, "main")
    client.download(cache, WORDS, "main", type="dataset")
    client.download(cache, BOARD, "main", type="space")


def evict_and_judge(cluster, judges, cache, repo, commit, kind="model"):
    """Evicts one revision; everything else must be as it was, on the disk and for all clients."""
    agent, _ = cluster.pair(cache)
    name = model_name(repo, commit, kind)
    agent.wait_model(name)
    scanned = judges.scan(cache)
    before = tree(cache)
    receipt = cluster.evict(name)
    assert receipt["outcome"] == "deleted", receipt
    folder = folder_of(repo, kind)
    assert_clean(cache)
    expected = expected_after(before, folder, commit)
    assert comparable(tree(cache)) == comparable(expected)
    assert_only_gone(scanned, judges.scan(cache), f"{kind}/{repo}", commit, folder)
    return receipt


@pytest.mark.parametrize("kind", KINDS)
def test_old_revision_goes_and_only_what_it_had_is_fetched_again(cluster, judges, hub, root, kind):
    client = judges[kind]
    fill(client, root)
    receipt = evict_and_judge(cluster, judges, root, LLAMA, V1)
    content = hub.content(LLAMA, V1, "model-00001-of-00002.safetensors")
    assert receipt["bytes"] >= content.size
    hub.clear_log()
    again = client.download(root, LLAMA, "v1.0")
    assert hub.fetched() == {(LLAMA, "model-00001-of-00002.safetensors")}
    assert (again / "model-00001-of-00002.safetensors").read_bytes() == content.read(0, 1 << 30)


@pytest.mark.parametrize("kind", KINDS)
def test_last_revision_takes_the_repository_with_it(cluster, judges, hub, root, kind):
    client = judges[kind]
    fill(client, root)
    evict_and_judge(cluster, judges, root, TINY, TINY_MAIN)
    assert not (root / folder_of(TINY)).exists()
    hub.clear_log()
    client.download(root, TINY, "main")
    assert hub.fetched() == {(TINY, "config.json"), (TINY, "model.safetensors")}


@pytest.mark.parametrize("kind", ["python-new", "python-old"])
def test_offline_clients_find_the_others_and_not_what_has_gone(cluster, judges, root, kind):
    client = judges[kind]
    fill(client, root)
    evict_and_judge(cluster, judges, root, LLAMA, V1)
    path = "model-00002-of-00002.safetensors"  # both revisions had it
    assert client.try_load(root, LLAMA, path, V1) is None
    assert client.try_load(root, LLAMA, path, MAIN) is not None
    assert client.try_load(root, LLAMA, "original/params.json", MAIN) is not None
    for repo in (LLAMA, TINY, GGUF, GPT2):
        assert client.offline(root, repo, "main").is_dir()
    for kind_of in (("dataset", WORDS), ("space", BOARD)):
        assert client.offline(root, kind_of[1], "main", type=kind_of[0]).is_dir()
    with pytest.raises(ClientError):
        client.offline(root, LLAMA, "v1.0")


@pytest.mark.parametrize("kind", KINDS)
def test_refs_of_pull_requests_go_with_their_revision(cluster, judges, root, kind):
    client = judges[kind]
    client.download(root, LLAMA, "refs/pr/1")
    client.download(root, LLAMA, "v1.0")
    client.download(root, LLAMA, "main")
    refs = root / folder_of(LLAMA) / "refs"
    assert (refs / "refs/pr/1").read_text() == V1
    evict_and_judge(cluster, judges, root, LLAMA, V1)
    assert [str(p.relative_to(refs)) for p in refs.rglob("*")] == ["main"]


@pytest.mark.parametrize("kind", ["python-new", "python-old"])
def test_without_symlinks(cluster, judges, root, kind):
    client = cluster.client(kind, HF_HUB_DISABLE_SYMLINKS="1")
    client.hub = judges.hub.url
    client.download(root, LLAMA, "v1.0")
    client.download(root, LLAMA, "main")
    client.download(root, TINY, "main")
    assert not any(p.is_symlink() for p in root.rglob("*"))
    evict_and_judge(cluster, judges, root, LLAMA, V1)
    assert client.offline(root, LLAMA, "main").is_dir()


def test_links_and_files_mixed_in_one_repository(cluster, judges, hub, root):
    """A cache whose mode was changed in the middle of its life."""
    plain = cluster.client("python-new", HF_HUB_DISABLE_SYMLINKS="1")
    plain.hub = hub.url
    judges["python-new"].download(root, LLAMA, "main")
    plain.download(root, LLAMA, "v1.0")
    evict_and_judge(cluster, judges, root, LLAMA, MAIN)
    assert plain.offline(root, LLAMA, "v1.0").is_dir()


@pytest.mark.parametrize("kind", ["python-new", "python-old"])
def test_what_the_official_tool_forgets_goes_too(cluster, judges, root, kind):
    client = judges[kind]
    client.download(root, LLAMA, "refs/pr/1")
    client.download(root, LLAMA, "main")
    asked = {"cache": root, "repo": LLAMA, "path": "adapter_config.json", "revision": V1}
    assert client.call("probe_missing", **asked)
    folder = root / folder_of(LLAMA)
    notes = folder / ".no_exist" / V1
    assert notes.is_dir()
    assert (folder / "trees" / f"{V1}.json").exists() == (kind == "python-new")
    evict_and_judge(cluster, judges, root, LLAMA, V1)
    assert not notes.exists()
    assert not (folder / "trees" / f"{V1}.json").exists()
    assert not (folder / "refs/refs").exists()


def test_clients_of_all_kinds_in_one_cache(cluster, judges, root):
    judges["python-old"].download(root, LLAMA, "v1.0")
    judges["npm"].download(root, LLAMA, "main")
    judges["python-new"].download(root, TINY, "main")
    judges["npm"].download(root, GGUF, "main")
    evict_and_judge(cluster, judges, root, LLAMA, V1)
    assert judges["python-new"].offline(root, LLAMA, "main").is_dir()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("repo, what", [(WORDS, "dataset"), (BOARD, "space")])
def test_datasets_and_spaces(cluster, judges, hub, root, kind, repo, what):
    client = judges[kind]
    client.download(root, repo, "main", type=what)
    client.download(root, TINY, "main")
    evict_and_judge(cluster, judges, root, repo, DATA_MAIN, what)
    hub.clear_log()
    client.download(root, repo, "main", type=what)
    assert len(hub.fetched()) == 2
