"""The two daemons as real processes, each with its own configuration and state directory."""

import json
import os
import pathlib
import signal
import time

from larder.http import Http
from larder.process import Process
from larder.wait import wait_until

TOKEN = "a-token-for-tests"
# What a test must wait for is done often; what it does not ask for does not happen.
AGENT = {"beat_interval": "100ms", "scan_interval": "200ms"}
ROOT = {"layout": "huggingface", "settle_time": "0s"}
POLICY = {"type": "lru", "unused_threshold": "36500d", "min_age": "0s"}
COORDINATOR = {
    "enabled": True,
    "policy": POLICY,
    "check_interval": "1h",
    "hold_off": "0s",
    "lease": "2s",
    "command_ttl": "60s",
}


def binary(name):
    build = os.environ.get("LARDER_BUILD")
    assert build, "LARDER_BUILD must name the directory with the programs"
    path = pathlib.Path(build).resolve() / name
    assert path.exists(), f"{path} is missing"
    return path


def merged(base, changes):
    """`base` with `changes` on top; dictionaries are merged, None takes a key out."""
    result = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            value = merged(result[key], value)
        if value is None:
            result.pop(key, None)
        else:
            result[key] = value
    return result


class Daemon:
    program = None

    def __init__(self, name, directory, config):
        self.name = name
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir(parents=True)
        self.config_path = self.directory / "config.json"
        self.token_path = self.directory / "token"
        self.token_path.write_text(TOKEN + "\n")
        self.config = config
        self.write_config()
        self.env = {}
        self.port = None
        argv = [binary(self.program), "--config", self.config_path]
        self.process = Process(name, argv, self.directory)

    def write_config(self, **changes):
        self.config = merged(self.config, changes)
        self.config_path.write_text(json.dumps(self.config, indent=1))

    def start(self, **env):
        self.process.env = {**self.env, **env}
        self.process.start()
        found = self.process.wait_log(r"event=\+start .*http_port=(\d+)", 60)
        self.port = int(found.group(1))
        return self

    def stop(self):
        self.process.stop()

    def restart(self, **env):
        self.stop()
        return self.start(**env)

    def kill9(self):
        self.process.kill9()

    def reload(self, **changes):
        """SIGHUP after a change of the configuration; returns once it was taken up or refused."""
        self.write_config(**changes)
        self.hup()

    def hup(self):
        before = self.process.log().count("reload ")
        self.process.signal(signal.SIGHUP)
        wait_until(lambda: self.process.log().count("reload ") > before, what="reload")

    @property
    def http(self):
        return Http(self.port, TOKEN)

    def wait_log(self, pattern, timeout=30):
        return self.process.wait_log(pattern, timeout)

    def log_contains(self, pattern, times=1):
        return self.process.log_contains(pattern, times)


class Agent(Daemon):
    program = "larder-agent"

    def __init__(self, name, directory, redis_url, roots, **changes):
        self.roots = [merged(ROOT, r if isinstance(r, dict) else {"path": str(r)}) for r in roots]
        config = {
            "node_name": name,
            "state_dir": str(pathlib.Path(directory) / name / "state"),
            "roots": self.roots,
            "redis": {"url": redis_url},
            "http": {"listen": "127.0.0.1:0"},
        }
        super().__init__(name, directory, merged(merged(AGENT, config), changes))
        (self.directory / "state").mkdir()

    def status(self):
        return self.http.get_json("/v1/status")

    def models(self):
        return {m["model"]: m for m in self.http.get_json("/v1/models")["models"]}

    def scan(self):
        assert self.http.post("/v1/scan").status == 202

    def touch(self, model):
        return self.http.post("/v1/touch", {"model": model})

    def wait_ready(self):
        wait_until(lambda: self.http.get("/readyz").status == 200, what=f"{self.name} registers")
        return self

    def wait_model(self, model, status="DOWNLOADED", timeout=30):
        """Waits until the agent has found it in this status, and Redis knows."""

        def found():
            row = self.models().get(model)
            return row if row and row["status"] == status else None

        return wait_until(found, timeout, f"{self.name} finds {model} {status}")

    def wait_gone(self, model, timeout=30):
        wait_until(lambda: model not in self.models(), timeout, f"{self.name} drops {model}")

    def last_use_ms(self, model):
        """When the agent believes it was used last, on this machine's clock."""
        row = self.models()[model]
        return time.time() * 1000 - row["idle_ms"]

    def pause(self, point):
        return Gate(self, point)


class Gate:
    """A hook point at which the agent waits: start it with `env`, then reached(), then open()."""

    def __init__(self, agent, point):
        self.directory = agent.directory / "hooks"
        self.directory.mkdir(exist_ok=True)
        self.gate = self.directory / point
        self.mark = self.directory / f"{point}.reached"
        self.env = {"LARDER_HOOK_PAUSE": self.directory}

    def shut(self):
        self.mark.unlink(missing_ok=True)
        self.gate.touch()
        return self

    def reached(self, timeout=30):
        wait_until(self.mark.exists, timeout, f"the agent comes to {self.gate.name}")

    def open(self):
        self.gate.unlink(missing_ok=True)


class Coordinator(Daemon):
    program = "larder-coordinator"

    def __init__(self, name, directory, redis_url, **changes):
        config = {
            "redis": {"url": redis_url},
            "http": {
                "listen": "127.0.0.1:0",
                "token_file": str(pathlib.Path(directory) / name / "token"),
            },
        }
        super().__init__(name, directory, merged(merged(COORDINATOR, config), changes))

    def status(self):
        return self.http.get_json("/v1/status")

    @property
    def leads(self):
        return self.status()["leader"]["here"]

    def wait_leads(self, timeout=30):
        wait_until(lambda: self.leads, timeout, f"{self.name} leads")
        return self

    def wait_sees(self, *nodes):
        def seen():
            answer = self.http.get("/v1/nodes")
            if answer.status == 503:  # while Redis is away
                return False
            rows = {n["node"]: n for n in answer.json["nodes"]}
            return all(rows.get(n, {}).get("live") for n in nodes)

        wait_until(seen, what=f"{self.name} sees {nodes} alive")

    def node(self, name):
        rows = self.http.get_json("/v1/nodes", node=name)["nodes"]
        return rows[0] if rows else None

    def wait_models(self, count):
        """Waits until Redis knows of so many models, whatever their status."""

        def known():
            answer = self.http.get("/v1/models", limit=1)
            return answer.status == 200 and answer.json["total"] == count

        wait_until(known, what=f"{self.name} sees {count} models")

    def wait_victims(self, count):
        """Waits until a cycle would evict so many models; that plan."""

        def planned():
            plan = self.plan()
            return plan if plan["victim_count"] == count else None

        return wait_until(planned, what=f"{count} victims are planned")

    def plan(self, **params):
        return self.http.get_json("/v1/plan", **params)

    def evictions(self, **params):
        return self.http.get_json("/v1/evictions", **params)["evictions"]

    def demand_cycle(self):
        """Runs one cycle, waits until all its commands have ended, and returns its result."""
        ids = [c["id"] for c in self.status()["cycles"]]
        assert self.http.post("/v1/cycles").status == 202

        def ended():
            fresh = [c for c in self.status()["cycles"] if c["id"] not in ids]
            return fresh[-1] if fresh and fresh[-1]["ended"] else None

        return wait_until(ended, 90, "a cycle ends")
