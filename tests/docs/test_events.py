"""docs/events.md lists the events that the sources log, with their programs and fields."""

import collections
import re

import pytest

from markdown import CHECKOUT, DOCS, code, table

FOLDERS = ("agent", "coordinator", "common")
# A call to its end. These of the agent log the event that they are given, with a reason.
GIVEN = ("complain", "refused")
NAME = r"\b(log_(?:error|warn|info|debug|fields)|(?:complain|refused)(?=\((?:b, )?\"[+-]))\("
CALL = re.compile(NAME + r"((?:[^;\"]|\"(?:[^\"\\]|\\.)*\")*)\);")
FIELD = re.compile(r'LOG_(?:STR|INT)\("(\w+)"')
EVENT = re.compile(r'"([+-][a-z-]+|libevent)"')


def calls():
    for folder in FOLDERS:
        for source in sorted((CHECKOUT / folder).glob("*.c")):
            for name, arguments in CALL.findall(source.read_text()):
                yield folder, source, name, arguments


def logged():
    """{event: (folders, fields)} of all sources."""
    events = collections.defaultdict(lambda: (set(), set()))
    for folder, source, name, arguments in calls():
        # Before the fields there may be two events, of which a condition chooses one.
        names = EVENT.findall(re.split(r"LOG_(?:STR|INT)", arguments)[0])
        # A name that is passed on stands in the call of whoever passes it.
        assert names or arguments.startswith("event,"), f"{source}: {name}({arguments})"
        for event in names:
            events[event][0].add(folder)
            events[event][1].update(FIELD.findall(arguments))
            if name in GIVEN:
                events[event][1].add("reason")
    return events


LOGGED = logged()
ROWS = table(DOCS / "events.md", "event")
DOCUMENTED = {event: row for row in ROWS for event in code(row[0])}


def test_no_call_is_overlooked():
    """The pattern above must see what a simpler one sees."""
    simple = 0
    for folder in FOLDERS:
        for source in (CHECKOUT / folder).glob("*.c"):
            simple += len(
                re.findall(r"^\t.*\blog_(?:error|warn|info|debug)\(", source.read_text(), re.M)
            )
    found = [name for _, _, name, _ in calls() if name not in (*GIVEN, "log_fields")]
    assert len(found) == simple > 60


def test_documented_events_are_the_logged_ones():
    assert sorted(DOCUMENTED) == sorted(LOGGED)


def test_each_event_is_documented_once():
    assert len(DOCUMENTED) == sum(len(code(row[0])) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_programs_and_fields_of_a_row(row):
    folders, fields = set(), set()
    for event in code(row[0]):
        folders |= LOGGED[event][0]
        fields |= LOGGED[event][1]
    both = "common" in folders or {"agent", "coordinator"} <= folders
    assert row[1] == ("both" if both else folders.pop())
    assert sorted(code(row[2])) == sorted(fields)
