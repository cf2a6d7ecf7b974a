"""Engines that are asked what they serve: what they say protects models, and failing does no harm."""

import os
import pathlib
import subprocess
import threading

import pytest

from larder import engines
from larder.caches import A, B, Cache, age_everything
from larder.daemons import POLICY
from larder.real_engine import RealLlamacpp, make_model
from larder.wait import wait_until

REPO, OTHER = "acme/llama", "acme/cold"
FAST = {"probe_interval": "200ms", "claim_ttl": "1m"}
SHORT = {"probe_interval": "200ms", "claim_ttl": "2s"}
SHORT_MS = 2000


@pytest.fixture
def make(make_engine):
    return make_engine


@pytest.fixture
def cache(root):
    return Cache(root)


class Node:
    """One agent with engines, and a coordinator."""

    def __init__(self, cluster, roots, targets, policy=None, **config):
        self.cluster = cluster
        self.coordinator = cluster.coordinator(**({"policy": policy} if policy else {}))
        self.agent = cluster.agent(*roots, engines=targets, **config).wait_ready()
        self.coordinator.wait_sees(self.agent.name)

    def probe(self):
        return self.agent.http.get_json("/v1/sources")["probe"]

    def engine(self, number=0):
        return self.probe()["engines"][number]

    def wait_engine(self, what, number=0, **wanted):
        def there():
            engine = self.engine(number)
            return engine if all(engine[k] == v for k, v in wanted.items()) else None

        return wait_until(there, what=f"engine {number} {what or wanted}")

    def wait_state(self, state, number=0):
        return self.wait_engine(f"is {state}", number, state=state)

    def wait_held(self, model, by="vllm"):
        def held():
            row = self.agent.models().get(model)
            return row if row and row["held_ms"] > 0 and by in row["held_by"] else None

        return wait_until(held, what=f"{model} is held by {by}")

    def wait_free(self, model):
        wait_until(lambda: not self.held(model), what=f"{model} is free")

    def held(self, model):
        return self.agent.models()[model]["held_ms"] > 0

    def assert_kept(self, model):
        """No eviction by hand takes it, and the reason is told: it is held, at the latest soon."""

        def kept_for_that():
            row = self.cluster.order(model)
            if row["outcome"] != "issued":
                assert row["outcome"] in ("held", "used"), row
                return row["outcome"] == "held"
            receipt = self.cluster.receipt(row["id"])
            assert receipt["outcome"] == "refused", receipt
            assert receipt["why"].startswith(("held", "used")), receipt
            return receipt["why"].startswith("held")

        wait_until(kept_for_that, what=f"{model} is held")
        assert model in self.agent.models()

    def wait_goes(self, model):
        """An eviction by hand takes it, as soon as Redis knows that it is free."""

        def gone():
            row = self.cluster.order(model)
            if row["outcome"] != "issued":
                assert row["outcome"] in ("held", "used"), row
                return False
            receipt = self.cluster.receipt(row["id"])
            if receipt["outcome"] == "deleted":
                return True
            assert receipt["outcome"] == "refused", receipt
            assert receipt["why"].startswith(("held", "used")), receipt
            return False

        wait_until(gone, what=f"{model} goes")


@pytest.fixture
def node(cluster, root):
    def start(*targets, roots=None, **config):
        return Node(cluster, roots or [root], list(targets), **{**FAST, **config})

    return start


def folder(root, *names):
    """Models of layout directory."""
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "weights.bin").write_bytes(os.urandom(5000))
    age_everything(root, 864000)


# ---- served models stay ----


