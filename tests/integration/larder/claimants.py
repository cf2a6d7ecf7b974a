"""Users of the storm who open no file: callers who hold models, and engines that serve them."""

import time

from larder.storm import UNDONE_S, Worker, places

LOOK_EVERY_S = 0.05


class Claimant(Worker):
    """Whoever was told that a model is his finds it where it was, until he lets it go."""

    def __init__(self, seed, agent, models, restart_s):
        super().__init__(seed)
        self.agent, self.models = agent, models
        self.patience_s = max(UNDONE_S, restart_s)

    def wait_for(self, condition, seconds):
        """What the condition comes to; None when the time is over, or the storm."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.stopped.is_set():
            found = condition()
            if found:
                return found
            time.sleep(LOOK_EVERY_S)
        return None

    def judge(self, model, before, who):
        """A removal that the claim, or the death of the agent, has cut short is undone first."""
        end = time.monotonic() + self.patience_s
        now = places(model)
        self.counts["kept" if now == before else "transient"] += 1
        while now != before and time.monotonic() < end:
            time.sleep(LOOK_EVERY_S)
            now = places(model)
        if now != before:
            self.broken.append(
                f"{time.time():.3f} {model.name}: claimed by {who}, and {before} has become {now}"
            )
        return now == before


class Holder(Claimant):
    """A launcher: holds a model by its name or its path, renews, and lets it go or forgets to."""

    every_s = 0.1

    def __init__(self, seed, agent, models, times, restart_s):
        super().__init__(seed, agent, models, restart_s)
        self.times = times

    def ask(self, method, *args, **kwargs):
        try:
            return getattr(self.agent.http, method)("/v1/holds", *args, **kwargs)
        except OSError:
            self.counts["no agent"] += 1  # it was killed a moment ago
            return None

    def act(self):
        model = self.random.choice(self.models)
        which = self.random.choice([{"model": model.name}, {"path": str(model.folder)}])
        seconds = self.random.uniform(*self.times)
        asked = time.monotonic()
        body = {**which, "ttl": f"{1000 * seconds:.0f}ms", "who": "storm"}
        answer = self.ask("post", body)
        if answer is None:
            return
        self.counts[answer.status] += 1
        if answer.status != 200 or model.name not in answer.json["models"]:
            return
        # It stands from the answer on; a removal that it has stopped is put back.
        found = self.wait_for(lambda: places(model), UNDONE_S)
        if found is None:
            if not self.stopped.is_set() and time.monotonic() - asked < seconds:
                self.broken.append(f"{time.time():.3f} {model.name}: held, and not there")
            return
        self.stopped.wait(max(0, 0.9 * seconds - (time.monotonic() - asked)))
        if self.random.random() < 0.3:
            again = self.ask("post", {**body, "id": answer.json["id"]})
            if again is not None and again.status == 200:
                asked = time.monotonic()
                self.counts["renewed"] += 1
                self.stopped.wait(0.9 * seconds)
        now = places(model)
        if time.monotonic() - asked < seconds:
            if now == found:
                self.counts["kept"] += 1
            else:
                self.judge(model, found, "a hold")
        else:
            self.counts["late"] += 1  # this machine is busy
        if self.random.random() < 0.5:
            self.ask("delete", id=answer.json["id"])


class Server(Claimant):
    """
    An engine that serves one model after the other and never touches a file. It flaps: for moments
    shorter than `claim_ttl` it is slow, broken, locked or dead; what it serves stays all the same.
    """

    every_s = 0.1
    SECONDS_FOR_ANSWER = 30

    def __init__(self, seed, agent, engine, models, flap_s, idle_s, restart_s):
        super().__init__(seed, agent, models, restart_s)
        self.engine, self.flap_s, self.idle_s = engine, flap_s, idle_s
        self.troubles = {
            "slow": lambda: engine.everything({"data": []}, pause=self.flap_s[1]),
            "broken": lambda: engine.everything("Internal Server Error", status=500),
            "nonsense": lambda: engine.everything("<html>It works!</html>"),
            "locked": lambda: engine.everything({"error": "no"}, status=401),
            "dead": engine.stop,
        }

    def claimed(self, model):
        try:
            row = self.agent.models().get(model.name)
        except OSError:
            return False  # it was killed a moment ago
        return row is not None and row["held_source"] == "probe" and row["held_ms"] > 0

    def act(self):
        model = self.random.choice(self.models)
        self.engine.serve(model.served_as)
        # The claim of before may still stand, and end with an answer that is on its way.
        self.wait_for(self.heard(), self.SECONDS_FOR_ANSWER)
        if self.wait_for(lambda: self.claimed(model), self.SECONDS_FOR_ANSWER):
            self.serve(model)
        else:
            self.counts["absent"] += 1
        self.engine.serve()
        self.stopped.wait(self.random.uniform(*self.idle_s))

    def serve(self, model):
        before = places(model)
        if before is None:
            self.counts["too late"] += 1  # it was being removed when the agent heard of it
            return
        for _ in range(self.random.randint(1, 3)):
            self.flap(self.random.choice(list(self.troubles)), model)
            # Only what has heard a good answer since starts the time of the claim anew.
            answered = self.wait_for(self.heard(), self.SECONDS_FOR_ANSWER)
            if not self.judge(model, before, self.engine.url) or answered is None:
                return

    def flap(self, trouble, model):
        self.troubles[trouble]()
        self.counts[trouble] += 1
        self.stopped.wait(self.random.uniform(*self.flap_s))
        if self.engine.server is None:
            self.engine.start()
        self.engine.serve(model.served_as)

    def heard(self):
        """One request ends before the next is sent: the third comes after a good answer."""
        seen = len(self.engine.asked("/v1/models"))
        return lambda: len(self.engine.asked("/v1/models")) >= seen + 3
