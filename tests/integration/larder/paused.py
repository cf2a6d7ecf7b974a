"""A removal of a case's model that is stopped at one of its steps."""

import os
import re

from larder.removals import CASES
from larder.trees import dangling, left_by_larder
from larder.wait import wait_until

# The steps at which the agent can be stopped, in their order: before the model is moved away,
# between that and the commit, and after it. See common/hook.h and agent/removal.c.
EARLY = ("removal-check", "removal-intent", "removal-claim", "removal-take")
LATE = ("removal-moved", "removal-commit", "removal-clean")
COMMITTED = ("removal-commit", "removal-clean", "removal-cleaned", "reap", "removal-finish")


class Paused:
    """A removal of a case's model that waits at `point`."""

    def __init__(self, cluster, root, kind, point, cases=CASES, **settings):
        self.cluster = cluster
        self.case = cases[kind](root)
        self.agent = cluster.agent(self.case.config, start=False, **settings)
        self.gate = self.agent.pause(point).shut()
        self.agent.start(**self.gate.env).wait_ready()
        cluster.coordinator().wait_sees(self.agent.name)
        cluster.wait_lru(self.case.name)
        self.order()

    def order(self):
        row = self.cluster.order(self.case.name)
        assert row["outcome"] == "issued", row
        self.command = row["id"]
        self.gate.reached()

    def go_on(self):
        self.gate.open()
        return self.cluster.receipt(self.command)

    def assert_refused(self, *words):
        receipt = self.go_on()
        assert receipt["outcome"] == "refused", receipt
        assert receipt["why"].startswith(words), receipt
        assert receipt["bytes"] == 0
        assert left_by_larder(self.case.root) == []
        assert self.case.whole()

    def assert_tidy(self):
        wait_until(lambda: left_by_larder(self.case.root) == [], what="the trash is emptied")
        assert dangling(self.case.root) == []


def waits_for_a_lease(path, folder=None):
    """
    True while somebody waits for the holder of a lease on this file to give it up; it is looked
    for by its name in `folder`, a handle, if there is one.
    """
    status = os.stat(path if folder is None else path.name, dir_fd=folder)
    file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with open("/proc/locks") as locks:
        return any(re.search(rf"LEASE\s+BREAKING\b.* {file} ", line) for line in locks)