def test_served_model_is_held(cache, make, node):
    model, cold = cache.model(REPO), cache.model(OTHER)
    vllm = make(engines.Vllm, REPO)
    n = node(vllm.config())
    row = n.wait_held(model)
    assert row["held_source"] == "probe" and row["source"] == "probe"
    assert row["held_by"] == f"vllm {vllm.url}"
    assert row["idle_ms"] < 60000
    engine = n.engine()
    assert engine["state"] == "fresh" and engine["error"] == ""
    assert engine["serves"] == [{"name": "chat", "adapter": False, "mapped": True}]
    n.assert_kept(model)
    assert n.cluster.evict(cold)["outcome"] == "deleted"
    assert cache.snapshot(REPO, A).exists()
    # The coordinator knows who it is, too.
    rows = n.coordinator.http.get_json("/v1/models")["models"]
    assert [r["held_by"] for r in rows if r["model"] == model] == [f"probe: vllm {vllm.url}"]


def test_automatic_eviction_spares_it(cache, make, node):
    models = [cache.model(REPO), cache.model(OTHER)]
    first, second = make(engines.Vllm, REPO), make(engines.Vllm, OTHER)
    policy = POLICY | {"max_models": 1}
    n = node(first.config(), second.config(), policy=policy, **SHORT)
    for model in models:
        n.wait_held(model)

    def spared():
        rows = n.coordinator.plan()["spared"]
        return [r for r in rows if r["why"] == "held" and r["rule"] == "count_limit"]

    row = wait_until(spared, what="a model is spared")[0]
    assert row["held_by"].startswith("probe: vllm http://") and row["source"] == "probe"
    n.coordinator.demand_cycle()
    assert set(models) == set(n.agent.models())
    # Nobody serves the second any more.
    second.stop()

    def gone():
        n.coordinator.demand_cycle()
        return models[1] not in n.agent.models()

    wait_until(gone, 60, what="what is served no more goes")
    assert models[0] in n.agent.models()


def test_each_engine(cache, make, node, directory):
    """By repository, revision, path, folder, alias."""
    plain = directory / "engines"
    folder(plain, "whisper", "bert", "team/fp8")
    names = ("acme/vllm", "acme/path", "acme/sglang", "acme/tgi", "acme/gguf", "acme/ollama")
    held = {repo: cache.model(repo) for repo in names}
    nim = cache.model("nim/acme/llama-3_1-8b")
    others = [cache.model(repo, B, refs=()) for repo in ("acme/path", "acme/sglang", "acme/tgi")]
    # Without a revision, every revision is protected.
    held["both"] = cache.model("acme/vllm", B, refs=())
    snapshot = f"/mnt/models/models--acme--path/snapshots/{A}"
    gguf = f"/root/.cache/models--acme--gguf/snapshots/{A}/x.gguf"
    targets = [
        make(engines.Vllm, "acme/vllm").config(),
        make(engines.Vllm, snapshot).config(),
        make(engines.Sglang, "acme/sglang", A).config(),
        make(engines.Tgi, "acme/tgi", A).config(),
        make(engines.Triton, "whisper").config(),
        make(engines.Llamacpp, gguf).config(),
        make(engines.Ollama, "big:8b").config(aliases={"big:8b": held["acme/ollama"]}),
        make(engines.Nim, "acme/llama-3.1-8b").config(),
        make(engines.Vllm, "/models/team/fp8").config(path_prefixes={"/models": str(plain)}),
    ]
    roots = [cache.root, {"path": str(plain), "name": "plain", "layout": "directory"}]
    roots[1]["glob"] = "*"
    n = node(*targets, roots=roots)
    for model in [*held.values(), nim]:
        n.wait_held(model, by="http")
    # The folder "team" is one model here; what is served lies in it.
    for model in ("dir+plain:whisper@-", "dir+plain:team@-"):
        n.wait_held(model, by="http")
    for number in range(len(targets)):
        n.wait_state("fresh", number)
    assert not n.held("dir+plain:bert@-")
    for model in others:
        assert not n.held(model), model


