"""Many users of a node's models at once, of all kinds, until they are told to stop."""

import collections
import json
import os
import random
import subprocess
import sys
import threading
import time

from larder.clients import CLIENTS, ClientError
from larder.paused import COMMITTED, EARLY

REFILL_AFTER_S = 0.5
TOUCH_EVERY_S = 0.15
# A removal that a touch or a claim has stopped is put back within this time.
UNDONE_S = 10
EVICT_EVERY_S = 0.1
TRIES = 6


class Worker:
    """Something that is done again and again by a thread of this process."""

    every_s = 0.0

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.counts = collections.Counter()
        self.broken = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def _run(self):
        try:
            while not self.stopped.wait(self.random.uniform(0, 2 * self.every_s)):
                self.act()
        except Exception as error:  # the test judges it
            self.broken.append(f"{type(self).__name__}: {error!r}")

    def stop(self):
        self.stopped.set()

    def join(self):
        self.thread.join(120)
        assert not self.thread.is_alive(), f"{type(self).__name__} does not end"


class ReaderProcess:
    """clients/reader.py"""

    def __init__(self, directory, role, models, seed, **times):
        config = {"role": role, "models": [m.catalog() for m in models], "seed": seed, **times}
        path = directory / f"reader-{role}-{seed}.json"
        path.write_text(json.dumps(config))
        self.role = role
        self.argv = [sys.executable, CLIENTS / "reader.py", path]
        self.popen = None
        self.counts, self.broken = collections.Counter(), []

    def start(self):
        pipe = subprocess.PIPE
        env = os.environ | {"PYTHONPATH": str(CLIENTS.parent)}
        self.popen = subprocess.Popen(self.argv, stdin=pipe, stdout=pipe, text=True, env=env)
        return self

    def stop(self):
        self.popen.stdin.close()
        self.popen.stdin = None

    def join(self):
        out, _ = self.popen.communicate(timeout=120)
        assert self.popen.returncode == 0, f"reader {self.role} ended with {self.popen.returncode}"
        seen = json.loads(out)
        self.counts, self.broken = collections.Counter(seen["counts"]), seen["broken"]


class Filler(Worker):
    """Brings back what was evicted, and models that nobody will ever use, each once."""

    every_s = 0.1

    def __init__(self, seed, models, idle):
        super().__init__(seed)
        self.models = models
        self.idle = list(idle)
        self.missing_since = {}

    def act(self):
        now = time.monotonic()
        for model in self.models:
            if not model.missing:
                self.missing_since.pop(model.name, None)
            elif now - self.missing_since.setdefault(model.name, now) >= REFILL_AFTER_S:
                del self.missing_since[model.name]
                model.make()
                self.counts["made"] += 1
        if self.idle and self.random.random() < 0.2:
            self.idle.pop().make()
            self.counts["idle"] += 1


def places(model):
    """Looks without using: neither follows a link nor reads. None: not all of it is there."""
    try:
        return [os.lstat(path).st_ino for path in model.paths]
    except FileNotFoundError:
        return None


class Toucher(Worker):
    """Says that it needs a model; told yes, it finds it there for as long as is promised."""

    every_s = TOUCH_EVERY_S

    def __init__(self, seed, agent, models, keep_s, restart_s):
        super().__init__(seed)
        self.agent, self.models, self.keep_s = agent, models, keep_s
        self.restart_s = restart_s
        self.kept = []

    def act(self):
        model = self.random.choice(self.models)
        asked = time.monotonic()
        try:
            status = self.agent.touch(model.name).status
        except OSError:
            self.counts["no agent"] += 1  # it was killed a moment ago
            return
        self.counts[status] += 1
        if status == 200:
            # The touch may have stopped a removal that is being undone.
            self.kept.append((asked, model, self.places(model, UNDONE_S)))
        while self.kept and time.monotonic() - self.kept[0][0] > self.keep_s / 2:
            self.judge(*self.kept.pop(0))

    @staticmethod
    def places(model, patience_s):
        """What is there as soon as all of it is; None: it does not come back."""
        end = time.monotonic() + patience_s
        while (found := places(model)) is None and time.monotonic() <= end:
            time.sleep(0.01)
        return found

    def judge(self, asked, model, places):
        now = self.places(model, 0)
        age = time.monotonic() - asked
        said = f"{time.time():.3f} {model.name}: touched {age:.3f} s ago"
        if places is None:
            self.broken.append(f"{said}, and not there right afterwards")
        elif now == places:
            self.counts["kept"] += 1
        elif age > self.keep_s:
            self.counts["late"] += 1
        # An agent that was killed in the middle of a removal puts the model back when it starts.
        elif self.places(model, self.restart_s) == places:
            self.counts["transient"] += 1
        else:
            self.broken.append(f"{said}, and not kept: {places} has become {now}")


