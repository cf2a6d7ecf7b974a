"""What the tests read out of the project's Markdown pages."""

import pathlib
import re
import subprocess

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
DOCS = CHECKOUT / "docs"
FENCE = re.compile(r"^```(.*)$")


def pages():
    """All Markdown pages of the project, as git knows them."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [CHECKOUT / name for name in sorted(listed.stdout.split()) if (CHECKOUT / name).exists()]


def short(page):
    return str(page.relative_to(CHECKOUT))


class Block:
    """A fenced block: `language` and `more` are the words after the fence."""

    def __init__(self, page, line, words, text, heading):
        self.page = page
        self.line = line
        self.language = words[0] if words else ""
        self.more = words[1:]
        self.text = text
        self.heading = heading

    def __repr__(self):
        return f"{short(self.page)}:{self.line}"


def blocks(page, *languages):
    """The fenced blocks of a page in these languages, in order."""
    found, opened, lines, heading = [], None, [], ""
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = FENCE.match(line)
        if fence and opened is None:
            opened, lines = (number, fence.group(1).split()), []
        elif fence:
            found.append(Block(page, opened[0], opened[1], "\n".join(lines), heading))
            opened = None
        elif opened is not None:
            lines.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    assert opened is None, f"{short(page)}:{opened[0]}: the block does not end"
    return [block for block in found if not languages or block.language in languages]


def prose(page):
    """The page without its fenced blocks, line by line."""
    inside, lines = False, []
    for line in page.read_text().splitlines():
        if FENCE.match(line):
            inside = not inside
        elif not inside:
            lines.append(line)
    return lines


def section(page, heading):
    """The lines below a heading, down to the next one, without fenced blocks."""
    lines = prose(page)
    start = next(i for i, line in enumerate(lines) if line.lstrip("# ") == heading) + 1
    end = next((i for i in range(start, len(lines)) if lines[i].startswith("#")), len(lines))
    return lines[start:end]


def table(page, first_column, heading=None):
    """
    The rows of the table whose first column has this title, as lists of cells: of the whole page,
    or below one heading.
    """
    rows, reading = [], False
    for line in prose(page) if heading is None else section(page, heading):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            reading = False
        elif cells[0] == first_column:
            reading = True
        elif reading and not re.fullmatch(r"-+", cells[0]):
            rows.append(cells)
    assert rows, f"{short(page)} has no table that begins with {first_column!r}"
    return rows


def code(text):
    """What stands in back-quotes."""
    return re.findall(r"`([^`]+)`", text)


def words(block):
    """The commands of a sh block: lines without their remarks; a line goes on after a backslash."""
    text = re.sub(r"\\\n\s*", "", block.text)
    lines = (re.sub(r"\s+#\s.*$", "", line).strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