def test_adapters_and_several_models(cache, make, node):
    base, adapter, more = cache.model(REPO), cache.model("acme/sql-lora"), cache.model("acme/more")
    vllm = make(engines.Vllm)
    path = f"/hub/models--acme--sql-lora/snapshots/{A}"
    vllm.serve(REPO, adapters=[path, "/nowhere/adapter"])
    n = node(vllm.config(), make(engines.Vllm, "acme/more", REPO).config())
    for model in (base, adapter, more):
        n.wait_held(model)
    # An adapter that is from elsewhere does not make the engine one that is not understood.
    engine = n.wait_state("fresh")
    assert [s["mapped"] for s in engine["serves"]] == [True, True, False]
    row = n.wait_held(base, by="1 more")
    assert row["held_by"].startswith("vllm http://")


def test_more_models_than_one_claim_holds(make, node, directory):
    names = [f"m{i}" for i in range(150)]
    folder(directory / "engines", *names)
    triton = make(engines.Triton, *names)
    root = {"path": str(directory / "engines"), "layout": "directory"}
    n = node(triton.config(), roots=[root])
    for name in names:
        n.wait_held(f"dir:{name}@-", by="triton")
    triton.serve(*names[:10])
    for name in names[10:]:
        n.wait_free(f"dir:{name}@-")
    assert all(n.held(f"dir:{name}@-") for name in names[:10])


def test_more_models_than_are_looked_at(cache, make, node):
    """Which they are is not known, so it may be any."""
    model = cache.model(REPO)
    triton = make(engines.Triton, *(f"m{i}" for i in range(520)))
    n = node(triton.config(), **SHORT)
    n.wait_held(model, by="triton")
    n.assert_kept(model)
    engine = n.engine()
    assert "more than 512 models" in engine["error"], engine
    n.agent.wait_log("event=-engine .*all models here are held")
    triton.everything({"error": "no"}, status=403)
    n.wait_state("unauthorized")
    wait_until(lambda: n.engine()["answer_age_ms"] > 2 * SHORT_MS, what="the claim is renewed")
    n.assert_kept(model)
    triton.serve("m1")
    n.wait_free(model)


@pytest.mark.parametrize("kind", ["vllm", "llamacpp"])
def test_asleep_is_in_use(cache, make, node, kind):
    model = cache.model(REPO)
    if kind == "vllm":
        engine = make(engines.Vllm)
        engine.serve(REPO, asleep=True)
    else:
        engine = make(engines.Llamacpp, "x")
        engine.serve(f"/hub/models--acme--llama/snapshots/{A}/x.gguf", asleep=True)
    n = node(engine.config())
    n.wait_engine("sleeps", asleep=True)
    n.wait_held(model, by=kind)
    n.assert_kept(model)


def test_configured_models(cache, make, node):
    """What the configuration says an engine serves holds as long as that lives."""
    model = cache.model(REPO)
    vllm = make(engines.Vllm, "/weights/unknown")
    n = node(vllm.config(models=[REPO]), **SHORT)
    n.wait_held(model)
    assert n.wait_state("fresh")["serves"][0]["mapped"] is False
    vllm.everything({"error": "no"}, status=403)
    n.wait_state("unauthorized")
    wait_until(lambda: n.engine()["answer_age_ms"] > 2 * SHORT_MS, what="time passes")
    n.assert_kept(model)
    vllm.stop()
    n.wait_goes(model)


def test_downloaded_only_later(cache, make, node):
    """What an engine serves is protected from the moment at which it is found."""
    vllm = make(engines.Vllm, REPO)
    n = node(vllm.config())
    n.wait_state("unmapped")
    model = cache.model(REPO)
    n.wait_held(model)
    n.wait_state("fresh")


# ---- engines that end, restart, serve something else ----


