"""What the scripts of a node do, once more, in Python: what Redis must hold after each call."""

import re

SAME_USE_MS = 1000
COMMAND = re.compile(r"(\S+) (\d+) ([0-9a-f]+) (\d+) (\d+) (\w+)( force)?")
LEAVES = ("deleted", "gone")
OUTCOMES = ("deleted", "gone", "refused", "failed", "refault")


class Reference:
    def __init__(self):
        self.inc = None
        self.loading = False
        self.lru, self.before, self.hold = {}, {}, {}
        self.size, self.status, self.cmd = {}, {}, {}
        self.fence = 0
        self.receipt = (None, 0)
        self.counters = dict.fromkeys((*OUTCOMES, "freed"), 0)
        self.receipts = 0

    @property
    def holders(self):
        """The script's caller names each holder after its model."""
        return {model: f"hold: {model}" for model in self.hold}

    # ---- each returns the answer's first word, or what follows from it ----

    def register(self, now, inc, first, last, found, gone):
        if first:
            for model, score in self.lru.items():
                self.before[model] = max(score, self.before.get(model, 0))
            self.lru, self.size, self.status = {}, {}, {}
            self.inc, self.loading = inc, True
        elif inc != self.inc:
            return "UNKNOWN"
        for new in found:
            self._found(now, new)
        for model in gone:
            for place in (self.lru, self.size, self.status, self.hold):
                place.pop(model, None)
        if last:
            self.before, self.loading = {}, False
        return "OK"

    def _found(self, now, new):
        if new.status:
            self.lru.pop(new.model, None)
            self.size.pop(new.model, None)
            self.status[new.model] = new.status
            return
        score = now - max(0, new.age)
        before = min(now, self.before.get(new.model, self.lru.get(new.model, 0)))
        self.lru[new.model] = before if before > score - SAME_USE_MS else score
        self.size[new.model] = new.size
        self.status.pop(new.model, None)

    def hears(self, inc):
        return inc == self.inc and not self.loading

    def beat(self, now, inc, models, uses, holds):
        if not self.hears(inc):
            return "UNKNOWN"
        for age, model in uses:
            if model in self.lru:
                self.lru[model] = max(self.lru[model], now - max(0, age))
        if holds:
            self.hold = {m: until for m, until in self.hold.items() if until > now}
        for ms, model in holds:
            self.hold.pop(model, None)
            if ms > 0:
                self.hold[model] = now + ms
        return "OK" if len(self.lru) == len(self.size) == models else "RESYNC"

    def refuses(self, epoch, inc):
        if self.inc is None:
            return "UNKNOWN"
        if epoch < self.fence:
            return "FENCED"
        if self.loading:
            return "LOADING"
        return None if inc == self.inc else "INCARNATION"

    def issue(self, now, epoch, victims, ttl, longest):
        """The outcomes; a call that `refuses` has refused does not come here."""
        self.fence = epoch
        outcomes, issued = [], {}
        for victim in victims:
            outcome, generation = self._outcome(now, victim, longest)
            if outcome == "issued" and victim.model in issued:
                outcome = "pending"
            if outcome == "issued":
                issued[victim.model] = (
                    f"{victim.id} {victim.seen} {generation} {now + ttl} {epoch} {victim.reason}"
                    + " force" * victim.force)
            outcomes.append(outcome)
        self.cmd.update(issued)
        return outcomes

    def _outcome(self, now, victim, longest):
        if victim.model in self.lru:
            if self.lru[victim.model] > victim.seen:
                return "used", None
            generation = self.size[victim.model].split()[1]
        elif victim.reason == "manual" and self.status.get(victim.model, "").startswith("ERROR"):
            generation = "0"
        else:
            return "gone", None
        if not victim.force and self.hold.get(victim.model, 0) > now:
            return "held", None
        under_way = COMMAND.fullmatch(self.cmd.get(victim.model, ""))
        if under_way and now < int(under_way[4]) <= now + longest:
            return "pending", None
        return "issued", generation

    def confirm(self, inc, journal, receipts):
        """How many were new, or None."""
        if inc != self.inc:
            return None
        last = self.receipt[1] if self.receipt[0] == journal else 0
        new = 0
        for receipt in receipts:
            if self.cmd.get(receipt.model, "").split(" ")[0] == receipt.id:
                del self.cmd[receipt.model]
            if receipt.number <= last:
                continue
            last = receipt.number
            new += 1
            self.counters[receipt.outcome] += 1
            self.counters["freed"] += receipt.bytes if receipt.outcome != "refault" else 0
            if receipt.outcome in LEAVES:
                for place in (self.lru, self.size, self.status, self.hold):
                    place.pop(receipt.model, None)
        if new > 0:
            self.receipt = (journal, last)
        self.receipts += new
        return new

    # ---- what Redis holds ----

    def differences(self, node):
        """Names of what is not there as it is here."""
        db = node.db
        receipt = node.field("receipt")
        actual = {
            "lru": node.scores(),
            "before": {m: int(s) for m, s in db.zrange(node.before, 0, -1, withscores=True)},
            "hold": {m: int(s) for m, s in db.zrange(node.hold, 0, -1, withscores=True)},
            "holders": db.hgetall(node.holders),
            "size": db.hgetall(node.size),
            "status": db.hgetall(node.status),
            "cmd": db.hgetall(node.cmd),
            "inc": node.field("inc"),
            "loading": node.field("loading") == "1",
            "fence": node.number("fence"),
            "counters": {name: node.number(name) for name in self.counters},
            "receipts": db.xlen(node.receipts),
            "receipt": (receipt.split(":")[0], int(receipt.split(":")[1])) if receipt else (None, 0),
        }
        return [f"{name}: {value!r}, not {getattr(self, name)!r}"
                for name, value in actual.items() if value != getattr(self, name)]
