"""rights.lua: tells what the user may not run, and runs nothing."""

import pytest

from calls import call, dump

COMMANDS = [
    "GET larder:policy",
    "SET larder:policy x",
    "HSET larder:{n1} x x",
    "SADD larder:nodes x",
    "PUBLISH larder:done x",
    "SUBSCRIBE larder:changed",
    "SCRIPT LOAD x",
    "TIME",
]


def refused(db):
    return call(db, "rights", [], COMMANDS)


@pytest.mark.parametrize(
    ("rights", "lacks"),
    [
        ("~* &* +@all", []),
        ("~* &* +@all -set", ["SET larder:policy x"]),
        ("~* &* +@all -script|load", ["SCRIPT LOAD x"]),
        ("~* &larder:done +@all", ["SUBSCRIBE larder:changed"]),
        ("%R~larder:policy %W~larder:nodes ~larder:{n1} &* +@all", ["SET larder:policy x"]),
        ("~larder:{n1} &* +@all (+sadd %W~larder:nodes)", COMMANDS[:2]),
        ("+evalsha", COMMANDS),
    ],
)
def test_what_is_lacking_is_told(db, server, rights, lacks):
    db.execute_command("ACL", "SETUSER", "somebody", "reset", "on", "nopass", *quoted(rights))
    user = server.client(username="somebody", password="x")
    assert refused(user) == lacks
    user.close()
    assert dump(db) == {}


def quoted(rights):
    """The words of a rule; a selector in parentheses is one."""
    head, _, selector = rights.partition(" (")
    return [*head.split(), *([f"({selector}"] if selector else [])]


def test_what_cannot_be_asked_is_an_error(db):
    with pytest.raises(Exception, match="Invalid command"):
        call(db, "rights", [], ["NOSUCH x"])