def test_stopped_engine(cache, make, node):
    model = cache.model(REPO)
    vllm = make(engines.Vllm, REPO)
    n = node(vllm.config(), **SHORT)
    n.wait_held(model)
    vllm.stop()
    engine = n.wait_state("stale")
    assert engine["error"].startswith("/v1/models: ")
    n.agent.wait_log(r"event=-engine .*state=stale")
    n.agent.wait_log("event=-engine-claim ")
    n.wait_goes(model)
    assert not n.agent.log_contains("event=-engine ", times=2)
    # It is asked again, and what it says then counts.
    model = cache.model(OTHER)
    vllm.serve(OTHER)
    vllm.start()
    n.wait_held(model)
    n.wait_state("fresh")


def test_serves_something_else(cache, make, node):
    """Free at once, though the claim would last much longer; its last use stays."""
    model, other = cache.model(REPO), cache.model(OTHER)
    vllm = make(engines.Vllm, REPO)
    n = node(vllm.config(), claim_ttl="1h")
    n.wait_held(model)
    assert not n.held(other)
    vllm.serve(OTHER)
    n.wait_held(other)
    n.wait_free(model)
    assert n.agent.models()[model]["source"] == "probe"
    assert n.agent.models()[model]["idle_ms"] < 60000
    n.wait_goes(model)
    vllm.serve()
    n.wait_free(other)
    assert n.engine()["state"] == "fresh" and n.engine()["serves"] == []


def test_counters(cache, make, node):
    cache.model(REPO)
    vllm = make(engines.Vllm)
    vllm.serve(REPO, count=0.0, start=0)
    n = node(vllm.config())
    n.wait_state("fresh")
    vllm.metrics(count=10.0, start=1.79549e9)
    n.wait_engine("was asked", restarts=0)
    wait_until(lambda: n.engine()["last_request_age_ms"] is not None, what="a request is seen")
    # It restarts, with less behind it; once more, and only its start tells.
    vllm.metrics(count=3.0, start=1.79549e9)
    n.wait_engine("restarted", restarts=1)
    vllm.metrics(count=3.0, start=1.7955e9)
    n.wait_engine("restarted", restarts=2)
    assert n.engine()["running"] is False
    vllm.say("/metrics", engines.data("vllm-metrics.txt"))
    n.wait_engine("works", running=True)


# ---- failing safe ----


def html(engine):
    engine.everything("<html>It works!</html>", headers={"Content-Type": "text/html"})


