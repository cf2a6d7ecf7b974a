"""The reference pages are what the programs print of themselves."""

import subprocess

import pytest

from larder.daemons import binary
from markdown import CHECKOUT, DOCS

PAGES = ("settings-agent.md", "settings-coordinator.md", "larderctl.md")


@pytest.fixture(scope="module")
def printed(base):
    """The pages, made anew."""
    directory = base / "reference"
    directory.mkdir()
    build = binary("larderctl").parent
    subprocess.run([CHECKOUT / "scripts/dev/reference.sh", build, directory], check=True)
    return directory


@pytest.mark.parametrize("page", PAGES)
def test_page_is_what_the_programs_print(page, printed):
    same = (DOCS / page).read_text() == (printed / page).read_text()
    assert same, "run scripts/dev/reference.sh BUILD"


def test_larderctl_page_has_every_command(build):
    listed = subprocess.run(
        [build / "larderctl", "--help"], capture_output=True, text=True, check=True
    )
    commands = listed.stdout.partition("Commands")[2].partition("\n\n")[0].splitlines()[1:]
    page = (DOCS / "larderctl.md").read_text()
    assert len(commands) > 5
    for line in commands:
        assert f"\n## {line.split()[0]}\n" in page
