"""Everything one test starts: Redis, agents, coordinators, hubs and clients, and their end."""

import shutil

from larder import trees
from larder.clients import Client
from larder.daemons import Agent, Coordinator
from larder.hub import Hub
from larder.proxy import Proxy
from larder.redis_server import RedisServer
from larder.wait import wait_until

# How often an eviction is asked for again when the agent has just seen a read that came before it.
USED_TRIES = 5


class Cluster:
    def __init__(self, directory):
        self.directory = directory
        self._redis = None
        self.agents = []
        self.coordinators = []
        self.clients = []
        self.servers = []
        self.sentinels = []
        self.proxies = []
        self._hub = None

    # ---- parts ----

    @property
    def redis(self):
        return self._redis or self.redis_server()

    def use_redis(self, **options):
        """Another one than `redis` would be, for all that is started from now on."""
        self._redis = self.redis_server(**options)

    def redis_server(self, **options):
        """The first is the one that is meant where none is named."""
        server = RedisServer(self.directory, f"redis{len(self.servers) or ''}", **options)
        self.servers.append(server)
        self._redis = self._redis or server
        return server.start()

    @property
    def db(self):
        return self.redis.client()

    def proxy(self):
        """In front of Redis, for a daemon whose `url` is the proxy's."""
        self.proxies.append(Proxy(self.redis.socket))
        return self.proxies[-1]

    @property
    def hub(self):
        if self._hub is None:
            self._hub = Hub()
        return self._hub

    def client(self, kind, **env):
        client = Client(kind, self.hub.url, self.directory / "home", **env)
        self.clients.append(client)
        return client

    def agent(self, *roots, name="n1", start=True, url=None, **config):
        agent = Agent(name, self.directory, url or self.redis.unix_url, roots, **config)
        self.agents.append(agent)
        return agent.start() if start else agent

    def coordinator(self, name="c1", start=True, url=None, **config):
        coordinator = Coordinator(name, self.directory, url or self.redis.unix_url, **config)
        self.coordinators.append(coordinator)
        return coordinator.start().wait_leads() if start else coordinator

    def pair(self, *roots, policy=None, **config):
        """One agent and one coordinator that know each other."""
        coordinator = self.coordinator(**({"policy": policy} if policy else {}), **config)
        agent = self.agent(*roots).wait_ready()
        coordinator.wait_sees(agent.name)
        return agent, coordinator

    # ---- acts ----

    def order(self, model, force=False, nodes=None):
        """Asks for an eviction by hand; the row of the answer for this model."""
        body = {"models": [model], "force": force}
        if nodes:
            body["nodes"] = nodes
        answer = self.coordinators[0].http.post("/v1/evictions", body)
        assert answer.status == 202, answer
        return answer.json["commands"][0]

    def receipt(self, command_id, timeout=60):
        """The end of a command, from the audit trail."""

        def found():
            rows = self.coordinators[0].evictions(id=command_id)
            return rows[0] if rows else None

        return wait_until(found, timeout, f"the receipt of {command_id}")

    def evict(self, model, force=False, nodes=None):
        """
        Evicts by hand and returns the receipt. A test's own reading of the files counts as a use
        that the agent may hear of only now; then it is asked again.
        """
        for _ in range(USED_TRIES):
            row = self.order(model, force, nodes)
            assert row["outcome"] in ("issued", "used"), row
            if row["outcome"] == "used":
                continue
            receipt = self.receipt(row["id"])
            if not (receipt["outcome"] == "refused" and receipt["why"].startswith("used")):
                break
        return receipt

    def wait_receipt(self, model, outcome, timeout=60, times=1):
        """Waits until so many commands for a model have ended in this way; the newest of them."""

        def found():
            rows = self.coordinators[0].evictions(model=model)
            rows = [r for r in rows if r["outcome"] == outcome]
            return rows[0] if len(rows) >= times else None

        return wait_until(found, timeout, f"{model} is {outcome}")

    def wait_quiet(self):
        """Waits until no command is open and no removal is under way."""

        def quiet():
            commands = [c.status()["open_commands"] for c in self.coordinators]
            removals = [a.status()["removals"] for a in self.agents if a.process.running]
            return not any(commands + removals)

        wait_until(quiet, what="nothing is under way")

    def lru(self, node="n1"):
        return dict(self.db.zrange(f"larder:{{{node}}}:lru", 0, -1, withscores=True))

    def wait_lru(self, model, node="n1"):
        wait_until(lambda: model in self.lru(node), what=f"{model} stands in Redis")

    # ---- the end ----

    def processes(self):
        daemons = [d.process for d in self.agents + self.coordinators]
        servers = [s.process for s in self.servers if s.process is not None]
        return daemons + servers + [s.process for s in self.sentinels]

    def close(self):
        errors = []
        for client in self.clients:
            client.close()
        sentinels = [s.process for s in self.sentinels]
        for part in [*self.agents, *self.coordinators, *sentinels, *self.servers]:
            try:
                part.stop()
            except AssertionError as error:
                errors.append(str(error))
        for proxy in self.proxies:
            proxy.close()
        for process in self.processes():
            try:
                process.check_log()
            except AssertionError as error:
                errors.append(str(error))
        for server in self.servers:
            shutil.rmtree(server.short, ignore_errors=True)
        if self._hub is not None:
            self._hub.close()
        assert not errors, "; ".join(errors)


def assert_clean(*roots):
    """Nothing dangles, and nothing that Larder has moved aside is left."""
    for root in roots:
        assert trees.dangling(root) == []
        wait_until(lambda r=root: trees.left_by_larder(r) == [], what=f"{root} is tidy")