FAILURES = {
    "slow": lambda e: e.everything({"data": []}, delay=1),
    "hangs": lambda e: e.everything({"data": []}, pause=60),
    "truncated": lambda e: e.everything({"data": []}, cut=100),
    "huge": lambda e: e.everything({"data": [], "x": "x" * (2 << 20)}),
    "redirect": lambda e: e.everything({"data": []}, status=302, headers={"Location": "/x"}),
    "error": lambda e: e.everything({"data": []}, status=500),
    "loading": lambda e: e.everything({"error": "Loading model"}, status=503),
    "gone": lambda e: e.everything("not found", status=404),
    "html": html,
    "list": lambda e: e.everything([]),
    "null": lambda e: e.everything("null"),
    "other": lambda e: e.everything({"models": []}),
    "empty": lambda e: e.everything(""),
    "deep": lambda e: e.everything('{"data":' + "[" * 100000),
    "closed": lambda e: e.stop(),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_failing_makes_nothing_idle(cache, make, node, failure):
    model = cache.model(REPO)
    vllm = make(engines.Vllm, REPO)
    n = node(vllm.config())
    n.wait_held(model)
    FAILURES[failure](vllm)
    engine = n.wait_state("stale")
    assert engine["error"] and engine["claim_left_ms"] > 0
    n.assert_kept(model)
    row = n.agent.models()[model]
    assert row["held_by"] == f"vllm {vllm.url}"
    if failure != "closed":
        vllm.serve(REPO)
        n.wait_state("fresh")


OTHERS = (engines.Sglang, engines.Tgi, engines.Triton, engines.Ollama, engines.Llamacpp, engines.Nim)
# What no engine says when it serves nothing.
FAILURES_OF_ALL = ("slow", "truncated", "huge", "redirect", "error", "html", "null", "deep", "closed")
REFUSED = {"refused": lambda e: e.everything({"error": "no"}, status=401)}


@pytest.mark.parametrize("failure", (*FAILURES_OF_ALL, *REFUSED))
def test_engines_of_other_kinds_fail_as_safely(cache, make, node, failure):
    models = {kind.kind: cache.model(f"acme/{kind.kind}") for kind in OTHERS}
    stand_ins = [make(kind, f"acme/{kind.kind}") for kind in OTHERS]
    n = node(*[e.config(aliases={f"acme/{e.kind}": models[e.kind]}) for e in stand_ins])
    for kind, model in models.items():
        n.wait_held(model, by=kind)
    for engine in stand_ins:
        (FAILURES | REFUSED)[failure](engine)
    for number, engine in enumerate(stand_ins):
        n.wait_state("unauthorized" if failure == "refused" else "stale", number)
        n.assert_kept(models[engine.kind])
        assert n.agent.models()[models[engine.kind]]["held_by"] == f"{engine.kind} {engine.url}"


@pytest.mark.parametrize("status", [401, 403])
def test_refused_is_not_idle(cache, make, node, status):
    """It lives: what it served stays held for longer than the claim alone would last."""
    model = cache.model(REPO)
    vllm = make(engines.Vllm, REPO)
    n = node(vllm.config(), **SHORT)
    n.wait_held(model)
    vllm.everything({"error": "no"}, status=status)
    n.wait_state("unauthorized")
    wait_until(lambda: n.engine()["answer_age_ms"] > 2 * SHORT_MS, what="time passes")
    n.assert_kept(model)
    assert n.engine()["state"] == "unauthorized"
    # When it ends, so does this.
    vllm.stop()
    n.wait_state("stale")
    n.wait_goes(model)


def test_metrics_are_not_needed(cache, make, node):
    model = cache.model(REPO)
    vllm = make(engines.Vllm, REPO)
    n = node(vllm.config())
    n.wait_held(model)
    for more in ({"status": 404}, {"status": 401}, {"cut": 10}, {"body": "x" * (9 << 20)}):
        vllm.say("/metrics", **more)
        before = len(vllm.asked("/metrics"))
        wait_until(lambda seen=before: len(vllm.asked("/metrics")) > seen + 1, what="it is asked")
        assert n.engine()["state"] == "fresh"
    n.assert_kept(model)


def test_redirects_are_not_followed(cache, make, node):
    model = cache.model(REPO)
    elsewhere, vllm = make(engines.Vllm, REPO), make(engines.Vllm)
    vllm.everything("", status=302, headers={"Location": f"{elsewhere.url}/v1/models"})
    n = node(vllm.config())
    assert "302" in n.wait_state("never")["error"]
    assert elsewhere.asked() == []
    assert not n.held(model)


def test_environment_gives_no_proxy(cluster, root, cache, make):
    model = cache.model(REPO)
    vllm, proxy = make(engines.Vllm, REPO), make(engines.Vllm)
    agent = cluster.agent(root, engines=[vllm.config()], start=False, **FAST)
    agent.env = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"), proxy.url)
    agent.env |= {"no_proxy": "", "NO_PROXY": ""}
    agent.start().wait_ready()
    wait_until(lambda: agent.models()[model]["held_ms"] > 0, what="it is held")
    assert proxy.asked() == []


def test_token_goes_to_its_own_engine(cache, make, node, directory):
    model, other = cache.model(REPO), cache.model(OTHER)
    token = directory / "engine-token"
    token.write_text("first-secret\n")
    locked, open_to_all = make(engines.Vllm, REPO), make(engines.Vllm, OTHER)
    locked.token = "first-secret"
    n = node(locked.config(token_file=str(token)), open_to_all.config())
    n.wait_held(model)
    n.wait_held(other)
    # Another token: unauthorized until the file has it.
    locked.token = "second-secret"
    n.wait_state("unauthorized")
    token.write_text("second-secret\n")
    n.wait_state("fresh")
    # Without a readable file nothing is sent.
    token.unlink()
    assert str(token) in n.wait_state("stale")["error"]
    n.assert_kept(model)
    assert all("Authorization" not in entry[2] for entry in open_to_all.asked())
    assert "secret" not in n.agent.process.log()
    assert "secret" not in str(n.probe())


def test_tls(cache, make, node, directory):
    """The certificate is checked, and the token sent only after that."""
    model, other = cache.model(REPO), cache.model(OTHER)
    cert, key, token = (str(directory / name) for name in ("cert.pem", "key.pem", "engine-token"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-subj", "/CN=engine", "-addext", "subjectAltName=IP:127.0.0.1"]
        + ["-days", "2", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    pathlib.Path(token).write_text("tls-secret\n")
    trusted = make(engines.Vllm, REPO, tls=(cert, key))
    unknown = make(engines.Vllm, OTHER, tls=(cert, key))
    trusted.token = "tls-secret"
    n = node(trusted.config(ca_file=cert, token_file=token), unknown.config(token_file=token))
    n.wait_held(model, by="vllm https://")
    assert "certificate" in n.wait_state("never", 1)["error"]
    assert unknown.asked() == [] and not n.held(other)


def test_unmapped(cache, make, node):
    """Reported; and with strict_unmapped nothing goes by itself."""
    model = cache.model(REPO)
    vllm = make(engines.Vllm, "/weights/of/somebody")
    n = node(vllm.config(), policy=POLICY | {"unused_threshold": "1h"}, strict_unmapped=True)
    n.wait_state("unmapped")
    n.agent.wait_log(r"event=-engine .*state=unmapped")
    n.cluster.wait_lru(model)
    n.coordinator.demand_cycle()
    receipt = n.cluster.wait_receipt(model, "refused")
    assert receipt["why"].startswith(f"unmapped: vllm {vllm.url} serves chat"), receipt
    # An operator may.
    assert n.cluster.evict(model)["outcome"] == "deleted"


def test_unmapped_does_not_stop_others(cache, make, node):
    model = cache.model(REPO)
    n = node(make(engines.Ollama, "llama3.1:8b").config())
    n.wait_state("unmapped")
    assert n.cluster.evict(model)["outcome"] == "deleted"


@pytest.mark.parametrize("failure", ["refused", "html"])
def test_strict_wants_to_understand(cache, make, node, failure):
    model = cache.model(REPO)
    vllm = make(engines.Vllm)
    if failure == "html":
        html(vllm)
    else:
        vllm.token = "unknown"
    policy = POLICY | {"unused_threshold": "1h"}
    n = node(vllm.config(), policy=policy, strict_unmapped=True)
    n.wait_state("never" if failure == "html" else "unauthorized")
    n.cluster.wait_lru(model)
    n.coordinator.demand_cycle()
    assert n.cluster.wait_receipt(model, "refused")["why"].startswith("unmapped: vllm")
    # The setting is taken over by SIGHUP.
    n.agent.reload(strict_unmapped=False)
    assert n.cluster.evict(model)["outcome"] == "deleted"


# ---- starts, restarts, ends ----


class Gated(engines.Vllm):
    """Answers once the test lets it."""

    def __init__(self, *names):
        self.gate = threading.Event()
        super().__init__(*names)

    def wait(self, seconds):
        self.gate.wait(60)

    def stop(self):
        self.gate.set()
        super().stop()


def test_commands_wait_for_the_first_answers(cache, make, node):
    model = cache.model(REPO)
    vllm = make(Gated, REPO)
    n = node(vllm.config())
    n.cluster.wait_lru(model)
    row = n.cluster.order(model)
    assert row["outcome"] == "issued", row
    n.agent.wait_log(f"command-heard .*id={row['id']}")
    vllm.gate.set()
    receipt = n.cluster.receipt(row["id"])
    assert receipt["outcome"] == "refused" and receipt["why"].startswith("held: vllm"), receipt


def test_first_answer_may_never_come(cache, make, node):
    model = cache.model(REPO)
    vllm = make(engines.Vllm)
    vllm.everything("", pause=60)
    n = node(vllm.config())
    n.cluster.wait_lru(model)
    assert n.cluster.evict(model)["outcome"] == "deleted"
    assert n.engine()["state"] == "never"


def test_restart_keeps_the_claim(cache, make, node):
    model = cache.model(REPO)
    vllm = make(engines.Vllm, REPO)
    n = node(vllm.config(), claim_ttl="5m")
    n.wait_held(model)
    vllm.stop()
    n.agent.kill9()
    n.agent.start().wait_ready()
    n.wait_held(model)
    n.assert_kept(model)
    engine = n.wait_state("stale")
    assert engine["claim_left_ms"] > 0 and engine["answer_age_ms"] is None
    # And a refusal after the restart keeps it as well.
    vllm.start()
    vllm.token = "unknown"
    n.wait_state("unauthorized")
    n.assert_kept(model)


def test_stops_while_asking(cache, make, node):
    """A request under way does not hold the agent up."""
    cache.model(REPO)
    hanging = [make(engines.Vllm) for _ in range(3)]
    for vllm in hanging:
        vllm.everything("", pause=60)
    n = node(*[vllm.config() for vllm in hanging])
    wait_until(lambda: all(vllm.asked() for vllm in hanging), what="all are asked")
    n.agent.stop()


class Gauge(engines.Vllm):
    """Counts how many stand-ins are being asked at once."""

    lock_all = threading.Lock()
    now = peak = 0

    def wait(self, seconds):
        with Gauge.lock_all:
            Gauge.now += 1
            Gauge.peak = max(Gauge.peak, Gauge.now)
        super().wait(0.1)
        with Gauge.lock_all:
            Gauge.now -= 1


def test_few_at_once(cache, make, node):
    models = [cache.model(f"acme/m{i}") for i in range(20)]
    targets = [make(Gauge, f"acme/m{i}").config() for i in range(20)]
    n = node(*targets)
    for model in models:
        n.wait_held(model)
    assert 1 < Gauge.peak <= 8


# ---- a real engine ----


@pytest.mark.parametrize("sleep_s", [0, 1])
def test_real_engine(cache, make, node, directory, sleep_s):
    """
    llama.cpp's server has read the file and closed it: it serves the coldest model there is, and
    nothing on the disk tells of that.
    """
    cache.put(REPO, A, "tiny.gguf", make_model(directory))
    cache.ref(REPO, "main", A)
    cache.make_old(REPO)
    path = cache.snapshot(REPO, A) / "tiny.gguf"
    engine = make(RealLlamacpp, path, directory, sleep_s=sleep_s)
    cache.make_old(REPO)
    n = node(engine.config(), policy=POLICY | {"unused_threshold": "1h"}, **SHORT)
    (model,) = n.agent.models()
    n.wait_held(model, by="llamacpp http://")
    assert n.wait_state("fresh")["serves"][0] == {"name": "tiny", "adapter": False, "mapped": True}
    n.assert_kept(model)
    engine.complete("Is this model in use?")
    engine_row = n.wait_engine("sleeps" if sleep_s else "is awake", asleep=bool(sleep_s))
    if not sleep_s:
        wait_until(lambda: n.engine()["last_request_age_ms"] is not None, what="a request is seen")
    assert engine_row["restarts"] == 0
    n.coordinator.demand_cycle()
    n.assert_kept(model)
    assert path.exists()
    engine.stop()
    n.wait_state("stale")
    n.wait_goes(model)
    assert not path.exists()