class Evictor(Worker):
    """Deletes by hand as fast as it can, often by force. `models`: names or globs"""

    every_s = EVICT_EVERY_S

    def __init__(self, seed, coordinator, models, forced=0.5):
        super().__init__(seed)
        self.coordinator, self.models, self.forced = coordinator, models, forced

    def act(self):
        model = self.random.choice(self.models)
        body = {"models": [model], "force": self.random.random() < self.forced}
        answer = self.coordinator.http.post("/v1/evictions", body)
        if answer.status == 202:
            for row in answer.json["commands"]:
                self.counts[row["outcome"]] += 1
        else:
            self.counts[answer.status] += 1


class Downloader(Worker):
    """
    A real client that downloads and loads all of it; what fails must go well when it is done again.
    A client only looks whether a file is there, which is no use: a model that nobody has opened for
    long may go between two of these looks, and then it downloads the rest alone.
    """

    def __init__(self, seed, client, cache, revisions, every_s=0.3):
        super().__init__(seed)
        self.every_s = every_s
        self.client, self.cache, self.revisions = client, cache, revisions
        self.errors = collections.Counter()

    def act(self):
        repo, revision, kind, size = self.random.choice(self.revisions)
        errors = []
        for _ in range(TRIES):
            try:
                folder = self.client.download(self.cache, repo, revision, type=kind)
                read = self.client.call("read", folder=folder)
            except ClientError as error:
                self.failed(f"{error.name}: {error.message}", errors)
                continue
            if read == size:
                self.counts["loaded"] += 1
                return
            self.failed(f"{read} of {size} bytes", errors)
        self.broken.append(f"{self.client.kind} {repo}@{revision}: " + " | ".join(errors))

    def failed(self, what, errors):
        self.counts["errors"] += 1
        self.errors[f"{self.client.kind} {what[:80]}"] += 1
        errors.append(what)


class Killer(Worker):
    """Kills the agent at random moments, and starts it again."""

    every_s = 1.5

    def __init__(self, seed, agent):
        super().__init__(seed)
        self.agent = agent

    def act(self):
        self.agent.kill9()
        self.stopped.wait(self.random.uniform(0, 0.5))
        self.agent.start()
        self.counts["kills"] += 1


class Stopper(Worker):
    """Stops the agent for moments at the steps of its removals, so that others come in between."""

    every_s = 0.05

    def __init__(self, seed, agent):
        super().__init__(seed)
        # Before the rename most can happen.
        points = (*EARLY, *EARLY, *EARLY, "removal-moved", "removal-undo", *COMMITTED)
        self.gates = [agent.pause(point) for point in points]

    def act(self):
        gate = self.random.choice(self.gates).shut()
        self.stopped.wait(self.random.uniform(0, 0.3))
        self.counts[gate.mark.exists()] += 1
        gate.open()


class Storm:
    def __init__(self):
        self.workers = []

    def add(self, *workers):
        self.workers += workers

    def run(self, seconds):
        for worker in self.workers:
            worker.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not any(w.broken for w in self.workers):
            time.sleep(0.1)
        # Those who kill end first: what the others wait for must come.
        for worker in sorted(self.workers, key=lambda w: not isinstance(w, Killer)):
            worker.stop()
            if isinstance(worker, Killer):
                worker.join()
        for worker in self.workers:
            worker.join()

    @property
    def broken(self):
        return [line for worker in self.workers for line in worker.broken]

    def of(self, kind):
        return [worker for worker in self.workers if isinstance(worker, kind)]

    def counts(self, kind, key):
        return sum(worker.counts[key] for worker in self.of(kind))

    @property
    def errors(self):
        """What clients complained of before it went well."""
        found = collections.Counter()
        for worker in self.workers:
            found.update(getattr(worker, "errors", {}))
        return dict(found)

    def summary(self):
        rows = collections.defaultdict(collections.Counter)
        for worker in self.workers:
            label = getattr(worker, "role", None) or type(worker).__name__
            if isinstance(worker, Downloader):
                label += f" {worker.client.kind}"
            rows[label].update(worker.counts)
        return {label: dict(counts) for label, counts in rows.items()}
